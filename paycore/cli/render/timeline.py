"""Describes each event of a payment in a sentence: what happened, its source and what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from paycore.domain.events import (
    Change,
    Event,
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
from paycore.domain.observation import Observation, RefundObservation
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    ReviewReason,
    Status,
)


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
                what=_what(event, before, payment) + _review(event.change, before, payment),
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
            order = change.order
            place = f"{order.method}/{order.channel} as number {change.operation.number}"
            return f"recorded the intent: {order.amount} by {place}"
        case OperationBegun():
            return _begun(change, event.source, before)
        case OperationSent():
            return _sent(_operation(before, change.operation_id))
        case OperationEnded():
            return _ended(change, event.source, _operation(before, change.operation_id), payment)
        case FoundUnresolvable():
            lost = _thing(_operation(before, change.operation_id))
            return f"can't find out any more what became of {lost}: record what the provider's portal says"
        case _:
            return _learned(change, before)


def _learned(
    change: Observed | ProvenAbsent | NamespaceGiven | Returned | ReviewAcknowledged, before: Payment | None
) -> str:
    match change:
        case Returned():
            return f"the payer came back with {', '.join(sorted(change.params)) or 'nothing'}"
        case ReviewAcknowledged(reason=reason, finding=finding):
            return f"{finding.by} acknowledged {reason.value.replace('_', ' ')}: {finding.note}"
        case Observed():
            beyond = ", more than is kept of one payment" if change.is_beyond else ""
            return f"the provider says {_says(change.observation, before)}{beyond}"
        case ProvenAbsent():
            return f"the provider does not know number {change.number}: it never arrived there"
        case NamespaceGiven():
            namespace = change.namespace
            return f"put into the namespace {namespace}: another account's payment had the reference before"
        case _:
            assert_never(change)


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


def _begun(change: OperationBegun, source: Source, before: Payment | None) -> str:
    operation = change.operation
    match operation.kind:
        case OperationKind.CREATE:
            return f"recorded a new attempt at the order, as number {operation.number}{_why_anew(before)}"
        case OperationKind.CAPTURE:
            return f"recorded that order {operation.order_number} is to be captured, as number {operation.number}"
        case OperationKind.REFUND:
            amount = f" of {change.refund.amount}" if change.refund is not None else ""
            return f"recorded the refund {operation.refund_reference}{amount} as number {operation.number}"
        case OperationKind.CLOSE:
            return f"recorded that order {operation.number} is to be closed{_why_closed(operation, source)}"
        case _:
            assert_never(operation.kind)


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


def _ended(
    change: OperationEnded, source: Source, operation: Operation | None, payment: Payment | None
) -> str:
    thing = _thing(operation)
    match change.state:
        case OperationState.DONE if source is Source.RECOVERY:
            return f"{thing} is resolved: {_resolved(payment, operation)}"
        case OperationState.DONE:
            said = f": {_facts(change.observation)}" if change.observation is not None else ""
            return f"the provider accepted {thing}{said}"
        case OperationState.REJECTED if source is Source.RECOVERY:
            why = f": {change.failure.message}" if change.failure is not None else ""
            return f"gave up {thing}{why}"
        case OperationState.REJECTED:
            return f"the provider refused {thing}{_because(change.failure)}"
        case OperationState.INTENT:
            return f"{thing} was not sent: {change.problem}"
        case OperationState.UNKNOWN | OperationState.SENT:
            return _unanswered(change, thing)
        case _:
            assert_never(change.state)


def _resolved(payment: Payment | None, closing: Operation | None) -> str:
    """Return the final state of the order to be closed, which ends a close without an answer."""
    if payment is None or closing is None:
        return "its order is final"
    seen = {status for op in payment.operations if op.number == closing.number for status in op.observed}
    final = next(
        (status for status in (Status.PAID, Status.CLOSED, Status.FAILED) if status in seen), "final"
    )
    return f"the order is {final}"


def _unanswered(change: OperationEnded, thing: str) -> str:
    if change.is_duplicate:
        return f"the provider has {thing} already: an earlier send arrived"
    why = f": {change.problem}" if change.problem else ""
    said = f"; it says {_facts(change.observation)}" if change.observation is not None else ""
    return f"no definite answer to {thing}{why}{said}"


# --- what the provider said --------------------------------------------------------------------------


def _says(observation: Observation, before: Payment | None) -> str:
    about = _subject(observation.number, before) if isinstance(observation, RefundObservation) else ""
    return about + _facts(observation)


def _subject(number: str, before: Payment | None) -> str:
    """Name a refund by its reference, or by its number where that is unknown."""
    operations = before.operations if before is not None else ()
    known = next((op.refund_reference for op in operations if op.number == number), None)
    return f"of the refund {known or number}: "


def _facts(observation: Observation) -> str:
    parts = [str(observation.status.value)]
    if observation.amount is not None:
        parts.append(str(observation.amount))
    if observation.partial_amount is not None:
        parts.append(str(observation.partial_amount))
    if observation.provider_id:
        parts.append(f"its id {observation.provider_id}")
    if observation.is_signed_wrong:
        parts.append("with a wrong signature")
    return ", ".join(parts) + _because(observation.failure)


def _because(failure: Failure | None) -> str:
    if failure is None:
        return ""
    return f": {failure.code} {failure.message}".rstrip()


# --- review reasons -------------------------------------------------------------------------------


def _review(change: Change, before: Payment | None, payment: Payment | None) -> str:
    """Return the review reasons this event added; empty where there are none."""
    if payment is None:
        return ""
    known = before.review_reasons if before is not None else ()
    new = [
        _contradiction(reason, change, payment) for reason in payment.review_reasons if reason not in known
    ]
    return f"; needs review: {', '.join(new)}" if new else ""


def _contradiction(reason: ReviewReason, change: Change, payment: Payment) -> str:
    ids = [charge.provider_id for charge in payment.charges]
    owner = change.charge_of if isinstance(change, Observed | OperationEnded) else None
    return _CONTRADICTIONS[reason].format(amount=payment.amount, ids=" and ".join(ids), owner=owner)


_CONTRADICTIONS: Mapping[ReviewReason, str] = {
    ReviewReason.AMOUNT_DIFFERS: "the amount differs, {amount} was asked for",
    ReviewReason.AMOUNT_UNREADABLE: "the amount told can't be read, {amount} was asked for",
    ReviewReason.CHARGE_OF_ANOTHER: "its id is the charge of payment {owner}",
    ReviewReason.PAID_TWICE: "it is paid twice, as {ids}",
    ReviewReason.PAID_AFTER_CLOSING: "it is paid after it was closed or refused",
    ReviewReason.REFUND_AMOUNT_DIFFERS: "the refund's amount differs from what was asked for",
    ReviewReason.REFUNDED_AFTER_FAILING: "the refund took place after it was refused",
    ReviewReason.REFUNDED_TOO_MUCH: "more went back than was paid",
    ReviewReason.SIGNATURE_WRONG: "an answer's signature is wrong, so nothing of it counts",
    ReviewReason.TOO_MANY_FACTS: "the provider tells more of it than is kept of one payment",
}
