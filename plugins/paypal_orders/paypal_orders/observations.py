"""What PayPal's answers say of a payment or a refund."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from paycore.plugin import (
    Failure,
    Money,
    OrderRef,
    PaymentObservation,
    Redirect,
    RefundObservation,
    RefundStatus,
    Status,
)
from paypal_orders import messages
from paypal_orders.messages import Amount, Dispute, PayPalOrder, PayPalPayment


def of_order(number: str, expected: Money, order: PayPalOrder, now: datetime) -> PaymentObservation:
    """
    What an order says of the payment with this number, of which `expected` is the amount.

    Only a capture says that it is paid: the order itself is COMPLETED while its money is pending or declined. The
    payer agreed when the order is APPROVED; one with intent AUTHORIZE is authorized only once it has an authorization.
    `now` stands for a time PayPal leaves out.
    Source: SOURCES.md §5, §6, §8.
    """
    unit = order.purchase_units[0] if order.purchase_units else messages.MadeUnit()
    made = unit.payments
    if made.captures or made.authorizations:
        payment = _of_payments(number, made.captures, made.authorizations, unit.amount, expected)
        done = [one.amount for one in made.refunds if one.status == "COMPLETED"]
        refunded = _total(done, expected.currency)
        is_paid = payment.status is Status.PAID
        return replace(payment, provider_id=order.id, refunded_minor=refunded if is_paid else None)
    status = _ORDER_STATUSES.get(order.status, Status.PENDING)
    if status is Status.AUTHORIZED and order.intent == "AUTHORIZE":
        status = Status.PENDING
    amount, partial = messages.read(unit.amount, expected.currency)
    url = messages.linked(order.links, "payer-action", "approve")
    at = messages.read_time(order.update_time)
    return PaymentObservation(
        number=number,
        status=status,
        provider_id=order.id,
        amount=amount,
        partial_amount=partial,
        action=Redirect(url=url) if url and status is Status.PENDING else None,
        occurred_at=at or (now if status is Status.AUTHORIZED else None),
        words={"order": order.status, "intent": order.intent, "updated": order.update_time or ""},
    )


_ORDER_STATUSES = {"APPROVED": Status.AUTHORIZED, "VOIDED": Status.CLOSED}
"""A COMPLETED order without a payment in it, and what PayPal may add, is pending."""


def of_payment(ref: OrderRef, payment: PayPalPayment, kind: str) -> PaymentObservation:
    """What one capture, or authorization, says of its order."""
    made = ([payment], []) if kind == "capture" else ([], [payment])
    seen = _of_payments(ref.number, *made, None, ref.amount)
    return replace(seen, provider_id=ref.provider_id)


def _of_payments(
    number: str,
    captures: Sequence[PayPalPayment],
    authorizations: Sequence[PayPalPayment],
    ordered: Amount | None,
    expected: Money,
) -> PaymentObservation:
    """What captures and authorizations say, at least one; `provider_id` is that of one of them."""
    statuses = messages.CAPTURE_STATUSES if captures else messages.AUTHORIZATION_STATUSES
    known = [(statuses.get(one.status, Status.PENDING), one) for one in captures or authorizations]
    # Several are not made by this plugin; one that took money counts before one that may, and that before none.
    status, one = min(known, key=lambda pair: _FIRST.index(pair[0]))
    amount, partial = messages.read(ordered, expected.currency)
    taken, odd = messages.read(one.amount, expected.currency)
    currency = (taken and taken.currency) or (odd and odd.currency) or expected.currency
    if currency != expected.currency or (odd and odd.unreadable):
        amount, partial = taken, odd
    paid = [each.amount for each in captures if each.status in messages.TAKEN]
    paid_minor = _total(paid, expected.currency)
    if paid_minor is None and len(paid) > 1:
        paid_minor = 0  # they can't be added up: not what was ordered, and not untold
    kinds = (("capture", captures), ("authorization", authorizations))
    return PaymentObservation(
        number=number,
        status=status,
        provider_id=one.id,
        ids={kind: made[0].id for kind, made in kinds if len(made) == 1},
        amount=amount,
        partial_amount=partial,
        paid_minor=paid_minor if status is Status.PAID else None,
        failure=Failure(code=one.status, message="PayPal declined it") if status is Status.FAILED else None,
        occurred_at=messages.read_time(one.create_time),
        words={"capture" if captures else "authorization": one.status},
    )


_FIRST = (Status.PAID, Status.PENDING, Status.AUTHORIZED, Status.FAILED, Status.CLOSED)


def _total(amounts: Iterable[Amount | None], currency: str) -> int | None:
    """The sum in minor units; None where one is not told, can't be read, or is in another currency."""
    sums = 0
    for money, partial in (messages.read(one, currency) for one in amounts):
        told = money or partial
        if told is None or told.minor is None or told.currency not in (None, currency):
            return None
        sums += told.minor
    return sums if sums <= messages.MINOR_MAX else None


def of_refund(number: str, expected: Money, refund: PayPalPayment) -> RefundObservation:
    """What a refund says, of which `expected` is the amount. Source: SOURCES.md §9."""
    status = messages.REFUND_STATUSES.get(refund.status, RefundStatus.PENDING)
    amount, partial = messages.read(refund.amount, expected.currency)
    failed = Failure(code=refund.status, message="PayPal did not return it", who_acts="caller")
    return RefundObservation(
        number=number,
        status=status,
        provider_id=refund.id,
        amount=amount,
        partial_amount=partial,
        failure=failed if status is RefundStatus.FAILED else None,
        occurred_at=messages.read_time(refund.create_time),
        words={"refund": refund.status},
    )


def disputed(disputes: Iterable[Dispute], currency: str) -> tuple[int | None, int | None]:
    """
    What was taken from the merchant in disputes, and what of it came back, in minor units; None where it is not told.

    Where money movements are told they count; else a dispute the payer won took what was refunded.
    Source: SOURCES.md §11.
    """
    taken: list[Amount | None] = []
    back: list[Amount | None] = []
    for dispute in disputes:
        own = [one for one in dispute.money_movements if one.affected_party == "SELLER"]
        taken += [one.amount for one in own if one.type == "DEBIT"]
        back += [one.amount for one in own if one.type == "CREDIT"]
        outcome = dispute.dispute_outcome
        if not own and outcome.outcome_code in ("RESOLVED_BUYER_FAVOUR", "ACCEPTED"):
            taken.append(outcome.amount_refunded or dispute.dispute_amount)
    lost, won = _total(taken, currency), _total(back, currency)
    return lost, None if lost is None or won is None else min(won, lost)
