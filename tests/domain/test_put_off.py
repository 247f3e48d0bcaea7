"""What the provider refused for now was not done: it keeps its number, and is sent no earlier than asked."""

from copy import copy
from datetime import datetime, timedelta
from typing import Any

import pytest

from paycore import RefundStatus, Status
from paycore.domain.decisions import Numbering, end_attempt, end_unsent, may_send, send_again
from paycore.domain.payment import OperationState
from paycore.domain.provider import NotNow
from paycore.domain.recovery import Context, next_changes
from paycore.domain.schedule import due_at, is_awaited, is_left_to_caller
from tests.domain.histories import DEADLINE, NOW, QUIET, History, capabilities, paid

BUSY = NotNow(problem="busy", retry_after_s=60)
MAY = NOW + timedelta(seconds=60)
"""When what was put off at NOW may be sent."""
EARLY = MAY - timedelta(milliseconds=1)


def put_off(history: History, operation_id: str, now: datetime = NOW) -> History:
    """The attempt under way is refused for now."""
    history = copy(history)
    sent = history.payment.operation(operation_id)
    return history.change(*end_attempt(history.payment, now, sent=sent, outcome=BUSY))


def recovered(history: History, now: datetime) -> list[Any]:
    """Recovery's next step."""
    context = Context(
        capabilities=capabilities(),
        numbering=Numbering(operation_id="new", number="NEW", nonce="NONCE"),
        deadline=DEADLINE,
    )
    return next_changes(history.payment, now, context)


FIRST_SENDS = [
    (History(), "create-N1"),
    (History().accepted().authorized().capturing(), "capture-C1"),
    (paid().refunding(), "refund-R1"),
    (History().accepted().closing(), "close-N1"),
]
IDS = ["create", "capture", "refund", "close"]


@pytest.mark.parametrize("number", range(4), ids=IDS)
def test_put_off_is_unsent_with_its_number_and_a_time(number: int) -> None:
    """Every operation is back in intent, nothing of it is uncertain, and the payment has not failed."""
    history, operation_id = FIRST_SENDS[number]
    before = history.payment
    history = put_off(history, operation_id)
    operation = history.payment.operation(operation_id)
    assert (operation.state, operation.not_before, operation.problem) == (OperationState.INTENT, MAY, "busy")
    assert operation.number == before.operation(operation_id).number
    assert not history.payment.uncertain
    assert history.payment.status is before.status
    assert operation.failure is history.payment.failure is None


@pytest.mark.parametrize("number", range(4), ids=IDS)
def test_put_off_is_not_sent_before_its_time(number: int) -> None:
    """To the millisecond, by whomever; then it is its first send, with a nonce of its own."""
    history, operation_id = FIRST_SENDS[number]
    history = put_off(history, operation_id)
    assert not may_send(history.payment.operation(operation_id), EARLY)
    assert send_again(history.payment, EARLY, operation_id, DEADLINE) == []
    history.change(*send_again(history.payment, MAY, operation_id, DEADLINE, "NONCE"))
    operation = history.payment.operation(operation_id)
    assert (operation.state, operation.send_count, operation.nonce) == (OperationState.SENT, 1, "NONCE")
    assert (operation.sent_at, operation.first_sent_at) == (MAY, MAY)


@pytest.mark.parametrize(("number", "rests_s"), [(0, 0), (1, 2), (2, 2), (3, 0)])
def test_put_off_without_a_time_rests_where_it_goes_on_by_itself(number: int, rests_s: float) -> None:
    """No operation is sent as fast as it is refused; a caller may call again at once."""
    history, operation_id = FIRST_SENDS[number]
    sent = history.payment.operation(operation_id)
    soon = NotNow(problem="busy")
    history = copy(history).change(*end_attempt(history.payment, NOW, sent=sent, outcome=soon))
    assert history.payment.operation(operation_id).not_before == NOW + timedelta(seconds=rests_s)


def test_put_off_again_and_again_rests_longer() -> None:
    """Half of the time since it was begun, where the provider asks for less."""
    history = put_off(paid().refunding(), "refund-R1")
    history.change(*send_again(history.payment, MAY, "refund-R1", DEADLINE, "NONCE"))
    sent = history.payment.operation("refund-R1")
    history.change(
        *end_attempt(history.payment, MAY, sent=sent, outcome=NotNow(problem="busy", retry_after_s=5))
    )
    assert history.payment.operation("refund-R1").not_before == MAY + timedelta(seconds=30)


