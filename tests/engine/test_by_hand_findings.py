"""What an operator records: reasons for review they have looked at, and what they found where no query can tell."""

from typing import Any

import pytest

from paycore import Money, Payment, RefundStatus, ReviewReason, Status
from paycore.domain.events import Finding, Observed, OperationEnded, ReviewAcknowledged, Source
from paycore.engine.arguments import checked_record
from paycore.errors import InvalidField, NotFound, WrongState
from tests.engine.by_hand import Bench
from tests.engine.conftest import OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

BY = {"by": "Kim", "note": "portal, ticket 7"}
FINDING = Finding(by="Kim", note="portal, ticket 7")


@pytest.fixture
def till(open_till: OpenTill) -> Till:
    """A till at an account whose orders are found by the provider's id only, and whose resends are unsafe."""
    return open_till(lookup="by_provider_id", create_resend="unsafe", timeout_s=0.3)


def lost(till: Till, gateway: ToyServer) -> Payment:
    """A payment whose create had no answer, and that nothing can resolve."""
    gateway.set_faults(lose_reply=1, path="/orders")
    payment = till.create(channel="card")
    assert payment.status is Status.UNKNOWN
    till.sleep(0.4)
    payment = till.query(payment)
    assert payment.review_reasons == (ReviewReason.UNRESOLVABLE,)
    return payment


def last(till: Till, payment: Payment) -> Any:
    """The change of its last event, which an operator made."""
    event = till.events(payment)[-1]
    assert event.source is Source.OPERATOR
    return event.change


def test_unresolvable_payment_is_never_sent_again(till: Till, gateway: ToyServer) -> None:
    """Not by a query, not by a wait, not by `create` with its reference."""
    payment = lost(till, gateway)
    assert till.query(payment).status is Status.UNKNOWN
    assert till.wait(payment, 0.5).status is Status.UNKNOWN
    assert till.create(channel="card").status is Status.UNKNOWN
    assert gateway.counts().requests["/orders"] == 1


def test_found_paid_is_paid(till: Till, gateway: ToyServer) -> None:
    """The finding is evidence, with its author, and resolves the payment; it can be refunded as any other."""
    payment = lost(till, gateway)
    charge = gateway.gateway.orders[0].id
    payment = till.do("record", payment.id, "paid", provider_id=charge, **BY)
    assert (payment.status, payment.provider_id, payment.review) == (Status.PAID, charge, False)
    assert not payment.uncertain
    change = last(till, payment)
    assert isinstance(change, Observed)
    assert change.finding == FINDING
    assert till.refund(payment).refunds[0].status is RefundStatus.SUCCEEDED


def test_found_absent_has_failed(till: Till, gateway: ToyServer) -> None:
    """The order never arrived: nothing moved, and its reference makes no other one."""
    payment = till.do("record", lost(till, gateway).id, "absent", **BY)
    assert (payment.status, payment.uncertain, payment.review) == (Status.FAILED, False, False)
    assert payment.failure is not None
    assert payment.failure.code == "recorded_absent"
    change = last(till, payment)
    assert isinstance(change, OperationEnded)
    assert change.finding == FINDING
    assert gateway.counts().requests["/orders"] == 1


def test_absent_is_refused_where_nothing_is_unresolved(till: Till) -> None:
    """A paid order is not absent, whoever says so."""
    paid = till.create(channel="card")
    with pytest.raises(WrongState):
        till.do("record", paid.id, "absent", **BY)
    assert till.get(paid.id) == paid


def test_absent_is_refused_while_the_request_may_be_under_way(bench: Bench) -> None:
    """A finding made too early could be wrong a moment later."""
    held = bench.hold(bench.create(channel="card"))
    absent = checked_record("absent", **BY, provider_id=None, refund=None)
    with pytest.raises(WrongState, match="under way"):
        bench.run(bench.commands.record(bench.payment().id, absent))
    assert held.succeed(bench.gateway.handle(held.effect.request)).status is Status.PAID


def test_found_refunded_has_succeeded(till: Till, gateway: ToyServer) -> None:
    """A refund without an answer, found in the portal, counts as returned."""
    payment = till.create(channel="card")
    gateway.set_faults(lose_reply=1, path="/refunds")
    payment = till.refund(payment, amount=Money("20.00", "HKD"))
    assert payment.refunds[0].status is RefundStatus.UNKNOWN
    payment = till.do("record", payment.id, "refunded", refund="back-1", **BY)
    assert payment.refunds[0].status is RefundStatus.SUCCEEDED
    assert (payment.refunded_minor, payment.uncertain) == (2000, False)


