"""What an outcome says of orders and refunds."""

from __future__ import annotations

from typing import Any

from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.provider import Created, Done, Found, Page, Unknown


def observed_in(outcome: Any) -> tuple[Observation, ...]:
    """What an outcome has observed of orders and refunds."""
    match outcome:
        case Done(value=Created(observation=seen)):
            return (seen,)
        case Done(value=Found(observations=told)):
            return told
        case Done(value=Page(items=items)):
            return tuple(item.observation for item in items)
        case Done(value=(PaymentObservation() | RefundObservation()) as seen):
            return (seen,)
        case Unknown(observation=seen) if seen is not None:
            return (seen,)
        case _:
            return ()


def claims_of(outcome: Any) -> frozenset[str]:
    """What an outcome says of orders and refunds, a claim each; what is signed wrong says nothing."""
    is_answer = isinstance(outcome, Done) and isinstance(outcome.value, Found)
    absent = outcome.value.absent if is_answer else frozenset[str]()
    told = {f"{one.number} {one.status}" for one in observed_in(outcome) if not one.is_signed_wrong}
    return frozenset(told | {f"{number} absent" for number in absent})