def test_put_off_after_a_send_that_may_have_arrived_is_unknown() -> None:
    """Only this request moved nothing; it is sent again no earlier than asked."""
    history = put_off(History().unknown().sent_again(at=QUIET), "create-N1", QUIET)
    creation = history.payment.creation
    assert (creation.state, history.payment.status) == (OperationState.UNKNOWN, Status.UNKNOWN)
    assert not may_send(creation, QUIET + timedelta(seconds=59.999))
    assert may_send(creation, QUIET + timedelta(seconds=60))


@pytest.mark.parametrize(("number", "goes_on"), [(0, False), (1, True), (2, True), (3, False)])
def test_put_off_that_could_not_be_sent_in_time_goes_on_after_a_pause(number: int, *, goes_on: bool) -> None:
    """A minute later, longer than that the older it is; a create or close is its caller's, at once."""
    history, operation_id = FIRST_SENDS[number]
    history = put_off(history, operation_id)
    history.change(*send_again(history.payment, MAY, operation_id, DEADLINE, "NONCE"))
    sent = history.payment.operation(operation_id)
    history.change(*end_unsent(history.payment, MAY, sent=sent, problem="no route"))
    operation = history.payment.operation(operation_id)
    pause = timedelta(seconds=32)  # 2 s and half of the minute since it was begun
    assert (operation.state, operation.problem) == (OperationState.INTENT, "no route")
    assert operation.not_before == (MAY + pause if goes_on else None)


@pytest.mark.parametrize("number", range(4), ids=IDS)
def test_first_send_that_did_not_leave_is_put_off_by_nobody(number: int) -> None:
    """Its caller may try again at once."""
    history, operation_id = FIRST_SENDS[number]
    sent = history.payment.operation(operation_id)
    history = copy(history).change(*end_unsent(history.payment, NOW, sent=sent, problem="no route"))
    assert history.payment.operation(operation_id).not_before is None


def test_put_off_says_nothing_of_what_others_sent_meanwhile() -> None:
    """A late answer of this kind does not undo another process's send."""
    history = History().unknown()
    first = history.payment.creation
    history.sent_again(at=QUIET)
    assert end_attempt(history.payment, QUIET, sent=first, outcome=BUSY) == []


@pytest.mark.parametrize(("number", "goes_on"), [(0, False), (1, True), (2, True), (3, False)])
def test_refunds_and_captures_go_on_by_themselves(number: int, *, goes_on: bool) -> None:
    """They come due at their time, and recovery sends them; a create or close waits for its caller."""
    history, operation_id = [
        (History(), "create-N1"),
        (History(capture="manual").accepted().authorized().capturing(), "capture-C1"),
        (paid().refunding(), "refund-R1"),
        (History(capture="manual").accepted().authorized().closing(), "close-N1"),
    ][number]
    history = put_off(history, operation_id)
    due = due_at(history.payment, NOW)
    assert (due == MAY) is goes_on
    assert recovered(history, EARLY) == []
    sent = [change.operation_id for change in recovered(history, MAY)]
    assert sent == ([operation_id] if goes_on else [])
    assert is_awaited(history.payment) is goes_on
    assert is_left_to_caller(history.payment) is not goes_on or history.payment.status is Status.PAID


def test_put_off_whose_time_has_passed_is_due_now() -> None:
    """No worker ran meanwhile."""
    history = put_off(paid().refunding(), "refund-R1")
    assert due_at(history.payment, MAY + timedelta(hours=1)) == MAY + timedelta(hours=1)


def test_put_off_refund_comes_due_in_time_beside_one_that_is_asked_about() -> None:
    """The earlier of both: the time it may be sent, or the next question about the other one."""
    history = put_off(paid().refunding(), "refund-R1")
    history.refunding(1000, "back-2", "R2").refund_is(RefundStatus.PENDING, "R2")
    due = due_at(history.payment, MAY - timedelta(seconds=0.5))
    assert due == MAY


def test_order_that_was_put_off_is_sent_by_its_caller() -> None:
    """Nobody waits for it, nothing asks about it."""
    history = put_off(History(), "create-N1")
    assert history.payment.status is Status.CREATED
    assert due_at(history.payment, NOW) is None
    assert not is_awaited(history.payment)


def test_successor_that_was_put_off_is_sent_in_time() -> None:
    """Recovery replaced the payer's order, so it goes on itself, but not too early."""
    history = History().accepted().closing(OperationState.DONE, replaces=True).sees(Status.CLOSED)
    history = put_off(history.renumbered("N2"), "create-N2")
    assert recovered(history, EARLY) == []
    assert [change.operation_id for change in recovered(history, MAY)] == ["create-N2"]
