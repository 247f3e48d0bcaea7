"""Square: an idempotency key on create, and notifications signed over URL and body; the URL is a setting."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from paycore.plugin import (
    Capabilities,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Flow,
    Found,
    Lookup,
    MalformedNotification,
    Mention,
    Money,
    NotAuthentic,
    Notice,
    Notification,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Redirect,
    Reply,
    Request,
    RequestBudget,
    Resend,
    Secret,
    Status,
)
from tests.providers.minis.calls import UNREADABLE, document, no_answer, with_json

STATES = {"COMPLETED": Status.PAID, "CANCELED": Status.CLOSED}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    access_token: Secret
    location_id: str
    signature_key: Secret
    notification_url: str


class Square:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-square",
        title="Square payment links",
        settings=Settings,
        base_urls={
            "test": "https://connect.squareupsandbox.com",
            "live": "https://connect.squareup.com",
        },
        live_hosts=frozenset({"connect.squareup.com"}),
        notification_headers=frozenset({"x-square-hmacsha256-signature"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="card",
                channel="web",
                currencies={"USD": (100, 5_000_000)},
                optional=frozenset({"subject", "return_url"}),
                close=False,
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=45),
        budget=RequestBudget(per_second=10, per_minute=600),
        lookup=Lookup.BY_PROVIDER_ID,
        create_resend=Resend("same_result", window_s=24 * 3600.0),
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._head = {"authorization": f"Bearer {settings.access_token.reveal()}"}

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {
            "idempotency_key": order.number,
            "quick_pay": {
                "name": order.subject or order.reference,
                "location_id": self._settings.location_id,
                "price_money": {"amount": order.amount.minor, "currency": order.amount.currency},
            },
            "checkout_options": {"redirect_url": order.return_url},
        }
        response = yield with_json("POST", "/v2/online-checkout/payment-links", wanted, self._head)
        if (problem := no_answer(response)) is not None:
            return problem
        link = document(response)["payment_link"]
        seen = PaymentObservation(number=order.number, status=Status.PENDING, provider_id=link["order_id"])
        return Done(Created(observation=seen, action=Redirect(url=link["url"])))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        response = yield Request(method="GET", path=f"/v2/orders/{order.provider_id}", headers=self._head)
        if (problem := no_answer(response)) is not None:
            return problem
        return Done(Found(observations=(_seen(order.number, document(response)["order"]),)))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        signed = self._settings.notification_url.encode() + notification.body
        given = notification.headers.get("x-square-hmacsha256-signature", "").encode()
        if not hmac.compare_digest(sign(signed, self._settings.signature_key).encode(), given):
            raise NotAuthentic("its signature does not hold")
        try:
            return [Mention(id=json.loads(notification.body)["data"]["object"]["payment"]["order_id"])]
        except UNREADABLE:
            raise MalformedNotification("it is no event of a payment") from None

    def acknowledge(self) -> Reply:
        return Reply()


def sign(signed: bytes, key: Secret) -> str:
    return base64.b64encode(hmac.digest(key.reveal().encode(), signed, hashlib.sha256)).decode()


def _seen(number: str, made: dict[str, Any]) -> PaymentObservation:
    total = made["total_money"]
    return PaymentObservation(
        number=number,
        status=STATES.get(made["state"], Status.PENDING),
        provider_id=made["id"],
        ids={"payment": made["tenders"][0]["payment_id"]} if made.get("tenders") else {},
        amount=Money.from_minor(total["amount"], total["currency"]),
    )
