"""
Decides a refund and the charge it goes back from, or refuses it with a typed error.

Made inside the ledger transaction that writes its changes, as every decision.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from paycore.domain.bounds import check_operations, check_refunds
from paycore.domain.decisions import Numbering, new_operation, send_again
from paycore.domain.events import Change, OperationBegun
from paycore.domain.money import Money
from paycore.domain.payment import (
    Charge,
    OperationKind,
    OperationState,
    Payment,
    Refund,
    RefundStatus,
    Status,
    refund_operation,
)
from paycore.domain.provider import Product
from paycore.errors import InvalidMoney, NotSupported, ReferenceConflict, RefundTooLarge, WrongState


def begin_refund(
    payment: Payment,
    now: datetime,
    *,
    reference: str,
    amount: Money | None,
    reason: str | None,
    product: Product,
    numbering: Numbering,
    deadline: timedelta,
) -> list[Change]:
    """
    A refund of `amount` (None: all that is left of one charge), or nothing when this reference has one running.

    Raises `WrongState`, `NotSupported`, `RefundTooLarge`, `TooMany`, `ReferenceConflict`, or `InvalidMoney` for
    another currency; nothing was sent then.
    """
    known = payment.refund(reference)
    if known is not None:
        _same_refund(payment, known, amount, reason)
        return _retry_refund(payment, known, numbering, now, deadline)
    _refundable(payment, amount, product)
    charge = _charge_to_refund(payment, amount)
    left_minor = payment.left_of(charge)
    asked = amount or _money(payment, left_minor)
    if product.refund == "full" and asked.minor != charge.amount_minor:
        raise NotSupported(
            f"{payment.method}/{payment.channel} can only be refunded whole", payment_id=payment.id
        )
    check_refunds(payment, asked.minor, left_minor)
    operation = replace(
        new_operation(OperationKind.REFUND, numbering, now, deadline), refund_reference=reference
    )
    refund = Refund(
        reference=reference,
        amount=asked,
        status=RefundStatus.CREATED,
        number=numbering.number,
        created_at=now,
        reason=reason,
        charge_id=charge.provider_id,
    )
    return [OperationBegun(operation=operation, refund=refund)]


def _same_refund(payment: Payment, known: Refund, amount: Money | None, reason: str | None) -> None:
    if amount is not None and amount != known.amount:
        raise ReferenceConflict(known.reference, "amount", payment_id=payment.id)
    if reason != known.reason and not known.is_brought_back:
        raise ReferenceConflict(known.reference, "reason", payment_id=payment.id)


def _retry_refund(
    payment: Payment, known: Refund, numbering: Numbering, now: datetime, deadline: timedelta
) -> list[Change]:
    """A refund refused because of the account gets a new number; one certainly unsent keeps its own."""
    operation = refund_operation(payment, known.reference)
    if operation.state is OperationState.INTENT:
        return send_again(payment, now, operation.id, deadline, numbering.nonce)
    if operation.state is OperationState.REJECTED and known.status is RefundStatus.CREATED:
        check_operations(payment, OperationKind.REFUND)
        again = replace(
            new_operation(OperationKind.REFUND, numbering, now, deadline), refund_reference=known.reference
        )
        return [OperationBegun(operation=again)]
    return []


def _money(payment: Payment, minor: int) -> Money:
    return Money.from_minor(minor, payment.amount.currency, exponent=payment.amount.exponent)


def _refundable(payment: Payment, amount: Money | None, product: Product) -> None:
    if payment.status is not Status.PAID:
        raise WrongState(
            f"the payment is {payment.status}; only a paid one can be refunded", payment_id=payment.id
        )
    if product.refund == "none":
        raise NotSupported(f"{payment.method}/{payment.channel} can't be refunded", payment_id=payment.id)
    if amount is not None and amount.currency != payment.amount.currency:
        raise InvalidMoney(
            f"a refund is in the payment's currency, {payment.amount.currency}, not in {amount.currency}"
        )


def _charge_to_refund(payment: Payment, amount: Money | None) -> Charge:
    """
    The charge a refund of `amount` (None: all that is left of it) goes back from; `RefundTooLarge` without one.

    The first one with so much left, before it one of which no refund was refused yet: what a refusal shows may be
    that its money was given back elsewhere, and a further refund then is for another charge.
    """
    least = 1 if amount is None else amount.minor
    able = [charge for charge in payment.charges if least > 0 and payment.left_of(charge) >= least]
    if not able:
        raise RefundTooLarge(_too_large(payment, amount), payment_id=payment.id)
    failed = [r.charge_id for r in payment.refunds if r.status is RefundStatus.FAILED]
    return min(able, key=lambda charge: failed.count(charge.provider_id))


def _too_large(payment: Payment, amount: Money | None) -> str:
    """Why there is nothing to refund: what is left, and where it takes several refunds, of which charges."""
    words = f"{amount or 'more'} can't be refunded; "
    if len(payment.charges) == 1 or not payment.refundable_minor:
        return f"{words}{_money(payment, payment.refundable_minor)} is left of {_money(payment, payment.paid_minor)}"
    left = ", ".join(
        f"{_money(payment, payment.left_of(charge))} of {charge.provider_id}" for charge in payment.charges
    )
    return (
        f"{words}it was paid {len(payment.charges)} times, each refund goes back from one of the charges, and there is"
        f" left: {left}; make a refund of each, with a reference of its own"
    )
