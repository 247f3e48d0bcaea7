"""Mollie's replies, and what they mean in paycore's words. See SOURCES.md. What is not named means nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from paycore.plugin import (
    Failure,
    InvalidField,
    Money,
    PartialAmount,
    PaymentObservation,
    Redirect,
    RefundObservation,
    RefundStatus,
    Status,
    read_amount,
)

# --- received ----------------------------------------------------------------------------------------

Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Amount(msgspec.Struct):
    """Decimal text with the currency's own number of decimals."""

    currency: str
    value: str


class Link(msgspec.Struct):
    """A link."""

    href: str


class Links(msgspec.Struct):
    """`checkout` is the page to pay on, while it is open."""

    checkout: Link | None = None


class Payment(msgspec.Struct, rename="camel"):
    """A payment; `metadata` is what we sent, or what anybody else did."""

    id: str
    status: str
    amount: Amount
    created_at: Time
    metadata: Any = None
    expires_at: Time | None = None
    amount_refunded: Amount | None = None
    amount_charged_back: Amount | None = None
    links: Links = msgspec.field(name="_links", default_factory=Links)


class Refund(msgspec.Struct, rename="camel"):
    """A refund of a payment."""

    id: str
    status: str
    amount: Amount
    metadata: Any = None


class Problem(msgspec.Struct):
    """What an error has. Mollie has no codes: the status and its title are all there is."""

    status: int
    title: str
    detail: str


# --- their words -> ours -----------------------------------------------------------------------------

STATES: Mapping[str, Status] = {
    "open": Status.PENDING,
    "pending": Status.PENDING,
    "paid": Status.PAID,
    "failed": Status.FAILED,
    "canceled": Status.CLOSED,
    "expired": Status.CLOSED,
}
"""`authorized` is not here: only methods with captures have it, and none is offered."""

REFUND_STATES: Mapping[str, RefundStatus] = {
    "queued": RefundStatus.PENDING,
    "pending": RefundStatus.PENDING,
    "processing": RefundStatus.PENDING,
    "refunded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}

REFUSALS: Mapping[tuple[int, str], Literal["operator", "caller"]] = {
    (401, "Unauthorized Request"): "operator",
    (403, "Forbidden"): "operator",
    (404, "Not Found"): "caller",
    (422, "Unprocessable Entity"): "caller",
}
"""
Definite refusals, and who acts. Not here, so unknown: 400 and 409, which a repeated idempotency key may get
though the first request was carried out.
"""


def refused(told: Problem) -> Failure | None:
    """Why a request was refused; None where that is not documented."""
    who = REFUSALS.get((told.status, told.title))
    return Failure(code=str(told.status), message=told.detail, who_acts=who) if who else None


def number_of(told: Payment | Refund) -> str:
    """Our number, which Mollie keeps in the metadata."""
    number = told.metadata.get("order_id") if isinstance(told.metadata, dict) else None
    return number if isinstance(number, str) else ""


def payment_seen(told: Payment) -> PaymentObservation | None:
    """What it says of a payment of ours; None where it is none, or in a state that is not documented."""
    if told.status not in STATES or not told.id or not number_of(told):
        return None
    amount, partial = amount_of(told.amount)
    checkout = told.links.checkout.href if told.links.checkout else ""
    is_open = STATES[told.status] is Status.PENDING and checkout.startswith("https://")
    return PaymentObservation(
        number=number_of(told),
        status=STATES[told.status],
        provider_id=told.id,
        amount=amount,
        partial_amount=partial,
        refunded_minor=_minor(told.amount_refunded),
        charged_back_minor=_minor(told.amount_charged_back),
        action=Redirect(url=checkout) if is_open else None,
        words={"status": told.status},
    )


def refund_seen(told: Refund) -> RefundObservation | None:
    """What it says of a refund of ours; None where it is none, or in a state that is not documented."""
    if told.status not in REFUND_STATES or not number_of(told):
        return None
    amount, partial = amount_of(told.amount)
    return RefundObservation(
        number=number_of(told),
        status=REFUND_STATES[told.status],
        provider_id=told.id,
        amount=amount,
        partial_amount=partial,
        words={"status": told.status},
    )


def amount_of(told: Amount) -> tuple[Money | None, PartialAmount | None]:
    """The amount; what is none is told as unreadable."""
    try:
        return Money(told.value, told.currency), None
    except InvalidField:
        return read_amount(None, told.currency, unreadable=told.value)


def _minor(told: Amount | None) -> int | None:
    amount = amount_of(told)[0] if told else None
    return amount.minor if amount else None
