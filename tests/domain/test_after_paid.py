"""After paid: disputes and returned debits, refunds that come back, and what can still be refunded."""

from typing import Any

import pytest

from paycore import Money, RefundStatus, ReviewReason, Status
from paycore.domain.decisions import Numbering
from paycore.domain.events import OperationBegun
from paycore.domain.money import MINOR_MAX
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import OperationState
from paycore.domain.refunding import begin_refund
from paycore.domain.schedule import due_at, is_awaited, is_open
from paycore.errors import RefundTooLarge
from tests.domain.histories import BAD_KEY, DEADLINE, NOW, QUIET, History, paid, product


def seen_charged_back(history: History, minor: int | None, won: int | None = None) -> History:
    return history.sees(Status.PAID, charged_back_minor=minor, charge_back_won_minor=won)


def refund_of(history: History, minor: int | None) -> OperationBegun:
    """The refund that is begun, of so much (None: all that is left)."""
    (change,) = begin_refund(
        history.payment,
        QUIET,
        reference="other",
        amount=None if minor is None else Money.from_minor(minor, "HKD"),
        reason=None,
        product=product(),
        numbering=Numbering(operation_id="new", number="NEW"),
        deadline=DEADLINE,
    )
    assert isinstance(change, OperationBegun)
    return change


# --- charge backs ----------------------------------------------------------------------------------------


def test_charge_back_leaves_the_payment_paid_and_needs_review() -> None:
    """It was paid; the money is not refundable any more, and a person must look."""
    payment = seen_charged_back(paid(), 8800).payment
    assert (payment.status, payment.paid_minor, payment.charged_back_minor) == (Status.PAID, 8800, 8800)
    assert (payment.refundable_minor, payment.refunded_minor) == (0, 0)
    assert payment.review_reasons == (ReviewReason.CHARGED_BACK,)


def test_charge_backs_are_totals() -> None:
    """A repeat, a lower total or a report without one adds nothing, in any order."""
    history = seen_charged_back(paid(), 500)
    for minor in (500, 300, None, 800, 0):
        seen_charged_back(history, minor)
    assert history.payment.charged_back_minor == 800


def test_won_dispute_can_be_refunded_again() -> None:
    """What came back to the merchant is theirs to return."""
    history = seen_charged_back(paid(), 8800)
    seen_charged_back(history, 8800, 3000)
    assert (history.payment.charge_back_won_minor, history.payment.refundable_minor) == (3000, 3000)
    assert refund_of(history, None).refund is not None
    with pytest.raises(RefundTooLarge, match=r"30\.00 HKD is left"):
        refund_of(history, 3001)


def test_what_was_refunded_and_charged_back_is_both_gone() -> None:
    """20.00 refunded and 60.00 charged back of 88.00: 8.00 is left."""
    history = seen_charged_back(paid().refunding(2000), 6000)
    assert history.payment.refundable_minor == 800
    assert seen_charged_back(history, 8800).payment.refundable_minor == 0, "and never less than nothing"


def test_charge_back_counts_against_its_own_charge() -> None:
    """Of two orders that were paid, the one that was charged back is not refunded as well."""
    history = History().accepted().closing(OperationState.DONE, replaces=True).sees(Status.CLOSED)
    history.renumbered("N2").sees(Status.PAID).sees(Status.PAID, "N2")
    seen_charged_back(history, 8800)
    first, second = history.payment.charges
    assert (history.payment.left_of(first), history.payment.left_of(second)) == (0, 8800)
    refund = refund_of(history, None).refund
    assert refund is not None
    assert refund.charge_id == "S-N2"


def test_charge_backs_of_two_orders_add_up() -> None:
    """Each order has a total of its own."""
    history = History().accepted().closing(OperationState.DONE, replaces=True).sees(Status.CLOSED)
    history.renumbered("N2").sees(Status.PAID, charged_back_minor=500)
    history.sees(Status.PAID, "N2", charged_back_minor=700, charge_back_won_minor=100)
    assert (history.payment.charged_back_minor, history.payment.charge_back_won_minor) == (1200, 100)


@pytest.mark.parametrize("total", ["paid_minor", "charged_back_minor"])
def test_total_of_an_observation_is_bounded(total: str) -> None:
    """From nothing to the most there is; beyond it the constructor refuses."""
    for minor in (0, MINOR_MAX):
        fields: Any = {total: minor}
        PaymentObservation(number="N1", status=Status.PAID, provider_id="S1", **fields)
    for minor in (-1, MINOR_MAX + 1):
        fields = {total: minor}
        with pytest.raises(ValueError, match=f"`{total}` is 0 to {MINOR_MAX} minor units"):
            PaymentObservation(number="N1", status=Status.PAID, provider_id="S1", **fields)


@pytest.mark.parametrize("charged_back", [None, 0, 99])
def test_won_without_having_been_charged_back_is_no_observation(charged_back: int | None) -> None:
    """Won is a part of what was charged back."""
    with pytest.raises(ValueError, match="is a part of `charged_back_minor`"):
        paid().order_is(Status.PAID, charged_back_minor=charged_back, charge_back_won_minor=100)
    whole = paid().order_is(Status.PAID, charged_back_minor=100, charge_back_won_minor=100)
    assert whole.charge_back_won_minor == 100


