"""
Mollie's Payments API v2, as its documentation describes it.

    POST   /v2/payments                 a payment of one amount, with a page to pay on
    GET    /v2/payments/ID              the payment
    DELETE /v2/payments/ID              the payment, cancelled while it is open; else 422
    POST   /v2/payments/ID/refunds      a refund, pending at first
    GET    /v2/payments/ID/refunds/ID   the refund

The key is a bearer token. A POST with an Idempotency-Key is answered alike for an hour. The webhook is a form
with an id, and is not signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from paycore.sandbox.api import SandboxOptions
from paycore.sandbox.scripted import (
    GatewayAnswer,
    GatewayRequest,
    ScriptedGateway,
    ScriptedOrder,
    ScriptedRefund,
)

KEY = "test_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM"
DECIMALS = {"EUR": 2, "GBP": 2, "HKD": 2, "JPY": 0, "USD": 2}
EUR_MOST = 1_000_000
HOUR_MS = 3_600_000
SESSION_MS = 30 * 60_000
REFUND_S = 2 * 3600.0


class MollieGateway(ScriptedGateway):
    """The company's side: payments, refunds, charge backs, webhooks."""

    name = "mollie"
    settings: Mapping[str, str] = {"api_key": KEY}

    def __init__(self, options: SandboxOptions) -> None:
        super().__init__(options)
        self._answers: dict[str, tuple[int, tuple[str, bytes], GatewayAnswer]] = {}

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """The answer to one request."""
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return _problem(401, "Unauthorized Request", "Missing authentication, or failed to authenticate")
        now = self.clock.now_ms()
        if asked.method == "POST" and asked.path == "/v2/payments":
            self.requests[_number(asked.document)] += 1
        key = asked.headers.get("idempotency-key")
        if asked.method != "POST" or key is None:
            return self._act(asked)
        at, sent, answer = self._answers.get(key, (0, ("", b""), GatewayAnswer({})))
        if now - at >= HOUR_MS:
            answer = self._act(asked)
            self._answers[key] = now, (asked.path, asked.body), answer
            return answer
        if sent != (asked.path, asked.body):
            return _problem(400, "Bad Request", "The idempotency key was used for another request")
        return GatewayAnswer(answer.content, answer.status, {"idempotent-replayed": "true"})

    def notification(
        self, order: ScriptedOrder, *, is_forged: bool
    ) -> tuple[Mapping[str, str], bytes] | None:
        """Its id; a forged one is not different."""
        return {"content-type": "application/x-www-form-urlencoded"}, urlencode({"id": order.id}).encode()

    def charge_back(self, number: str, minor: int | None) -> Mapping[str, Any]:
        """The payer's bank takes this much back, or all."""
        order = self.find(number)
        if order is None:
            return self.show_order(number)  # which raises that there is none
        taken = order.paid_minor if minor is None else minor
        order.facts["charged_back"] = order.facts.get("charged_back", 0) + taken
        self.announce(order)
        return self.show_order(number)

    # --- inside --------------------------------------------------------------------------------------

    def _act(self, asked: GatewayRequest) -> GatewayAnswer:
        match [asked.method, *asked.path.removeprefix("/v2/").split("/")]:
            case ["POST", "payments"]:
                return self._make(asked.document)
            case [method, "payments", id_, *what]:
                order = next((order for order in self.orders if order.id == id_), None)
                if order is None:
                    return _problem(404, "Not Found", f"No payment exists with token {id_}.")
                return self._of_payment(method, order, what, asked.document)
            case _:
                return _problem(404, "Not Found", "The page does not exist")

    def _of_payment(
        self, method: str, order: ScriptedOrder, what: list[str], wanted: dict[str, Any]
    ) -> GatewayAnswer:
        match [method, *what]:
            case ["GET"]:
                return GatewayAnswer(_payment(order))
            case ["DELETE"]:
                if order.state != "pending":
                    return _problem(422, "Unprocessable Entity", "The payment cannot be canceled")
                order.facts["is_canceled"] = True
                self.change(order, "closed")
                return GatewayAnswer(_payment(order))
            case ["POST", "refunds"]:
                return self._give_back(order, wanted)
            case ["GET", "refunds", id_]:
                return self._refund_of(order, id_)
            case _:
                return _problem(405, "Method Not Allowed", "The method is not applicable")

    def _refund_of(self, order: ScriptedOrder, id_: str) -> GatewayAnswer:
        found = next((refund for refund in self.refunds if refund.id == id_), None)
        if found is None or found.order is not order:
            return _problem(404, "Not Found", f"No refund exists with token {id_}.")
        return GatewayAnswer(_refund(found))

    def _make(self, wanted: dict[str, Any]) -> GatewayAnswer:
        minor, currency = _minor(wanted)
        if minor is None or minor < 1 or (currency == "EUR" and minor > EUR_MOST):
            return _unprocessable("amount", "The amount is not right")
        description = wanted.get("description")
        if not isinstance(description, str) or not 0 < len(description) <= 255:
            return _unprocessable("description", "The description is not right")
        if not isinstance(wanted.get("redirectUrl"), str):
            return _unprocessable("redirectUrl", "The redirect URL is missing")
        if wanted.get("method") != "creditcard":
            return _unprocessable("method", "The payment method is not activated")
        order = self.place(
            _number(wanted),
            minor,
            currency,
            id=f"tr_{self.serial()}",
            notify_url=wanted.get("webhookUrl"),
            facts={"wanted": wanted},
        )
        self.clock.call_at(order.made_ms + SESSION_MS, lambda: self._lapse(order))
        return GatewayAnswer(_payment(order), 201)

    def _lapse(self, order: ScriptedOrder) -> None:
        if order.state == "pending":
            self.change(order, "closed")

    def _give_back(self, order: ScriptedOrder, wanted: dict[str, Any]) -> GatewayAnswer:
        minor, currency = _minor(wanted)
        if not isinstance(wanted.get("description"), str):
            return _unprocessable("description", "The description is missing")
        waits = sum(one.minor for one in self.refunds if one.order is order and one.state == "pending")
        left = order.paid_minor - order.refunded_minor - waits - order.facts.get("charged_back", 0)
        refund, id_ = None, f"re_{self.serial()}"
        if minor is not None and currency == order.currency and 0 < minor <= left:
            refund = self.refund(order, _number(wanted), minor, takes_s=REFUND_S, id=id_)
        if refund is None:
            return _unprocessable("amount.value", "The specified amount cannot be refunded")
        return GatewayAnswer(_refund(refund), 201)


