"""
Looks at an order: what PayPal has of it, of its payments and of its disputes.

Source: SOURCES.md §5 to §11.
"""

from __future__ import annotations

import zlib
from urllib.parse import urlencode

from msgspec.structs import replace

from paycore.plugin import Flow, NotNow, OrderRef, PaymentObservation, Rejected, Status, Unknown
from paypal_orders import messages
from paypal_orders.messages import Dispute, Disputes, Nothing, PayPalOrder, PayPalPayment
from paypal_orders.observations import disputed, of_order, of_payment
from paypal_orders.requests import get, quoted, send

Looked = PaymentObservation | Rejected | NotNow | Unknown

GONE = {"order": "not found"}
"""The words of an order that PayPal does not know any more."""

NEW = Unknown(problem="the order is not found, and so new that it may not be readable yet")
NEW_S = 60.0
"""One that is not readable after this long has expired. [inferred] Source: SOURCES.md §5, §12."""

DISPUTES_MAX = 5
"""Disputes of one payment that are read."""


def observe(ref: OrderRef, *, disputes: bool) -> Flow[Looked]:
    """What `look` sees; an order to be captured later is authorized once its payer agreed, and disputes are read."""
    seen = yield from look(ref)
    if not isinstance(seen, PaymentObservation):
        return seen
    if (seen.words.get("order"), seen.words.get("intent")) == ("APPROVED", "AUTHORIZE"):
        return (yield from _authorize(ref, seen))
    if seen.status is Status.PAID and disputes and "capture" in seen.ids:
        return (yield from _with_disputes(ref, seen))
    return seen


def look(ref: OrderRef) -> Flow[Looked]:
    """
    What PayPal has of an order and its payments, by safe requests.

    One that PayPal does not know any more is closed, with the words `GONE`: it expired, unless it is `NEW`. Where the
    order itself has no payments, or is gone, its capture or authorization is read by its own id.
    """
    order = yield from get(f"/v2/checkout/orders/{quoted(ref.provider_id)}", ref.attempt, PayPalOrder)
    if isinstance(order, PayPalOrder):
        if is_of_another(order, ref.number):
            return Unknown(problem="the answer is about another order")
        seen = of_order(ref.number, ref.amount, order, ref.attempt.sent_at)
        is_told = bool(seen.ids) or order.status != "COMPLETED"
    elif is_gone(order):
        seen, is_told = PaymentObservation(number=ref.number, status=Status.CLOSED, words=GONE), False
    else:
        return order
    if not is_told and ref.ids:
        return (yield from _look_at_payment(ref))
    is_new = (ref.attempt.sent_at - ref.begun_at).total_seconds() < NEW_S
    return NEW if seen.words == GONE and is_new else seen


def _look_at_payment(ref: OrderRef) -> Flow[Looked]:
    kind = "capture" if "capture" in ref.ids else "authorization"
    path = f"/v2/payments/{kind}s/{quoted(ref.ids.get(kind))}"
    found = yield from get(path, ref.attempt, PayPalPayment)
    if not isinstance(found, PayPalPayment):
        return Unknown(problem=f"its {kind} is not found") if is_gone(found) else found
    return of_payment(ref, found, kind)


def look_for_refund(ref: OrderRef, number: str) -> Flow[PayPalPayment | Unknown | None]:
    """The refund with this number among those of the order; None where it has none. Source: SOURCES.md §9."""
    order = yield from get(f"/v2/checkout/orders/{quoted(ref.provider_id)}", ref.attempt, PayPalOrder)
    if not isinstance(order, PayPalOrder):
        return Unknown(problem="all is refunded, and the order can't be read")
    refunds = [one for unit in order.purchase_units for one in unit.payments.refunds]
    return next((one for one in refunds if messages.number_of(one.custom_id) == number), None)


def _authorize(ref: OrderRef, seen: PaymentObservation) -> Flow[Looked]:
    """
    Reserve the money of an order whose payer agreed: it takes none. Each agreement has a key of its own.

    Source: SOURCES.md §3, §6.
    """
    key = f"{ref.number}-{zlib.crc32(seen.words.get('updated', '').encode()):08x}"
    path = f"/v2/checkout/orders/{quoted(ref.provider_id)}/authorize"
    made = yield from send(path, Nothing(), key, ref.attempt, PayPalOrder, safe=True)
    if isinstance(made, PayPalOrder):
        return of_order(ref.number, ref.amount, made, ref.attempt.sent_at)
    if isinstance(made, Rejected) and made.failure.code in messages.FINAL:
        return replace(seen, status=Status.FAILED, failure=made.failure)
    if isinstance(made, NotNow) or (isinstance(made, Rejected) and made.failure.who_acts == "operator"):
        return made
    return seen  # the payer has to agree again, or it is not decided yet


def _with_disputes(ref: OrderRef, seen: PaymentObservation) -> Flow[PaymentObservation | NotNow]:
    """With what disputes took; as it is where PayPal does not say it to this app. Source: SOURCES.md §11."""
    query = urlencode({"disputed_transaction_id": seen.ids["capture"]})
    found = yield from get(f"/v1/customer/disputes?{query}", ref.attempt, Disputes)
    if not isinstance(found, Disputes):
        return found if isinstance(found, NotNow) else seen
    disputes: list[Dispute] = []
    for item in found.items[:DISPUTES_MAX]:
        one = yield from get(f"/v1/customer/disputes/{quoted(item.dispute_id)}", ref.attempt, Dispute)
        if not isinstance(one, Dispute):
            return one if isinstance(one, NotNow) else seen
        disputes.append(one)
    taken, back = disputed(disputes, ref.amount.currency)
    return replace(seen, charged_back_minor=taken, charge_back_won_minor=back)


def is_of_another(order: PayPalOrder, number: str) -> bool:
    """Whether it carries another number than ours."""
    customs = [unit.custom_id for unit in order.purchase_units]
    return any(custom and messages.number_of(custom) != number for custom in customs)


def is_gone(came: object) -> bool:
    """Whether PayPal knows no such thing."""
    return isinstance(came, Rejected) and came.failure.code in messages.GONE