def test_refund_found_absent_gives_its_amount_back(till: Till, gateway: ToyServer) -> None:
    """It never arrived: what it would have returned can be refunded by another."""
    payment = till.create(channel="card")
    gateway.set_faults(lose_request=1, path="/refunds")
    till.refund(payment)
    till.sleep(0.4)
    payment = till.do("record", payment.id, "absent", refund="back-1", **BY)
    assert payment.refunds[0].status is RefundStatus.FAILED
    assert payment.refundable_minor == payment.amount.minor


def test_acknowledged_reason_comes_back_only_with_a_new_fact(till: Till, gateway: ToyServer) -> None:
    """Looked at, it is gone; a greater charge back raises it again."""
    payment = till.create(channel="card")
    gateway.gateway.charge_back(payment.order_number, 1000)
    payment = till.query(payment)
    assert payment.review_reasons == (ReviewReason.CHARGED_BACK,)
    payment = till.do("acknowledge", payment.id, "charged_back", **BY)
    assert (payment.review, payment.charged_back_minor) == (False, 1000)
    change = last(till, payment)
    assert change == ReviewAcknowledged(reason=ReviewReason.CHARGED_BACK, finding=FINDING)
    assert till.query(payment).review is False
    gateway.gateway.charge_back(payment.order_number, 500)
    payment = till.query(payment)
    assert payment.review_reasons == (ReviewReason.CHARGED_BACK,)
    assert payment.refundable_minor == payment.amount.minor - 1500


def test_acknowledging_what_is_not_there_changes_nothing(till: Till) -> None:
    """A second operator, or a second click, adds no event."""
    payment = till.create(channel="card")
    assert till.do("acknowledge", payment.id, ReviewReason.PAID_TWICE, **BY) == payment
    assert len(till.events(payment)) == 2


def test_unresolvable_takes_a_finding_and_no_acknowledgement(till: Till, gateway: ToyServer) -> None:
    """Only what the portal says resolves it."""
    payment = lost(till, gateway)
    with pytest.raises(WrongState, match="finding"):
        till.do("acknowledge", payment.id, "unresolvable", **BY)


@pytest.mark.parametrize(
    ("field", "found", "given"),
    [
        ("found", "lost", {}),
        ("found", None, {}),
        ("provider_id", "paid", {}),
        ("provider_id", "paid", {"provider_id": ""}),
        ("provider_id", "paid", {"provider_id": "a\nb"}),
        ("provider_id", "paid", {"provider_id": "x" * 257}),
        ("refund", "refunded", {}),
        ("refund", "closed", {"refund": "back-1"}),
        ("reference", "absent", {"refund": 5}),
        ("by", "absent", {"by": ""}),
        ("by", "absent", {"by": "x" * 129}),
        ("by", "absent", {"by": None}),
        ("note", "absent", {"note": " "}),
        ("note", "absent", {"note": "x" * 1001}),
        ("note", "absent", {"note": "a\x1bb"}),
    ],
)
def test_wrong_finding_is_refused(
    till: Till, gateway: ToyServer, field: str, found: str, given: dict[str, Any]
) -> None:
    """Before anything is recorded, with the name of what is wrong."""
    payment = till.create(channel="card")
    with pytest.raises(InvalidField) as caught:
        till.do("record", payment.id, found, **{**BY, **given})
    assert caught.value.field == field
    assert till.get(payment.id) == payment


def test_wrong_acknowledgement_is_refused(till: Till) -> None:
    """A reason that is none, a missing name, an unknown payment or refund."""
    payment = till.create(channel="card")
    with pytest.raises(InvalidField, match="reason: must be one of amount_differs"):
        till.do("acknowledge", payment.id, "odd", **BY)
    with pytest.raises(InvalidField, match="by"):
        till.do("acknowledge", payment.id, "paid_twice", by="", note="x")
    with pytest.raises(NotFound):
        till.do("acknowledge", "NOBODY", "paid_twice", **BY)
    with pytest.raises(NotFound, match="no refund 'back-9'"):
        till.do("record", payment.id, "refunded", refund="back-9", **BY)
