"""Describes each event of a payment in a sentence: what happened, its source and what it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from paycore.cli.render.facts import because, facts, review_added, says
from paycore.cli.render.text import clock, major
from paycore.domain.events import (
    Event,
    Finding,
    FoundUnresolvable,
    NamespaceGiven,
    Observed,
    OperationBegun,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
    Returned,
    ReviewAcknowledged,
    Source,
)
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Operation, OperationKind, OperationState, Payment, Status


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event with its description; the field names are those of the JSON."""

    seq: int
    at: datetime
    source: str
    kind: str
    status_from: Status | None
    status_to: Status
    what: str


def tell(events: Sequence[Event]) -> list[Entry]:
    """Describe the events of one payment, oldest first."""
    payment: Payment | None = None
    entries = []
    for event in events:
        before, payment = payment, _after(payment, event)
        entries.append(
            Entry(
                seq=event.seq,
                at=event.at,
                source=event.source,
                kind=event.kind,
                status_from=event.status_from,
                status_to=event.status_to,
                what=_what(event, before, payment) + review_added(event.change, before, payment),
            )
        )
    return entries


def _after(payment: Payment | None, event: Event) -> Payment | None:
    """Apply an event; unchanged where it does not apply, which `paycore ledger verify` reports."""
    try:
        return evolve(payment, event.change, event.at)
    except (ValueError, KeyError, StopIteration):
        return payment


def _what(event: Event, before: Payment | None, payment: Payment | None) -> str:
    change = event.change
    match change:
        case PaymentBegun():
            return _intent(change)
        case OperationBegun():
            return _begun(change, event.source, before)
        case OperationSent():
            return _sent(_operation(before, change.operation_id))
        case OperationEnded():
            return _ended(change, event.source, before, payment)
        case FoundUnresolvable():
            lost = _thing(_operation(before, change.operation_id))
            return f"{lost} can't be looked up, and it is too late to send it again"
        case _:
            return _learned(change, before)


def _learned(
    change: Observed | ProvenAbsent | NamespaceGiven | Returned | ReviewAcknowledged, before: Payment | None
) -> str:
    match change:
        case Returned():
            return f"the payer came back with {', '.join(sorted(change.params)) or 'nothing'}"
        case ReviewAcknowledged(reason=reason, finding=finding):
            return f"{finding.by} acknowledged {reason.value.replace('_', ' ')}{_note(finding)}"
        case Observed(finding=finding) if finding is not None:
            return f"{finding.by} found at the provider: {says(change.observation, before)}{_note(finding)}"
        case Observed():
            beyond = ", more than is kept of one payment" if change.is_beyond else ""
            return f"the provider says {says(change.observation, before)}{beyond}"
        case ProvenAbsent():
            return _absent(change.number, before)
        case NamespaceGiven():
            namespace = change.namespace
            return f"put into the namespace {namespace}: another account's payment had the reference before"
        case _:
            assert_never(change)


def _absent(number: str, before: Payment | None) -> str:
    operations = before.operations if before is not None else ()
    if any(op.number == number and op.kind is OperationKind.CAPTURE for op in operations):
        return f"the order is still authorized: its capture, number {number}, never arrived there"
    return f"the provider does not know number {number}: it never arrived there"


def _note(finding: Finding) -> str:
    return f" ({finding.note})" if finding.note else ""


# --- operations --------------------------------------------------------------------------


def _operation(payment: Payment | None, operation_id: str) -> Operation | None:
    """Return the operation with this id; None where events are missing."""
    operations = payment.operations if payment is not None else ()
    return next((operation for operation in operations if operation.id == operation_id), None)


def _thing(operation: Operation | None) -> str:
    match operation:
        case None:
            return "an operation nothing is recorded of"
        case Operation(kind=OperationKind.CREATE):
            return "the order"
        case Operation(kind=OperationKind.REFUND):
            return f"the refund {operation.refund_reference}"
        case Operation(kind=OperationKind.CAPTURE):
            return "the capture"
        case _:
            return "the closing"


# --- what paycore did -----------------------------------------------------------------------------------


def _intent(change: PaymentBegun) -> str:
    order = change.order
    if change.untold:
        return (
            f"brought back from the provider's list: {order.amount} as number {change.operation.number};"
            f" not told: {', '.join(change.untold)}"
        )
    later = ", to be captured when its caller says so" if order.capture == "manual" else ""
    unused = (
        f"; {order.method}/{order.channel} has no use for {', '.join(change.ignored)}"
        if change.ignored
        else ""
    )
    place = f"{order.method}/{order.channel} as number {change.operation.number}"
    return f"recorded the intent: {order.amount} by {place}{later}{unused}"


