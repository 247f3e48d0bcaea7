"""GoCardless by its miniature provider."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import ReviewReason, Status
from tests.providers.conftest import OpenShop, Serve, eventually
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.gocardless import GoCardless

SETTINGS = {"access_token": "access-token", "webhook_secret": "webhook-secret"}
ORDER = {
    "reference": "order-1",
    "amount": Money("25.00", "GBP"),
    "method": "direct_debit",
    "channel": "web",
    "return_url": "https://shop.example/thanks",
}


class GoCardlessGateway(Gateway):
    """Billing requests, and the payments they lead to: `payments` by the billing request's id."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.payments: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> tuple[int, object]:
        key = asked.headers.get("idempotency-key")
        return self.once(key, lambda: self._route(asked)) if key else self._route(asked)

    def _route(self, asked: Asked) -> tuple[int, object]:
        answered: tuple[int, object]
        match [asked.method, *asked.path.strip("/").split("/")]:
            case ["POST", "billing_requests"]:
                self.requests += 1
                answered = 201, {"billing_requests": {"id": f"BRQ{self.requests}"}}
            case ["POST", "billing_request_flows"]:
                url = "https://pay.gocardless.com/flow/1"
                answered = 201, {"billing_request_flows": {"authorisation_url": url}}
            case ["GET", "billing_requests", request_id]:
                made = self.payments.get(request_id)
                answered = (
                    200,
                    {"billing_requests": {"links": {"payment_request_payment": made["id"]} if made else {}}},
                )
            case ["GET", "payments", payment_id]:
                found = next(made for made in self.payments.values() if made["id"] == payment_id)
                answered = 200, {"payments": found}
            case ["GET", "events"]:
                answered = 200, {"events": self.events}
            case _:
                answered = 404, {"error": {"type": "invalid_api_usage", "message": "not found"}}
        return answered

    def debit(self, request_id: str, status: str) -> None:
        """The debit of this billing request is at this status."""
        made = {"id": f"PM-{request_id}", "status": status, "amount": 2500, "currency": "GBP"}
        self.payments[request_id] = made


def send_events(shop: Any, links: list[dict[str, str]]) -> None:
    body = json.dumps({"events": [{"id": f"EV{i}", "links": link} for i, link in enumerate(links)]}).encode()
    signature = hmac.new(b"webhook-secret", body, hashlib.sha256).hexdigest()
    shop.receive("shop", body=body, headers={"Webhook-Signature": signature})


@pytest.mark.parametrize("status", ["charged_back", "failed"])
def test_a_debit_is_paid_after_days_and_taken_back_later(
    serve: Serve[GoCardlessGateway], open_shop: OpenShop, status: str
) -> None:
    """It is pending until it is confirmed; what the bank takes back later is no silence, and no failed payment."""
    gateway = serve(GoCardlessGateway())
    shop = open_shop(GoCardless, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.debit("BRQ1", "submitted")
    assert shop.query(payment.id).status is Status.PENDING
    gateway.debit("BRQ1", "confirmed")
    gateway.events.append({"action": "confirmed"})
    payment = shop.query(payment.id)
    assert (payment.status, payment.refundable_minor) == (Status.PAID, 2500)
    gateway.debit("BRQ1", status)
    send_events(shop, [{"payment": "PM-BRQ1"}])
    payment = eventually(shop, payment, lambda payment: payment.review)
    assert payment.review_reasons == (ReviewReason.CHARGED_BACK,)
    assert (payment.status, payment.charged_back_minor) == (Status.PAID, 2500)


def test_a_debit_that_fails_at_once_took_nothing(
    serve: Serve[GoCardlessGateway], open_shop: OpenShop
) -> None:
    """Without having been confirmed before it is a failed payment."""
    gateway = serve(GoCardlessGateway())
    shop = open_shop(GoCardless, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.debit("BRQ1", "failed")
    payment = shop.query(payment.id)
    assert (payment.status, payment.charged_back_minor) == (Status.FAILED, 0)


def test_events_of_250_payments_come_in_one_body(
    serve: Serve[GoCardlessGateway], open_shop: OpenShop
) -> None:
    """Those of ours are asked about, by whatever id they are named; the others are kept, and nobody's."""
    gateway = serve(GoCardlessGateway())
    shop = open_shop(GoCardless, gateway, **SETTINGS)
    payments = [shop.create(**ORDER | {"reference": f"order-{i}"}) for i in range(3)]
    for payment in payments:
        gateway.debit(payment.provider_id, "confirmed")
    strangers = [{"payment": f"PM-{i}"} for i in range(247)]
    send_events(shop, [*strangers, *({"billing_request": payment.provider_id} for payment in payments)])
    for payment in payments:
        eventually(shop, payment, lambda payment: payment.status is Status.PAID)


def test_a_flow_of_two_requests_makes_one_order(serve: Serve[GoCardlessGateway], open_shop: OpenShop) -> None:
    """The second reply is lost: both are sent again with their keys, and the payer gets the link."""
    gateway = serve(GoCardlessGateway())
    shop = open_shop(GoCardless, gateway, **SETTINGS)
    gateway.lose_reply("/billing_request_flows")
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    payment = shop.query(payment.id)
    assert (payment.status, payment.provider_id, gateway.requests) == (Status.PENDING, "BRQ1", 1)
    assert payment.action is not None
