"""
What to do next about an operation whose outcome is not known, after the provider was asked.

Query first. Found: the observation settled it. Proven absent: send the *same* number again. Found but
its link was in the lost reply: send the same number again where that gives the same order; elsewhere, or
refused as duplicate: close the old order, and only when that is confirmed give the payment a new number,
which is sent until it has left. Never two payable orders for one payment: when a closed order takes money all
the same, its successor is withdrawn.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from paycore.domain.decisions import has_rested, is_quiet, is_still_to_close, may_send
from paycore.domain.payment import (
    Operation,
    OperationKind,
    OperationState,
    Payment,
    Status,
    has_earlier_number,
    is_needless,
)
from paycore.domain.provider import Capabilities, CreateResend


class SendAgain(msgspec.Struct, frozen=True):
    """Send this operation once more, with the same number."""

    operation: Operation


class GiveUp(msgspec.Struct, frozen=True):
    """The order never arrived, and sending it now would be wrong."""

    operation: Operation


class Replace(msgspec.Struct, frozen=True):
    """Close the order now in force, so that the payment can have a new number."""


class Renumber(msgspec.Struct, frozen=True):
    """The old order is closed and confirmed: make the order anew under a new number."""


class Withdraw(msgspec.Struct, frozen=True):
    """Close the order now in force, which is not needed: an earlier one took the money."""


Move = SendAgain | GiveUp | Replace | Renumber | Withdraw


def next_move(
    payment: Payment, capabilities: Capabilities, now: datetime, *, has_auth_code: bool
) -> Move | None:
    """
    The next move for `payment`, None when there is none to make now.

    `has_auth_code`: the caller is here with the scanned code, so a barcode order can be sent again.
    """
    creation = payment.creation
    if payment.charges:
        return _next_for_paid(payment, creation, capabilities, now)
    if payment.status is Status.PENDING and Status.CLOSED in creation.observed:
        return Renumber()
    if creation.state is OperationState.INTENT and has_earlier_number(payment) and has_rested(creation, now):
        return _send_or_give_up(payment, creation, now, has_auth_code=has_auth_code)
    if is_quiet(creation, now):
        move = _next_for_creation(payment, creation, capabilities, now, has_auth_code=has_auth_code)
        if move is not None:
            return move
    return _next_for_others(payment, now)


def _next_for_paid(
    payment: Payment, creation: Operation, capabilities: Capabilities, now: datetime
) -> Move | None:
    """An order that never arrived must not be sent any more, and one that is open not be paid any more."""
    if creation.is_uncertain and creation.proven_absent_at is not None:
        return GiveUp(creation)
    move = _next_for_others(payment, now)
    if move is not None or not is_needless(payment):
        return move
    return Withdraw() if _can_close(payment, creation, capabilities, now) else None


def _next_for_creation(
    payment: Payment,
    creation: Operation,
    capabilities: Capabilities,
    now: datetime,
    *,
    has_auth_code: bool,
) -> Move | None:
    if Status.PENDING in creation.observed:
        return _recover_action(payment, creation, capabilities, now)
    if creation.proven_absent_at is None:
        return None
    return _send_or_give_up(payment, creation, now, has_auth_code=has_auth_code)


def _send_or_give_up(
    payment: Payment, creation: Operation, now: datetime, *, has_auth_code: bool
) -> SendAgain | GiveUp | None:
    """What certainly is not at the provider: sent, once it has rested, unless nobody wants it any more."""
    needs_code = payment.order.auth_code_hash is not None
    is_late = payment.expires_at is not None and now >= payment.expires_at
    if is_late or (needs_code and not has_auth_code):
        return GiveUp(creation)
    return SendAgain(creation) if may_send(creation, now) else None


def _recover_action(
    payment: Payment, creation: Operation, capabilities: Capabilities, now: datetime
) -> Move | None:
    """The order is there, the link to it is not."""
    # Where a number that is there would be refused, sending it again can only do harm.
    if capabilities.create_resend is CreateResend.SAME_RESULT and not creation.is_duplicate:
        return SendAgain(creation) if may_send(creation, now) else None
    return Replace() if _can_close(payment, creation, capabilities, now) else None


def _can_close(payment: Payment, creation: Operation, capabilities: Capabilities, now: datetime) -> bool:
    """Whether this order can be closed, and that was not tried before."""
    product = capabilities.product(payment.method, payment.channel)
    can_close = product is not None and product.close
    return can_close and is_still_to_close(payment, creation.number, now)


def _next_for_others(payment: Payment, now: datetime) -> Move | None:
    """Refunds proven absent and closes without an answer are sent again with the same number."""
    for operation in payment.operations:
        if not operation.is_uncertain or not may_send(operation, now):
            continue
        if operation.kind is OperationKind.REFUND and operation.proven_absent_at is not None:
            return SendAgain(operation)
        if operation.kind is OperationKind.CLOSE:
            return SendAgain(operation)
    return None
