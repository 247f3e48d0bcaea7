"""
What to do about an operation whose outcome is unknown, after the provider was queried.

Query first. Found: the observation resolved it. Proven absent: send the *same* number again. Found, but its link was
in the lost reply: send the same number again where that returns the same order; elsewhere, or refused as duplicate,
close the old order and give the payment a new number only once that close is confirmed. Never two payable orders for
one payment: when a closed order takes money all the same, its successor is withdrawn.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from paycore.domain.bounds import check_operations
from paycore.domain.decisions import (
    Numbering,
    begin_close,
    closing,
    has_rested,
    is_overdue,
    is_still_to_close,
    new_operation,
    renumber,
    send_again,
)
from paycore.domain.events import Change, OperationBegun, OperationEnded
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    Status,
    has_earlier_number,
    is_needless,
)
from paycore.domain.provider import Capabilities, CreateResend, Product


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """
    What recovery works with.

    `numbering` is for an operation that has to be made anew. `deadline` is how long one call may take.
    `has_auth_code`: the caller is here with the scanned code, so a barcode order can be sent again.
    """

    capabilities: Capabilities
    numbering: Numbering
    deadline: timedelta
    has_auth_code: bool = False


def next_changes(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """The next step for `payment`: at most one operation put on its way or given up; empty when there is none now."""
    creation = payment.creation
    if payment.charges:
        return _for_paid(payment, now, context)
    if payment.status is Status.PENDING and Status.CLOSED in creation.observed:
        return renumber(payment, now, context.numbering, context.deadline)
    if creation.state is OperationState.INTENT and has_earlier_number(payment) and has_rested(creation, now):
        return _send_or_give_up(payment, now, context)
    changes = _for_creation(payment, now, context) if is_overdue(creation, now) else []
    return changes or _for_others(payment, now, context)


def _for_paid(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """An order that never arrived must not be sent any more, and an open one must not be paid any more."""
    creation = payment.creation
    if creation.is_uncertain and creation.proven_absent_at is not None:
        return give_up_absent(creation, now)
    return _for_others(payment, now, context) or withdraw(
        payment,
        now,
        product=context.capabilities.product(payment.method, payment.channel),
        numbering=context.numbering,
        deadline=context.deadline,
    )


def _for_creation(payment: Payment, now: datetime, context: Context) -> list[Change]:
    creation = payment.creation
    if Status.PENDING in creation.observed:
        return _recover_action(payment, now, context)
    return [] if creation.proven_absent_at is None else _send_or_give_up(payment, now, context)


def _send_or_give_up(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """An order that is certainly not at the provider is sent, unless nobody can pay it any more."""
    needs_code = payment.order.auth_code_hash is not None
    is_late = payment.expires_at is not None and now >= payment.expires_at
    if is_late or (needs_code and not context.has_auth_code):
        return give_up_absent(payment.creation, now)
    return send_again(payment, now, payment.creation.id, context.deadline)


def _recover_action(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """The order is there, the link to it is not."""
    creation = payment.creation
    # A number that exists must not be sent again where that is refused: it can only do harm.
    if context.capabilities.create_resend is CreateResend.SAME_RESULT and not creation.is_duplicate:
        return send_again(payment, now, creation.id, context.deadline)
    product = context.capabilities.product(payment.method, payment.channel)
    if product is None or not product.close or not is_still_to_close(payment, creation.number, now):
        return []
    return begin_close(
        payment,
        now,
        product=product,
        numbering=context.numbering,
        deadline=context.deadline,
        replaces=True,
    )


def _for_others(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """Refunds proven absent and closes without an answer are sent again with the same number."""
    for operation in payment.operations:
        is_absent = operation.kind is OperationKind.REFUND and operation.proven_absent_at is not None
        if operation.is_uncertain and (is_absent or operation.kind is OperationKind.CLOSE):
            changes = send_again(payment, now, operation.id, context.deadline)
            if changes:
                return changes
    return []


def withdraw(
    payment: Payment, now: datetime, *, product: Product | None, numbering: Numbering, deadline: timedelta
) -> list[Change]:
    """Close the order now in force, where an earlier one took the money; nothing when that was tried."""
    can_close = product is not None and product.close and is_needless(payment)
    if not can_close or not is_still_to_close(payment, payment.order_number, now):
        return []
    tried = closing(payment, payment.order_number)
    if tried is not None and tried.state is OperationState.INTENT:
        return send_again(payment, now, tried.id, deadline)
    check_operations(payment, OperationKind.CLOSE)
    same = replace(numbering, number=payment.order_number)
    return [OperationBegun(operation=new_operation(OperationKind.CLOSE, same, now, deadline))]


def give_up_absent(operation: Operation, now: datetime) -> list[Change]:
    """The order never arrived and must not be sent any more: definitely failed, nothing moved."""
    return [
        OperationEnded(
            operation_id=operation.id,
            state=OperationState.REJECTED,
            in_flight_until=now,
            failure=Failure(
                code="never_arrived",
                message="the order never reached the provider, and its time has passed",
                retryable=True,
                who_acts="caller",
                advice="Create it again under a new reference.",
            ),
        )
    ]
