"""In any order and with repeats, observations lead to one state and one set of events."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from paycore import Money, Payment, Status
from paycore.domain.codec import encode
from paycore.domain.events import Event, Observed, OperationBegun, PaymentBegun, Source
from paycore.domain.lifecycle import evolve
from paycore.domain.observation import Observation, digest
from paycore.domain.payment import Failure, RefundStatus
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from tests.ledger.workload import begun, refund_seen, refunding, seen

START = datetime(2026, 1, 1, tzinfo=UTC)

OBSERVATIONS: tuple[Observation, ...] = (
    seen("N1"),
    seen("N1", Status.PAID),
    seen("N1", Status.PAID, charge="C2"),
    seen("N1", Status.CLOSED),
    seen("N1", Status.FAILED),
    seen("N1", Status.PAID, amount=Money("0.01", "HKD")),
    replace(seen("N1", Status.PAID), refunded_minor=100),
    replace(seen("N1", Status.PAID), refunded_minor=300),
    refund_seen("R1", RefundStatus.PENDING),
    refund_seen("R1", RefundStatus.SUCCEEDED),
    refund_seen("R1", RefundStatus.FAILED),
    *(
        replace(fact, failure=Failure(code=code, message="no"))
        for code in ("expired", "no_money")
        for fact in (seen("N1", Status.FAILED), refund_seen("R1", RefundStatus.FAILED))
    ),
)

Orders = tuple[list[Observation], list[Observation]]

fresh = itertools.count(1)


@st.composite
def two_orders(draw: st.DrawFn) -> Orders:
    """One set of observations in two orders, each with repeats."""
    facts = draw(st.lists(st.sampled_from(OBSERVATIONS), min_size=1, max_size=6, unique_by=encode))
    repeats = st.lists(st.sampled_from(facts), max_size=5)
    return draw(st.permutations(facts + draw(repeats))), draw(st.permutations(facts + draw(repeats)))


def _beginning(name: str) -> tuple[PaymentBegun, OperationBegun]:
    """A payment with the number N1 and a refund with the number R1 under way, on a separate account."""
    change = begun("order-1", account=name, namespace=name, payment_id=f"P{name}")[1](START)
    change = replace(change, operation=replace(change.operation, id=f"O1{name}", number="N1"))
    paid = evolve(evolve(None, change, START), Observed(observation=seen("N1", Status.PAID)), START)
    (asked,) = refunding("refund-1", Money("3.00", "HKD"))(paid, START)
    if not isinstance(asked, OperationBegun) or asked.refund is None:
        raise TypeError(asked)
    operation = replace(asked.operation, id=f"O2{name}", number="R1")
    return change, replace(asked, operation=operation, refund=replace(asked.refund, number="R1"))


def _state(payment: Payment) -> Payment:
    """The state that must not depend on the order: all but names, versions and times."""
    return replace(
        payment,
        id="",
        account="",
        namespace="",
        version=0,
        created_at=START,
        updated_at=START,
        authorized_at=None,
        paid_at=None,
        closed_at=None,
        operations=tuple(replace(operation, id="") for operation in payment.operations),
    )


def _facts(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Events by kind and content; a list, so that one too many shows."""
    return sorted(
        (event.kind, digest(event.change.observation) if isinstance(event.change, Observed) else "")
        for event in events
    )


@given(two_orders())
@settings(max_examples=500)
def test_any_order_of_facts_ends_in_one_state(orders: Orders) -> None:
    """Order and repeats do not change the state."""
    ends = []
    for order in orders:
        begins, refund = _beginning("hk")
        payment = evolve(evolve(None, begins, START), refund, START)
        for n, observation in enumerate(order):
            payment = evolve(payment, Observed(observation=observation), START + timedelta(seconds=n))
        ends.append(_state(payment))
    assert ends[0] == ends[1]


@given(orders=two_orders())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_facts_ends_in_one_state_and_one_set_of_events(
    ledger: SqlLedger, orders: Orders
) -> None:
    """The same through the ledger, with many concurrent observations."""
    ends = []
    for order in orders:
        account = f"a{next(fresh)}"
        begins, refund = _beginning(account)
        ledger.begin(begins.order.reference, lambda _, begins=begins: begins)  # type: ignore[misc]
        ledger.change(begins.payment_id, lambda *_, refund=refund: [refund], Source.CALLER)
        for future in [ledger.observe(account, [fact], Source.POLL) for fact in order]:
            future.result()
        payment, events = ledger.get(begins.payment_id).result(), ledger.events(begins.payment_id).result()
        ends.append((_state(payment), _facts(events)))
    assert ends[0] == ends[1]
    assert all(verdict.difference is None for verdict in verify(ledger))
