"""Ledgers saved by earlier versions are read, verified and continued."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paycore import Payment, ReviewReason, Status
from paycore.domain.events import Source
from paycore.ledger.api import Filter
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from tests.ledger.conftest import Database
from tests.ledger.workload import observe, pending_payment, refunding, seen

SAVED = sorted((Path(__file__).parent / "saved").glob("schema_*.sql"))
"""Dumps of SQLite files as released versions left them: every kind of event, refunds, closings, a review."""

TABLES = ("payments", "operations", "refunds", "events", "inbox")


def restore(saved: Path, database: Database, folder: Path) -> SqlLedger:
    """The saved ledger, migrated from the schema it was saved with."""
    file = Path(database.dsn.removeprefix("sqlite:///")) if database.is_sqlite else folder / "saved.db"
    with closing(sqlite3.connect(file)) as old:
        old.executescript(saved.read_text())
        if not database.is_sqlite:
            database.make(schema=int(saved.stem[-4:]))
            for table in TABLES:
                database.copy(table, old)
    return database.open()


@pytest.fixture(params=SAVED, ids=lambda saved: saved.stem)
def ledger(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> SqlLedger:
    """Each saved ledger on each database."""
    return restore(request.param, database, tmp_path)


def test_saved_ledger_is_what_its_events_say(ledger: SqlLedger) -> None:
    """Today's rules derive the stored payments from old events."""
    verdicts = list(verify(ledger))
    assert [verdict.difference for verdict in verdicts] == [None] * len(verdicts)
    assert sum(verdict.events for verdict in verdicts) > 100


def test_saved_payments_are_read_and_gone_on_with(ledger: SqlLedger) -> None:
    """Every payment, event and due time is read; a paid one can be refunded."""
    payments = ledger.list(Filter()).result()
    assert {Status.PAID, Status.CLOSED} <= {payment.status for payment in payments}
    assert any(payment.review for payment in payments)
    for payment in payments:
        assert len(ledger.events(payment.id).result()) == payment.version
    paid: Payment = next(p for p in payments if p.status is Status.PAID and p.refundable_minor)
    assert ledger.change(paid.id, refunding("one more"), Source.CALLER).result().events
    assert all(verdict.difference is None for verdict in verify(ledger))


def test_charge_of_a_saved_payment_pays_no_other(ledger: SqlLedger) -> None:
    """Charges of earlier versions belong to their payments."""
    paid = next(payment for payment in ledger.list(Filter()).result() if payment.charges)
    other = pending_payment(ledger, "a new order", account=paid.account)
    told = seen(other.order_number, Status.PAID, charge=paid.charges[0].provider_id, amount=other.amount)
    (after,) = observe(ledger, told, account=paid.account)
    assert (after.payment.status, after.payment.review_reasons) == (
        Status.PENDING,
        (ReviewReason.CHARGE_OF_ANOTHER,),
    )
