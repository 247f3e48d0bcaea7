"""
What an operator found out at the provider, where no query can: recorded with their name and a note.

A finding is an observation like any other, or says that a request never arrived. It is evidence: a wrong one loses
money or moves it twice, so it is refused where the provider can still be asked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from paycore.domain.decisions import is_overdue
from paycore.domain.events import Change, Finding, Observed, OperationEnded
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    RefundStatus,
    Status,
    refund_operation,
)
from paycore.errors import NotFound, WrongState

Found = Literal["paid", "closed", "absent", "refunded"]
"""What the provider's portal says of a payment, or of one of its refunds."""


def record_finding(
    payment: Payment,
    now: datetime,
    *,
    found: Found,
    finding: Finding,
    provider_id: str | None = None,
    refund: str | None = None,
) -> list[Change]:
    """
    The changes an operator's finding makes.

    `paid` needs the `provider_id` of the charge. `refund` is the reference of the refund it is about: needed for
    `refunded`, and for `absent` where a refund is what never arrived. Raises `WrongState` where nothing of it is
    unresolved, or a request of ours can still arrive; `NotFound` for an unknown refund.
    """
    if found == "absent":
        return [_never_arrived(_unresolved(payment, refund, now), now, finding)]
    if found == "refunded":
        operation = _refund(payment, refund)
        seen = RefundObservation(
            number=operation.number, status=RefundStatus.SUCCEEDED, provider_id=provider_id
        )
        return [Observed(observation=seen, finding=finding)]
    status = Status.PAID if found == "paid" else Status.CLOSED
    order = PaymentObservation(
        number=payment.order_number, status=status, provider_id=provider_id, amount=payment.amount
    )
    return [Observed(observation=order, finding=finding)]


def _refund(payment: Payment, reference: str | None) -> Operation:
    if reference is None or payment.refund(reference) is None:
        raise NotFound(f"the payment has no refund {reference!r}", payment_id=payment.id)
    return refund_operation(payment, reference)


def _unresolved(payment: Payment, refund: str | None, now: datetime) -> Operation:
    """The operation that was never found: the refund's, else the capture's or the order's own."""
    if refund is not None:
        candidates = [_refund(payment, refund)]
    else:
        kinds = (OperationKind.CREATE, OperationKind.CAPTURE)
        candidates = [op for op in reversed(payment.operations) if op.kind in kinds]
    for operation in candidates:
        if is_overdue(operation, now) and not operation.is_observed:
            return operation
    raise WrongState(
        "nothing of it is unresolved, or its request may still be under way; query it", payment_id=payment.id
    )


def _never_arrived(operation: Operation, now: datetime, finding: Finding) -> OperationEnded:
    failure = Failure(
        code="recorded_absent",
        message="an operator found that it never reached the provider",
        who_acts="operator" if operation.kind is OperationKind.CAPTURE else "caller",
        advice="" if operation.kind is OperationKind.CAPTURE else "Make it again under a new reference.",
    )
    return OperationEnded(
        operation_id=operation.id,
        state=OperationState.REJECTED,
        in_flight_until=now,
        failure=failure,
        finding=finding,
    )
