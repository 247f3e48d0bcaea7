"""
What to do about an operation whose outcome is unknown, after the provider was queried.

Query first. Found: the observation resolved it. Proven absent: send the *same* number again. Found, but its link was
in the lost reply: send the same number again where that returns the same order; elsewhere, or refused as duplicate,
close the old order and give the payment a new number only once that close is confirmed. Never two payable orders for
one payment: when a closed order takes money all the same, its successor is withdrawn.

What no query can find is sent again with the same number while the provider answers that with what the first one
made. After that it is unresolvable: it is never sent again, and waits for an operator's finding. What a query may
find, but can't prove absent, is looked for a day before it is unresolvable too.

An authorized payment is captured once, by whoever sees it first, unless its caller captures it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import msgspec
from msgspec.structs import replace

from paycore.domain.bounds import check_operations
from paycore.domain.capturing import begin_capture, is_still_to_capture
from paycore.domain.closing import begin_close, is_still_to_close
from paycore.domain.decisions import (
    Numbering,
    can_be_found,
    given_up,
    has_rested,
    is_in_window,
    is_moot,
    is_overdue,
    new_operation,
    renumber,
    send_again,
)
from paycore.domain.events import Change, FoundUnresolvable, OperationBegun
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    Status,
    capture_of,
    close_of,
    has_earlier_number,
    may_have_arrived,
)
from paycore.domain.provider import UNSAFE, Capabilities, Lookup, Product, Resend
from paycore.domain.schedule import is_needless, is_put_off

LOOKED_FOR = timedelta(days=1)
"""How long an operation is looked for that a query may find, where "not found" is never proof."""


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
    if payment.status is Status.AUTHORIZED:
        return _for_authorized(payment, now, context)
    if payment.status is Status.PENDING and Status.CLOSED in creation.observed:
        return renumber(payment, now, context.numbering, context.deadline)
    if creation.state is OperationState.INTENT and has_earlier_number(payment) and has_rested(creation, now):
        return _send_or_give_up(payment, now, context)
    changes = _for_creation(payment, now, context) if is_overdue(creation, now) else []
    return changes or _for_others(payment, now, context)


def _for_paid(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """An order that never arrived must not be sent any more, and an open one must not be paid any more."""
    for operation in payment.operations:
        is_for_order = operation.kind in (OperationKind.CREATE, OperationKind.CAPTURE)
        if is_for_order and operation.is_uncertain and operation.proven_absent_at is not None:
            return give_up_absent(operation, now)
    changes = _for_lost_successor(payment, now, context) or _for_others(payment, now, context)
    if changes or not can_be_found(payment.creation, context.capabilities.lookup):
        return changes
    return withdraw(
        payment,
        now,
        product=context.capabilities.product_of_order(payment.method, payment.channel),
        numbering=context.numbering,
        deadline=context.deadline,
    )


def _for_lost_successor(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """The order now in force, which nobody found yet, where an earlier one took the money."""
    creation = payment.creation
    if not is_overdue(creation, now) or creation.is_observed or creation.has_id:
        return []
    return _send_blindly(payment, creation, now, context.capabilities.create_resend, context)


def _for_authorized(payment: Payment, now: datetime, context: Context) -> list[Change]:
    product = context.capabilities.product_of_order(payment.method, payment.channel)
    is_capturable = product is not None and product.capture != "none"
    is_due = payment.order.capture == "automatic" and is_still_to_capture(payment, now)
    if product is not None and is_capturable and is_due:
        return begin_capture(
            payment, now, amount=None, product=product, numbering=context.numbering, deadline=context.deadline
        )
    return _for_others(payment, now, context)


def _for_creation(payment: Payment, now: datetime, context: Context) -> list[Change]:
    creation = payment.creation
    if Status.PENDING in creation.observed:
        return _recover_action(payment, now, context)
    if creation.proven_absent_at is not None:
        return _contradicted(creation) or _send_or_give_up(payment, now, context)
    if creation.has_id:
        return []
    if payment.order.auth_code_hash is not None and not context.has_auth_code:
        return _give_up_late(creation, now, context.capabilities.create_resend, context)
    return _send_blindly(payment, creation, now, context.capabilities.create_resend, context)


def _send_blindly(
    payment: Payment, operation: Operation, now: datetime, resend: Resend, context: Context
) -> list[Change]:
    """
    Send again what no query proves absent, while that is safe; once it is not any more, it may be unresolvable.

    What must not be sent any more waits for no window.
    """
    if is_moot(payment, operation):
        return _give_up_late(operation, now, UNSAFE, context)
    if is_in_window(operation, resend, now, context.deadline) and not _is_provable(context):
        return send_again(payment, now, operation.id, context.deadline, context.numbering.nonce)
    return _give_up_late(operation, now, resend, context)


def _give_up_late(operation: Operation, now: datetime, resend: Resend, context: Context) -> list[Change]:
    """Found unresolvable, where it is too late to send it again and nothing finds it any more."""
    if operation.is_unresolvable or _is_provable(context):
        return []
    is_in_time = is_in_window(operation, resend, now, context.deadline)
    is_lost = not is_in_time and now >= _looked_for_until(operation, context)
    return [FoundUnresolvable(operation_id=operation.id)] if is_lost else []


def _contradicted(operation: Operation) -> list[Change]:
    """Found unresolvable, where the provider refuses the number as known, and proves that it does not know it."""
    is_new = operation.is_duplicate and not operation.is_unresolvable
    return [FoundUnresolvable(operation_id=operation.id)] if is_new else []


def _is_provable(context: Context) -> bool:
    """Whether a query finds a number, or proves that it never arrived."""
    return context.capabilities.query_proves_absence_after_s is not None


def _looked_for_until(operation: Operation, context: Context) -> datetime:
    """Until when a query may still find it: at once over without a lookup; a capture is found by its order."""
    is_by_number = context.capabilities.lookup is Lookup.BY_NUMBER
    can_be_found = is_by_number or operation.kind is OperationKind.CAPTURE
    return operation.in_flight_until + (LOOKED_FOR if can_be_found else timedelta(0))


def _send_or_give_up(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """An order that is certainly not at the provider is sent, unless nobody can pay it any more."""
    needs_code = payment.order.auth_code_hash is not None
    is_late = payment.expires_at is not None and now >= payment.expires_at
    if is_late or (needs_code and not context.has_auth_code):
        return give_up_absent(payment.creation, now)
    return send_again(payment, now, payment.creation.id, context.deadline, context.numbering.nonce)


def _recover_action(payment: Payment, now: datetime, context: Context) -> list[Change]:
    """The order is there, the link to it is not."""
    creation = payment.creation
    # A number that exists must not be sent again where that is refused: it can only do harm.
    if is_in_window(creation, context.capabilities.create_resend, now, context.deadline):
        return send_again(payment, now, creation.id, context.deadline, context.numbering.nonce)
    product = context.capabilities.product_of_order(payment.method, payment.channel)
    if product is None or not product.close or not can_be_found(creation, context.capabilities.lookup):
        return []
    if not is_still_to_close(payment, creation.number, now):
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
    """What is to be sent again of captures, refunds and closes: with the same number, the first that may be."""
    for operation in payment.operations:
        changes = _for_other(payment, operation, now, context)
        if changes:
            return changes
    return []


def _for_other(payment: Payment, operation: Operation, now: datetime, context: Context) -> list[Change]:
    # What the provider put off goes on by itself; what could not be sent waits for its caller.
    is_open = operation.is_uncertain or is_put_off(payment, operation)
    if operation.kind is OperationKind.CREATE or not is_open:
        return []
    again = partial(send_again, payment, now, operation.id, context.deadline, nonce=context.numbering.nonce)
    if operation.kind is OperationKind.CLOSE or operation.state is OperationState.INTENT:
        return again()
    if operation.proven_absent_at is not None:
        return _contradicted(operation) or again()
    if not is_overdue(operation, now):
        return []
    capabilities = context.capabilities
    is_capture = operation.kind is OperationKind.CAPTURE
    resend = capabilities.capture_resend if is_capture else capabilities.refund_resend
    return _send_blindly(payment, operation, now, resend, context)


def withdraw(
    payment: Payment, now: datetime, *, product: Product | None, numbering: Numbering, deadline: timedelta
) -> list[Change]:
    """
    Close the order now in force, where an earlier one took the money; nothing when that was tried.

    Nor when it may have been captured.
    """
    can_close = product is not None and product.close and is_needless(payment)
    if not can_close or not is_still_to_close(payment, payment.order_number, now):
        return []
    capture = capture_of(payment, payment.order_number)
    if capture is not None and may_have_arrived(capture):
        return []
    tried = close_of(payment, payment.order_number)
    if tried is not None and tried.state is OperationState.INTENT:
        return send_again(payment, now, tried.id, deadline, numbering.nonce)
    check_operations(payment, OperationKind.CLOSE)
    same = replace(numbering, number=payment.order_number)
    return [OperationBegun(operation=new_operation(OperationKind.CLOSE, same, now, deadline))]


def give_up_absent(operation: Operation, now: datetime) -> list[Change]:
    """The order never arrived and must not be sent any more: definitely failed, nothing moved."""
    failure = Failure(
        code="never_arrived",
        message="the order never reached the provider, and its time has passed",
        who_acts="caller",
        advice="Create it again under a new reference.",
    )
    return [given_up(operation, now, failure)]
