"""A merchant who talks to the sandbox by hand, from the documentation."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx2

from paycore.sandbox.server import SandboxServer
from paypal_orders.sandbox.gateway import PayPalGateway

HTTP = httpx2.Client(timeout=5)
"""Opened once: a client takes a while to make."""


class Merchant:
    """Has a token, and numbers its requests."""

    def __init__(self, server: SandboxServer) -> None:
        self.url = server.url
        gateway: Any = server.gateway
        self.gateway: PayPalGateway = gateway
        self.controls = self.gateway.controls
        self.pair = (server.settings["client_id"], server.settings["client_secret"])
        self._numbers = itertools.count(1)
        self._token = ""
        self.renew()

    def renew(self) -> None:
        """Get a token: the old one may have ended."""
        self._token = self.token().json()["access_token"]

    def token(self) -> httpx2.Response:
        form = {"grant_type": "client_credentials"}
        return HTTP.post(f"{self.url}/v1/oauth2/token", data=form, auth=self.pair)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return HTTP.get(self.url + path, headers=self._headers() | headers)

    def post(
        self, path: str, body: object = None, *, request_id: str = "", method: str = "POST", **headers: str
    ) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        head = self._headers() | {"content-type": "application/json", "prefer": "return=representation"}
        head |= {"paypal-request-id": request_id} if request_id else {}
        return HTTP.request(method, self.url + path, content=content, headers=head | headers)

    def order(self, value: str = "12.34", currency: str = "EUR", **changes: Any) -> dict[str, Any]:
        """The body of a create."""
        unit = {"custom_id": f"N{next(self._numbers)}", "amount": {"currency_code": currency, "value": value}}
        page = {"return_url": "https://shop.example/ok?a=1", "cancel_url": "https://shop.example/no"}
        source = {"paypal": {"experience_context": page}}
        return {"intent": "CAPTURE", "purchase_units": [unit], "payment_source": source, **changes}

    def created(self, **changes: Any) -> dict[str, Any]:
        answer = self.post("/v2/checkout/orders", self.order(**changes))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def approved(self, **changes: Any) -> dict[str, Any]:
        order = self.created(**changes)
        self.controls.pay(order["id"])
        return self.shown(order["id"])

    def paid(self, **changes: Any) -> dict[str, Any]:
        order = self.approved(**changes)
        answer = self.post(f"/v2/checkout/orders/{order['id']}/capture")
        assert answer.status_code == 201, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def shown(self, order_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.get(f"/v2/checkout/orders/{order_id}").json()
        return shown

    def refund(self, capture_id: str, value: str | None = None, **options: Any) -> httpx2.Response:
        body = {} if value is None else {"amount": {"currency_code": "EUR", "value": value}}
        return self.post(f"/v2/payments/captures/{capture_id}/refund", body, **options)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"}
