"""
A race to capture: many processes and a notification all see at once that a payment is authorized.

    python -m tests.kill.authorized

runs it on both databases, as the tests do, and prints the results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import msgspec

from paycore import Client, Config, Money, Status
from paycore.domain import capturing
from paycore.errors import ProviderError
from tests.support.postgres import embedded_postgres
from tests.support.toy_http import ACCOUNT, ToyRemote, toy_config, toy_plugins, toy_process

PROCESSES = 8
PAYMENTS = 20
SETTLED_WITHIN_S = 60.0
ROOT = Path(__file__).parents[2]


class CaptureRace(msgspec.Struct, frozen=True, kw_only=True):
    """What came of many processes seeing the same authorizations at once, at a gateway that charges blindly."""

    payments: int
    requests: int
    captures: int
    taken_twice: int
    paid: int
    """Payments that were paid in the end, by the ledger."""
    taken_s: float

    @property
    def holds(self) -> bool:
        """Whether the money of every payment was taken once, by one request, and the ledger knows it."""
        return {self.requests, self.captures, self.paid} == {self.payments} and not self.taken_twice

    def __str__(self) -> str:
        return (
            f"{PROCESSES} processes and a notification see {self.payments} authorizations: {self.requests} requests,"
            f" {self.captures} captures, {self.taken_twice} taken twice, {self.paid} paid, {self.taken_s:.1f} s"
        )


def config(url: str, dsn: str) -> Config:
    """One account whose orders are captured."""
    return toy_config(url, dsn, timeout_s=30.0, captures="partial")


def race_to_capture(
    dsn: str, payments: int = PAYMENTS, *, has_bug: bool = False, settled_within_s: float = SETTLED_WITHIN_S
) -> CaptureRace:
    """
    Let every process query each payment while another one receives its notification, over real HTTP.

    `has_bug`: with a planted bug, by which nobody sees that another one has begun the capture.
    """
    with toy_process(duplicates="charge_blindly") as gateway, contextlib.ExitStack() as stack:
        with Client(config(gateway.url, dsn), plugins=toy_plugins()) as client:
            made = [
                client.create(
                    reference=f"order-{n}", amount=Money("88.00", "HKD"), method="toy", channel="hold"
                )
                for n in range(payments)
            ]
            for payment in made:
                gateway.pay(payment.order_number)
            orders = [(payment.id, payment.order_number) for payment in made]
            kinds = ["query"] * PROCESSES + ["receive"]
            bug = ["--bug"] if has_bug else []
            racers = [stack.enter_context(_Racer([gateway.url, dsn, kind, *bug])) for kind in kinds]
            for racer in racers:
                racer.read()  # it is ready
            started = time.monotonic()
            for racer in racers:
                racer.write(json.dumps(orders))
            for racer in racers:
                racer.read()
            paid = sum(client.wait(payment.id, settled_within_s).status is Status.PAID for payment in made)
            taken_s = time.monotonic() - started
        counts = gateway.counts()
    return CaptureRace(
        payments=payments,
        requests=counts.requests.get("/captures", 0),
        captures=sum(counts.captures.values()),
        taken_twice=sum(count > 1 for count in counts.captures.values()),
        paid=paid,
        taken_s=taken_s,
    )


class _Racer(contextlib.AbstractContextManager["_Racer"]):
    """A process that runs this module, controlled by lines of JSON."""

    def __init__(self, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", "tests.kill.authorized", "--racer", *arguments]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def write(self, line: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def read(self) -> None:
        """Wait for its next line; one that died fails the race."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"a racer died with {self._process.wait(10)}")

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _race(url: str, dsn: str, kind: str) -> None:
    """One racer: reports that it is ready, waits for the start, asks about or is told of every payment."""
    gateway = ToyRemote(url)
    with Client(config(url, dsn), plugins=toy_plugins()) as client:
        print("ready", flush=True)
        orders = json.loads(sys.stdin.readline())
        for payment_id, number in orders:
            if kind == "query":
                with contextlib.suppress(ProviderError):  # with the planted bug
                    client.query(payment_id)
            else:
                body, headers = gateway.notification(number)
                client.receive(ACCOUNT, body=body, headers=headers)
        print("done", flush=True)
        sys.stdin.read()  # the client goes on with what it was told until the race is over


def main() -> int:
    """Run the race on both databases; return 1 if it does not hold on one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument("--racer", nargs=3, metavar=("URL", "DSN", "KIND"))
    parser.add_argument("--bug", action="store_true")
    options = parser.parse_args()
    if options.racer:
        with mock.patch.object(capturing, "capture_of", return_value=None) if options.bug else nullcontext():
            _race(*options.racer)
        return 0
    with tempfile.TemporaryDirectory() as folder, embedded_postgres() as server:
        dsns = [f"sqlite:///{folder}/ledger.db", server.create_database()]
        results = [race_to_capture(dsn, options.payments) for dsn in dsns]
    for result in results:
        print("holds:" if result.holds else "FAILS:", result)
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