def _begun(change: OperationBegun, source: Source, before: Payment | None) -> str:
    operation = change.operation
    match operation.kind:
        case OperationKind.CREATE:
            return f"recorded a new attempt at the order, as number {operation.number}{_why_anew(before)}"
        case OperationKind.CAPTURE:
            if source is Source.LIST:
                return f"there was a capture{_amount(operation, before)}: less than the whole was taken"
            return f"recorded the capture{_amount(operation, before)} as number {operation.number}"
        case OperationKind.REFUND:
            amount = f" of {change.refund.amount}" if change.refund is not None else ""
            if source is Source.LIST:
                name = f"{operation.refund_reference}{amount}"
                return f"brought the refund {name} back from the provider's list, number {operation.number}"
            return f"recorded the refund {operation.refund_reference}{amount} as number {operation.number}"
        case OperationKind.CLOSE:
            return f"recorded that order {operation.number} is to be closed{_why_closed(operation, source)}"
        case _:
            assert_never(operation.kind)


def _amount(capture: Operation, before: Payment | None) -> str:
    if before is None or capture.amount_minor is None:
        return ""
    return f" of {major(before, capture.amount_minor)}"


def _why_anew(before: Payment | None) -> str:
    if before is not None and before.creation.state is OperationState.REJECTED:
        return ": the last one was refused for the account's sake"
    return ": the last one is closed"


def _why_closed(operation: Operation, source: Source) -> str:
    if operation.replaces:
        return ": its link is lost, so the payment gets a new order"
    return "" if source is Source.CALLER else ": its time to be paid is over"


def _sent(operation: Operation | None) -> str:
    if operation is not None and operation.state is OperationState.INTENT:
        return f"sent {_thing(operation)} now, with the same number"
    return f"sent {_thing(operation)} again, with the same number"


def _ended(change: OperationEnded, source: Source, before: Payment | None, payment: Payment | None) -> str:
    operation = _operation(before, change.operation_id)
    thing = _thing(operation)
    match change.state:
        case OperationState.DONE if source is Source.RECOVERY:
            return f"{thing} is resolved: {_resolved(payment, operation)}"
        case OperationState.DONE:
            said = f": {facts(change.observation, before)}" if change.observation is not None else ""
            if source is Source.LIST:
                said += "; that it was sent is lost here, the provider's list has it"
            return f"the provider accepted {thing}{said}"
        case OperationState.REJECTED:
            return _refused(change, source, thing, payment)
        case OperationState.INTENT if change.not_before is not None:
            return f"{thing} waits{_until(change)}"
        case OperationState.INTENT:
            return f"{thing} was not sent: {change.problem}"
        case OperationState.UNKNOWN | OperationState.SENT:
            return _unanswered(change, thing, before)
        case _:
            assert_never(change.state)


def _refused(change: OperationEnded, source: Source, thing: str, payment: Payment | None) -> str:
    if change.finding is not None:
        return (
            f"{change.finding.by} found at the provider: {thing} never arrived there{_note(change.finding)}"
        )
    if source is not Source.REPLY:
        return f"gave up {thing}{f': {change.failure.message}' if change.failure is not None else ''}"
    is_capture = thing == "the capture" and payment is not None and payment.status is Status.PENDING
    again = "; the payer must agree again" if is_capture else ""
    return f"the provider refused {thing}{because(change.failure)}{again}"


def _until(change: OperationEnded) -> str:
    until = "" if change.not_before is None else f" until {clock(change.not_before)}"
    return f"{until}: {change.problem}"


def _resolved(payment: Payment | None, closing: Operation | None) -> str:
    """Return the final state of the order to be closed, which ends a close without an answer."""
    if payment is None or closing is None:
        return "its order is final"
    seen = {status for op in payment.operations if op.number == closing.number for status in op.observed}
    final = next(
        (status for status in (Status.PAID, Status.CLOSED, Status.FAILED) if status in seen), "final"
    )
    return f"the order is {final}"


def _unanswered(change: OperationEnded, thing: str, before: Payment | None) -> str:
    if change.is_duplicate:
        return f"the provider has {thing} already: an earlier send arrived"
    if change.not_before is not None:
        return f"sending {thing} again waits{_until(change)}"
    why = f": {change.problem}" if change.problem else ""
    said = f"; it says {facts(change.observation, before)}" if change.observation is not None else ""
    return f"no definite answer to {thing}{why}{said}"
