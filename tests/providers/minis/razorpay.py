"""Razorpay: order and payment ids, one host for test and live, a script in the shop's page, disputes."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from paycore.plugin import (
    Capabilities,
    ClientCall,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Flow,
    Found,
    MalformedNotification,
    Mention,
    Mode,
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
    Reply,
    Request,
    RequestBudget,
    Secret,
    Status,
)
from tests.providers.minis.calls import UNREADABLE, document, no_answer, with_json

SCRIPT = "https://checkout.razorpay.com/v1/checkout.js"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    key_secret: Secret
    webhook_secret: Secret


class Razorpay:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-razorpay",
        title="Razorpay",
        settings=Settings,
        base_urls={"test": "https://api.razorpay.com", "live": "https://api.razorpay.com"},
        live_hosts=frozenset({"api.razorpay.com"}),
        sample={"key_id": "rzp_test_1", "key_secret": "s", "webhook_secret": "w"},
        notification_headers=frozenset({"x-razorpay-signature"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="card",
                channel="web",
                currencies={"INR": (100, 50_000_000)},
                close=False,
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=40),
        budget=RequestBudget(per_second=10, per_minute=600),
        query_proves_absence_after_s=0.1,
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @staticmethod
    def mode_of(settings: Settings) -> Mode:
        return "live" if settings.key_id.startswith("rzp_live_") else "test"

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {"amount": order.amount.minor, "currency": order.amount.currency, "receipt": order.number}
        response = yield with_json("POST", "/v1/orders", wanted, self._head)
        if (problem := no_answer(response)) is not None:
            return problem
        made = document(response)
        seen = _seen(order.number, made, [], [])
        return Done(Created(observation=seen, action=self._checkout(made)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        response = yield self._get("/v1/orders", {"receipt": order.number})
        if (problem := no_answer(response)) is not None:
            return problem
        found = document(response)["items"]
        if not found:
            return Done(Found(absent=frozenset({order.number})))
        response = yield self._get(f"/v1/orders/{found[0]['id']}/payments")
        payments = document(response)["items"]
        response = yield self._get("/v1/disputes")
        disputes = document(response)["items"]
        seen = _seen(order.number, found[0], payments, disputes)
        # What the payer needs can be made again, so a lost reply loses nothing.
        action = self._checkout(found[0]) if seen.status is Status.PENDING else None
        return Done(Found(observations=(replace(seen, action=action),)))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        given = notification.headers.get("x-razorpay-signature", "").encode()
        if not hmac.compare_digest(sign(notification.body, self._settings.webhook_secret).encode(), given):
            raise NotAuthentic("its signature does not hold")
        try:
            about = json.loads(notification.body)["payload"]
            return [Mention(id=about["payment"]["entity"]["id"])]
        except UNREADABLE:
            raise MalformedNotification("it names no payment") from None

    def acknowledge(self) -> Reply:
        return Reply()

    def _checkout(self, made: Mapping[str, Any]) -> ClientCall:
        params = {"key": self._settings.key_id, "order_id": made["id"], "amount": made["amount"]}
        return ClientCall(script=SCRIPT, params=params)

    def _get(self, path: str, fields: Mapping[str, str] | None = None) -> Request:
        return Request(
            method="GET", path=f"{path}?{urlencode(fields)}" if fields else path, headers=self._head
        )

    @property
    def _head(self) -> dict[str, str]:
        pair = f"{self._settings.key_id}:{self._settings.key_secret.reveal()}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def sign(body: bytes, secret: Secret) -> str:
    return hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def _seen(
    number: str,
    made: Mapping[str, Any],
    payments: Sequence[Mapping[str, Any]],
    disputes: Sequence[Mapping[str, Any]],
) -> PaymentObservation:
    paid = next((payment for payment in payments if payment["status"] == "captured"), None)
    own = [dispute for dispute in disputes if paid and dispute["payment_id"] == paid["id"]]
    return PaymentObservation(
        number=number,
        status=Status.PAID if paid else Status.PENDING,
        provider_id=made["id"],
        ids={"payment": paid["id"]} if paid else {},
        amount=Money.from_minor(made["amount"], made["currency"]),
        refunded_minor=paid["amount_refunded"] if paid else None,
        charged_back_minor=sum(dispute["amount_deducted"] for dispute in own),
    )
