"""
A process in which greenlets share the client, patched before or after paycore is imported.

    python -W ignore -m tests.engine.greenlets before|after fork|stay     # beside a paycore.toml; prints a JSON line
"""

import sys

from gevent import monkey

if sys.argv[1] == "before":
    monkey.patch_all()

import json
import os
import time

import gevent

from paycore import Money, close_shared_client, shared_client
from paycore.engine import connections, transport
from paycore.engine.timing import Deadline
from paycore.ledger.sqlite import ledger
from qfpay_alipay import provider

if sys.argv[1] == "after":
    monkey.patch_all()

_IMPORTED = (connections, ledger, provider, transport)


def buy(reference: str, wait_s: float) -> tuple[int, str]:
    """What a view does, and which client it has."""
    pay = shared_client()
    payment = pay.create(reference=reference, amount=Money("88.00", "HKD"), method="alipay", channel="web")
    return id(pay), pay.wait(payment.id, wait_s).status


def buy_at_once(name: str, wait_s: float) -> list[tuple[int, str]]:
    """What each of ten greenlets has."""
    greenlets = [gevent.spawn(buy, f"{name}-{number}", wait_s) for number in range(10)]
    return [greenlet.get(timeout=30) for greenlet in greenlets]


def left_s(deadline_s: float) -> float | None:
    """What is left of a deadline while another greenlet has one too."""
    with connections.until(Deadline(deadline_s)):
        time.sleep(0.01)
        return connections._at_most(None, TimeoutError)


def turns(counted: list[int]) -> None:
    """Count how often the hub comes round."""
    while True:
        gevent.sleep(0.01)
        counted[0] += 1


def in_child() -> int:
    """The exit code of a forked child that uses it: 0 where that works."""
    child = os.fork()
    if child == 0:
        bought = buy_at_once("child", 0)
        close_shared_client()
        os._exit(0 if {status for _, status in bought} <= {"pending", "paid"} else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Use it, in a forked child too where that is asked for."""
    counted = [0]
    counting = gevent.spawn(turns, counted)
    bought = buy_at_once("parent", 0.5)
    counting.kill()
    deadlines = [greenlet.get() for greenlet in [gevent.spawn(left_s, 50), gevent.spawn(left_s, 5)]]
    code = in_child() if sys.argv[2] == "fork" else 0
    told = {
        "clients": len({client for client, _ in bought}),
        "are_made": {status for _, status in bought} <= {"pending", "paid"},
        "turns": counted[0],
        "deadlines_s": [round(left or 0.0) for left in deadlines],
        "child": code,
        "found": len(shared_client().list()),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
