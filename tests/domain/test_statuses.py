"""Which status follows from which facts, over one number or several."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from paycore import Money, RefundStatus, ReviewReason, Status
from paycore.domain.events import Observed
from paycore.domain.lifecycle import evolve
from paycore.domain.money import MINOR_MAX
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Failure, OperationState
from tests.domain.histories import AMOUNT, LINK, NOW, History, replaced

OBSERVED = (Status.PENDING, Status.AUTHORIZED, Status.PAID, Status.FAILED, Status.CLOSED)
RANKS = {
    status: rank
    for rank, status in enumerate(
        (
            Status.CREATED,
            Status.UNKNOWN,
            Status.PENDING,
            Status.AUTHORIZED,
            Status.FAILED,
            Status.CLOSED,
            Status.PAID,
        )
    )
}


@pytest.mark.parametrize(
    ("history", "status", "uncertain"),
    [
        (History(), Status.CREATED, True),
        (History().ended(OperationState.INTENT), Status.CREATED, False),
        (History().unknown(), Status.UNKNOWN, True),
        (History().unknown().sent_again(), Status.UNKNOWN, True),
        (History().accepted(), Status.PENDING, False),
        (History().unknown().sees(Status.PENDING), Status.PENDING, True),
        (History(needs_action=False).unknown().sees(Status.PENDING), Status.PENDING, False),
        (History().unknown().sees(Status.FAILED), Status.FAILED, False),
        (History().unknown().sees(Status.CLOSED), Status.CLOSED, False),
        (History().sees(Status.PAID), Status.PAID, False),
        (History().unknown().sees(Status.AUTHORIZED), Status.AUTHORIZED, False),
        (History().accepted().authorized().capturing(), Status.AUTHORIZED, True),
        (History().accepted().authorized().closing(), Status.AUTHORIZED, True),
        (replaced().sees(Status.AUTHORIZED), Status.UNKNOWN, True),
        (replaced().sees(Status.AUTHORIZED, "N2"), Status.AUTHORIZED, False),
        (History().unknown().absent(), Status.UNKNOWN, True),
        (History().unknown().sees(Status.PENDING).closing(replaces=True), Status.PENDING, True),
        (
            History().unknown().sees(Status.PENDING).closing(replaces=True).sees(Status.CLOSED),
            Status.PENDING,
            True,
        ),
        (
            History().accepted().closing(OperationState.REJECTED, replaces=True).sees(Status.CLOSED),
            Status.CLOSED,
            False,
        ),
    ],
)
def test_status_follows_from_the_facts(history: History, status: Status, *, uncertain: bool) -> None:
    """Each fact, or set of facts, and the one status it means."""
    assert (history.payment.status, history.payment.uncertain) == (status, uncertain)


@pytest.mark.parametrize("observed", list(itertools.permutations(OBSERVED, 2)))
def test_status_never_goes_back(observed: tuple[Status, Status]) -> None:
    """Of two observations in either order the more advanced decides; paid is the last."""
    first, second = observed
    history = History().accepted().sees(first)
    before = history.payment.status
    history.sees(second)
    assert RANKS[history.payment.status] >= RANKS[before]
    assert RANKS[history.payment.status] == max(RANKS[first], RANKS[second])


def test_action_is_there_while_pending_and_only_for_the_number_in_force() -> None:
    """No link of an old order is returned, nor of a paid payment."""
    renumbered = History().accepted().renumbered("N2")
    late = History().accepted().renumbered("N2").ended(OperationState.DONE, action=LINK)
    paid = History().accepted().sees(Status.PAID)
    links = [history.payment.action for history in (History().accepted(), renumbered, late, paid)]
    assert links == [LINK, None, None, None]


def test_authorized_payment_shows_what_can_be_captured_and_no_link() -> None:
    """The payer has nothing more to do; nothing is paid yet."""
    payment = History().accepted().authorized().payment
    assert (payment.authorized_minor, payment.paid_minor, payment.action) == (8800, 0, None)
    assert History().accepted().payment.authorized_minor == 0
    assert History().accepted().sees(Status.PAID).payment.authorized_minor == 0


def test_order_that_was_voided_to_be_replaced_can_be_paid_anew() -> None:
    """The payer agreed at the very last moment; the order was closed all the same, so they must agree again."""
    history = History().unknown().sees(Status.PENDING).closing(replaces=True).authorized()
    assert history.payment.status is Status.AUTHORIZED
    assert history.sees(Status.CLOSED).payment.status is Status.PENDING
    assert history.payment.authorized_minor == 0


def test_failure_is_shown_while_failed() -> None:
    """Nothing is shown once the payment is paid."""
    declined = Failure(code="1205", message="declined")
    history = History().accepted().sees(Status.FAILED, failure=declined)
    assert history.payment.failure == declined
    assert history.sees(Status.PAID).payment.failure is None


def test_paid_on_an_old_number_is_paid() -> None:
    """Any order's charge pays; charges of both need review."""
    history = History().unknown().sees(Status.PENDING).closing(OperationState.DONE, replaces=True)
    history.sees(Status.CLOSED).renumbered("N2").sees(Status.PENDING, "N2").sees(Status.PAID)
    assert (history.payment.status, history.payment.paid_minor) == (Status.PAID, 8800)
    assert history.payment.review_reasons == (ReviewReason.PAID_AFTER_CLOSING,)
    history.sees(Status.PAID, "N2")
    assert history.payment.paid_minor == 17600
    assert ReviewReason.PAID_TWICE in history.payment.review_reasons


