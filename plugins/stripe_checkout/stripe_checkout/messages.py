"""
What is sent to Stripe and what comes back: only the fields that are used, others are ignored.

Words that Stripe may add to (statuses, types, codes) are plain text: an unknown one changes nothing.
Source: stripe-python 16.1.0, `stripe/params` and the resources; API version 2026-10-28.endive; SOURCES.md §2, §3.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from urllib.parse import quote_plus

import msgspec

M = TypeVar("M", bound=msgspec.Struct)
Id = Annotated[str, msgspec.Meta(min_length=1)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=221_845_392_000)]
"""Seconds since the epoch, up to the year 9000."""


class Malformed(Exception):
    """A body is not what Stripe documents. The words hold nothing of it."""


def decode(body: bytes, kind: type[M]) -> M:
    """The message in `body`; `Malformed` if it is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Malformed(f"no {kind.__name__} of Stripe's") from None


# --- sent --------------------------------------------------------------------------------------------


class ProductData(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class PriceData(msgspec.Struct, frozen=True, kw_only=True):
    currency: str
    unit_amount: int
    product_data: ProductData


class LineItem(msgspec.Struct, frozen=True, kw_only=True):
    price_data: PriceData
    quantity: int = 1


class IntentData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    metadata: dict[str, str]
    capture_method: str | None = None


class AdaptivePricing(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool


class NewSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`POST /v1/checkout/sessions`. `payment_method_types` is not sent: the pinned version refuses it."""

    mode: str
    client_reference_id: str
    line_items: list[LineItem]
    metadata: dict[str, str]
    payment_intent_data: IntentData
    success_url: str
    cancel_url: str
    adaptive_pricing: AdaptivePricing
    allowed_payment_method_types: list[str] = []
    locale: str | None = None


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`POST /v1/refunds`."""

    payment_intent: str
    amount: int
    metadata: dict[str, str]
    reason: str | None = None


class NewCapture(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /v1/payment_intents/{id}/capture`; what is not captured is released."""

    amount_to_capture: int
    expand: list[str] = msgspec.field(default_factory=lambda: ["latest_charge"])


def form(message: object) -> str:
    """The fields as Stripe's own library writes them: `a[b][0]=v`, brackets bare, a space as `+`."""
    return "&".join(f"{name}={quote_plus(value)}" for name, value in _flat(msgspec.to_builtins(message), ""))


def _flat(value: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [
            pair
            for key, inner in items
            for pair in _flat(
                inner, f"{name}[{quote_plus(str(key))}]" if name else quote_plus(str(key), safe="[]")
            )
        ]
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    return [(name, str(value))]


# --- received ----------------------------------------------------------------------------------------


class StripeCharge(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    status: str | None = None
    amount_refunded: int | None = None
    disputed: bool | None = None
    created: Seconds | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The object `error` of a refusal, and the last error of an intent. Codes are not always given."""

    type: str
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    param: str | None = None
    payment_intent: PaymentIntent | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    error: Problem


class PaymentIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A PaymentIntent. `latest_charge` is of the newest attempt, which may have failed."""

    id: Id
    status: str
    amount: int | None = None
    amount_received: int | None = None
    currency: str | None = None
    latest_charge: StripeCharge | str | None = None
    last_payment_error: Problem | None = None
    capture_method: str | None = None
    cancellation_reason: str | None = None

    @property
    def charge(self) -> StripeCharge | None:
        """The charge of the newest attempt, where it is expanded."""
        return self.latest_charge if isinstance(self.latest_charge, StripeCharge) else None


class CheckoutSession(msgspec.Struct, frozen=True, kw_only=True):
    """A Checkout Session. `payment_intent` is null until the payer confirms, an id unless it is expanded."""

    id: Id
    status: str | None
    payment_status: str
    created: Seconds
    mode: str = "payment"
    amount_total: int | None = None
    currency: str | None = None
    client_reference_id: str | None = None
    metadata: dict[str, str] | None = None
    payment_intent: PaymentIntent | Id | None = None
    url: str | None = None
    expires_at: Seconds | None = None

    @property
    def intent(self) -> PaymentIntent | None:
        """The intent, where it is expanded."""
        return self.payment_intent if isinstance(self.payment_intent, PaymentIntent) else None

    @property
    def intent_id(self) -> str | None:
        """Its id, expanded or not."""
        return self.intent.id if self.intent else self.payment_intent  # type: ignore[return-value]


class StripeRefund(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    status: str | None
    amount: int | None = None
    currency: str | None = None
    created: Seconds | None = None
    charge: str | None = None
    payment_intent: Id | None = None
    metadata: dict[str, str] | None = None
    failure_balance_transaction: str | None = None
    failure_reason: str | None = None
    pending_reason: str | None = None


class BalanceTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A booking of a dispute: what was taken is negative, in the currency of the merchant's balance."""

    amount: int


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    status: str
    amount: int
    currency: str | None = None
    balance_transactions: list[BalanceTransaction] = []


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    data: list[CheckoutSession]
    has_more: bool


class RefundList(msgspec.Struct, frozen=True, kw_only=True):
    data: list[StripeRefund]
    has_more: bool


class DisputeList(msgspec.Struct, frozen=True, kw_only=True):
    data: list[Dispute]
    has_more: bool


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    object: msgspec.Raw


class RelatedObject(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    type: str


class StripeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event, either whole (`data`) or a notification that names an object (`related_object`)."""

    id: Id
    object: str
    type: str
    livemode: bool
    data: EventData | None = None
    related_object: RelatedObject | None = None


class EventObject(msgspec.Struct, frozen=True, kw_only=True):
    """Any object in an event: a balance has no id, an invoice has another intent."""

    object: str = ""


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """An intent, a charge or a dispute in an event."""

    metadata: dict[str, str] | None = None
    payment_intent: Id | None = None
