"""Bugs in the rules: what follows from an answer, from silence, from a payment's state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from msgspec.structs import replace

from paycore.domain import decisions, lifecycle, recovery, schedule
from paycore.domain.events import Change, OperationBegun, ProvenAbsent
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    ReviewReason,
    Status,
)
from paycore.domain.provider import Done, Rejected, Unknown
from tests.simulation.mutations import Patch, patched


def timeout_is_failure() -> Patch:
    """No answer counts as a refusal."""

    def make(end_attempt: Any) -> Any:
        def end(payment: Payment, now: datetime, sent: Operation, outcome: Any) -> list[Change]:
            if isinstance(outcome, Unknown):
                outcome = Rejected(failure=Failure(code="timeout", message=outcome.problem))
            return end_attempt(payment, now, sent=sent, outcome=outcome)  # type: ignore[no-any-return]

        return end

    return patched(decisions, "end_attempt", make)


def duplicate_is_failure() -> Patch:
    """A number refused as a duplicate counts as a refusal of the order."""

    def make(end_attempt: Any) -> Any:
        def end(payment: Payment, now: datetime, sent: Operation, outcome: Any) -> list[Change]:
            if isinstance(outcome, Rejected):
                outcome = replace(outcome, is_duplicate=False)
            return end_attempt(payment, now, sent=sent, outcome=outcome)  # type: ignore[no-any-return]

        return end

    return patched(decisions, "end_attempt", make)


def absence_trusted_early() -> Patch:
    """An answer of "not found" counts as proof at once, while the request may be under way."""

    def take(operation: Operation, _answered: decisions.Answered) -> list[Change]:
        is_open = operation.is_uncertain and not operation.is_observed and operation.proven_absent_at is None
        return [ProvenAbsent(number=operation.number)] if is_open else []

    return mock.patch.object(decisions, "_take_absence", take)


def sent_again_without_asking() -> Patch:
    """An unanswered order is sent again at once, without a query."""

    def make(next_changes: Any) -> Any:
        def hasty(payment: Payment, now: datetime, context: recovery.Context) -> Any:
            if payment.creation.state is OperationState.UNKNOWN and not payment.charges:
                return decisions.send_again(payment, now, payment.creation.id, context.deadline)
            return next_changes(payment, now, context)

        return hasty

    return patched(recovery, "next_changes", make)


def sent_again_while_under_way() -> Patch:
    """The window of proof begins with the send, not with its deadline."""

    def may_send(operation: Operation, _now: datetime) -> bool:
        return operation.state is OperationState.INTENT or operation.is_uncertain

    def make(take_absence: Any) -> Any:
        def take(operation: Operation, answered: decisions.Answered) -> list[Change]:
            early = replace(operation, in_flight_until=operation.sent_at)
            return take_absence(early, answered)  # type: ignore[no-any-return]

        return take

    stack = ExitStack()
    stack.enter_context(mock.patch.object(decisions, "may_send", may_send))
    stack.enter_context(mock.patch.object(recovery, "is_overdue", may_send))
    stack.enter_context(patched(decisions, "_take_absence", make))
    return stack


def late_failure_undoes_paid() -> Patch:
    """A late failure or close overwrites paid."""

    def make(status: Callable[[Payment, Operation], Status]) -> Any:
        def worst(payment: Payment, creation: Operation) -> Status:
            found = (s for s in (Status.CLOSED, Status.FAILED) if s in creation.observed)
            return next(found, status(payment, creation))

        return worst

    return patched(lifecycle, "_status", make)


def contradictions_pass() -> Patch:
    """Money after closing, or twice, needs no review."""

    def make(reasons: Any) -> Any:
        passing = (ReviewReason.PAID_TWICE, ReviewReason.PAID_AFTER_CLOSING)
        return lambda payment: tuple(reason for reason in reasons(payment) if reason not in passing)

    return patched(lifecycle, "review_reasons", make)


def renumbered_without_closing() -> Patch:
    """An order with a lost link gets a successor while it is open."""

    def renumber(payment: Payment, now: datetime, context: recovery.Context) -> list[Change]:
        needs_action = payment.creation.needs_action
        operation = decisions.new_operation(
            OperationKind.CREATE, context.numbering, now, context.deadline, needs_action=needs_action
        )
        return [OperationBegun(operation=operation)]

    return mock.patch.object(recovery, "_recover_action", renumber)


def other_content_passes() -> Patch:
    """A reference with other content returns the existing payment."""
    return mock.patch.object(decisions, "first_difference", return_value=None)


def late_answer_counts() -> Patch:
    """The answer to an attempt counts although others have changed the payment since."""
    return mock.patch.object(decisions, "_was_overtaken", return_value=False)


def closed_is_forgotten() -> Patch:
    """Closed orders are never queried again."""
    return mock.patch.object(schedule, "LATE_CHECKS", ())


def killed_is_asked_about_at_once() -> Patch:
    """A killed process's operation is queried repeatedly without a pause."""

    def make(by_age: Any) -> Any:
        return lambda payment, now, *most: now if payment.uncertain else by_age(payment, now, *most)

    return patched(schedule, "_by_age", make)


def asked_about_once_a_day() -> Patch:
    """A payment that is waited for is queried once a day."""

    def make(by_age: Any) -> Any:
        return lambda payment, now, *most: by_age(payment, now, *most) + timedelta(days=1)

    return patched(schedule, "_by_age", make)


def close_without_answer_has_closed() -> Patch:
    """An unanswered close counts as done."""

    def make(end_attempt: Any) -> Any:
        def end(payment: Payment, now: datetime, sent: Operation, outcome: Any) -> list[Change]:
            if sent.kind is OperationKind.CLOSE and isinstance(outcome, Unknown):
                outcome = Done(PaymentObservation(number=sent.number, status=Status.CLOSED))
            return end_attempt(payment, now, sent=sent, outcome=outcome)  # type: ignore[no-any-return]

        return end

    return patched(decisions, "end_attempt", make)


def needless_order_stays_open() -> Patch:
    """After late money for a closed order, its successor is neither closed nor queried."""
    stack = ExitStack()
    for module in (schedule, recovery):
        stack.enter_context(mock.patch.object(module, "is_needless", return_value=False))
    return stack


MUTANTS = {
    mutant.__name__: mutant
    for mutant in (
        timeout_is_failure,
        duplicate_is_failure,
        absence_trusted_early,
        sent_again_without_asking,
        sent_again_while_under_way,
        late_failure_undoes_paid,
        contradictions_pass,
        renumbered_without_closing,
        other_content_passes,
        late_answer_counts,
        closed_is_forgotten,
        killed_is_asked_about_at_once,
        asked_about_once_a_day,
        close_without_answer_has_closed,
        needless_order_stays_open,
    )
}
