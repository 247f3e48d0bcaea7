"""Orders and what became of them, as the gateway stores them. Times are ms since the epoch, on the sandbox clock."""

from __future__ import annotations

from typing import Any

import msgspec

from paycore.sandbox.deliveries import Delivery
from paypal_orders.sandbox.amounts import iso_minor

OPEN = ("CREATED", "PAYER_ACTION_REQUIRED")
TAKEN = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization, a capture or a refund; `units` is its amount, `of` what it is made of."""

    id: str
    status: str
    units: int
    created_at: int
    updated_at: int
    custom_id: str = ""
    reason: str = ""
    of: str = ""
    ends_at: int | None = None

    @property
    def number(self) -> str:
        """The merchant's own number: what stands in `custom_id` before a point."""
        return self.custom_id.partition(".")[0]


class SandboxDispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute that the payer won: `units` were taken, and `back` of them came back."""

    id: str
    units: int
    created_at: int
    updated_at: int
    back: int = 0


class SandboxOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    One order.

    `instrument` is what the payer chose when they agreed. `ends_at` is when it is gone unless it was completed.
    """

    id: str
    intent: str
    status: str
    units: int
    currency: str
    created_at: int
    updated_at: int
    ends_at: int
    reference_id: str = "default"
    custom_id: str = ""
    invoice_id: str = ""
    description: str = ""
    return_url: str = ""
    cancel_url: str = ""
    brand_name: str = ""
    is_immediate: bool = False
    is_by_source: bool = True
    instrument: str = "balance"
    is_expired: bool = False
    authorizations: tuple[Made, ...] = ()
    captures: tuple[Made, ...] = ()
    refunds: tuple[Made, ...] = ()
    disputes: tuple[SandboxDispute, ...] = ()

    def at(self, now_ms: int) -> SandboxOrder:
        """The order as it is at `now_ms`: one that is not completed ends by itself, and is gone."""
        is_over = self.status not in ("COMPLETED", "VOIDED") and now_ms >= self.ends_at
        return msgspec.structs.replace(self, is_expired=True) if is_over else self

    def with_made(self, kind: str, made: Made) -> SandboxOrder:
        """With this authorization, capture or refund in the place of the one with its id, or added."""
        known: tuple[Made, ...] = getattr(self, kind)
        rest = tuple(made if one.id == made.id else one for one in known)
        changes: dict[str, Any] = {kind: rest if made in rest else (*known, made)}
        return msgspec.structs.replace(self, **changes)

    @property
    def number(self) -> str:
        """The merchant's own number: what stands in `custom_id` before a point."""
        return self.custom_id.partition(".")[0]

    @property
    def charges(self) -> int:
        return sum(one.status in TAKEN for one in self.captures)

    @property
    def paid_minor(self) -> int:
        return iso_minor(sum(one.units for one in self.captures if one.status in TAKEN), self.currency)

    @property
    def refunded_minor(self) -> int:
        live = [one.units for one in self.refunds if one.status in ("COMPLETED", "PENDING")]
        return iso_minor(sum(live), self.currency)


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What a `PayPal-Request-Id` did: the call and content it was sent with, and the order it was about."""

    call: str
    content: str
    order_id: str
    made_id: str
    until: int


class Webhook(Delivery, frozen=True, kw_only=True):
    """One event about an order."""

    order_id: str
    event_type: str
