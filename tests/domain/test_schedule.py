"""When a payment is looked at next, by its state and age."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from paycore import RefundStatus, Status
from paycore.domain.payment import Failure, OperationState
from paycore.domain.schedule import (
    AUTHORIZED_INTERVAL_MAX_S,
    INTERVAL_MAX_S,
    INTERVAL_MIN_S,
    LATE_CHECKS,
    awaited_interval_s,
    due_at,
    interval_s,
    is_awaited,
    is_left_to_caller,
    is_moving,
    resend_pause_s,
)
from tests.domain.histories import BAD_KEY, NOW, QUIET, History, replaced


def in_s(history: History, now: datetime = NOW) -> float:
    """Seconds until this payment is looked at."""
    due = due_at(history.payment, now)
    assert due is not None
    return (due - now).total_seconds()


@pytest.mark.parametrize(("age_s", "interval"), [(0, 2), (-5, 2), (2, 3), (10, 7), (116, 60), (10**9, 60)])
def test_interval_grows_by_half_of_the_age(age_s: float, interval: float) -> None:
    """2 s at first, 60 s at most, whatever the clocks say."""
    assert interval_s(age_s) == interval


@pytest.mark.parametrize(
    ("age_s", "interval"), [(0, 2), (-5, 2), (600, 2), (900, 3), (3600, 12), (18_000, 60), (10**9, 60)]
)
def test_payer_is_awaited_every_two_seconds_for_ten_minutes(age_s: float, interval: float) -> None:
    """Then a 300th of the age, 60 s at most, whatever the clocks say."""
    assert awaited_interval_s(age_s) == interval


@pytest.mark.parametrize(
    ("failures", "pause"), [(-1, 0), (0, 0), (1, 2), (2, 3), (3, 4.5), (9, 51.2578125), (10, 60), (10**9, 60)]
)
def test_pause_between_sends_grows_by_half(failures: int, pause: float) -> None:
    """One repetition at once, then after 2 s, and at most after a minute."""
    assert resend_pause_s(failures) == pause


def test_operation_under_way_is_looked_at_after_its_deadline() -> None:
    """Not before the deadline: the answer may still arrive."""
    assert due_at(History().payment, NOW) == QUIET


def test_of_several_operations_the_first_deadline_counts() -> None:
    """A close sent later does not delay the look at the order."""
    later = timedelta(seconds=3)
    for first, second in (("close-N1", "create-N1"), ("create-N1", "close-N1")):
        history = History().closing().sent_again(second, NOW + later)
        assert history.payment.operation(first).in_flight_until == QUIET
        assert due_at(history.payment, NOW) == QUIET


def test_unanswered_past_its_deadline_is_queried_by_age() -> None:
    """After a sender died there is no endless loop."""
    assert in_s(History(), QUIET) >= 0.8 * INTERVAL_MIN_S


@pytest.mark.parametrize(
    "history",
    [
        History().accepted(),
        History().unknown(),
        History().accepted().sees(Status.PAID).refunding().refund_is(RefundStatus.PENDING),
        History().accepted().sees(Status.PAID).refunding().ended(OperationState.UNKNOWN, "refund-R1"),
        History().accepted().closing(OperationState.UNKNOWN),
        History()
        .accepted()
        .closing(replaces=True)
        .sees(Status.CLOSED)
        .ended(OperationState.DONE, "close-N1")
        .renumbered("N2")
        .ended(OperationState.INTENT, "create-N2"),
    ],
)
def test_open_is_looked_at_by_age(history: History) -> None:
    """Whatever is pending at the provider is queried, less often with age."""
    assert 0.8 * INTERVAL_MIN_S <= in_s(history) <= 1.2 * INTERVAL_MIN_S
    assert in_s(history, NOW + timedelta(days=1)) <= 1.2 * INTERVAL_MAX_S


@pytest.mark.parametrize(
    "history",
    [
        History().accepted().sees(Status.PAID),
        History().accepted().sees(Status.FAILED),
        History().ended(OperationState.INTENT),
        History().accepted().sees(Status.PAID).refunding().refund_is(RefundStatus.SUCCEEDED),
    ],
)
def test_settled_is_not_looked_at(history: History) -> None:
    """Paid, failed or unsent: nothing to query."""
    assert due_at(history.payment, NOW) is None


def test_closed_is_looked_at_a_few_times_late() -> None:
    """A closed order may still be paid: it is queried after an hour, six hours and a day."""
    history = History().accepted().sees(Status.CLOSED)
    now, checks = NOW, []
    while (due := due_at(history.payment, now)) is not None:
        checks.append(due - NOW)
        now = due
    assert checks == [timedelta(hours=1), timedelta(hours=6), timedelta(hours=24)]


def test_closed_order_is_looked_at_late_when_its_successor_was_paid() -> None:
    """The replaced order may be paid as well, and is queried late."""
    history = History().accepted().closing(replaces=True).sees(Status.CLOSED).renumbered("N2")
    history.sees(Status.PAID, "N2").ended(OperationState.DONE, "close-N1")
    assert history.payment.status is Status.PAID
    assert due_at(history.payment, NOW) == NOW + LATE_CHECKS[0]
    assert due_at(history.sees(Status.PAID).payment, NOW) is None


def test_successor_refused_for_the_account_is_not_asked_about_by_age() -> None:
    """Only its closed predecessor is queried late."""
    refused = Failure(code="1108", message="bad signature", who_acts="operator")
    history = replaced().ended(OperationState.REJECTED, "create-N2", failure=refused)
    assert history.payment.status is Status.CREATED
    assert due_at(history.payment, NOW) == NOW + LATE_CHECKS[0]


def test_successor_that_is_not_needed_any_more_is_not_asked_about() -> None:
    """It was never sent, and its predecessor was paid after closing."""
    history = replaced().ended(OperationState.INTENT, "create-N2").sees(Status.PAID)
    assert due_at(history.payment, NOW) is None


def test_open_order_beside_a_paid_one_is_looked_at_by_age() -> None:
    """A successor that can still be paid is queried until it ends."""
    history = History().accepted().closing(replaces=True).sees(Status.CLOSED).renumbered("N2")
    history.sees(Status.PENDING, "N2").sees(Status.PAID)
    history.ended(OperationState.DONE, "close-N1").ended(OperationState.DONE, "create-N2")
    assert history.payment.status is Status.PAID
    assert in_s(history) <= 1.2 * INTERVAL_MIN_S
    assert due_at(history.sees(Status.CLOSED, "N2").payment, NOW) == NOW + LATE_CHECKS[0]


def test_next_look_is_at_the_expiry_at_the_latest() -> None:
    """The next look is at the expiry at the latest; after it, by age."""
    soon = NOW + timedelta(seconds=1)
    history = History(expires_at=soon).accepted()
    assert due_at(history.payment, NOW) == soon
    assert in_s(history, soon) > 0


# --- authorized -----------------------------------------------------------------------------------------


def authorized(**order: Any) -> History:
    return History(**order).accepted().authorized()


def refused(who_acts: Any) -> History:
    """An automatic capture that was refused, whoever has to act."""
    failure = Failure(code="no", message="no", who_acts=who_acts)
    return authorized().capturing().ended(OperationState.REJECTED, "capture-C1", failure=failure)


MANUAL: dict[str, Any] = {"capture": "manual"}
MOVING = {
    "to be captured": authorized(),
    "capture unsent": authorized().capturing().ended(OperationState.INTENT, "capture-C1"),
    "void unsent": authorized().closing(OperationState.INTENT),
    "capture accepted": authorized(**MANUAL).capturing().ended(OperationState.DONE, "capture-C1"),
    "capture unanswered": authorized(**MANUAL).capturing().ended(OperationState.UNKNOWN, "capture-C1"),
    "refused for the account": refused("operator"),
    "void accepted": authorized(**MANUAL).closing(OperationState.DONE),
    "void unanswered": authorized(**MANUAL).closing(OperationState.UNKNOWN),
    "void accepted, and one unsent": authorized().closing(OperationState.DONE).closing(OperationState.INTENT),
}
STANDING = {
    "manual": authorized(**MANUAL),
    "manual, unsent": authorized(**MANUAL).capturing().ended(OperationState.INTENT, "capture-C1"),
    "refused for the caller": refused("caller"),
    "refused by the provider": refused("provider"),
    "manual, void unsent": authorized(**MANUAL).closing(OperationState.INTENT),
    "manual, void refused": authorized(**MANUAL).closing(OperationState.REJECTED),
    "manual, capture refused": authorized(**MANUAL)
    .capturing()
    .ended(OperationState.REJECTED, "capture-C1", failure=BAD_KEY),
}
AN_HOUR = NOW + timedelta(hours=2)


def test_longest_interval_is_an_hour() -> None:
    """Of a payment that nobody captures; of any other it is a minute."""
    assert (AUTHORIZED_INTERVAL_MAX_S, INTERVAL_MAX_S) == (3600, 60)


@pytest.mark.parametrize("name", MOVING)
def test_authorized_payment_that_goes_on_by_itself_is_looked_at_by_age(name: str) -> None:
    """It is captured or voided soon, so somebody waits for it."""
    history = MOVING[name]
    assert is_moving(history.payment)
    assert (is_awaited(history.payment), is_left_to_caller(history.payment)) == (True, False)
    assert in_s(history, AN_HOUR) <= 1.2 * INTERVAL_MAX_S


@pytest.mark.parametrize("name", STANDING)
def test_authorized_payment_that_waits_for_its_caller_is_looked_at_rarely(name: str) -> None:
    """The authorization may be taken elsewhere, or expire: within an hour and a fifth; waiting can't help."""
    history = STANDING[name]
    assert not is_moving(history.payment)
    assert (is_awaited(history.payment), is_left_to_caller(history.payment)) == (False, True)
    assert 0.8 * AUTHORIZED_INTERVAL_MAX_S <= in_s(history, AN_HOUR) <= 1.2 * AUTHORIZED_INTERVAL_MAX_S
    assert in_s(history) <= 1.2 * INTERVAL_MIN_S, "it was authorized just now"


def test_payer_who_must_agree_again_is_looked_at_by_age() -> None:
    """Like any other who is to act."""
    declined = Failure(code="no", message="no")
    history = authorized().capturing().ended(OperationState.REJECTED, "capture-C1", failure=declined)
    assert history.payment.status is Status.PENDING
    assert in_s(history, AN_HOUR) <= 1.2 * INTERVAL_MAX_S
    assert not is_moving(history.payment)


def test_payer_who_agreed_again_is_captured_and_looked_at_by_age() -> None:
    """The refused capture belongs to what they had agreed to before."""
    history = refused("payer").authorized(QUIET + timedelta(seconds=1))
    assert history.payment.status is Status.AUTHORIZED
    assert is_moving(history.payment)


@pytest.mark.parametrize("history", [History().accepted(), History().accepted().sees(Status.PAID)])
def test_only_an_authorized_payment_moves(history: History) -> None:
    """Pending waits for its payer; paid is over."""
    assert not is_moving(history.payment)