def test_failure_after_paid_is_not_silent() -> None:
    """A debit reported as failed after it was paid: it stays paid, and needs review."""
    history = paid().sees(Status.FAILED)
    assert history.payment.status is Status.PAID
    assert history.payment.review_reasons == (ReviewReason.PAID_AFTER_CLOSING,)


# --- refunds that come back ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [
        (RefundStatus.SUCCEEDED, RefundStatus.REVERSED),
        (RefundStatus.REVERSED, RefundStatus.SUCCEEDED),
        (RefundStatus.REVERSED, RefundStatus.PENDING),
    ],
)
def test_reversed_refund_gives_its_amount_back(order: tuple[RefundStatus, RefundStatus]) -> None:
    """Whatever is reported after it or before; it is final, and nothing is due any more."""
    history = paid().refunding(2000).ended(OperationState.DONE, "refund-R1")
    for status in order:
        history.refund_is(status)
    payment = history.payment
    assert payment.refunds[0].status is RefundStatus.REVERSED
    assert (payment.refunded_minor, payment.refundable_minor) == (0, 8800)
    assert (is_open(payment), is_awaited(payment), due_at(payment, NOW)) == (False, False, None)


def test_reversed_refund_is_made_again_under_a_new_reference() -> None:
    """Its own reference names the one that came back, and does nothing."""
    history = paid().refunding(2000).ended(OperationState.DONE, "refund-R1").refund_is(RefundStatus.REVERSED)
    again = begin_refund(
        history.payment,
        QUIET,
        reference="back-1",
        amount=None,
        reason=None,
        product=product(),
        numbering=Numbering(operation_id="new", number="NEW"),
        deadline=DEADLINE,
    )
    assert again == []
    refund = refund_of(history, 8800).refund
    assert refund is not None
    assert refund.amount == Money("88.00", "HKD")


def test_reversed_refund_is_taken_off_the_total_that_was_reported() -> None:
    """20.00 came back of 50.00 that were returned: 30.00 are, and 58.00 can be refunded."""
    history = paid().refunding(2000).sees(Status.PAID, refunded_minor=5000)
    history.refund_is(RefundStatus.REVERSED)
    assert (history.payment.refunded_minor, history.payment.refundable_minor) == (3000, 5800)


def test_reversed_refund_beside_one_that_succeeded_counts_once() -> None:
    """Only the second one is returned."""
    history = paid().refunding(2000).refunding(3000, "back-2", "R2")
    history.refund_is(RefundStatus.REVERSED).refund_is(RefundStatus.SUCCEEDED, "R2")
    assert (history.payment.refunded_minor, history.payment.refundable_minor) == (3000, 5800)
    assert history.payment.left_of(history.payment.charges[0]) == 5800


# --- what a capture took -----------------------------------------------------------------------------------


def captured(minor: int, **seen: Any) -> History:
    """So much of 88.00 HKD is captured, and reported as paid."""
    history = History(capture="manual").accepted().authorized().capturing(minor)
    return history.ended(OperationState.UNKNOWN, "capture-C1").sees(Status.PAID, **seen)


@pytest.mark.parametrize("reported", [None, 7000])
def test_partial_capture_is_paid_as_far_as_it_was_captured(reported: int | None) -> None:
    """Whether or not the provider says how much; only that can be refunded."""
    payment = captured(7000, paid_minor=reported).payment
    assert (payment.status, payment.paid_minor, payment.refundable_minor) == (Status.PAID, 7000, 7000)
    assert (payment.amount.minor, payment.authorized_minor, payment.review) == (8800, 0, False)


@pytest.mark.parametrize("reported", [6999, 7001, 8800, 0])
def test_capture_of_another_amount_is_not_paid(reported: int) -> None:
    """It needs review, and nothing else in the report counts."""
    payment = captured(7000, paid_minor=reported).payment
    assert (payment.status, payment.paid_minor) == (Status.AUTHORIZED, 0)
    assert payment.review_reasons == (ReviewReason.AMOUNT_DIFFERS,)


def test_order_without_a_capture_of_ours_is_paid_whole() -> None:
    """Taken in the provider's portal, or by an attempt that was refused: then only the whole is what was agreed."""
    history = History().accepted().authorized().capturing(7000)
    history.ended(OperationState.REJECTED, "capture-C1", failure=BAD_KEY)
    assert history.sees(Status.PAID).payment.paid_minor == 8800
    elsewhere = History().accepted().authorized().sees(Status.PAID, paid_minor=7000)
    assert elsewhere.payment.review_reasons == (ReviewReason.AMOUNT_DIFFERS,)


def test_total_counts_only_once_it_is_paid() -> None:
    """What an authorized order reports as taken so far is no charge."""
    history = History().accepted().authorized().sees(Status.AUTHORIZED, paid_minor=0)
    assert (history.payment.paid_minor, history.payment.review) == (0, False)
    assert history.payment.authorized_minor == 8800


def test_refund_is_within_what_was_captured() -> None:
    """88.00 were authorized, 70.00 taken."""
    history = captured(7000)
    with pytest.raises(RefundTooLarge, match=r"70\.00 HKD is left"):
        refund_of(history, 7001)
