"""
What an operator found out at the provider, where no query can: recorded with their name and a note.

A finding is an observation like any other, or says that a request never arrived. It is evidence: a wrong one loses
money or moves it twice, so it is refused where nothing is unresolved, and while a request of ours can still arrive.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from paycore.domain.decisions import given_up, is_overdue
from paycore.domain.events import Change, Finding, Observed, OperationEnded
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    Payment,
    Refund,
    RefundStatus,
    Status,
    refund_operation,
)
from paycore.errors import InvalidField, NotFound, WrongState

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

    `paid` (what its capture was to take, else the whole amount) needs the `provider_id` of the charge. `refund` is the
    reference of the refund it is about: needed for `refunded`, and for `absent` where a refund is what never arrived.

    An order or capture without an answer can be found paid, closed or absent; a refund without one absent. A refund
    that is not final can be found refunded, since some providers report its end only once. Raises `WrongState` for
    anything else, or while a request of ours can still arrive; `NotFound` for an unknown refund, `InvalidField`
    without the `provider_id`.
    """
    if found == "refunded":
        operation = _open_refund(payment, refund, now)
        seen = RefundObservation(
            number=operation.number, status=RefundStatus.SUCCEEDED, provider_id=provider_id
        )
        return [Observed(observation=seen, finding=finding)]
    unresolved = _unresolved(payment, refund if found == "absent" else None, now)
    if found == "absent":
        return [_never_arrived(unresolved, now, finding)]
    if found == "paid" and not provider_id:
        raise InvalidField("provider_id", "needed: the provider's id of the charge, as its portal shows it")
    order = PaymentObservation(
        number=unresolved.order_number or unresolved.number,
        status=Status.PAID if found == "paid" else Status.CLOSED,
        provider_id=provider_id,
        amount=payment.amount,
    )
    return [Observed(observation=order, finding=finding)]


def _open_refund(payment: Payment, reference: str | None, now: datetime) -> Operation:
    """The operation of a refund that may have been sent and is not final."""
    refund, operation = _refund(payment, reference)
    is_under_way = operation.is_uncertain and not is_overdue(operation, now)
    if is_under_way or not (refund.is_open or operation.is_uncertain):
        raise WrongState(
            "the refund is not open, or its request may still be under way; query it", payment_id=payment.id
        )
    return operation


def _refund(payment: Payment, reference: str | None) -> tuple[Refund, Operation]:
    refund = None if reference is None else payment.refund(reference)
    if refund is None:
        raise NotFound(f"the payment has no refund {reference!r}", payment_id=payment.id)
    return refund, refund_operation(payment, refund.reference)


def _unresolved(payment: Payment, refund: str | None, now: datetime) -> Operation:
    """The operation that was never found: the refund's, else the capture's or the order's own."""
    if refund is not None:
        candidates = [_refund(payment, refund)[1]]
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
    return given_up(operation, now, failure, finding)
