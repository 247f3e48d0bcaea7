"""Lists continue after a payment, by time and id, and find all that is not final; both use an index."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from msgspec.structs import replace

from paycore import Payment, Status
from paycore.domain.events import Change, Source
from paycore.domain.payment import RefundStatus
from paycore.domain.provider import Unknown
from paycore.domain.schedule import is_open
from paycore.errors import NotFound
from paycore.ledger.api import Filter
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from tests.ledger.conftest import Database
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


@pytest.mark.parametrize(
    ("which", "index"),
    [(Filter(open=True), "payments_open"), (Filter(), "payments_listed")],
    ids=["open", "all"],
)
def test_pages_are_read_by_an_index(database: Database, which: Filter, index: str) -> None:
    """Every page costs the same: no sorting, nothing read twice."""
    ledger = database.open()
    last = [pending_payment(ledger, f"order-{n}") for n in range(3)][1]
    asked: list[tuple[str, object]] = []

    class Noting:
        """A transaction that records its statements."""

        def __init__(self, tx: object) -> None:
            self._tx = tx

        def execute(self, sql: str, parameters: object = ()) -> object:
            asked.append((sql, parameters))
            return self._tx.execute(sql, parameters)  # type: ignore[attr-defined]

    from paycore.ledger import verbs

    paging = replace(which, after=last.id)
    ledger.read(lambda tx: verbs.list_payments(Noting(tx), paging)).result()  # type: ignore[arg-type]
    sql, parameters = asked[-1]
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "

    def plan(tx: object) -> str:
        for way in () if database.is_sqlite else ("seqscan", "bitmapscan"):  # three rows are read quicker so
            tx.execute(f"SELECT set_config('enable_{way}', 'off', false)")  # type: ignore[attr-defined]
        return str(tx.execute(explain + sql, parameters).fetchall())  # type: ignore[attr-defined]

    told = ledger.read(plan).result()
    assert index in told
    assert "SORT" not in told.upper().replace("SORTED", "")
    assert "TEMP B-TREE" not in told
