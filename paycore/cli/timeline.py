"""A payment's history in plain words: what happened, who brought it, and what it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from paycore.domain.events import (
    Event,
    Observed,
    OperationBegun,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
)
from paycore.domain.payment import (
    Failure,
    Observation,
    Operation,
    OperationKind,
    OperationState,
    RefundObservation,
    Status,
)

_SENT_THING = {
    OperationKind.CREATE: "the order",
    OperationKind.REFUND: "the refund",
    OperationKind.CLOSE: "the closing",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event, told."""

    seq: int
    at: datetime
    source: str
    kind: str
    status_from: Status | None
    status_to: Status
    what: str


def tell(events: Sequence[Event]) -> list[Entry]:
    """The events of one payment, oldest first, each in a sentence."""
    operations: dict[str, Operation] = {}
    entries = []
    for event in events:
        if isinstance(event.change, PaymentBegun | OperationBegun):
            operations[event.change.operation.id] = event.change.operation
        entries.append(
            Entry(
                seq=event.seq,
                at=event.at,
                source=event.source,
                kind=event.kind,
                status_from=event.status_from,
                status_to=event.status_to,
                what=_what(event, operations),
            )
        )
    return entries


def _what(event: Event, operations: dict[str, Operation]) -> str:
    change = event.change
    match change:
        case PaymentBegun():
            order = change.order
            place = f"{order.method}/{order.channel} as number {change.operation.number}"
            return f"recorded the intent: {order.amount} by {place}"
        case OperationBegun():
            return _begun(change)
        case OperationSent():
            return f"sent {_thing(operations, change.operation_id)} again, with the same number"
        case OperationEnded():
            return _ended(change, _thing(operations, change.operation_id))
        case Observed():
            return f"the provider says {_says(change.observation)}"
        case ProvenAbsent():
            return f"the provider does not know number {change.number}: it never arrived there"
        case _:
            assert_never(change)


def _thing(operations: dict[str, Operation], operation_id: str) -> str:
    return _SENT_THING[operations[operation_id].kind]


def _begun(change: OperationBegun) -> str:
    operation = change.operation
    match operation.kind:
        case OperationKind.CREATE:
            return f"recorded a new attempt at the order, as number {operation.number}"
        case OperationKind.REFUND:
            amount = f" of {change.refund.amount}" if change.refund is not None else ""
            return f"recorded the refund {operation.refund_reference}{amount} as number {operation.number}"
        case OperationKind.CLOSE:
            why = ", so that the payment can have a new one" if operation.replaces else ""
            return f"recorded that order {operation.number} is to be closed{why}"
        case _:
            assert_never(operation.kind)


def _ended(change: OperationEnded, thing: str) -> str:
    match change.state:
        case OperationState.DONE:
            said = f": {_facts(change.observation)}" if change.observation is not None else ""
            return f"the provider accepted {thing}{said}"
        case OperationState.REJECTED:
            return f"the provider refused {thing}{_because(change.failure)}"
        case OperationState.INTENT:
            return f"{thing} was not sent: the provider could not be reached"
        case OperationState.UNKNOWN | OperationState.SENT:
            return _unanswered(change, thing)
        case _:
            assert_never(change.state)


def _unanswered(change: OperationEnded, thing: str) -> str:
    if change.is_duplicate:
        return f"the provider has {thing} already: an earlier send arrived"
    why = f": {change.problem}" if change.problem else ""
    return f"no definite answer to {thing}{why}"


def _says(observation: Observation) -> str:
    about = f"of refund {observation.number}: " if isinstance(observation, RefundObservation) else ""
    return about + _facts(observation)


def _facts(observation: Observation) -> str:
    parts = [str(observation.status.value)]
    if observation.amount is not None:
        parts.append(str(observation.amount))
    if observation.provider_id:
        parts.append(f"its id {observation.provider_id}")
    return ", ".join(parts) + _because(observation.failure)


def _because(failure: Failure | None) -> str:
    if failure is None:
        return ""
    return f": {failure.code} {failure.message}".rstrip()
