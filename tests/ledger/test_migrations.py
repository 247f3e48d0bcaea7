"""Schemas are migrated forward only, by one process at a time, and unknown ones are refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from paycore.domain.events import Source
from paycore.errors import LedgerCorrupt, LedgerTooNew
from paycore.ledger import migrations, open_ledger
from paycore.ledger.migrations import Migration, load_migrations
from tests.ledger.conftest import Database
from tests.ledger.workload import begun, paid_payment, refunding

OPEN = "import sys; from paycore.ledger import open_ledger; open_ledger(sys.argv[1]).close()"


def _dialect(database: Database) -> str:
    return "sqlite" if database.is_sqlite else "postgres"


def test_both_dialects_have_the_same_migrations() -> None:
    """Both databases have the same migration numbers."""
    assert [m.number for m in load_migrations("sqlite")] == [m.number for m in load_migrations("postgres")]


def test_opened_by_many_at_once_is_made_once(database: Database) -> None:
    """Processes that open an empty database at once create one schema."""
    root = Path(__file__).parents[2]
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, database.dsn], cwd=root) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    rows = database.open().read(lambda tx: tx.execute("SELECT schema FROM meta").fetchall()).result()
    assert [number for (number,) in rows] == [m.number for m in load_migrations(_dialect(database))]


def test_newer_schema_is_refused(database: Database) -> None:
    """A ledger of a newer schema is left unchanged, and no money moved."""
    database.open().close()
    database.run("INSERT INTO meta VALUES (9999, 'x', 0)")
    with pytest.raises(LedgerTooNew, match="upgrade paycore") as caught:
        open_ledger(database.dsn)
    assert caught.value.money_moved == "no"


def test_ledger_upgraded_while_it_is_open_is_written_no_more(database: Database) -> None:
    """The older version notices at its next write, and writes nothing."""
    ledger = database.open()
    payment = paid_payment(ledger, "order-1")
    database.run("INSERT INTO meta VALUES (9999, 'x', 0)")
    with pytest.raises(LedgerTooNew, match="upgrade paycore here too"):
        ledger.begin(*begun("order-2")).result()
    with pytest.raises(LedgerTooNew):
        ledger.change(payment.id, refunding("back-1"), Source.CALLER).result()
    assert ledger.find(None, "order-2").result() == ()
    assert ledger.get(payment.id).result() == payment
    database.run("DELETE FROM meta WHERE schema = 9999")
    assert ledger.begin(*begun("order-2")).result().events


def test_tampered_checksum_is_refused(database: Database) -> None:
    """A schema with another checksum is not written to."""
    database.open().close()
    database.run("UPDATE meta SET sha256 = 'x'")
    with pytest.raises(LedgerCorrupt, match="not the one this paycore ships"):
        open_ledger(database.dsn)


def test_old_ledger_is_upgraded_and_keeps_its_payments(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger of today's schema opens under a later one with all its payments."""
    ledger = database.open()
    payment = paid_payment(ledger, "order-1")
    ledger.close()
    known = load_migrations(_dialect(database))
    later = Migration(
        number=known[-1].number + 1, sql="ALTER TABLE payments ADD COLUMN extra TEXT;", sha256="y"
    )
    monkeypatch.setattr(migrations, "load_migrations", lambda _: (*known, later))
    upgraded = database.open()
    assert upgraded.get(payment.id).result() == payment
    rows = upgraded.read(lambda tx: tx.execute("SELECT extra FROM payments").fetchall()).result()
    assert rows == [(None,)]


def test_failing_migration_leaves_the_old_schema(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed migration is rolled back completely."""
    database.open().close()
    known = load_migrations(_dialect(database))
    broken = Migration(
        number=known[-1].number + 1,
        sql="ALTER TABLE payments ADD COLUMN extra TEXT; INSERT INTO nowhere VALUES (1);",
        sha256="y",
    )
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "load_migrations", lambda _: (*known, broken))
        with pytest.raises(Exception, match="nowhere"):
            open_ledger(database.dsn)
    assert paid_payment(database.open(), "order-1").status == "paid"
