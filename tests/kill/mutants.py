"""
Planted bugs: mistakes that a kill matrix must find, each caught by some of its cases.

They are planted in the killed and in the recovering process.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from typing import Any

import msgspec
import pytest

from paycore.domain import decisions, recovery, refunding
from paycore.domain.events import Change, OperationBegun, OperationSent
from paycore.domain.payment import OperationKind, OperationState, Payment, Status
from paycore.engine.recovery import Recovery
from paycore.ledger.groupcommit import GroupCommit
from tests.kill.cases import Operation as Operations


class Mutant(msgspec.Struct, frozen=True):
    """How a bug is planted, and where it shows: steps of an operation at a gateway that charges blindly."""

    plant: Callable[[pytest.MonkeyPatch], None]
    operation: Operations
    steps: tuple[str, ...]
    shows: str


class _RolledBackError(Exception):
    """Ends a transaction that the mutant repeats afterwards."""


def _intent_after_sending(patch: pytest.MonkeyPatch) -> None:
    """A process's first write is delayed until its second one."""
    submit = GroupCommit.submit
    kept: list[tuple[Any, Any]] = []
    numbers = itertools.count(1)

    def late_submit(self: GroupCommit, work: Any, wants: Any, **options: Any) -> Any:
        if next(numbers) == 1:
            kept.append((work, wants))
            return _as_if(submit, self, work, wants)
        if kept:
            submit(self, *kept.pop(), **options).result()
        return submit(self, work, wants, **options)

    patch.setattr(GroupCommit, "submit", late_submit)


def _as_if(submit: Any, commits: GroupCommit, work: Any, wants: Any) -> Future[Any]:
    result: Future[Any] = Future()

    def roll_back(session: Any) -> None:
        result.set_result(work(session))
        session.writes += 1
        raise _RolledBackError

    submit(commits, roll_back, wants).exception()
    return result


def _resend_without_asking(patch: pytest.MonkeyPatch) -> None:
    """Whatever is unanswered is sent again at once."""

    def hasty(payment: Payment, now: datetime, context: recovery.Context) -> list[Change]:
        return _resend(payment, now, context) if payment.creation.is_uncertain else []

    patch.setattr(recovery, "next_changes", hasty)
    patch.setattr(Recovery, "ask", _asks_nobody)


def _asks_nobody(_self: object, _account: object, payments: Any, _source: object, **_options: Any) -> Any:
    yield from ()
    return tuple(payments)


def _forget_dead_closes(patch: pytest.MonkeyPatch) -> None:
    """A close whose sender died is not sent again."""
    next_changes = recovery.next_changes

    def forgetful(payment: Payment, now: datetime, context: recovery.Context) -> list[Change]:
        changes = next_changes(payment, now, context)
        sent = [
            payment.operation(change.operation_id) for change in changes if isinstance(change, OperationSent)
        ]
        is_dead = any(op.kind is OperationKind.CLOSE and op.state is OperationState.SENT for op in sent)
        return [] if is_dead else changes

    patch.setattr(recovery, "next_changes", forgetful)


def _resend_what_is_there(patch: pytest.MonkeyPatch) -> None:
    """A number the provider has is sent again, relying on its refusal."""
    next_changes = recovery.next_changes

    def trusting(payment: Payment, now: datetime, context: recovery.Context) -> list[Change]:
        changes = next_changes(payment, now, context)
        replaces = any(isinstance(item, OperationBegun) and item.operation.replaces for item in changes)
        is_there = Status.PENDING in payment.creation.observed and not payment.creation.is_duplicate
        return _resend(payment, now, context) if replaces and is_there else changes

    patch.setattr(recovery, "next_changes", trusting)


def _resend(payment: Payment, now: datetime, context: recovery.Context) -> list[Change]:
    return decisions.send_again(payment, now, payment.creation.id, context.deadline)


def _new_refund_number(patch: pytest.MonkeyPatch) -> None:
    """An unanswered refund is made again under another number."""

    def anew(payment: Payment, known: Any, numbering: Any, now: Any, deadline: Any) -> list[Any]:
        operation = decisions.new_operation(OperationKind.REFUND, numbering, now, deadline)
        return [
            OperationBegun(operation=msgspec.structs.replace(operation, refund_reference=known.reference))
        ]

    patch.setattr(refunding, "_retry_refund", anew)


def _capture_again_without_asking(patch: pytest.MonkeyPatch) -> None:
    """An unanswered capture is made again at once, under another number."""

    def hasty(payment: Payment, now: datetime, context: recovery.Context) -> list[Change]:
        captures = [op for op in payment.operations if op.kind is OperationKind.CAPTURE]
        if not captures or not captures[-1].is_uncertain:
            return []
        again = decisions.new_operation(OperationKind.CAPTURE, context.numbering, now, context.deadline)
        known = captures[-1]
        same = {"order_number": known.order_number, "amount_minor": known.amount_minor}
        return [OperationBegun(operation=msgspec.structs.replace(again, **same))]

    patch.setattr(recovery, "next_changes", hasty)
    patch.setattr(Recovery, "ask", _asks_nobody)


def _forget_dead_captures(patch: pytest.MonkeyPatch) -> None:
    """A capture whose sender died is not sent again."""
    next_changes = recovery.next_changes

    def forgetful(payment: Payment, now: datetime, context: recovery.Context) -> list[Change]:
        changes = next_changes(payment, now, context)
        sent = [
            payment.operation(change.operation_id) for change in changes if isinstance(change, OperationSent)
        ]
        return [] if any(op.kind is OperationKind.CAPTURE for op in sent) else changes

    patch.setattr(recovery, "next_changes", forgetful)


MUTANTS: dict[str, Mutant] = {
    "intent committed after sending": Mutant(
        _intent_after_sending, "create at once", ("request sent, reply not there", "reply read"), "lost"
    ),
    "sent again without asking": Mutant(
        _resend_without_asking,
        "create at once",
        ("request sent, reply not there", "before the result"),
        "doubled",
    ),
    "a dead close is forgotten": Mutant(
        _forget_dead_closes, "close", ("after the intent's commit", "before sending"), "stuck"
    ),
    "a number that is there is sent again": Mutant(
        _resend_what_is_there, "create by link", ("reply read", "inside the result's transaction"), "doubled"
    ),
    "captured again without asking": Mutant(
        _capture_again_without_asking,
        "capture",
        ("request sent, reply not there", "before the result"),
        "doubled",
    ),
    "a dead capture is forgotten": Mutant(
        _forget_dead_captures, "capture", ("after the intent's commit", "before sending"), "stuck"
    ),
    "new refund number on retry": Mutant(
        _new_refund_number, "refund", ("after the result's commit", "nowhere"), "doubled"
    ),
}
