"""Watchers of a ledger are told of every change by any process."""

import queue
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from paycore.ledger.base import SqlLedger
from tests.ledger.conftest import Database
from tests.ledger.workload import begun, pending_payment
from tests.support.postgres import PostgresServer

WAIT_S = 20

OTHER_PROCESS = """
import sys
from paycore.ledger import open_ledger
from tests.ledger.workload import begun
ledger = open_ledger(sys.argv[1])
ledger.begin(*begun("order-1", payment_id="P1")).result()
ledger.close()
"""


class Ear:
    """Collects a watcher's calls."""

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __call__(self, changed: Collection[str]) -> None:
        for payment_id in changed:
            self.heard.put(payment_id)

    def hears(self, payment_id: str) -> bool:
        """Whether this payment is named within the time."""
        try:
            while self.heard.get(timeout=WAIT_S) != payment_id:
                pass
        except queue.Empty:
            return False
        return True


def test_own_changes_are_heard(ledger: SqlLedger) -> None:
    """A change through the ledger itself reaches its watchers."""
    ear = Ear()
    ledger.watch(ear)
    assert ear.hears(pending_payment(ledger, "order-1").id)


def test_changes_through_another_ledger_are_heard(database: Database) -> None:
    """A change through another ledger on the database is reported, from the moment `watch` returns."""
    for turn in range(5):
        here, there = database.open(), database.open()
        ear = Ear()
        here.watch(ear)
        assert ear.hears(there.begin(*begun(f"order-{turn}")).result().payment.id)


def test_changes_of_another_process_are_heard(database: Database) -> None:
    """A change by another process is reported."""
    ledger, ear = database.open(), Ear()
    ledger.watch(ear)
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, database.dsn], check=True, cwd=root, timeout=60)
    assert ear.hears("P1")


def test_failing_watcher_affects_no_other(database: Database) -> None:
    """A watcher that raises does not affect the other watchers or the ledger."""
    here, there = database.open(), database.open()
    ear = Ear()
    here.watch(_raise)
    here.watch(ear)
    assert ear.hears(there.begin(*begun("order-1")).result().payment.id)
    assert ear.hears(here.begin(*begun("order-2")).result().payment.id)
    assert here.begin(*begun("order-3")).result().events


def _raise(_: Collection[str]) -> None:
    raise ZeroDivisionError


def test_stopped_watcher_hears_nothing_more(ledger: SqlLedger) -> None:
    """A stopped watcher is not called; others still are."""
    stopped, ear = Ear(), Ear()
    stop: Callable[[], None] = ledger.watch(stopped)
    ledger.watch(ear)
    stop()
    stop()
    assert ear.hears(ledger.begin(*begun("order-1")).result().payment.id)
    assert stopped.heard.empty()


def test_listening_survives_a_lost_connection(postgres_server: PostgresServer, postgres_dsn: str) -> None:
    """Changes while the listener's connection is lost are reported once it is back."""
    from contextlib import closing

    from paycore.ledger.postgres.ledger import PostgresLedger

    with closing(PostgresLedger(postgres_dsn)) as here, closing(PostgresLedger(postgres_dsn)) as there:
        ear = Ear()
        here.watch(ear)
        for turn in range(3):
            postgres_server.terminate_backends(postgres_dsn)
            assert ear.hears(there.begin(*begun(f"order-{turn}")).result().payment.id)
