"""A payment whose order gets a new number: what belongs to the old one stays with it."""

from datetime import timedelta

import pytest

from paycore import ReviewReason, Status
from paycore.domain.closing import begin_close
from paycore.domain.decisions import Numbering
from paycore.domain.events import OperationBegun
from paycore.domain.payment import OperationState
from tests.domain.histories import BAD_KEY, DEADLINE, LINK, NEW_LINK, NOW, QUIET, History, product, replaced


def accepted_anew() -> History:
    """N2 was accepted, with a link of its own."""
    history = replaced()
    seen = history.order_is(Status.PENDING, "N2")
    return history.ended(OperationState.DONE, "create-N2", observation=seen, action=NEW_LINK)


def test_link_of_the_old_order_is_not_the_new_ones() -> None:
    """Without the new order's link none is shown, and not the closed order's."""
    history = replaced().sees(Status.PENDING, "N2")
    assert history.payment.status is Status.PENDING
    assert history.payment.action is None
    assert history.payment.uncertain, "the new link is still to be recovered"


def test_late_reply_to_the_old_order_does_not_bring_its_link_back() -> None:
    """Its link is not shown, whether it arrives before or after the new one's."""
    waiting = replaced().sees(Status.PENDING, "N2").ended(OperationState.DONE, action=LINK)
    assert waiting.payment.action is None
    assert waiting.payment.uncertain, "and the new link is still to be recovered"
    assert accepted_anew().ended(OperationState.DONE, action=LINK).payment.action == NEW_LINK


def test_late_reply_to_the_old_order_does_not_move_the_new_ones_expiry() -> None:
    """The expiry is the new order's own."""
    expiry = accepted_anew().payment.expires_at
    late = accepted_anew().ended(OperationState.DONE, action=LINK, expires_at=NOW + timedelta(minutes=1))
    assert late.payment.expires_at == expiry


@pytest.mark.parametrize(
    "history", [replaced(), History().ended(OperationState.REJECTED, failure=BAD_KEY).renumbered("N2")]
)
def test_new_number_on_its_way_is_unknown(history: History) -> None:
    """A payment that was sent before is not `created`, which would mean that nothing was sent."""
    assert history.payment.creation.state is OperationState.SENT
    assert history.payment.status is Status.UNKNOWN


def test_payment_reported_under_a_refunds_number_needs_review() -> None:
    """A payment observation under a refund's number needs review and changes nothing else."""
    history = History().accepted().sees(Status.PAID).refunding().sees(Status.PAID, "R1")
    assert history.payment.paid_minor == 8800
    assert history.payment.review_reasons == (ReviewReason.AMOUNT_DIFFERS,)


@pytest.mark.parametrize("replaces", [True, False])
def test_close_for_another_purpose_is_not_joined(*, replaces: bool) -> None:
    """A caller's close and recovery's replacing close do not replace each other."""
    history = History().accepted().closing(OperationState.UNKNOWN, replaces=not replaces)
    (change,) = begin_close(
        history.payment,
        product=product(),
        numbering=Numbering(operation_id="new", number="N1"),
        now=QUIET + DEADLINE,
        deadline=DEADLINE,
        replaces=replaces,
    )
    assert isinstance(change, OperationBegun)
    assert change.operation.replaces is replaces
