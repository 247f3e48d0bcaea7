"""What an operator found at the provider resolves what nothing else can, and nothing else."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from paycore import RefundStatus, ReviewReason, Status
from paycore.domain.capturing import is_still_to_capture
from paycore.domain.decisions import end_attempt
from paycore.domain.events import Change, Finding, FoundUnresolvable, Observed, OperationEnded
from paycore.domain.findings import Found, record_finding
from paycore.domain.payment import Failure, OperationState
from paycore.domain.provider import Done, Unknown
from paycore.errors import InvalidField, NotFound, WrongState
from tests.domain.histories import AMOUNT, NOW, QUIET, History, paid, replaced

BY = Finding(by="ops", note="portal, 9:00")
FOUND: tuple[Found, ...] = ("paid", "closed", "absent")
EARLY = QUIET - timedelta(milliseconds=1)


def found(history: History, what: Found, now: datetime = QUIET, **fields: Any) -> list[Change]:
    """The changes this finding makes."""
    fields = {"provider_id": "P-1", **fields} if what == "paid" else fields
    return record_finding(history.payment, now, found=what, finding=BY, **fields)


def lost() -> History:
    """An order whose reply was lost, and which nothing finds."""
    return History().unknown().change(FoundUnresolvable(operation_id="create-N1"))


def lost_capture() -> History:
    """The same of a capture of 70.00 HKD."""
    history = History().accepted().authorized().capturing(7000).ended(OperationState.UNKNOWN, "capture-C1")
    return history.change(FoundUnresolvable(operation_id="capture-C1"))


def lost_refund() -> History:
    """The same of a refund of 20.00 HKD."""
    history = paid().refunding().ended(OperationState.UNKNOWN, "refund-R1")
    return history.change(FoundUnresolvable(operation_id="refund-R1"))


@pytest.mark.parametrize(
    ("what", "status", "paid_minor"),
    [("paid", Status.PAID, 8800), ("closed", Status.CLOSED, 0), ("absent", Status.FAILED, 0)],
)
def test_finding_resolves_an_order(what: Found, status: Status, paid_minor: int) -> None:
    """It is evidence like any other; nothing is uncertain or under review any more."""
    payment = lost().change(*found(lost(), what)).payment
    assert (payment.status, payment.paid_minor) == (status, paid_minor)
    assert (payment.uncertain, payment.review_reasons) == (False, ())


def test_finding_is_recorded_with_who_made_it() -> None:
    """An observation, or the end of an attempt, with the operator and the note."""
    (observed,) = found(lost(), "paid")
    (ended,) = found(lost(), "absent")
    assert isinstance(observed, Observed)
    assert isinstance(ended, OperationEnded)
    assert observed.finding == ended.finding == BY
    assert ended.in_flight_until == QUIET
    assert ended.failure == Failure(
        code="recorded_absent",
        message="an operator found that it never reached the provider",
        who_acts="caller",
        advice="Make it again under a new reference.",
    )
    assert observed.observation.amount == AMOUNT
    (refunded,) = found(lost_refund(), "refunded", refund="back-1")
    assert isinstance(refunded, Observed)
    assert refunded.finding == BY


@pytest.mark.parametrize(
    ("what", "status", "paid_minor"),
    [("paid", Status.PAID, 7000), ("closed", Status.CLOSED, 0), ("absent", Status.AUTHORIZED, 0)],
)
def test_finding_resolves_a_capture(what: Found, status: Status, paid_minor: int) -> None:
    """Paid is what the capture was to take; one that never arrived may be made again."""
    payment = lost_capture().change(*found(lost_capture(), what)).payment
    assert (payment.status, payment.paid_minor, payment.uncertain) == (status, paid_minor, False)
    assert payment.review_reasons == ()
    if what == "absent":
        assert is_still_to_capture(payment, QUIET + timedelta(seconds=2))
        assert payment.capture_failure is not None
        assert (payment.capture_failure.who_acts, payment.capture_failure.advice) == ("operator", "")


def test_finding_about_an_order_is_not_about_a_refund() -> None:
    """The reference of a refund counts only where a refund is what was found."""
    assert found(lost(), "paid", refund="back-9")


@pytest.mark.parametrize(("what", "refundable"), [("refunded", 6800), ("absent", 8800)])
def test_finding_resolves_a_refund(what: Found, refundable: int) -> None:
    """Refunded money is gone; what never arrived can be refunded under a new reference."""
    payment = lost_refund().change(*found(lost_refund(), what, refund="back-1")).payment
    assert (payment.refundable_minor, payment.uncertain) == (refundable, False)
    expected = RefundStatus.SUCCEEDED if what == "refunded" else RefundStatus.FAILED
    assert payment.refunds[0].status is expected
    assert payment.review_reasons == ()


def test_refund_that_is_pending_can_be_found_refunded() -> None:
    """Some providers report its end only once, and that may get lost; it can't be found absent."""
    history = paid().refunding().refund_is(RefundStatus.PENDING)
    history.ended(OperationState.DONE, "refund-R1")
    with pytest.raises(WrongState):
        found(history, "absent", refund="back-1")
    history.change(*found(history, "refunded", refund="back-1", provider_id="F1"))
    (refund,) = history.payment.refunds
    assert (refund.status, refund.provider_id) == (RefundStatus.SUCCEEDED, "F1")


