"""
Merges one observation into what is known of its order or refund.

By set union: which of several comes first does not matter, and a repeat changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from paycore.domain.codec import encode
from paycore.domain.money import Money
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import (
    Charge,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    ReviewReason,
    Status,
    capture_of,
)

TextT = TypeVar("TextT", bound=str)


def merge_order(
    payment: Payment, operation: Operation, seen: PaymentObservation, charge_of: str | None
) -> Payment:
    """With what is reported of an order; another amount, or another payment's charge, needs review only."""
    amount, taken_minor = payment.order.amount, _taken_minor(payment, seen)
    if operation.kind is not OperationKind.CREATE or taken_minor is None or _differs(seen, amount):
        return with_mismatch(payment, ReviewReason.AMOUNT_DIFFERS)
    if _is_unreadable(seen):
        return with_mismatch(payment, ReviewReason.AMOUNT_UNREADABLE)
    if charge_of is not None:
        return with_mismatch(payment, ReviewReason.CHARGE_OF_ANOTHER)
    operation = replace(
        operation,
        observed=union(operation.observed, seen.status),
        charged_back_minor=max(operation.charged_back_minor, seen.charged_back_minor or 0),
        charge_back_won_minor=max(operation.charge_back_won_minor, seen.charge_back_won_minor or 0),
        authorized_at=_authorized_at(operation, seen),
    )
    payment = with_operation(payment, _with_details(operation, seen))
    if seen.status is Status.PAID and seen.provider_id is not None:
        charge = Charge(number=seen.number, provider_id=seen.provider_id, amount_minor=taken_minor)
        payment = replace(payment, charges=tuple(sorted({*payment.charges, charge}, key=encode)))
    payment = replace(payment, refunded_seen_minor=max(payment.refunded_seen_minor, seen.refunded_minor or 0))
    return _with_next_step(payment, operation, seen)


def _taken_minor(payment: Payment, seen: PaymentObservation) -> int | None:
    """
    What an order took: 0 unless it is paid, then what is reported, else what was to be taken; None where that differs.

    To be taken is the amount of its capture where one was sent and not refused, else the whole amount.
    """
    if seen.status is not Status.PAID:
        return 0
    capture = capture_of(payment, seen.number)
    is_captured = capture is not None and not (is_refused(capture) or capture.state is OperationState.INTENT)
    due_minor = capture.amount_minor if capture is not None and is_captured else payment.amount.minor
    return due_minor if seen.paid_minor in (None, due_minor) else None


def _authorized_at(operation: Operation, seen: PaymentObservation) -> datetime | None:
    times = [operation.authorized_at, seen.occurred_at if seen.status is Status.AUTHORIZED else None]
    return max((at for at in times if at is not None), default=None)


def _with_next_step(payment: Payment, operation: Operation, seen: PaymentObservation) -> Payment:
    """
    With the action it brings, for the order in force only, and only if it is later than the known one.

    One without a time is as old as the order. Of two with the same time one is kept, whichever came first.
    """
    if seen.action is None or operation.id != payment.creation.id:
        return payment
    known_at, at = payment.next_step_at, seen.occurred_at or operation.begun_at
    if known_at is not None and (at, encode(seen.action)) <= (known_at, encode(payment.next_step)):
        return payment
    return replace(payment, next_step=seen.action, next_step_at=at)


def merge_refund(payment: Payment, operation: Operation, seen: RefundObservation) -> Payment:
    """With what is reported of a refund; another amount needs review only."""
    refund = payment.refund(operation.refund_reference or "")
    if refund is None or _differs(seen, refund.amount):
        return with_mismatch(payment, ReviewReason.REFUND_AMOUNT_DIFFERS)
    if _is_unreadable(seen):
        return with_mismatch(payment, ReviewReason.AMOUNT_UNREADABLE)
    operation = replace(operation, refund_observed=union(operation.refund_observed, seen.status))
    return with_operation(payment, _with_details(operation, seen))


def _with_details(operation: Operation, seen: Observation) -> Operation:
    """The operation with the observed id and failure; of two different ones, the same is kept in either order."""
    ids = [known for known in (operation.provider_id, seen.provider_id) if known]
    failures = [known for known in (operation.failure, seen.failure) if known is not None]
    return replace(
        operation,
        ids=tuple(sorted({*operation.ids, *seen.ids.items()})) if seen.ids else operation.ids,
        provider_id=min(ids, default=None),
        failure=max(failures, key=encode, default=None),
    )


def without_new_details(payment: Payment, operation: Operation, observation: Observation) -> Observation:
    """The observation with the id and failure that are known already; a first charge keeps its own id."""
    charge = next((charge for charge in payment.charges if charge.number == operation.number), None)
    known = charge.provider_id if charge is not None else operation.provider_id
    is_first = charge is None and observation.status is Status.PAID
    return replace(
        observation,
        provider_id=observation.provider_id if is_first or known is None else known,
        ids={},
        failure=operation.failure or observation.failure,
    )


def _differs(seen: Observation, amount: Money) -> bool:
    """Whether the reported amount, or a part of it, differs from `amount`; no report is no difference."""
    if seen.amount is not None and seen.amount != amount:
        return True
    return seen.partial_amount is not None and seen.partial_amount.contradicts(amount)


def _is_unreadable(seen: Observation) -> bool:
    return seen.partial_amount is not None and seen.partial_amount.unreadable is not None


def is_refused(capture: Operation) -> bool:
    """Whether it was refused or given up; not only left without an answer by an order that was closed."""
    return capture.state is OperationState.REJECTED and capture.failure is not None


def with_operation(payment: Payment, changed: Operation) -> Payment:
    """With this operation in the place of the one with its id."""
    operations = [changed if op.id == changed.id else op for op in payment.operations]
    return replace(payment, operations=tuple(operations))


def with_mismatch(payment: Payment, reason: ReviewReason) -> Payment:
    """With this contradiction of a single observation."""
    return replace(payment, mismatches=union(payment.mismatches, reason))


def union(known: tuple[TextT, ...], new: TextT) -> tuple[TextT, ...]:
    """The sorted set of both, so that the order of arrival does not matter; `known` itself if it has `new`."""
    place = bisect_left(known, new)
    if place < len(known) and known[place] == new:
        return known
    return (*known[:place], new, *known[place:])
