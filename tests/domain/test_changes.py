"""What an application hears of: each event's changes, from the payment before and after it."""

from collections.abc import Callable

import pytest

from paycore import ChangeKind, Payment, RefundStatus, Status
from paycore.domain.changes import Happened, change_key, changes_of
from paycore.domain.events import GENESIS, Event, Observed, Source
from paycore.domain.payment import OperationState
from tests.domain.histories import DECLINED, NOW, History, paid

Step = Callable[[History], object]


def happened(before: Payment | None, after: Payment) -> tuple[Happened, ...]:
    """The changes of the event that leads from one payment to the other."""
    event = Event(
        payment_id=after.id,
        seq=after.version,
        at=NOW,
        source=Source.POLL,
        status_from=None if before is None else before.status,
        status_to=after.status,
        change=Observed(observation=History().order_is(Status.PENDING)),
        prev_hash=GENESIS,
        hash=GENESIS,
    )
    return changes_of(event, before, after)


def kinds(history: History, step: Step) -> list[str]:
    """The kinds of what a step changes."""
    before = history.payment
    step(history)
    return [item.kind.value for item in happened(before, history.payment)]


def test_a_new_payment_is_created() -> None:
    """There was none before."""
    assert happened(None, History().payment) == (Happened(ChangeKind.CREATED),)


@pytest.mark.parametrize(
    ("history", "step", "expected"),
    [
        (History(), History.unknown, ["unknown"]),
        (History(), History.accepted, ["pending"]),
        (History().accepted(), History.authorized, ["authorized"]),
        (History().accepted(), lambda history: history.sees(Status.PAID), ["paid"]),
        (History().accepted(), lambda history: history.sees(Status.CLOSED), ["closed"]),
        (History(), lambda history: history.ended(OperationState.REJECTED, failure=DECLINED), ["failed"]),
        (History().accepted().sees(Status.CLOSED), lambda h: h.sees(Status.PAID), ["paid", "review"]),
        (paid(), lambda history: history.sees(Status.PAID, refunded_minor=500), ["refunded"]),
        (
            paid(),
            lambda history: history.sees(Status.PAID, charged_back_minor=500),
            ["charged_back", "review"],
        ),
        (
            paid().sees(Status.PAID, charged_back_minor=500),
            lambda h: h.sees(Status.PAID, charged_back_minor=500, charge_back_won_minor=500),
            ["charge_back_won"],
        ),
        (paid(), lambda history: history.refunding(500), []),
        (History().accepted(), lambda history: history.sent_again(), []),
    ],
)
def test_kinds_of_an_event(history: History, step: Step, expected: list[str]) -> None:
    """A new status first, then money that went back, then a reason for review; nothing for a step on the way."""
    assert kinds(history, step) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (RefundStatus.PENDING, []),
        (RefundStatus.SUCCEEDED, ["refunded"]),
        (RefundStatus.FAILED, ["refund_failed"]),
        (RefundStatus.REVERSED, ["refund_reversed"]),
    ],
)
def test_a_refund_is_named(seen: RefundStatus, expected: list[str]) -> None:
    """What became of a refund of ours comes with its reference."""
    history = paid().refunding(500)
    before = history.payment
    history.refund_is(seen)
    assert happened(before, history.payment) == tuple(
        Happened(ChangeKind(kind), "back-1") for kind in expected
    )


def test_a_refund_that_the_order_shows_too_is_told_once() -> None:
    """The order's own total, which follows, is the same money."""
    history = paid().refunding(500).refund_is(RefundStatus.SUCCEEDED)
    assert kinds(history, lambda h: h.sees(Status.PAID, refunded_minor=500)) == []
    assert kinds(history, lambda h: h.sees(Status.PAID, refunded_minor=700)) == ["refunded"]


def test_refunded_after_failing_is_told_with_its_review() -> None:
    """It had failed by one report and succeeded by another."""
    history = paid().refunding(500).refund_is(RefundStatus.FAILED)
    assert kinds(history, lambda h: h.refund_is(RefundStatus.SUCCEEDED)) == ["refunded", "review"]


def test_a_second_reason_for_review_is_told() -> None:
    """A reason that was there before is not."""
    history = paid().sees(Status.PAID, charged_back_minor=500)
    assert kinds(history, lambda h: h.sees(Status.PAID, amount=None, charged_back_minor=500)) == []
    assert kinds(history, lambda h: h.sees(Status.PAID, provider_id="S-2")) == ["review"]


def test_the_status_is_the_recorded_one() -> None:
    """A payment read back by a newer version, which may judge otherwise, does not change what was told."""
    before, after = History().accepted().payment, paid().payment
    event = Event(
        payment_id="P1",
        seq=3,
        at=NOW,
        source=Source.POLL,
        status_from=Status.PENDING,
        status_to=Status.PENDING,
        change=Observed(observation=History().order_is(Status.PAID)),
        prev_hash=GENESIS,
        hash=GENESIS,
    )
    assert changes_of(event, before, after) == ()


def test_keys_differ_by_payment_event_kind_and_refund() -> None:
    """No two changes have one key."""
    assert change_key("P1", 3, ChangeKind.PAID, None) == "P1.3.paid"
    assert change_key("P1", 5, ChangeKind.REFUNDED, "back-1") == "P1.5.refunded.back-1"
