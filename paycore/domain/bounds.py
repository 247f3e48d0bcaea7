"""
How much one payment holds, whoever goes on telling or asking. Real use stays far below.

A payment is read, compared and written whole with each event, so that an event costs the same however long
the history is. Bounds are applied where a change is decided and recorded in the change itself: replaying a
history, also one from before there were bounds, needs none of these numbers.
"""

from __future__ import annotations

from paycore.domain.payment import OperationKind, Payment
from paycore.errors import TooMany

FACTS_MAX = 1000
"""Distinct observations of one payment and its refunds that are kept."""

CHARGES_MAX = 20
"""Charges of one payment that are kept."""

REFUNDS_MAX = 100
"""Refunds of one payment; beyond that only such as take all that is left of a charge."""

OPERATIONS_MAX = 200
"""Operations of one kind (orders, refunds, closings) of one payment."""


def check_operations(payment: Payment, kind: OperationKind) -> None:
    """`TooMany` when the payment has as many operations of this kind as it may have."""
    if sum(operation.kind is kind for operation in payment.operations) >= OPERATIONS_MAX:
        raise TooMany(
            f"the payment has {OPERATIONS_MAX} operations to {kind} it, and takes no more; go on in the"
            " provider's own portal",
            payment_id=payment.id,
        )


def check_refunds(payment: Payment, asked_minor: int, left_minor: int) -> None:
    """`TooMany` when the payment has as many refunds as it may have, and this one leaves some of its charge over."""
    if len(payment.refunds) >= REFUNDS_MAX and asked_minor < left_minor:
        raise TooMany(
            f"the payment has {len(payment.refunds)} refunds; beyond {REFUNDS_MAX} only all that is left of a charge"
            " can be refunded, in one",
            payment_id=payment.id,
        )
