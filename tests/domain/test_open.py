"""What of a payment is not final, and where waiting may help: every reason by itself."""

from paycore import RefundStatus, Status
from paycore.domain.payment import OperationState
from paycore.domain.schedule import (
    INTERVAL_MAX_S,
    is_awaited,
    is_left_to_caller,
    is_open,
    is_refunding,
    resend_pause_s,
)
from tests.domain.histories import BAD_KEY, History, paid, replaced


def of(history: History) -> tuple[bool, bool, bool]:
    """Whether it is open, awaited, left to its caller."""
    return is_open(history.payment), is_awaited(history.payment), is_left_to_caller(history.payment)


def test_payment_under_way_is_open_and_awaited() -> None:
    """Sent, unanswered, or pending."""
    for history in (History(), History().unknown(), History().accepted()):
        assert of(history) == (True, True, False)


def test_payment_left_to_its_caller_is_open_and_not_awaited() -> None:
    """Unsent or refused for the account: open, not awaited; a successor is sent by recovery and is awaited."""
    assert of(History().ended(OperationState.INTENT)) == (True, False, True)
    assert of(History().ended(OperationState.REJECTED, failure=BAD_KEY)) == (True, False, True)
    assert of(replaced().ended(OperationState.INTENT, "create-N2")) == (True, True, False)


def test_payment_that_ended_is_neither() -> None:
    """Paid, failed and closed, with nothing else under way."""
    for history in (
        paid(),
        History().accepted().sees(Status.FAILED),
        History().accepted().sees(Status.CLOSED),
    ):
        assert of(history) == (False, False, False)


def test_refund_under_way_keeps_a_paid_payment_open_and_awaited() -> None:
    """Sent, pending at the provider, or unanswered."""
    unanswered = paid().refunding().ended(OperationState.UNKNOWN, "refund-R1")
    for history in (paid().refunding(), paid().refunding().refund_is(RefundStatus.PENDING), unanswered):
        assert is_refunding(history.payment)
        assert of(history) == (True, True, False)


def test_refund_left_to_its_caller_is_open_and_not_awaited() -> None:
    """Unsent or refused for the account: open, not awaited."""
    for state in (OperationState.INTENT, OperationState.REJECTED):
        history = paid().refunding().ended(state, "refund-R1", failure=BAD_KEY)
        assert not is_refunding(history.payment)
        assert of(history) == (True, False, False)


def test_refund_that_ended_leaves_nothing_open() -> None:
    """Succeeded or failed."""
    for status in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
        assert of(paid().refunding().refund_is(status)) == (False, False, False)


def test_close_without_an_answer_keeps_a_paid_payment_open() -> None:
    """Paid while its close is unanswered: open until the close is resolved."""
    history = History().accepted().closing(OperationState.UNKNOWN).sees(Status.PAID)
    assert not is_refunding(history.payment)
    assert of(history) == (True, False, False)


def test_unneeded_order_keeps_a_paid_payment_open() -> None:
    """A second order that could still be paid keeps the payment open."""
    history = replaced().sees(Status.PENDING, "N2").ended(OperationState.DONE, "create-N2").sees(Status.PAID)
    assert not history.payment.uncertain
    assert of(history)[0] is True
    assert is_open(history.sees(Status.CLOSED, "N2").payment) is False


def test_payment_under_review_is_not_awaited() -> None:
    """A payment that needs review is not awaited."""
    history = History().accepted().sees(Status.PENDING, amount=None).sees(Status.PAID, "N1", provider_id="A")
    history.sees(Status.PAID, provider_id="B").refunding()
    assert history.payment.review
    assert of(history) == (True, False, False)


def test_resend_pause_grows_by_half_and_stops_at_a_minute() -> None:
    """The first repetition is immediate; the pause has a maximum and never overflows."""
    assert [resend_pause_s(failures) for failures in (-1, 0, 1, 2, 3)] == [0, 0, 2, 3, 4.5]
    assert resend_pause_s(9) == 2 * 1.5**8 < INTERVAL_MAX_S == 60
    assert [resend_pause_s(failures) for failures in (10, 11, 12, 10**6)] == [60] * 4
