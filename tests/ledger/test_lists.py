"""Lists continue after a payment, by time and id, and find all that is not final; both use an index."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Money, Payment, Refund, ReviewReason, Status
from paycore.domain.events import Change, Source
from paycore.domain.payment import RefundStatus
from paycore.domain.provider import Unknown
from paycore.domain.schedule import is_open
from paycore.errors import InvalidField, NotFound
from paycore.ledger.api import Filter
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.lists import list_payments, next_page
from paycore.ledger.transaction import Transaction
from tests.ledger.conftest import Database
from tests.ledger.many import STARTED, fill
from tests.ledger.workload import (
    answered,
    begun,
    numbering,
    observe,
    paid_payment,
    pending_payment,
    refund_seen,
    refunding,
    seen,
)

MANY = 120


def paged(ledger: SqlLedger, which: Filter) -> Iterator[Payment]:
    """Every payment of a list, page by page."""
    while page := ledger.list(which).result():
        yield from page
        which = replace(which, after=page[-1].id)


def test_list_page_by_page_finds_each_once(ledger: SqlLedger) -> None:
    """Paging finds each payment once, also those created in the same millisecond."""
    futures = [ledger.begin(*begun(f"order-{n}")) for n in range(MANY)]
    made = [future.result().payment for future in futures]
    assert len({payment.created_at for payment in made}) < MANY / 2
    found = list(paged(ledger, Filter(limit=7)))
    assert found == sorted(made, key=lambda payment: (payment.created_at, payment.id), reverse=True)
    assert (
        len(list(paged(ledger, Filter(limit=7, status=Status.CREATED, uncertain=True, account="hk")))) == MANY
    )


def test_list_after_an_unknown_payment_is_not_found(ledger: SqlLedger) -> None:
    """Continuing after an unknown payment is an error."""
    with pytest.raises(NotFound, match="nobody"):
        ledger.list(Filter(after="nobody")).result()


def test_list_goes_on_after_a_payment_that_changed(ledger: SqlLedger) -> None:
    """A payment's position in the list never changes, even if it no longer matches the filter."""
    payments = [pending_payment(ledger, f"order-{n}") for n in range(5)]
    first = ledger.list(Filter(open=True, limit=2)).result()
    for payment in payments:
        observe(ledger, seen(payment.order_number, Status.PAID))
    late = pending_payment(ledger, "order-6")
    assert ledger.list(Filter(open=True, after=first[-1].id)).result() == ()
    assert ledger.list(Filter(after=first[-1].id, limit=2)).result()[0].reference == "order-2"
    assert ledger.list(Filter(open=True)).result() == (late,)


# --- what is open ------------------------------------------------------------------------------------


def _unsent(ledger: SqlLedger) -> Payment:
    """Its request was never sent."""
    from paycore.domain.decisions import end_unsent

    payment = ledger.begin(*begun("order-1")).result().payment

    def decide(payment: Payment, now: datetime) -> list[Change]:
        return end_unsent(payment, now, sent=payment.creation, problem="no route")

    return ledger.change(payment.id, decide, Source.REPLY).result().payment


def _unknown(ledger: SqlLedger) -> Payment:
    payment = ledger.begin(*begun("order-1")).result().payment
    return ledger.change(payment.id, answered(Unknown(problem="silence")), Source.REPLY).result().payment


def _refunding(*said: RefundStatus) -> Callable[[SqlLedger], Payment]:
    def refunded(ledger: SqlLedger) -> Payment:
        payment = paid_payment(ledger, "order-1")
        payment = ledger.change(payment.id, refunding("back-1"), Source.CALLER).result().payment
        for status in said:
            observe(ledger, refund_seen(payment.refunds[0].number, status))
        return ledger.get(payment.id).result()

    return refunded


def _closing(ledger: SqlLedger) -> Payment:
    """Paid while its close is unanswered."""
    from paycore.domain.closing import begin_close
    from tests.ledger.workload import DEADLINE, PRODUCT

    payment, names = pending_payment(ledger, "order-1"), numbering()

    def decide(payment: Payment, now: datetime) -> list[Change]:
        own = replace(names, number=payment.order_number)
        product = replace(PRODUCT, close=True)
        return begin_close(payment, product=product, numbering=own, now=now, deadline=DEADLINE)

    ledger.change(payment.id, decide, Source.CALLER).result()
    return observe(ledger, seen(payment.order_number, Status.PAID))[0].payment