@pytest.mark.parametrize("history", [History(), History().unknown(), paid().refunding()])
@pytest.mark.parametrize("what", [*FOUND, "refunded"])
def test_nothing_is_found_while_a_request_may_arrive(history: History, what: Found) -> None:
    """A finding from before its deadline proves nothing."""
    refund = "back-1" if history.payment.refunds else None
    if what == "refunded" and refund is None:
        return
    with pytest.raises(WrongState, match="may still be under way"):
        found(history, what, EARLY, refund=refund)


@pytest.mark.parametrize(
    "history",
    [
        History().ended(OperationState.INTENT),
        History().accepted(),
        History().accepted().authorized(),
        paid(),
        History().accepted().sees(Status.CLOSED),
        History().accepted().closing(OperationState.UNKNOWN),
    ],
)
@pytest.mark.parametrize("what", FOUND)
def test_nothing_is_found_where_nothing_is_unresolved(history: History, what: Found) -> None:
    """The provider can be asked: a wrong finding would lose money, or take it twice."""
    with pytest.raises(WrongState, match="nothing of it is unresolved") as caught:
        found(history, what)
    assert caught.value.payment_id == "P1"


@pytest.mark.parametrize("status", [RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.REVERSED])
def test_final_refund_is_not_found_refunded(status: RefundStatus) -> None:
    """Its provider has said how it ended."""
    history = paid().refunding().ended(OperationState.DONE, "refund-R1").refund_is(status)
    with pytest.raises(WrongState, match="the refund is not open") as caught:
        found(history, "refunded", refund="back-1")
    assert caught.value.payment_id == "P1"


def test_unsent_refund_is_not_found_refunded() -> None:
    """Nothing left this machine."""
    history = paid().refunding().ended(OperationState.INTENT, "refund-R1")
    with pytest.raises(WrongState, match="the refund is not open"):
        found(history, "refunded", refund="back-1")


@pytest.mark.parametrize("refund", [None, "back-9"])
def test_refund_that_there_is_not_is_named(refund: str | None) -> None:
    """An unknown reference, or none where one is needed."""
    with pytest.raises(NotFound, match=f"no refund {refund!r}") as caught:
        found(lost_refund(), "refunded", refund=refund)
    assert caught.value.payment_id == "P1"
    if refund is not None:
        with pytest.raises(NotFound, match="back-9"):
            found(lost_refund(), "absent", refund=refund)


@pytest.mark.parametrize("provider_id", [None, ""])
def test_paid_needs_the_id_of_the_charge(provider_id: str | None) -> None:
    """By it the charge is told from others, and refunded."""
    with pytest.raises(InvalidField, match="provider_id: needed"):
        found(lost(), "paid", provider_id=provider_id)


def test_finding_is_about_the_order_that_is_unresolved() -> None:
    """The successor, not the order that was closed."""
    history = replaced().ended(OperationState.UNKNOWN, "create-N2")
    (change,) = found(history, "paid")
    assert isinstance(change, Observed)
    assert change.observation.number == "N2"


def test_finding_that_was_wrong_is_corrected_by_the_provider() -> None:
    """Found absent, and paid all the same: it is paid, and needs review; a late "no answer" changes nothing."""
    history = lost()
    sent = history.payment.creation
    history.change(*found(history, "absent"))
    assert end_attempt(history.payment, QUIET, sent=sent, outcome=Unknown(problem="no answer")) == []
    late = Done(history.order_is(Status.PAID))
    history.change(*end_attempt(history.payment, QUIET, sent=sent, outcome=late))
    assert history.payment.status is Status.PAID
    assert history.payment.review_reasons == (ReviewReason.PAID_AFTER_CLOSING,)


def test_refund_whose_sender_died_can_be_found_refunded() -> None:
    """No reply was recorded, and its deadline has passed."""
    history = paid().refunding()
    assert history.payment.refunds[0].status is RefundStatus.CREATED
    assert found(history, "refunded", NOW + timedelta(days=1), refund="back-1")
