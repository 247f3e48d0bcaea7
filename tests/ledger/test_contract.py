"""Every verb of the ledger, the same on both databases."""

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from paycore import Money, Payment, Status
from paycore.domain.events import GENESIS, Change, Source, chain_hash
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import RefundStatus
from paycore.domain.provider import Mention
from paycore.errors import (
    InvalidField,
    LedgerCorrupt,
    LedgerUnavailable,
    NotFound,
    ReferenceConflict,
    RefundTooLarge,
    RequestError,
)
from paycore.ledger import clock, verbs
from paycore.ledger.api import Filter, Rescheduled
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import to_ms
from paycore.ledger.sqlite.ledger import SqliteLedger
from tests.ledger.conftest import Database
from tests.ledger.workload import (
    ACCOUNT,
    AMOUNT,
    accepted,
    answered,
    begun,
    notice,
    numbering,
    observe,
    paid_payment,
    pending_payment,
    refund_seen,
    refunding,
    seen,
)
from tests.support.due import claim_due, claiming, due_soon, next_due
from tests.support.stopped import StoppedDatetime


def test_begin_new_reference_is_recorded_with_its_event(ledger: SqlLedger) -> None:
    """A new payment is recorded with its first event."""
    committed = ledger.begin(*begun("order-1")).result()
    assert committed.events
    assert ledger.get(committed.payment.id).result() == committed.payment
    (event,) = ledger.events(committed.payment.id).result()
    assert event == committed.events[0]
    assert (event.seq, event.kind, event.status_from, event.prev_hash) == (1, "payment_begun", None, GENESIS)


def test_begin_known_reference_returns_the_payment_that_has_it(database: Database) -> None:
    """The second `begin` returns the first one's payment without events, in any process."""
    first = database.open().begin(*begun("order-1")).result()
    again = database.open().begin(*begun("order-1")).result()
    assert again.payment == first.payment
    assert not again.events


def test_begin_by_many_at_once_makes_one_payment(database: Database) -> None:
    """Of many callers over two ledgers one begins; the others get its payment."""
    ledgers = [database.open(), database.open()]
    futures = [ledgers[n % 2].begin(*begun("order-1")) for n in range(40)]
    results = [future.result() for future in futures]
    assert len({committed.payment.id for committed in results}) == 1
    assert sum(bool(committed.events) for committed in results) == 1


def test_change_decides_on_what_is_stored(database: Database) -> None:
    """Changes of one payment by two processes both count, each decided on the stored state."""
    ledgers = [database.open(), database.open()]
    payment = paid_payment(ledgers[0], "order-1")
    part = Money("1.00", "HKD")
    futures = [ledgers[n % 2].change(payment.id, refunding(f"r{n}", part), Source.CALLER) for n in range(30)]
    versions = {future.result().payment.version for future in futures}
    assert versions == set(range(payment.version + 1, payment.version + 31))
    assert len(ledgers[0].get(payment.id).result().refunds) == 30


def test_change_that_changes_nothing_writes_nothing(ledger: SqlLedger) -> None:
    """The same answer twice is one event."""
    payment = ledger.begin(*begun("order-1")).result().payment
    at = payment.created_at

    def decide(payment: Payment, _: datetime) -> Sequence[Change]:
        return answered(accepted(payment.order_number))(payment, at)

    first = ledger.change(payment.id, decide, Source.REPLY).result()
    again = ledger.change(payment.id, decide, Source.REPLY).result()
    assert (bool(first.events), bool(again.events)) == (True, False)
    assert again.payment.version == first.payment.version


def test_change_refused_leaves_the_payment_alone(ledger: SqlLedger) -> None:
    """An error raised by a decision reaches the caller, and nothing is written."""
    payment = paid_payment(ledger, "order-1")
    with pytest.raises(RefundTooLarge):
        ledger.change(payment.id, refunding("r1", Money("88.01", "HKD")), Source.CALLER).result()
    assert ledger.get(payment.id).result() == payment


def test_change_unknown_payment_is_not_found(ledger: SqlLedger) -> None:
    """Changing an unknown payment is `NotFound`."""
    with pytest.raises(NotFound):
        ledger.change("nobody", refunding("r1"), Source.CALLER).result()
    with pytest.raises(NotFound):
        ledger.get("nobody").result()


def test_refunds_over_what_was_paid_are_refused_also_at_once(database: Database) -> None:
    """Of two concurrent full refunds by two processes one is refused."""
    ledgers = [database.open(), database.open()]
    payment = paid_payment(ledgers[0], "order-1")
    futures = [ledgers[n].change(payment.id, refunding(f"r{n}"), Source.CALLER) for n in range(2)]
    errors = [future.exception() for future in futures]
    assert [type(error) for error in errors if error] == [RefundTooLarge]