def _failed(ledger: SqlLedger) -> Payment:
    payment = pending_payment(ledger, "order-1")
    return observe(ledger, seen(payment.order_number, Status.FAILED))[0].payment


@pytest.mark.parametrize(
    ("make", "is_listed"),
    [
        (lambda ledger: ledger.begin(*begun("order-1")).result().payment, True),  # created, and being sent
        (_unsent, True),
        (_unknown, True),
        (lambda ledger: pending_payment(ledger, "order-1"), True),
        (lambda ledger: paid_payment(ledger, "order-1"), False),
        (_failed, False),
        (_refunding(), True),  # created, and being sent
        (_refunding(RefundStatus.PENDING), True),
        (_refunding(RefundStatus.PENDING, RefundStatus.SUCCEEDED), False),
        (_refunding(RefundStatus.FAILED), False),
        (_closing, True),
    ],
    ids=[
        "sending", "unsent", "unknown", "pending", "paid", "failed",
        "refund sending", "refund pending", "refund succeeded", "refund failed", "closing",
    ],
)  # fmt: skip
def test_open_is_whatever_is_not_final(
    ledger: SqlLedger, make: Callable[[SqlLedger], Payment], is_listed: bool
) -> None:
    """Created, unknown, pending, a refund under way, an unanswered close; nothing else."""
    payment = make(ledger)
    assert is_open(payment) is is_listed
    assert ledger.list(Filter(open=True)).result() == ((payment,) if is_listed else ())
    assert ledger.list(Filter(open=False)).result() == (() if is_listed else (payment,))
    assert [verdict.difference for verdict in verify(ledger)] == [None]


def test_verify_knows_what_is_open(database: Database) -> None:
    """A wrong `open` column is a difference: a restart would not find the payment."""
    pending_payment(database.open(), "order-1")
    database.run("UPDATE payments SET open = 0")
    (verdict,) = verify(database.open())
    assert verdict.difference is not None
    assert (verdict.difference.where, verdict.difference.stored) == ("open", "0")


# --- every filter ------------------------------------------------------------------------------------


@pytest.fixture
def varied(ledger: SqlLedger) -> tuple[Payment, ...]:
    """Payments in every state, of two accounts, some with references that sort around each other."""
    for n, account in enumerate(("hk", "other", "hk")):
        for make in (pending_payment, paid_payment):
            make(ledger, f"{'ab'[n % 2]}-{make.__name__}-{n}", account=account)
        ledger.begin(*begun(f"a-{n}\U0010ffff", account=account)).result()
        closed = pending_payment(ledger, f"b{n}", account=account)
        observe(ledger, seen(closed.order_number, Status.CLOSED), account=account)
        if n:
            observe(ledger, seen(closed.order_number, Status.PAID, charge=f"late-{n}"), account=account)
            twice = paid_payment(ledger, f"a-twice-{n}", account=account)
            observe(ledger, seen(twice.order_number, Status.PAID, charge=f"C2-{n}"), account=account)
        refunded = paid_payment(ledger, f"a-refunded-{n}", account=account)
        for part in ("open", "done")[n % 2 :]:
            back = ledger.change(refunded.id, refunding(f"{part}-{n}", Money("1.00", "HKD")), Source.CALLER)
            if part == "done":
                number = back.result().payment.refunds[-1].number
                observe(ledger, refund_seen(number, RefundStatus.SUCCEEDED), account=account)
    return ledger.list(Filter(limit=1000)).result()


FILTERS: dict[str, Sequence[Any]] = {
    "account": (None, "hk", "other", "nobody"),
    "status": (None, *Status),
    "review": (None, True, False),
    "review_reason": (None, ReviewReason.PAID_TWICE, ReviewReason.PAID_AFTER_CLOSING),
    "uncertain": (None, True, False),
    "open": (None, True, False),
    "refunding": (None, True, False),
    "reference_prefix": (None, "a-", "b", "a-1\U0010ffff", ""),
    "by": ("created", "updated", "paid"),
    "sort": (None, "oldest", "newest"),
}


def test_every_combination_of_filters_lists_what_it_says(
    ledger: SqlLedger, varied: tuple[Payment, ...]
) -> None:
    """Whichever index is used, a list has all that its filters name, in its order, page by page."""
    random = Random(11)
    sizes = set()
    for _ in range(400):
        given = {
            name: random.choice(values) if random.random() < 0.4 else values[0]
            for name, values in FILTERS.items()
        }
        times = [random.choice(varied).updated_at if random.random() < 0.3 else None for _ in range(2)]
        which = Filter(**given, since=times[0], until=times[1], limit=random.choice((2, 5, 1000)))
        expected = ordered(varied, which)
        assert list(paged(ledger, which)) == expected, which
        every: list[Payment] = []
        more: Filter | None = which
        while more is not None:
            page = ledger.list(more).result()
            every += page
            more = next_page(more, page)
        assert every == expected, which
        sizes.add(len(expected))
    assert len(sizes) > 8, "the filters name many different lists"


