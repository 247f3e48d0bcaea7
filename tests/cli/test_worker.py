"""`worker` and `resolve`: processes that look after what is due, and the table of a pass."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from paycore.engine.worker import LEASE_S, RENEW_EVERY_S
from tests.cli.conftest import Cli, ToyShop, toy_order
from tests.support.postgres import PostgresServer

WORKER = [sys.executable, "-m", "paycore.cli", "worker"]
"""As a module, which finds the toy's plugin in the working folder."""

DRAINED_S = 5.0


@contextmanager
def working(*options: str) -> Iterator[subprocess.Popen[str]]:
    """`paycore worker --json` in the working folder, once it looks after payments."""
    words = [*WORKER, "--json", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == {"accounts": ["toy"]}
            yield process
        finally:
            process.kill()


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> float:
    """End it; how many seconds that took."""
    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    return time.monotonic() - begun


def until(happened: Callable[[], bool], within_s: float = 30) -> float:
    """Wait for it; how many seconds that took."""
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() < begun + within_s
        time.sleep(0.05)
    return time.monotonic() - begun


def created(cli: Cli, reference: str = "order-1") -> Any:
    return cli(*toy_order("web", reference), "--json").json


def status_of(cli: Cli, payment: Any) -> str:
    """The payment's status in the ledger."""
    status: str = cli("show", payment["id"], "--json").json["status"]
    return status


def asked(toy_shop: ToyShop) -> int:
    """How many questions the gateway was asked."""
    return toy_shop.server.counts().requests.get("/query", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_looks_after_payments_of_others(cli: Cli, toy_shop: ToyShop, number: signal.Signals) -> None:
    """What other processes made is asked about, without anybody waiting; a signal ends it with 0."""
    payment = created(cli)
    with working() as worker:
        toy_shop.server.pay(payment["order_number"])
        until(lambda: status_of(cli, payment) == "paid")
        assert stop(worker, number) < DRAINED_S


def test_worker_drains_while_a_question_takes_long(cli: Cli, toy_shop: ToyShop) -> None:
    """A question that takes longer than that is left to the next worker."""
    toy_shop.configure(timeout_s=30)
    payment = created(cli)
    toy_shop.server.pay(payment["order_number"])
    toy_shop.server.set_faults(delay_s=20)
    with working() as worker:
        until(lambda: asked(toy_shop) > 0)
        assert stop(worker) < DRAINED_S
    assert status_of(cli, payment) == "pending"
    toy_shop.server.set_faults()
    with working():
        until(lambda: status_of(cli, payment) == "paid")


def test_worker_drains_while_its_database_is_away(
    cli: Cli, toy_shop: ToyShop, postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    """It waits for no database either: what was recorded is recorded."""
    config = Path("paycore.toml")
    config.write_text(config.read_text().replace("sqlite:///paycore.db", postgres_dsn))
    created(cli)
    with working() as worker:
        until(lambda: asked(toy_shop) > 0)
        postgres_server.stop("immediate")
        try:
            time.sleep(3)  # it has noticed, and tries to connect
            assert stop(worker) < DRAINED_S
        finally:
            postgres_server.start()


def test_killed_workers_claims_come_due(cli: Cli, toy_shop: ToyShop) -> None:
    """What a worker had claimed when it was killed is asked about by another one as soon as its lease ends."""
    toy_shop.configure(timeout_s=30)
    payment = created(cli)
    toy_shop.server.pay(payment["order_number"])
    toy_shop.server.set_faults(delay_s=60)
    with working() as first:
        until(lambda: asked(toy_shop) > 0)
        time.sleep(2 * RENEW_EVERY_S)  # its lease was renewed meanwhile
        with working():
            first.kill()
            toy_shop.server.set_faults()
            took_s = until(lambda: asked(toy_shop) > 1, within_s=3 * LEASE_S)
            until(lambda: status_of(cli, payment) == "paid")
    assert LEASE_S - RENEW_EVERY_S - 3 < took_s < LEASE_S + 3


def test_worker_without_a_usable_account(cli: Cli, toy_shop: ToyShop) -> None:
    """Where no account can be used, it says why and does not start."""
    toy_shop.configure(batch="many")
    ran = cli("worker")
    assert ran.code == 6
    assert "batch" in ran.err


def test_worker_looks_after_one_account(cli: Cli, toy_shop: ToyShop) -> None:
    """With --account only that one; an unknown one is an error."""
    created(cli)
    ran = cli("worker", "--account", "nobody")
    assert ran.code == 6
    assert "nobody" in ran.err
    with working("--account", "toy") as worker:
        stop(worker)


def test_resolve_ends_with_a_table(cli: Cli, toy_shop: ToyShop) -> None:
    """Each open payment, what it was and what it is; then exit 0."""
    paid, waiting = created(cli), created(cli, "order-2")
    toy_shop.server.pay(paid["order_number"])
    ran = cli("resolve")
    assert ran.code == 0
    rows = {line.split()[0]: line.split() for line in ran.out.splitlines()}
    assert rows[paid["id"]][-2:] == ["pending", "paid"]
    assert rows[waiting["id"]][-2:] == ["pending", "pending"]
    assert "asked about 2 of 2: 1 final, 1 still open" in ran.err


def test_resolve_prints_json_lines(cli: Cli, toy_shop: ToyShop) -> None:
    """With --json one object a payment: the payment, its status before, and the problem if it had no answer."""
    payment = created(cli)
    toy_shop.server.pay(payment["order_number"])
    ran = cli("resolve", "--json")
    assert ran.code == 0
    assert (ran.json["id"], ran.json["status"]) == (payment["id"], "paid")
    assert (ran.json["was"], ran.json["problem"]) == ("pending", None)


def test_resolve_says_what_had_no_answer(cli: Cli, toy_shop: ToyShop) -> None:
    """A provider that does not answer is exit 7, and the table says so."""
    payment = created(cli)
    toy_shop.server.set_faults(lose_request=1000)
    ran = cli("resolve", "--json")
    assert ran.code == 7
    assert ran.json["id"] == payment["id"]
    assert ran.json["problem"]
    assert ran.json["status"] == "pending"


def test_resolve_goes_on_beside_an_account_that_cannot_be_used(cli: Cli, toy_shop: ToyShop) -> None:
    """The others are asked about and shown, and the exit code and the error are those of the one."""
    payment = created(cli)
    toy_shop.server.pay(payment["order_number"])
    config = Path("paycore.toml")
    config.write_text(config.read_text() + '\n[accounts.next]\nprovider = "nobody"\nmode = "sandbox"\n')
    ran = cli("resolve")
    assert ran.code == 6
    assert "nobody" in ran.err
    assert ran.out.splitlines()[1].split()[-2:] == ["pending", "paid"]


def test_resolve_with_nothing_open(cli: Cli, toy_shop: ToyShop) -> None:
    """Nothing open is said, and is no failure."""
    ran = cli("resolve")
    assert (ran.code, ran.out) == (0, "")
    assert "nothing is open" in ran.err
    assert asked(toy_shop) == 0


def test_resolve_by_review(cli: Cli, toy_shop: ToyShop) -> None:
    """A payment that needs review is exit 9, and the table says why."""
    payment = created(cli)
    toy_shop.gateway.orders[-1].minor += 1
    toy_shop.server.pay(payment["order_number"])
    ran = cli("resolve")
    assert ran.code == 9
    assert "review: amount" in ran.out
