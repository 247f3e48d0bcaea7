"""What a gateway of one class is asked, answers and keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec

OrderState = Literal["pending", "authorized", "paid", "failed", "closed"]
RefundState = Literal["pending", "succeeded", "failed"]


class GatewayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request: `path` without its query string, header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; {} where there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def form(self) -> dict[str, str]:
        """The form in the body."""
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))


class GatewayAnswer(msgspec.Struct, frozen=True):
    """The answer to a request: bytes as they are, anything else as JSON."""

    content: Any
    status: int = 200
    headers: Mapping[str, str] = {}

    @property
    def body(self) -> bytes:
        """The bytes to send."""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


class ScriptedOrder(msgspec.Struct, kw_only=True):
    """
    One order at the gateway.

    `number` is the merchant's, `id` the gateway's own; `minor` is in minor units as ISO 4217 has them. `asks_capture`:
    the payer only agrees, and the merchant takes the money. `method` and `channel` are in paycore's words, for the
    rules of a scenario. `facts` is for whatever else the script keeps; a text in it may be the caller's reference.
    """

    number: str
    id: str
    minor: int
    currency: str
    made_ms: int
    notify_url: str | None = None
    asks_capture: bool = False
    method: str = ""
    channel: str = ""
    state: OrderState = "pending"
    charges: int = 0
    paid_minor: int = 0
    refunded_minor: int = 0
    facts: dict[str, Any] = {}


class ScriptedRefund(msgspec.Struct, kw_only=True):
    """
    One refund of an order; `minor` as in `ScriptedOrder`.

    A pending one is not counted in the order's `refunded_minor`, though no other refund can have its money.
    """

    number: str
    id: str
    order: ScriptedOrder
    minor: int
    state: RefundState = "succeeded"
    made_ms: int = 0