def ordered(payments: Sequence[Payment], which: Filter) -> list[Payment]:
    """What `which` lists of the payments, however many."""

    def is_listed(payment: Payment) -> bool:
        at = getattr(payment, f"{which.by}_at")
        return (
            at is not None
            and (which.since is None or at >= which.since)
            and (which.until is None or at < which.until)
            and which.account in (None, payment.account)
            and which.status in (None, payment.status)
            and which.review in (None, payment.review)
            and (which.review_reason is None or which.review_reason in payment.review_reasons)
            and which.uncertain in (None, payment.uncertain)
            and which.open in (None, is_open(payment))
            and which.refunding in (None, any(not is_ended(refund) for refund in payment.refunds))
            and payment.reference.startswith(which.reference_prefix or "")
        )

    listed = [payment for payment in payments if is_listed(payment)]
    if which.reference_prefix is not None and which.sort is None:
        return sorted(listed, key=lambda payment: (payment.reference, payment.account))
    by, is_newest_first = f"{which.by}_at", which.sort != "oldest"
    return sorted(listed, key=lambda payment: (getattr(payment, by), payment.id), reverse=is_newest_first)


def is_ended(refund: Refund) -> bool:
    """Whether nothing more is to come of it."""
    return refund.status in (RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.REVERSED)


def test_a_list_after_a_payment_outside_its_range_begins_with_the_range(ledger: SqlLedger) -> None:
    """The bound and the payment to go on after both hold, in either order."""
    first, second, third, last = (paid_payment(ledger, f"order-{n}") for n in range(4))
    newest = Filter(until=third.created_at, after=last.id)
    assert ledger.list(newest).result() == (second, first)
    oldest = Filter(since=second.created_at, after=first.id, sort="oldest")
    assert ledger.list(replace(oldest, since=third.created_at)).result() == (third, last)
    assert ledger.list(replace(oldest, after=second.id)).result() == (third, last)
    assert ledger.list(replace(oldest, until=last.created_at)).result() == (second, third)


def test_list_by_updated_goes_on_where_its_page_ended(ledger: SqlLedger) -> None:
    """With the time its last payment had, a list by updated time repeats nothing after that one changed."""
    payments = [pending_payment(ledger, f"order-{n}") for n in range(4)]
    which = Filter(by="updated", limit=2)
    page = ledger.list(which).result()
    assert page == (payments[3], payments[2])
    observe(ledger, seen(payments[2].order_number, Status.PAID))
    more = next_page(which, page)
    assert more is not None
    assert ledger.list(more).result() == (payments[1], payments[0])


def test_list_by_paid_goes_on_after_a_paid_payment_only(ledger: SqlLedger) -> None:
    """One that was never paid has no place in the list."""
    payment = pending_payment(ledger, "order-1")
    with pytest.raises(InvalidField, match="which was never paid"):
        ledger.list(Filter(by="paid", after=payment.id)).result()


@pytest.mark.parametrize(
    ("prefix", "finds"),
    [
        ("x", ["x", "x\uffff", "x\U0010ffff", "x\U0010ffffy"]),
        ("x\U0010ffff", ["x\U0010ffff", "x\U0010ffffy"]),
        ("\ud7ff", ["\ud7ff", "\ud7ff1"]),
        ("%", ["%"]),
        ("", ["%", "x", "x\uffff", "x\U0010ffff", "x\U0010ffffy", "y", "\ud7ff", "\ud7ff1", "\ue000"]),
    ],
)
def test_prefix_is_compared_character_by_character(
    ledger: SqlLedger, prefix: str, finds: Sequence[str]
) -> None:
    """A prefix has no special characters, and both databases sort by code points."""
    for reference in (
        "y", "x", "x\uffff", "x\U0010ffffy", "x\U0010ffff", "\ud7ff", "\ud7ff1", "\ue000", "%",
    ):  # fmt: skip
        ledger.begin(*begun(reference)).result()
    found = list(paged(ledger, Filter(reference_prefix=prefix, limit=2)))
    assert [payment.reference for payment in found] == sorted(finds)


# --- which index -------------------------------------------------------------------------------------