def test_refund_reference_of_another_payment_conflicts(database: Database) -> None:
    """Refund references are unique in a namespace, across payments, accounts and processes."""
    here, there = database.open(), database.open()
    one, two = paid_payment(here, "order-1"), paid_payment(here, "order-2")
    three = paid_payment(here, "order-3", account="other")
    elsewhere = paid_payment(here, "order-1", account="another", namespace="shop-b")
    here.change(one.id, refunding("r1"), Source.CALLER).result()
    for taken in (two, three):
        with pytest.raises(ReferenceConflict):
            there.change(taken.id, refunding("r1"), Source.CALLER).result()
        assert there.get(taken.id).result().refunds == ()
    assert there.change(elsewhere.id, refunding("r1"), Source.CALLER).result().events


def test_refund_reference_raced_for_by_two_payments_is_given_once(database: Database) -> None:
    """Of two processes that find the reference free one gets it, the other a conflict."""
    ledgers = [database.open(), database.open()]
    for turn in range(10):
        payments = [
            paid_payment(ledgers[0], f"order-{turn}-{n}", account=f"a{n * (turn % 2)}") for n in range(2)
        ]
        barrier = threading.Barrier(2)
        errors: list[BaseException | None] = [None, None]

        def refund(n: int, payments: list[Payment] = payments, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            decide = refunding(f"r{turn}")  # noqa: B023 - the threads end within the turn
            errors[n] = ledgers[n].change(payments[n].id, decide, Source.CALLER).exception()  # noqa: B023

        threads = [threading.Thread(target=refund, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [type(error) for error in errors if error] == [ReferenceConflict]


def test_observe_finds_the_payment_by_its_number(ledger: SqlLedger) -> None:
    """Observations reach the payments of their numbers; other numbers and accounts are left out."""
    one, two = pending_payment(ledger, "order-1"), pending_payment(ledger, "order-2")
    paid = seen(one.order_number, Status.PAID)
    committed = observe(ledger, paid, seen("nobody", Status.PAID), seen(two.order_number))
    assert {c.payment.id: bool(c.events) for c in committed} == {one.id: True, two.id: False}
    assert ledger.get(one.id).result().status is Status.PAID
    assert observe(ledger, paid, account="other") == ()


def test_observe_same_again_changes_nothing(database: Database) -> None:
    """The same observation by two processes is one event."""
    ledgers = [database.open(), database.open()]
    payment = pending_payment(ledgers[0], "order-1")
    paid = seen(payment.order_number, Status.PAID)
    futures = [ledgers[n % 2].observe(ACCOUNT, [paid], Source.POLL) for n in range(10)]
    assert sum(bool(future.result()[0].events) for future in futures) == 1
    assert len(ledgers[0].events(payment.id).result()) == 3


def test_observe_refund_by_its_own_number(ledger: SqlLedger) -> None:
    """An observation of a refund's number reaches its payment."""
    payment = paid_payment(ledger, "order-1")
    refund = ledger.change(payment.id, refunding("r1"), Source.CALLER).result().payment.refunds[0]
    (committed,) = observe(ledger, refund_seen(refund.number))
    assert committed.payment.refunds[0].status is RefundStatus.SUCCEEDED
    assert committed.payment.refunded_minor == AMOUNT.minor


def test_notification_is_kept_once(database: Database) -> None:
    """A repeated notification changes nothing in any process; the same bytes at another account are new."""
    here, there = database.open(), database.open()
    payment = pending_payment(here, "order-1")
    paid = [seen(payment.order_number, Status.PAID)]
    notification = notice(b"paid", here.now())

    def record(ledger: SqlLedger, account: str = ACCOUNT) -> list[bool]:
        future = ledger.record_notification(account, notification, paid, is_evidence=True)
        return [bool(committed.events) for committed in future.result().payments]

    assert record(here) == [True]
    assert record(here) == [False]
    assert record(there) == [False]
    assert record(there, "other") == []
    sql = "SELECT account, body, verdict FROM inbox ORDER BY account"
    rows = here.read(lambda tx: tx.execute(sql).fetchall()).result()
    assert [(a, bytes(b), v) for a, b, v in rows] == [
        (ACCOUNT, b"paid", "evidence"),
        ("other", b"paid", "evidence"),
    ]


def test_notification_by_its_query_string_is_another_when_that_differs(ledger: SqlLedger) -> None:
    """Where the provider reads the query string, it distinguishes notifications."""
    payment = pending_payment(ledger, "order-1")

    def record(query: str, status: Status) -> bool:
        notification = replace(notice(b"", ledger.now()), query=query)
        said = [seen(payment.order_number, status)]
        recorded = ledger.record_notification(ACCOUNT, notification, said, is_evidence=True).result()
        return bool(recorded.payments[0].events)

    record("status=WAIT", Status.PENDING)
    assert record("status=PAID", Status.PAID)
    assert not record("status=PAID", Status.PAID)
    kept = ledger.read(lambda tx: tx.execute("SELECT query FROM inbox ORDER BY query").fetchall()).result()
    assert kept == [("status=PAID",), ("status=WAIT",)]


def test_notification_is_kept_without_credentials(ledger: SqlLedger) -> None:
    """Signatures are kept as evidence, credentials are not."""
    headers = {"x-sign": "s", "authorization": "CANARY", "proxy-authorization": "CANARY", "cookie": "CANARY"}
    notification = replace(notice(b"paid", ledger.now()), headers=headers)
    ledger.record_notification(ACCOUNT, notification, [], is_evidence=False).result()
    rows = ledger.read(lambda tx: tx.execute("SELECT headers FROM inbox").fetchall()).result()
    assert rows == [('{"x-sign":"s"}',)]


def test_notification_as_hint_makes_its_payment_due_now(ledger: SqlLedger) -> None:
    """An untrusted notification only makes its payment due."""
    payment = pending_payment(ledger, "order-1")
    paid = [seen(payment.order_number, Status.PAID)]
    assert claim_due(ledger, limit=10, lease_s=30)[1] == ()
    recorded = ledger.record_notification(
        ACCOUNT, notice(b"x", ledger.now()), paid, is_evidence=False
    ).result()
    assert not recorded.payments[0].events
    assert recorded.due == (payment.id,)
    assert ledger.get(payment.id).result().status is Status.PENDING
    _, (claimed,) = claim_due(ledger, limit=10, lease_s=30)
    assert claimed == payment


def test_mention_makes_its_payment_due_now_whatever_else_the_notification_says(ledger: SqlLedger) -> None:
    """A mention makes the payment due also beside an observation, and each time it comes."""
    payment = pending_payment(ledger, "order-1")
    told: list[PaymentObservation | Mention] = [
        seen(payment.order_number, Status.PAID),
        Mention(number=payment.order_number),
    ]
    notification = notice(b"x", ledger.now())
    recorded = ledger.record_notification(ACCOUNT, notification, told, is_evidence=True).result()
    assert (recorded.payments[0].payment.status, recorded.due) == (Status.PAID, (payment.id,))
    _, (claimed,) = claim_due(ledger, limit=10, lease_s=30)
    ledger.reschedule([Rescheduled(claimed.id, claimed.version, None)]).result()
    assert ledger.record_notification(ACCOUNT, notification, told, is_evidence=True).result().is_repeat
    assert due_soon(ledger) == [claimed.id]


def test_notification_tells_which_numbers_are_whose(ledger: SqlLedger) -> None:
    """The account's own numbers, those of other accounts, and unknown ones."""
    here = pending_payment(ledger, "order-1")
    there = pending_payment(ledger, "order-2", account="other")
    told = [Mention(number=number) for number in (here.order_number, there.order_number, "NOBODYS", "a\x00b")]
    recorded = ledger.record_notification(
        ACCOUNT, notice(b"x", ledger.now()), told, is_evidence=False
    ).result()
    assert [committed.payment.id for committed in recorded.payments] == [here.id]
    assert recorded.unknown == {there.order_number: ("other",), "NOBODYS": (), "a\x00b": ()}


def test_claim_leases_each_payment_to_one(database: Database) -> None:
    """Concurrent claims share the due payments; none is claimed twice within the lease."""
    ledgers = [database.open(), database.open()]
    payments = [pending_payment(ledgers[0], f"order-{n}") for n in range(30)]
    now = ledgers[0].now()
    ledgers[0].reschedule(
        [Rescheduled(p.id, p.version, now - timedelta(seconds=1)) for p in payments]
    ).result()
    futures = [ledgers[n % 2].claim(claiming(ACCOUNT, limit=5, lease_s=60)) for n in range(8)]
    claimed = [payment.id for future in futures for payment in future.result().payments]
    assert sorted(claimed) == sorted(payment.id for payment in payments)


def test_claim_takes_the_most_overdue_first_and_only_of_ids(ledger: SqlLedger) -> None:
    """`limit` and `ids` restrict the claim; the lease's end is the next due time."""
    payments = [pending_payment(ledger, f"order-{n}") for n in range(3)]
    now = ledger.now()
    ledger.reschedule(
        [Rescheduled(p.id, p.version, now - timedelta(seconds=n)) for n, p in enumerate(payments)]
    ).result()
    at, first = claim_due(ledger, limit=1, lease_s=30)
    assert first == (payments[2],)
    assert next_due(ledger, [payments[2].id]) == at + timedelta(seconds=30)
    _, second = claim_due(ledger, limit=10, lease_s=30, ids=[payments[0].id, payments[2].id])
    assert second == (payments[0],)
    assert claim_due(ledger, limit=10, lease_s=30, ids=[])[1] == ()


def test_claim_after_the_lease_comes_back(ledger: SqlLedger) -> None:
    """Payments of a claimer that died are due after the lease."""
    payment = pending_payment(ledger, "order-1")
    ledger.reschedule([Rescheduled(payment.id, payment.version, ledger.now())]).result()
    assert claim_due(ledger, limit=1, lease_s=0)[1] == (payment,)
    assert claim_due(ledger, limit=1, lease_s=30)[1] == (payment,)


def test_reschedule_leaves_a_payment_that_changed(ledger: SqlLedger) -> None:
    """Rescheduling by an older version does not change the due time."""
    payment = pending_payment(ledger, "order-1")
    due = next_due(ledger)
    ledger.reschedule([Rescheduled(payment.id, payment.version - 1, None)]).result()
    assert next_due(ledger) == due
    ledger.reschedule([Rescheduled(payment.id, payment.version, None)]).result()
    assert next_due(ledger) is None


def test_times_are_exact_to_the_millisecond(ledger: SqlLedger) -> None:
    """Due times are kept exactly, and events have the transaction's time."""
    payment = pending_payment(ledger, "order-1")
    for due in (datetime(2140, 1, 2, 3, 4, 5, 678000, UTC), datetime(2262, 4, 11, 23, 47, 16, 854000, UTC)):
        ledger.reschedule([Rescheduled(payment.id, payment.version, due)]).result()
        assert next_due(ledger, [payment.id]) == due
    assert [event.at for event in ledger.events(payment.id).result()] == [
        payment.created_at,
        payment.updated_at,
    ]
    assert payment.updated_at.microsecond % 1000 == 0


def test_now_is_the_clock_of_transactions(ledger: SqlLedger) -> None:
    """`now` and transactions use one clock, in whole milliseconds."""
    before = ledger.now()
    at = ledger.begin(*begun("order-1")).result().now
    after = ledger.now()
    assert before <= at <= after
    assert {before.microsecond % 1000, after.microsecond % 1000, at.microsecond % 1000} == {0}


def test_events_are_chained_over_everything_stored(ledger: SqlLedger) -> None:
    """Each event's hash covers its number, time, source and content, and the event before."""
    payment = paid_payment(ledger, "order-1")
    bodies = ledger.read(
        lambda tx: tx.execute(
            "SELECT change FROM events WHERE payment_id = ? ORDER BY seq", (payment.id,)
        ).fetchall()
    ).result()
    head = GENESIS
    for event, (body,) in zip(ledger.events(payment.id).result(), bodies, strict=True):
        assert event.prev_hash == head
        head = chain_hash(head, payment.id, event.seq, to_ms(event.at), event.source, body.encode())
        assert event.hash == head


def test_list_filters_and_orders(ledger: SqlLedger) -> None:
    """Newest first, by id within a millisecond; all given filters apply."""
    paid, pending = paid_payment(ledger, "order-1"), pending_payment(ledger, "order-2", account="other")
    uncertain = ledger.begin(*begun("order-3")).result().payment
    mismatch = observe(ledger, seen(paid.order_number, Status.PAID, charge="C2"))[0].payment

    def listed(**fields: object) -> list[str]:
        return [payment.id for payment in ledger.list(Filter(**fields)).result()]  # type: ignore[arg-type]

    made = sorted(
        (paid, pending, uncertain), key=lambda payment: (payment.created_at, payment.id), reverse=True
    )
    assert listed() == [payment.id for payment in made]
    assert listed(limit=1) == [made[0].id]
    assert listed(account="other") == [pending.id]
    assert listed(status=Status.PAID) == [paid.id]
    assert listed(review=True) == [mismatch.id]
    assert listed(uncertain=True) == [uncertain.id]
    assert listed(uncertain=False, review=False) == [pending.id]
    assert listed(until=paid.created_at) == []


@pytest.mark.parametrize("statement", ["UPDATE events SET at = 0", "DELETE FROM events"])
def test_events_are_append_only(database: Database, statement: str) -> None:
    """The database refuses to change or remove an event."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    before = ledger.events(payment.id).result()
    with pytest.raises(Exception, match="append-only"):
        database.run(statement)
    assert ledger.events(payment.id).result() == before


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("payment_id, seq", "payment_id, seq"),  # under the key of one that is there
        ("position, payment_id, seq", "position, payment_id, seq + 7"),  # in the place of one that is there
    ],
)
def test_events_are_not_replaced_in_sqlite(tmp_path: Path, columns: str, values: str) -> None:
    """`INSERT OR REPLACE`, which removes rows without a DELETE, is refused."""
    rest = "source, kind, status_to, change, prev_hash, hash"
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        payment = pending_payment(ledger, "order-1")
        before = ledger.events(payment.id).result()
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
            statement = f"INSERT OR REPLACE INTO events ({columns}, at, {rest}) SELECT {values}, 0, {rest} FROM events"
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(statement)
        assert ledger.events(payment.id).result() == before


def test_text_no_database_can_hold_is_refused(ledger: SqlLedger) -> None:
    """NUL characters and broken Unicode are refused as a request, on both databases, before anything is written."""
    for text in ("nul\x00", "\ud800"):
        with pytest.raises(InvalidField):
            ledger.begin(*begun(text)).result()
        for read in (ledger.get, ledger.events, lambda text: ledger.find(None, text)):
            with pytest.raises(RequestError):
                read(text).result()
        with pytest.raises(RequestError):
            ledger.change(text, refunding("r1"), Source.CALLER).result()
        assert observe(ledger, seen(text, Status.PAID)) == ()
    payment = paid_payment(ledger, "order-1")
    with pytest.raises(InvalidField):
        ledger.change(payment.id, refunding("r\x00"), Source.CALLER).result()
    words = replace(seen(payment.order_number, Status.PAID, charge="C9"), words={"memo": "a\x00b\U0001f600"})
    assert observe(ledger, words)[0].events
    assert all(verdict.difference is None for verdict in verify(ledger))


def test_closed_ledger_refuses(ledger: SqlLedger) -> None:
    """After `close` verbs raise; what was submitted before is done."""
    last = ledger.begin(*begun("order-1"))
    ledger.close()
    assert last.result().events
    with pytest.raises(LedgerUnavailable):
        ledger.begin(*begun("order-2")).result()
    with pytest.raises(LedgerUnavailable):
        ledger.get("P1").result()
    ledger.close()


def test_number_that_is_taken_is_refused(ledger: SqlLedger) -> None:
    """A number of another payment is refused, and nothing is written."""
    names = numbering()

    def same(payment_id: str, reference: str) -> object:
        _, base = begun(reference, payment_id=payment_id)

        def at(now: datetime) -> object:
            change = base(now)
            return replace(
                change, operation=replace(change.operation, id=f"{payment_id}-op", number=names.number)
            )

        return at

    ledger.begin("order-1", same("P1", "order-1")).result()  # type: ignore[arg-type]
    with pytest.raises(LedgerCorrupt, match="taken"):
        ledger.begin("order-2", same("P2", "order-2")).result()  # type: ignore[arg-type]
    assert ledger.find(None, "order-2").result() == ()


def test_moments_of_a_stopped_clock_are_recorded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Subclasses of `datetime`, which tools use to stop the clock, are recorded normally."""
    monkeypatch.setattr(clock, "datetime", StoppedDatetime)
    payment = database.open().begin(*begun("order-1")).result().payment
    assert database.open().get(payment.id).result() == payment


@pytest.mark.parametrize("count", [2, 3, 5])
def test_claim_among_many_finds_its_own_behind_those_of_others(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """However many others are due longer; whether the ids are named in SQL or looked for among the rows."""
    monkeypatch.setattr(verbs, "NAMED_IN_SQL_MAX", 2)
    monkeypatch.setattr(verbs, "LOOKED_THROUGH_MAX", 3)
    others = [pending_payment(ledger, f"order-{n}") for n in range(4)]
    own = [pending_payment(ledger, f"own-{n}") for n in range(count)]
    now = ledger.now()
    ledger.reschedule(
        [
            Rescheduled(one.id, one.version, now - timedelta(minutes=9 - n))
            for n, one in enumerate([*others, *own])
        ]
    ).result()
    _, claimed = claim_due(ledger, limit=10, lease_s=30, ids=[one.id for one in own])
    assert {one.id for one in claimed} <= {one.id for one in own}
    assert claimed
