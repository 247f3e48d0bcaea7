"""When a payment is looked at next, by its state and age."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from paycore import RefundStatus, Status
from paycore.domain.payment import Failure, OperationState
from paycore.domain.schedule import (
    INTERVAL_MAX_S,
    INTERVAL_MIN_S,
    LATE_CHECKS,
    due_at,
    interval_s,
    jitter,
    resend_pause_s,
)
from tests.domain.histories import NOW, QUIET, History, replaced


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
    ("failures", "pause"), [(-1, 0), (0, 0), (1, 2), (2, 3), (3, 4.5), (9, 51.2578125), (10, 60), (10**9, 60)]
)
def test_pause_between_sends_grows_by_half(failures: int, pause: float) -> None:
    """One repetition at once, then after 2 s, and at most after a minute."""
    assert resend_pause_s(failures) == pause


@given(st.text(max_size=30), st.datetimes(timezones=st.just(UTC)))
def test_jitter_spreads_by_a_fifth_and_is_deterministic(seed: str, now: datetime) -> None:
    """Between 0.8 and 1.2, and the same for the same payment and time."""
    assert 0.8 <= jitter(seed, now) <= 1.2
    assert jitter(seed, now) == jitter(seed, now)


def test_jitter_covers_its_range_evenly() -> None:
    """From 0.8 to 1.2, both ends included, evenly below and above 1."""
    factors = [jitter(f"P{number}", NOW) for number in range(20_000)]
    assert (min(factors), max(factors)) == (0.8, 1.2)
    assert 0.48 < sum(factor < 1 for factor in factors) / len(factors) < 0.52


def test_looks_spread_over_payments_and_times() -> None:
    """Payments made in one moment are later queried at different moments."""
    history = History().accepted()
    moments = [NOW + timedelta(seconds=number) for number in range(200)]
    payments = [replace(history.payment, id=f"P{number}", updated_at=NOW) for number in range(200)]
    in_a_moment = [(due - NOW).total_seconds() for each in payments if (due := due_at(each, NOW))]
    assert len({*in_a_moment}) > 100
    for moment in moments:
        age_s = (moment - NOW).total_seconds()
        assert 0.8 * interval_s(age_s) <= in_s(history, moment) <= 1.2 * interval_s(age_s)


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
