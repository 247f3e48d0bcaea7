"""
Decides how an order is closed or voided: the close of a caller, and when recovery closes one by itself.

A capture may be in the way: one that was certainly not sent is given up, any other one forbids the close.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from paycore.domain.bounds import check_operations
from paycore.domain.decisions import (
    Numbering,
    can_be_found,
    given_up,
    has_rested,
    is_unfinished,
    new_operation,
    send_again,
)
from paycore.domain.events import Change, OperationBegun
from paycore.domain.payment import (
    Failure,
    OperationKind,
    OperationState,
    Payment,
    capture_of,
    close_of,
    numbered,
)
from paycore.domain.provider import Lookup, Product
from paycore.domain.schedule import resend_pause_s
from paycore.errors import NotSupported, WrongState

CLOSE_AGAIN_AFTER = timedelta(hours=1)
"""How long a refused close is not repeated: the payer may have been about to pay."""


def begin_close(
    payment: Payment,
    now: datetime,
    *,
    product: Product,
    numbering: Numbering,
    deadline: timedelta,
    lookup: Lookup = Lookup.BY_NUMBER,
    replaces: bool = False,
) -> list[Change]:
    """
    Cancel the unpaid order now in force or void it, or nothing when it is paid, closed, failed or being closed.

    A capture that was certainly not sent is given up. Raises `WrongState` when the order was never sent, its capture
    may have been, or nothing is known by which the provider finds it; `NotSupported` when the product can't close,
    `TooMany` when it was tried too often.
    """
    if payment.status.is_final:
        return []
    if payment.creation.state in (OperationState.INTENT, OperationState.REJECTED):
        raise WrongState("nothing was sent for this payment, so nothing can be closed", payment_id=payment.id)
    if not product.close:
        raise NotSupported(
            f"the provider can't close {payment.method}/{payment.channel}; it expires by itself",
            payment_id=payment.id,
        )
    if not can_be_found(payment.creation, lookup):
        raise WrongState(
            "the provider has told no id of it, so it can't be closed; query it", payment_id=payment.id
        )
    running = close_of(payment, payment.order_number)
    if running is not None and running.replaces is replaces and is_unfinished(running):
        return send_again(payment, now, running.id, deadline, numbering.nonce)
    check_operations(payment, OperationKind.CLOSE)
    numbering = replace(numbering, number=payment.order_number)
    operation = new_operation(OperationKind.CLOSE, numbering, now, deadline)
    return [*_give_up_capture(payment, now), OperationBegun(operation=replace(operation, replaces=replaces))]


def _give_up_capture(payment: Payment, now: datetime) -> list[Change]:
    """A capture in the way of a close: nothing without one, given up if it was certainly not sent."""
    capture = capture_of(payment, payment.order_number)
    if capture is None or capture.state is OperationState.REJECTED:
        return []
    if capture.state is not OperationState.INTENT:
        raise WrongState(
            "its capture was sent, so it can't be closed; refund it once it is paid", payment_id=payment.id
        )
    failure = Failure(
        code="closed_instead", message="the payment was closed before this was sent", who_acts="caller"
    )
    return [given_up(capture, now, failure)]


def is_still_to_close(payment: Payment, number: str, now: datetime) -> bool:
    """
    Whether recovery's close of this order is to be made: never sent, or refused for what may be over.

    That is: refused because of the account; or while the order itself was still being sent, so that the provider did
    not know it yet; or long ago. Each further close waits longer.
    """
    tried, order = close_of(payment, number), numbered(payment, number)
    if tried is None:
        return True
    if tried.state is OperationState.INTENT:
        return has_rested(tried, now)
    if tried.state is not OperationState.REJECTED:
        return False
    if now < tried.sent_at + timedelta(seconds=resend_pause_s(_refused_closes(payment, number) - 1)):
        return False
    for_account = tried.failure is not None and tried.failure.who_acts == "operator"
    too_early = order is not None and tried.sent_at < order.in_flight_until
    return for_account or too_early or now - tried.sent_at >= CLOSE_AGAIN_AFTER


def _refused_closes(payment: Payment, number: str) -> int:
    return sum(
        op.kind is OperationKind.CLOSE and op.number == number and op.state is OperationState.REJECTED
        for op in payment.operations
    )
