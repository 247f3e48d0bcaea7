"""Acme Pay's gateway once more, as a sandbox: what the pages' providers are checked against by the conformance kit."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from paycore.sandbox.scripted import (
    GatewayAnswer,
    GatewayRequest,
    ScriptedGateway,
    ScriptedOrder,
    ScriptedRefund,
)
from tests.docs.acme import KEY, MERCHANT


class AcmeGateway(ScriptedGateway):
    """Orders and refunds by number; a number that is in use is refused."""

    name = "acme"
    settings: Mapping[str, Any] = {"merchant": MERCHANT, "key": KEY}

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """The answer to one request."""
        if asked.headers.get("x-acme-merchant") != MERCHANT:
            return problem(401, "no_such_merchant")
        given = asked.headers.get("x-acme-signature", "").encode()
        if not hmac.compare_digest(given, sign(asked.body or asked.path.encode()).encode()):
            return problem(401, "bad_signature")
        match [asked.method, *asked.path.removeprefix("/v1/").split("/")]:
            case ["POST", "orders"]:
                return self._create(asked.document)
            case ["GET", "refunds", number] if (refund := self.find_refund(number)) is not None:
                return GatewayAnswer(refund_told(refund))
            case [method, "orders", number, *what] if (order := self.find(number)) is not None:
                return self._of_order([method, *what], order, asked.document)
            case _:
                return problem(404, "not_found")

    def notification(
        self, order: ScriptedOrder, *, is_forged: bool
    ) -> tuple[Mapping[str, str], bytes] | None:
        """The order as it is."""
        body = json.dumps(order_told(order)).encode()
        return self.sign_notification(body, "another-key" if is_forged else KEY), body

    def sign_notification(self, body: bytes, key: str = KEY) -> Mapping[str, str]:
        """See `FullGateway`."""
        return {"X-Acme-Signature": sign(body, key)}

    def _create(self, wanted: dict[str, Any]) -> GatewayAnswer:
        self.requests[wanted["number"]] += 1
        if wanted["title"] == "risky":
            return problem(422, "risk")
        if self.find(wanted["number"]) is not None:
            return problem(409, "number_in_use")
        order = self.place(wanted["number"], wanted["amount"], wanted["currency"])
        told = order_told(order) | {"pay_url": f"https://pay.acme.example/{order.id}"}
        return GatewayAnswer(told, 201)

    def _of_order(self, what: list[str], order: ScriptedOrder, wanted: dict[str, Any]) -> GatewayAnswer:
        match what:
            case ["GET"]:
                return GatewayAnswer(order_told(order))
            case ["POST", "cancel"] if order.state == "pending":
                self.change(order, "closed")
                return GatewayAnswer(order_told(order))
            case ["POST", "cancel"]:
                return problem(422, "not_open")
            case ["POST", "refunds"] if self.find_refund(wanted["number"]) is not None:
                return problem(409, "number_in_use")
            case ["POST", "refunds"]:
                refund = self.refund(order, wanted["number"], wanted["amount"])
                return problem(422, "too_much") if refund is None else GatewayAnswer(refund_told(refund))
            case _:
                return problem(404, "not_found")


def order_told(order: ScriptedOrder) -> dict[str, Any]:
    """An order as Acme tells it; the link comes with its creation only."""
    states = {"pending": "open", "paid": "paid", "failed": "declined", "closed": "cancelled"}
    return {
        "number": order.number,
        "id": order.id,
        "state": states[order.state],
        "amount": order.minor,
        "currency": order.currency,
    }


def refund_told(refund: ScriptedRefund) -> dict[str, Any]:
    """A refund as Acme tells it."""
    return {"number": refund.number, "id": refund.id, "state": refund.state, "amount": refund.minor}


def problem(status: int, code: str) -> GatewayAnswer:
    """An error."""
    return GatewayAnswer({"error": code}, status)


def sign(body: bytes, key: str = KEY) -> str:
    """HMAC-SHA256 in lower-case hex."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
