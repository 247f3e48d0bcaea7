"""A newer release upgrades a ledger that an older one has open: the older one writes no more."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from paycore.domain.events import Change, Source
from paycore.domain.payment import Payment, Status
from paycore.errors import LedgerTooNew, LedgerUnavailable
from paycore.ledger.api import Rescheduled
from paycore.ledger.base import SqlLedger
from tests.ledger.conftest import Database
from tests.ledger.workload import ACCOUNT, begun, notice, pending_payment, refunding, seen
from tests.support.due import claiming

NEWER = """
import sys
from paycore.ledger import migrations
from paycore.ledger.migrations import Migration, load_migrations

def known_to_the_newer(dialect):
    known = load_migrations(dialect)
    return (*known, Migration(number=known[-1].number + 1, sql=sys.argv[2], sha256="y"))

migrations.load_migrations = known_to_the_newer
from paycore.ledger.opening import migrate
migrate(sys.argv[1])
"""
TABLES = ("payments", "operations", "refunds", "charges", "provider_ids", "events", "inbox")
CHANGES = {
    "nothing the older one knows": "CREATE TABLE extra (id INTEGER);",
    "a column every write sets": "ALTER TABLE payments RENAME COLUMN due_at TO asked_next_at;",
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)

Write = Callable[[SqlLedger, Payment], Future[Any]]
WRITES: dict[str, Write] = {
    "begin": lambda ledger, _: ledger.begin(*begun("order-2")),
    "change": lambda ledger, payment: ledger.change(payment.id, refunding("back-1"), Source.CALLER),
    "observe": lambda ledger, payment: ledger.observe(
        ACCOUNT, [seen(payment.order_number, Status.PAID)], Source.POLL
    ),
    "record_notification": lambda ledger, payment: ledger.record_notification(
        ACCOUNT, notice(b"paid", NOW), [seen(payment.order_number, Status.PAID)], is_evidence=True
    ),
    "claim": lambda ledger, _: ledger.claim(claiming(ACCOUNT, limit=9, lease_s=30)),
    "reschedule": lambda ledger, payment: ledger.reschedule([Rescheduled(payment.id, payment.version, NOW)]),
}


def upgrading(
    database: Database, sql: str = CHANGES["nothing the older one knows"]
) -> subprocess.Popen[bytes]:
    """`ledger migrate` of a release with one more schema, in a separate process."""
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", NEWER, database.dsn, sql], cwd=root)


def upgrade(database: Database, sql: str = CHANGES["nothing the older one knows"]) -> None:
    """The same, waited for."""
    assert upgrading(database, sql).wait(60) == 0


def contents(ledger: SqlLedger) -> list[list[tuple[Any, ...]]]:
    """Every row that payments consist of."""

    def rows(table: str) -> list[tuple[Any, ...]]:
        return ledger.read(lambda tx: tx.execute(f"SELECT * FROM {table}").fetchall()).result()

    return [rows(table) for table in TABLES]


@pytest.mark.parametrize("sql", CHANGES.values(), ids=CHANGES)
def test_every_write_of_the_older_one_is_refused(database: Database, sql: str) -> None:
    """Each write raises with the advice to upgrade, and changes nothing."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    upgrade(database, sql)
    before = contents(ledger)
    for write in [*WRITES.values(), *WRITES.values()]:
        with pytest.raises(LedgerTooNew, match="upgrade paycore here too"):
            write(ledger, payment).result()
    assert contents(ledger) == before
    ledger.close()


def test_write_is_refused_where_the_newer_schema_has_no_clock(database: Database) -> None:
    """A table missing in the newer schema is not reported as damage."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    database.run("ALTER TABLE clock RENAME TO clocks", "INSERT INTO meta VALUES (9999, 'x', 0)")
    for write in WRITES.values():
        with pytest.raises(LedgerTooNew):
            write(ledger, payment).result()


def test_first_write_of_a_ledger_that_only_read_is_refused(database: Database) -> None:
    """It does not register as a writer either."""
    pending_payment(database.open(), "order-1")
    ledger = database.open()
    upgrade(database)
    with pytest.raises(LedgerTooNew):
        ledger.begin(*begun("order-2")).result()
    if not database.is_sqlite:
        assert len(ledger.read(lambda tx: tx.execute("SELECT id FROM writers").fetchall()).result()) == 1


def test_whole_group_is_refused(database: Database) -> None:
    """Each caller of a group gets its own error."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    upgrade(database)
    futures = [write(ledger, payment) for write in WRITES.values() for _ in range(8)]
    assert {type(future.exception(30)) for future in futures} == {LedgerTooNew}


def test_read_that_the_newer_schema_breaks_is_no_damage(database: Database) -> None:
    """`LedgerCorrupt` would make an operator restore a backup needlessly."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    upgrade(database, "ALTER TABLE payments RENAME COLUMN body TO content;")
    for read in (lambda: ledger.get(payment.id), lambda: ledger.find(None, "order-1")):
        with pytest.raises(LedgerTooNew):
            read().result()
    assert len(ledger.events(payment.id).result()) == 2, "what can be read is read"


def test_payment_that_only_the_newer_one_reads_is_no_damage(database: Database) -> None:
    """A field or a status of the newer release in a column that both have."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    upgrade(database, "UPDATE payments SET body = replace(body, '\"pending\"', '\"authorized_later\"');")
    with pytest.raises(LedgerTooNew):
        ledger.get(payment.id).result()


def test_upgrade_waits_for_the_transaction_that_is_under_way(database: Database) -> None:
    """It never comes between an older release's check and its commit."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    started: list[subprocess.Popen[bytes]] = []

    def decide(_payment: Payment, _now: datetime) -> Sequence[Change]:
        started.append(upgrading(database))
        time.sleep(2.5)
        assert started[0].poll() is None, "the ledger was upgraded under a transaction that had looked before"
        return []

    assert not ledger.change(payment.id, decide, Source.CALLER).result().events
    assert started[0].wait(60) == 0
    with pytest.raises(LedgerTooNew):
        ledger.begin(*begun("order-2")).result()


def test_older_ledger_put_in_its_place_is_not_written(database: Database) -> None:
    """A backup from before the last upgrade, restored under an open process."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    database.run("DELETE FROM meta WHERE schema = (SELECT max(schema) FROM meta)")
    for write in WRITES.values():
        with pytest.raises(LedgerUnavailable, match="another was put in its place"):
            write(ledger, payment).result()
