"""Ledgers saved by earlier versions are read, verified and continued."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Payment, ReviewReason, Status
from paycore.domain.codec import encode
from paycore.domain.events import Change, Returned, Source
from paycore.domain.provider import Capabilities, Mention, NumberFormat, RequestBudget, Resend
from paycore.domain.recovery import Context, next_changes
from paycore.domain.wire import NOTIFICATION_MAX
from paycore.errors import LedgerCorrupt
from paycore.ledger import upgrading
from paycore.ledger.api import Filter, Rescheduled
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.opening import open_read_only
from paycore.ledger.rows import provider_ids
from paycore.ledger.transaction import Row
from tests.ledger.conftest import Database
from tests.ledger.workload import (
    DEADLINE,
    PRODUCT,
    notice,
    numbering,
    observe,
    pending_payment,
    refunding,
    seen,
)
from tests.support.due import claim_due, next_due

SAVED = sorted((Path(__file__).parent / "saved").glob("schema_*.sql"))
"""Dumps of SQLite files as released versions left them: every kind of event, refunds, closings, a review."""

TABLES = ("payments", "operations", "refunds", "events", "inbox", "charges", "provider_ids", "clock")
"""Those of the newest saved ledger; an older one has only some of them."""

CAPABILITIES = Capabilities(
    products=(PRODUCT,),
    number=NumberFormat(characters="0123456789ABCDEFGHJKMNPQRSTVWXYZ", length_max=32),
    budget=RequestBudget(per_second=10, per_minute=100),
    query_proves_absence_after_s=5.0,
    create_resend=Resend("same_result"),
    refund_resend=Resend("same_result"),
)


def restore(saved: Path, database: Database, folder: Path) -> SqlLedger:
    """The saved ledger, migrated from the schema it was saved with."""
    lay(saved, database, folder)
    return database.open()


def lay(saved: Path, database: Database, folder: Path) -> None:
    """Put the ledger there as it was saved."""
    file = Path(database.dsn.removeprefix("sqlite:///")) if database.is_sqlite else folder / "saved.db"
    with closing(sqlite3.connect(file)) as old:
        old.executescript(saved.read_text())
        if not database.is_sqlite:
            database.make(schema=int(saved.stem[-4:]))
            made = {name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in (table for table in TABLES if table in made):
                database.copy(table, old)


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


def test_saved_payments_are_given_the_times_their_events_tell(ledger: SqlLedger) -> None:
    """`authorized_at`, `paid_at` and `closed_at` are the times of the first events that made it so."""
    told = set()
    for payment in ledger.list(Filter(limit=1000)).result():
        became: dict[Status, datetime] = {}
        for event in ledger.events(payment.id).result():
            became.setdefault(event.status_to, event.at)
        for status, at in (
            (Status.AUTHORIZED, payment.authorized_at),
            (Status.PAID, payment.paid_at),
            (Status.CLOSED, payment.closed_at),
        ):
            assert at == became.get(status), (payment.id, status)
            told.add(status if at is not None else None)
    assert {Status.PAID, Status.CLOSED} <= told


def test_times_are_filled_from_the_events(database: Database) -> None:
    """Of payments that were authorized, closed and paid, one after the other, each gets the first time of each."""
    with closing(database.open()) as ledger:
        for n in range(3):
            payment = pending_payment(ledger, f"order-{n}")
            for status in (Status.AUTHORIZED, Status.CLOSED, Status.PAID)[: n + 1]:
                observe(ledger, seen(payment.order_number, status))
        before = ledger.list(Filter()).result()
        stored = _rows_of_payments(ledger)
    assert all(payment.authorized_at for payment in before)
    for payment in before:
        body = encode(replace(payment, authorized_at=None, paid_at=None, closed_at=None)).decode()
        database.run(
            f"UPDATE payments SET authorized_at = NULL, paid_at = NULL, closed_at = NULL, open = NULL, body = '{body}'"
            f" WHERE id = '{payment.id}'"
        )
    ledger = database.open()
    assert ledger.list(Filter()).result() == before
    assert _rows_of_payments(ledger) == stored
    assert [verdict.difference for verdict in verify(ledger)] == [None] * 3


def _rows_of_payments(ledger: SqlLedger) -> list[tuple[Any, ...]]:
    columns = "id, open, authorized_at, paid_at, closed_at, namespace, head, body"
    return ledger.read(
        lambda tx: tx.execute(f"SELECT {columns} FROM payments ORDER BY id").fetchall()
    ).result()


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


def test_saved_payments_that_were_under_way_go_on(database: Database, tmp_path: Path) -> None:
    """Each is claimed when it is due, today's rules take the next step, and the provider's answer is recorded."""
    ledger = restore(SAVED[-1], database, tmp_path)
    context = Context(capabilities=CAPABILITIES, numbering=numbering(), deadline=DEADLINE)
    waiting = ledger.list(Filter(open=True, limit=1000)).result()
    assert len({payment.status for payment in waiting}) > 2
    dated = [payment for payment in waiting if next_due(ledger, [payment.id]) is not None]
    ledger.reschedule([Rescheduled(one.id, one.version, ledger.now()) for one in dated]).result()
    _, claimed = claim_due(ledger, limit=1000, lease_s=60)
    assert {payment.id for payment in dated} <= {payment.id for payment in claimed}
    moved = 0
    for payment in waiting:
        decide = partial(_next_step, context=replace(context, numbering=numbering()))
        moved += bool(ledger.change(payment.id, decide, Source.RECOVERY).result().events)
        told = seen(payment.order_number, Status.PAID, amount=payment.amount)
        ledger.observe(payment.account, [told], Source.POLL).result()
        assert ledger.get(payment.id).result().status is Status.PAID
    assert moved
    assert [verdict for verdict in verify(ledger) if verdict.difference] == []


def _next_step(payment: Payment, now: datetime, *, context: Context) -> Sequence[Change]:
    return next_changes(payment, now + timedelta(hours=1), context)


def test_saved_payments_are_found_by_what_the_provider_calls_them(ledger: SqlLedger) -> None:
    """Ids of orders, refunds and charges of earlier versions lead to their payments."""
    named = 0
    for payment in ledger.list(Filter(limit=1000)).result():
        for provider_id in provider_ids(payment):
            named += 1
            hint = notice(f"{payment.id} {provider_id}".encode(), ledger.now())
            told = [Mention(id=provider_id)]
            recorded = ledger.record_notification(payment.account, hint, told, is_evidence=True).result()
            assert payment.id in recorded.due
    assert named > 10


def test_saved_ledger_is_upgraded_once_and_keeps_what_arrived(database: Database, tmp_path: Path) -> None:
    """What a migration leaves to who opens the ledger is all written; events and notifications are as they were."""
    newest = SAVED[-1]
    with closing(sqlite3.connect(":memory:")) as old:
        old.executescript(newest.read_text())
        arrived = old.execute("SELECT digest, query, body, verdict, payment_id FROM inbox").fetchall()
        events = old.execute("SELECT change, hash FROM events ORDER BY position").fetchall()
        assert any('"retryable":true' in change for change, _ in events)
    ledger = restore(newest, database, tmp_path)
    assert not ledger.read(upgrading.is_left).result()
    digests = "SELECT digest, query, body, verdict, payment_id FROM inbox"
    kept = [(*row[:2], bytes(row[2]), *row[3:]) for row in _rows(ledger, digests)]
    assert sorted(kept) == sorted(arrived)
    assert [
        (change, bytes(own))
        for change, own in _rows(ledger, "SELECT change, hash FROM events ORDER BY position")
    ] == events
    assert not any("retryable" in body for (body,) in _rows(ledger, "SELECT body FROM payments"))
    ledger.close()
    with closing(open_read_only(database.dsn)) as reader:
        assert all(verdict.difference is None for verdict in verify(reader))


def _rows(ledger: SqlLedger, sql: str) -> list[tuple[Any, ...]]:
    return ledger.read(lambda tx: tx.execute(sql).fetchall()).result()


def test_longest_notification_is_kept(ledger: SqlLedger) -> None:
    """A batch of hundreds of events fits, in an upgraded ledger as in a new one."""
    body = b"x" * NOTIFICATION_MAX
    ledger.record_notification("main", notice(body, ledger.now()), [], is_evidence=False).result()
    assert _rows(ledger, "SELECT max(length(body)) FROM inbox") == [(NOTIFICATION_MAX,)]
    assert all(verdict.difference is None for verdict in verify(ledger))


@pytest.mark.parametrize("saved", SAVED, ids=lambda saved: saved.stem)
def test_body_that_can_not_be_read_is_left_for_verify(
    database: Database, tmp_path: Path, saved: Path
) -> None:
    """A damaged payment stops no upgrade: it is left as it is, and nothing else differs."""
    lay(saved, database, tmp_path)
    damaged = "(SELECT min(id) FROM payments WHERE body LIKE '%\"charges\":%')"
    database.run(f"UPDATE payments SET body = '{{\"retryable\":' || substr(body, 1, 40) WHERE id = {damaged}")
    ledger = database.open()
    (broken,) = (verdict for verdict in verify(ledger) if verdict.difference is not None)
    assert broken.difference is not None
    assert (broken.difference.where, broken.difference.stored) == ("body", "unreadable")
    assert broken.payment_id is not None
    with pytest.raises(LedgerCorrupt):
        ledger.get(broken.payment_id).result()


def test_two_that_open_it_at_once_lose_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one writes rows anew, another has done so already and goes on: what that wrote is not overwritten."""
    gone_on, is_paused = threading.Event(), threading.Event()
    filled = upgrading._filled

    def slow(payment_id: str, body: str, became: Mapping[str, int]) -> Row:
        if not is_paused.is_set():
            is_paused.set()
            gone_on.wait(1.5)
        return filled(payment_id, body, became)

    monkeypatch.setattr(upgrading, "_filled", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(restore, SAVED[-1], database, tmp_path)
        assert is_paused.wait(30)
        second = database.open()
        waiting = second.list(Filter(open=True, limit=1000)).result()
        for payment in waiting:
            second.change(
                payment.id, lambda _, __: [Returned(params={"came": "back"})], Source.CALLER
            ).result()
        gone_on.set()
        ledger = first.result(60)
    assert waiting
    for payment in waiting:
        assert ledger.get(payment.id).result().returned == {"came": "back"}
    assert [verdict for verdict in verify(ledger) if verdict.difference] == []