def _number(wanted: dict[str, Any]) -> str:
    metadata = wanted.get("metadata")
    return str(metadata.get("order_id", "")) if isinstance(metadata, dict) else ""


def _problem(status: int, title: str, detail: str, **more: str) -> GatewayAnswer:
    links = {"documentation": {"href": "https://docs.mollie.com/errors", "type": "text/html"}}
    return GatewayAnswer(
        {"status": status, "title": title, "detail": detail, **more, "_links": links}, status
    )


def _unprocessable(field: str, detail: str) -> GatewayAnswer:
    return _problem(422, "Unprocessable Entity", detail, field=field)


def _minor(wanted: dict[str, Any]) -> tuple[int | None, str]:
    """Minor units and currency: text with exactly the currency's decimals, or None."""
    try:
        currency, value = wanted["amount"]["currency"], wanted["amount"]["value"]
        number = Decimal(value)
        is_exact = isinstance(value, str) and -number.as_tuple().exponent == DECIMALS[currency]  # type: ignore[operator]
    except (InvalidOperation, KeyError, TypeError, ValueError):
        return None, ""
    return (int(number.scaleb(DECIMALS[currency])) if is_exact else None), currency


def _amount(minor: int, currency: str) -> dict[str, str]:
    places = DECIMALS[currency]
    return {"value": f"{Decimal(minor).scaleb(-places):.{places}f}", "currency": currency}


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat()


def _payment(order: ScriptedOrder) -> dict[str, Any]:
    states = {"pending": "open", "paid": "paid", "failed": "failed"}
    ended = "canceled" if order.facts.get("is_canceled") else "expired"
    wanted = order.facts["wanted"]
    links = {
        "self": {"href": f"https://api.mollie.com/v2/payments/{order.id}", "type": "application/hal+json"}
    }
    told = {
        "resource": "payment",
        "id": order.id,
        "mode": "test",
        "createdAt": _time(order.made_ms),
        "amount": _amount(order.minor, order.currency),
        "description": wanted["description"],
        "method": "creditcard",
        "metadata": wanted.get("metadata"),
        "status": states.get(order.state, ended),
        "isCancelable": order.state == "pending",
        "profileId": "pfl_QkEhN94Ba",
        "sequenceType": "oneoff",
        "redirectUrl": wanted["redirectUrl"],
        "_links": links,
    }
    if order.state == "pending":
        told["expiresAt"] = _time(order.made_ms + SESSION_MS)
        href = f"https://www.mollie.com/payscreen/select-method/{order.id[3:]}"
        links["checkout"] = {"href": href, "type": "text/html"}
    if order.state == "paid":
        charged_back = order.facts.get("charged_back", 0)
        left = order.paid_minor - order.refunded_minor - charged_back
        told["amountRefunded"] = _amount(order.refunded_minor, order.currency)
        told["amountRemaining"] = _amount(left, order.currency)
        if charged_back:
            told["amountChargedBack"] = _amount(charged_back, order.currency)
    return told


def _refund(refund: ScriptedRefund) -> dict[str, Any]:
    states = {"pending": "pending", "succeeded": "refunded", "failed": "failed"}
    return {
        "resource": "refund",
        "id": refund.id,
        "amount": _amount(refund.minor, refund.order.currency),
        "status": states[refund.state],
        "createdAt": _time(refund.made_ms),
        "description": "Order",
        "metadata": {"order_id": refund.number},
        "paymentId": refund.order.id,
        "_links": {},
    }
