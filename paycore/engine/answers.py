"""
Checks a provider's answer against the request: what it declared, and the numbers it was asked about.

An answer about another number counts as none. An accepted order without the action its payer needs is `Unknown`: the
order exists, but nobody can pay it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Operation, OperationKind, Status
from paycore.domain.provider import Created, Done, Found, Mention, Notice, OrderRef, Unknown


def counted(operation: Operation, outcome: Any) -> Any:
    """A flow's outcome as an answer to `operation`; `Unknown` where it is one to something else."""
    observation = _told(outcome)
    if observation is None:
        return outcome
    if not _is_about(observation, operation.number, is_refund=operation.kind is OperationKind.REFUND):
        return Unknown(problem="the answer speaks of another number than it was asked about")
    if not isinstance(outcome, Done):
        return outcome
    if observation.is_signed_wrong:  # nothing is done by it, and no link out of it is shown
        return Unknown(problem="the answer's signature is wrong", observation=observation)
    is_open = operation.needs_action and observation.status == Status.PENDING
    if isinstance(outcome.value, Created) and outcome.value.action is None and is_open:
        return Unknown(problem="accepted, but without what the payer needs", observation=observation)
    return outcome


def counted_found(refs: Iterable[OrderRef], found: Found) -> Found:
    """What of the answer to a query counts: of numbers that were asked about, and without promises it contradicts."""
    asked = {ref.number for ref in refs}
    own = (seen for seen in found.observations if seen.number in asked)
    return Found(
        observations=tuple(own),
        absent=found.absent & asked,
        undecided=found.undecided & asked,
    ).agreed()


def counted_notices(told: Iterable[Notice]) -> tuple[Notice, ...]:
    """What a notification says; a promise that it contradicts itself is no more than a mention of its number."""
    notices = tuple(told)
    seen = Found(observations=tuple(one for one in notices if not isinstance(one, Mention)))
    kept = {id(one) for one in seen.agreed().observations}
    return tuple(
        one if isinstance(one, Mention) or id(one) in kept else Mention(number=one.number) for one in notices
    )


def _told(outcome: Any) -> Observation | None:
    match outcome:
        case Done(Created(observation=seen)) | Unknown(observation=seen):
            return seen
        case Done((PaymentObservation() | RefundObservation()) as seen):
            return seen
        case _:
            return None


def _is_about(observation: Observation, number: str, *, is_refund: bool) -> bool:
    return observation.number == number and isinstance(observation, RefundObservation) is is_refund
