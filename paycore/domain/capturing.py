"""
Decides the capture of an authorized payment: begun once per authorization, whoever asks for it.

Never after a close of the order may have been sent: a voided authorization must not be captured.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from paycore.domain.bounds import check_operations
from paycore.domain.decisions import Numbering, given_up, has_rested, new_operation, send_again
from paycore.domain.events import Change, OperationBegun
from paycore.domain.money import Money
from paycore.domain.payment import (
    Failure,
    OperationKind,
    OperationState,
    Payment,
    Status,
    capture_of,
    may_have_arrived,
    standing_closes,
)
from paycore.domain.provider import Product
from paycore.domain.schedule import resend_pause_s
from paycore.errors import InvalidField, InvalidMoney, NotSupported, ReferenceConflict, WrongState


def begin_capture(
    payment: Payment,
    now: datetime,
    *,
    amount: Money | None,
    product: Product,
    numbering: Numbering,
    deadline: timedelta,
) -> list[Change]:
    """
    Capture `amount` (None: all that is authorized), or nothing when it is captured or being captured.

    A close that was certainly not sent is given up.

    Raises `WrongState` when the payment is not authorized, or was asked to be closed; `ReferenceConflict` when it
    is captured with another amount; `InvalidField`, `NotSupported` or `TooMany` for an amount or a capture that
    can't be. Nothing was sent then.
    """
    minor = _minor(payment, amount, product)
    known = capture_of(payment, payment.order_number)
    if known is not None and known.state is not OperationState.REJECTED:
        _same_amount(payment, amount, known.amount_minor)
        if known.state is not OperationState.INTENT:
            return []
        return send_again(payment, now, known.id, deadline, numbering.nonce)
    if payment.status is Status.PAID:
        _same_amount(payment, amount, payment.paid_minor)
        return []
    if payment.status is not Status.AUTHORIZED:
        raise WrongState(
            f"the payment is {payment.status}; only an authorized one can be captured", payment_id=payment.id
        )
    given_up = _give_up_close(payment, now)
    check_operations(payment, OperationKind.CAPTURE)
    operation = replace(
        new_operation(OperationKind.CAPTURE, numbering, now, deadline),
        order_number=payment.order_number,
        amount_minor=minor,
    )
    return [*given_up, OperationBegun(operation=operation)]


def _give_up_close(payment: Payment, now: datetime) -> list[Change]:
    """Closes in the way of a capture: given up if they were certainly not sent."""
    closes = standing_closes(payment, payment.order_number)
    if any(may_have_arrived(close) for close in closes):
        raise WrongState("it was asked to be closed, so it can't be captured", payment_id=payment.id)
    failure = Failure(
        code="captured_instead", message="the payment was captured before this was sent", who_acts="caller"
    )
    return [given_up(close, now, failure) for close in closes]


def _same_amount(payment: Payment, amount: Money | None, known_minor: int | None) -> None:
    if amount is not None and amount.minor != known_minor:
        raise ReferenceConflict(payment.reference, "amount", payment_id=payment.id)


def is_still_to_capture(payment: Payment, now: datetime) -> bool:
    """
    Whether an authorized payment is to be captured now: never sent, or refused because of the account.

    Also when it was refused for the payer, who has agreed again since (only then is the payment authorized once more).
    """
    tried = capture_of(payment, payment.order_number)
    if any(may_have_arrived(close) for close in standing_closes(payment, payment.order_number)):
        return False
    if tried is None:
        return True
    if tried.state is OperationState.INTENT:
        return has_rested(tried, now) and (tried.not_before is None or now >= tried.not_before)
    if tried.state is not OperationState.REJECTED or tried.failure is None:
        return False
    rests = timedelta(seconds=resend_pause_s(_refused_captures(payment)))
    return tried.failure.who_acts in ("operator", "payer") and now >= tried.sent_at + rests


def _refused_captures(payment: Payment) -> int:
    return sum(
        op.kind is OperationKind.CAPTURE and op.state is OperationState.REJECTED for op in payment.operations
    )


def _minor(payment: Payment, amount: Money | None, product: Product) -> int:
    if product.capture == "none":
        raise NotSupported(
            f"{payment.method}/{payment.channel} has no capture: it is paid at once", payment_id=payment.id
        )
    if amount is None:
        return payment.amount.minor
    if amount.currency != payment.amount.currency:
        raise InvalidMoney(
            f"a capture is in the payment's currency, {payment.amount.currency}, not in {amount.currency}"
        )
    if amount.minor < 1:
        raise InvalidField(
            "amount", "less than one minor unit can't be captured; close the payment to release it"
        )
    if amount.minor > payment.amount.minor:
        raise InvalidField("amount", f"{amount} can't be captured; {payment.amount} is authorized")
    if product.capture == "full" and amount.minor != payment.amount.minor:
        raise NotSupported(
            f"{payment.method}/{payment.channel} can only be captured whole", payment_id=payment.id
        )
    return amount.minor
