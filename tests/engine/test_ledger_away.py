"""The ledger's database is away for a while: who waits is answered in time, and the worker goes on by itself."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import generate_latest

from paycore import Status
from paycore.engine.metrics import READ_S
from paycore.engine.waiter import LATE_S
from paycore.errors import LedgerUnavailable
from tests.engine.tills import Kind, Till
from tests.support.postgres import PostgresServer
from tests.support.toy_http import ToyServer, toy_config, toy_plugins

SLACK_S = 3.0
"""What a busy machine may take longer."""


@pytest.fixture
def open_till(
    kind: Kind, gateway: ToyServer, postgres_server: PostgresServer, postgres_dsn: str
) -> Iterator[Callable[[], Till]]:
    """Opens tills on one PostgreSQL ledger; the server runs again when they are closed."""
    tills: list[Till] = []

    def open_till() -> Till:
        tills.append(Till(kind, toy_config(gateway.url, postgres_dsn, timeout_s=5), toy_plugins()))
        return tills[-1]

    yield open_till
    if postgres_server._process is None:
        postgres_server.start()
    for till in tills:
        till.shutdown()


@pytest.mark.parametrize("has_waited", [False, True])
def test_wait_ends_with_an_error_at_its_own_timeout(
    open_till: Callable[[], Till], postgres_server: PostgresServer, *, has_waited: bool
) -> None:
    """Not ten seconds later, whether the client has heard of changes before or not; no money moved."""
    till = open_till()
    payment = till.create()
    if has_waited:
        till.wait(payment, timeout_s=0.1)
    postgres_server.stop("immediate")
    begun = time.monotonic()
    with pytest.raises(LedgerUnavailable):
        till.wait(payment, timeout_s=1)
    assert time.monotonic() - begun < 1 + LATE_S + SLACK_S


def test_wait_outlives_an_outage(
    open_till: Callable[[], Till],
    postgres_server: PostgresServer,
    gateway: ToyServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A waiter whose timeout is later than the database's return is answered, and looked after, by itself."""
    till, other = open_till(), open_till()
    payment = till.create()
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING, "paycore"):
        waiting = pool.submit(till.wait, payment, 60)
        until(lambda: till.waits_for(payment))
        postgres_server.stop("immediate")
        gateway.pay(payment.order_number)
        time.sleep(4)
        postgres_server.start()
        assert waiting.result(timeout=40).status is Status.PAID
    assert other.get(payment.id).status is Status.PAID
    said = [record for record in caplog.records if "answers again" not in record.message]
    assert len(said) <= 3, [record.message for record in said]
    assert not any(record.exc_info for record in said)


def test_change_by_another_process_wakes_after_an_outage(
    open_till: Callable[[], Till], postgres_server: PostgresServer
) -> None:
    """What another process changes once the database is back wakes who waited all the time."""
    till, other = open_till(), open_till()
    payment = till.create()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(till.wait, payment, 60)
        until(lambda: till.waits_for(payment))
        postgres_server.restart("immediate")
        closing = threading.Thread(target=other.close, args=(payment,))
        closing.start()
        assert waiting.result(timeout=40).status is Status.CLOSED
        closing.join()


@pytest.mark.parametrize("kind", ["sync"])  # a page of metrics is made in a thread with either client
def test_metrics_are_answered_meanwhile(
    open_till: Callable[[], Till], postgres_server: PostgresServer
) -> None:
    """With what was counted, and that the ledger can't be read; with all of it again afterwards."""
    till = open_till()
    registry = till.do("metrics")
    till.create()
    assert registry.get_sample_value("paycore_ledger_up") == 1
    postgres_server.stop("immediate")
    begun = time.monotonic()
    page = generate_latest(registry).decode()
    assert time.monotonic() - begun < READ_S + SLACK_S
    assert "paycore_ledger_up 0.0" in page
    assert 'paycore_operations_total{outcome="done",verb="create"} 1.0' in page
    assert "paycore_payments" not in page
    postgres_server.start()
    until(lambda: registry.get_sample_value("paycore_ledger_up") == 1)


def until(happened: Callable[[], bool]) -> None:
    """Wait for it."""
    give_up_at = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