def test_refund_statuses_follow_from_the_facts() -> None:
    """Created, unknown, pending, then the provider's final status."""
    history = History().accepted().sees(Status.PAID).refunding()
    statuses = [
        history.payment.refunds[0].status,
        history.ended(OperationState.UNKNOWN, "refund-R1").payment.refunds[0].status,
        history.refund_is(RefundStatus.PENDING).payment.refunds[0].status,
        history.refund_is(RefundStatus.SUCCEEDED).payment.refunds[0].status,
    ]
    assert statuses == ["created", "unknown", "pending", "succeeded"]
    assert not history.payment.uncertain
    assert history.payment.status is Status.PAID


def test_refund_failed_and_succeeded_needs_review() -> None:
    """Contradicting observations: the money counts as refunded, and it needs review."""
    history = History().accepted().sees(Status.PAID).refunding()
    history.refund_is(RefundStatus.FAILED).refund_is(RefundStatus.SUCCEEDED)
    assert history.payment.refunded_minor == 2000
    assert history.payment.review_reasons == (ReviewReason.REFUNDED_AFTER_FAILING,)


def test_refunded_more_than_paid_needs_review() -> None:
    """The provider reports a refunded total above the paid amount."""
    history = History().accepted().sees(Status.PAID, refunded_minor=8801)
    assert history.payment.review_reasons == (ReviewReason.REFUNDED_TOO_MUCH,)
    assert history.payment.refundable_minor == 0


def test_paid_without_the_providers_id_is_no_observation() -> None:
    """A charge without an id is refused; so is a status that no provider reports."""
    with pytest.raises(ValueError, match="provider's id"):
        PaymentObservation(number="N1", status=Status.PAID)
    with pytest.raises(ValueError, match="observes pending"):
        PaymentObservation(number="N1", status=Status.UNKNOWN)
    with pytest.raises(ValueError, match="pending, succeeded, failed or reversed"):
        RefundObservation(number="R1", status=RefundStatus.UNKNOWN)


def test_refunded_total_goes_from_none_to_the_most_there_is() -> None:
    """Both bounds are accepted; totals beyond them are refused by the constructor."""
    for total in (0, MINOR_MAX):
        seen = PaymentObservation(number="N1", status=Status.PAID, provider_id="S1", refunded_minor=total)
        assert seen.refunded_minor == total
    for wrong in (-1, MINOR_MAX + 1):
        with pytest.raises(ValueError, match=f"0 to {MINOR_MAX} minor units"):
            PaymentObservation(number="N1", status=Status.PAID, provider_id="S1", refunded_minor=wrong)


def test_providers_id_is_that_of_the_order_that_took_the_money() -> None:
    """The charge's id once paid; before, that of the order in force."""
    history = History().accepted()
    assert history.payment.provider_id == "S-N1"
    history.closing(OperationState.DONE, replaces=True).sees(Status.CLOSED).renumbered("N2")
    assert history.sees(Status.PENDING, "N2").payment.provider_id == "S-N2"
    assert history.sees(Status.PAID).payment.provider_id == "S-N1"


def test_operation_that_is_not_there_is_named() -> None:
    """The error has its id, or the payment's if it has no operations."""
    payment = History().payment
    with pytest.raises(KeyError, match="no-such-id"):
        payment.operation("no-such-id")
    with pytest.raises(KeyError, match="P1"):
        _ = replace(payment, operations=()).creation


def test_change_before_the_beginning_is_refused() -> None:
    """A history starts with exactly one beginning."""
    with pytest.raises(ValueError, match="starts with payment_begun"):
        evolve(None, Observed(observation=History().order_is(Status.PAID)), NOW)


def replaced_and_refunded() -> History:
    """Two numbers and a refund: the most that one payment can have under way."""
    history = History().unknown().sees(Status.PENDING).closing(OperationState.DONE, replaces=True)
    return history.sees(Status.CLOSED).renumbered("N2").sees(Status.PAID, "N2").refunding()


_seen = st.builds(
    PaymentObservation,
    number=st.sampled_from(["N1", "N2", "R1", "N9"]),
    status=st.sampled_from(OBSERVED),
    provider_id=st.sampled_from(["S1", "S2"]),
    amount=st.sampled_from([None, AMOUNT, Money("1.00", "HKD")]),
    refunded_minor=st.sampled_from([None, 0, 2000, 99_999]),
)
_refund_seen = st.builds(
    RefundObservation,
    number=st.sampled_from(["R1", "N2"]),
    status=st.sampled_from([RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED]),
)


@given(st.lists(st.one_of(_seen, _refund_seen), max_size=6), st.randoms(use_true_random=False))
def test_observations_of_all_numbers_merge_in_any_order(
    observations: list[Observation], random: object
) -> None:
    """Merging is commutative, associative and idempotent over several numbers and refunds."""
    shuffled = observations * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = replaced_and_refunded(), replaced_and_refunded()
    one.change(*(Observed(observation=seen) for seen in observations))
    other.change(*(Observed(observation=seen) for seen in shuffled))
    assert one.payment == other.payment
    assert one.payment.status is Status.PAID
    assert one.payment.paid_minor >= 8800