BY_INDEX: Sequence[tuple[Filter, str]] = (
    (Filter(), "payments_listed"),
    (Filter(open=True), "payments_open"),
    (Filter(open=True, account="hk"), "payments_open"),
    (Filter(status=Status.PENDING), "payments_open"),
    (Filter(status=Status.PENDING, account="hk"), "payments_open"),
    (Filter(account="rare"), "payments_account"),
    (Filter(account="rare", status=Status.PAID), "payments_account_status"),
    (Filter(account="hk", status=Status.CLOSED), "payments_account_status"),
    *((Filter(status=status), "payments_status") for status in Status if status != "pending"),
    (Filter(review=True), "payments_review"),
    (Filter(review=True, account="hk", status=Status.PAID, open=False), "payments_review"),
    (Filter(uncertain=True), "payments_uncertain"),
    (Filter(uncertain=True, account="hk"), "payments_uncertain"),
    (Filter(open=True, status=Status.PAID), "payments_refunding"),
    (Filter(open=True, status=Status.PAID, account="hk"), "payments_refunding"),
    (Filter(refunding=True), "payments_refunding"),
    (Filter(sort="oldest"), "payments_listed"),
    (Filter(sort="oldest", open=True), "payments_open"),
    (Filter(sort="oldest", by="paid", account="hk"), "payments_paid"),
    (Filter(by="updated"), "payments_updated"),
    (Filter(by="paid", account="hk"), "payments_paid"),
    (Filter(reference_prefix="order-"), "payments_reference"),
)
"""Lists, and the index that each is read by, in its order."""

SAME = {"payments_reference": ("sqlite_autoindex_payments_2", "payments_reference_account_key")}
"""Indexes with the same first column."""

POSTGRES_WAYS = {"payments_status": ("payments_listed",), "payments_refunding": ("payments_open",)}
"""What PostgreSQL may choose by its statistics: what most payments are, and an index that has all columns."""

MANY_ENOUGH = 5000
"""Payments in a table that PostgreSQL does not rather read as a whole."""


def test_pages_are_read_by_an_index(database: Database) -> None:
    """Every page costs the same: no sorting, nothing read twice."""
    ledger = database.open()
    fill(database.dsn, MANY_ENOUGH)
    for which, index in BY_INDEX:
        told = plan(ledger, replace(which, after=ledger.list(replace(which, limit=5)).result()[-1].id))
        ways = SAME if database.is_sqlite else {**SAME, **POSTGRES_WAYS}
        names = (index, *ways.get(index, ()))
        assert any(name in told for name in names), (which, told)
        if index != "payments_reference":  # PostgreSQL sorts the accounts that share a reference
            assert "SORT" not in told.upper().replace("SORTED", ""), (which, told)
        assert "TEMP B-TREE" not in told, (which, told)


def test_rare_payments_are_not_looked_for_in_another_order(database: Database) -> None:
    """What few payments are is read whole and sorted: by its own index in any order."""
    ledger = database.open()
    fill(database.dsn, MANY_ENOUGH)
    for which, index in (
        (Filter(review=True, by="paid"), "payments_review"),
        (Filter(uncertain=True, by="updated", account="hk"), "payments_uncertain"),
        (Filter(review=True, reference_prefix="order-"), "payments_review"),
        (Filter(open=True, status=Status.PAID, by="paid"), "payments_refunding"),
        (Filter(refunding=True, by="paid", sort="oldest"), "payments_refunding"),
        (Filter(review=True, reference_prefix="order-", sort="oldest"), "payments_review"),
        (Filter(reference_prefix="order-00000001", sort="oldest", since=STARTED), "reference"),
    ):
        told = plan(ledger, which)
        assert index in told, (which, told)


def plan(ledger: SqlLedger, which: Filter) -> str:
    """How the database reads this list."""

    def explained(tx: Transaction) -> str:
        asked: list[tuple[str, Sequence[object]]] = []

        class Noting:
            """The transaction, which notes its statements."""

            no_index = tx.no_index

            def execute(self, sql: str, parameters: Sequence[object] = ()) -> object:
                asked.append((sql, parameters))
                return tx.execute(sql, parameters)

        list_payments(Noting(), which)  # type: ignore[arg-type]
        explain = "EXPLAIN QUERY PLAN" if ledger.dialect == "sqlite" else "EXPLAIN"
        sql, parameters = asked[-1]
        return str(tx.execute(f"{explain} {sql}", parameters).fetchall())

    return ledger.read(explained).result()
