"""
How much one payment may hold. Ordinary use stays far below.

A payment is read, compared and written whole with each event, so a limited size keeps the cost of an event
constant. Bounds are applied where a change is decided and recorded in the change itself: replaying a history needs
none of these numbers, not even one from before they existed.
"""

from __future__ import annotations

from paycore.domain.payment import OperationKind, Payment
from paycore.errors import TooMany

FACTS_MAX = 1000
"""Distinct observations kept of one payment and its refunds."""

IDS_MAX = 100
"""Further ids kept of one order or refund."""

CHARGES_MAX = 20
"""Charges kept of one payment."""

REFUNDS_MAX = 100
"""Refunds of one payment; beyond that, only refunds of all that is left of a charge."""

OPERATIONS_MAX = 200
"""Operations of one kind (create, capture, refund, close) of one payment."""

RETURNS_MAX = 100
"""Times a payer may come back to one payment with something new."""

ID_MAX = 256
"""Characters of an id of the provider's."""


def check_operations(payment: Payment, kind: OperationKind) -> None:
    """Raise `TooMany` if the payment has `OPERATIONS_MAX` operations of this kind."""
    if sum(operation.kind is kind for operation in payment.operations) >= OPERATIONS_MAX:
        raise TooMany(
            f"the payment has {OPERATIONS_MAX} operations to {kind} it, and takes no more; go on in the"
            " provider's own portal",
            payment_id=payment.id,
        )


def check_refunds(payment: Payment, asked_minor: int, left_minor: int) -> None:
    """Raise `TooMany` if the payment has `REFUNDS_MAX` refunds and this one is not all that is left of its charge."""
    if len(payment.refunds) >= REFUNDS_MAX and asked_minor < left_minor:
        raise TooMany(
            f"the payment has {len(payment.refunds)} refunds; beyond {REFUNDS_MAX} only all that is left of a charge"
            " can be refunded, in one",
            payment_id=payment.id,
        )
