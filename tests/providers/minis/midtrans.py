"""Midtrans: the checkout on one host, the status on another, and a signature inside the notification."""

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
    InvalidField,
    MalformedNotification,
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
    Redirect,
    Reply,
    Request,
    RequestBudget,
    Resend,
    Secret,
    Status,
)
from tests.providers.minis.calls import UNREADABLE, document, no_answer, with_json

STATES = {"settlement": Status.PAID, "capture": Status.PAID, "expire": Status.CLOSED, "cancel": Status.CLOSED}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    server_key: Secret


class Midtrans:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-midtrans",
        title="Midtrans Snap",
        settings=Settings,
        base_urls={"test": "https://app.sandbox.midtrans.com", "live": "https://app.midtrans.com"},
        hosts={"api": {"test": "https://api.sandbox.midtrans.com", "live": "https://api.midtrans.com"}},
        live_hosts=frozenset({"app.midtrans.com", "api.midtrans.com"}),
        sample={"server_key": "SB-Mid-server-1"},
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="card",
                channel="web",
                currencies={"IDR": (100_00, 10_000_000_000)},
                close=False,
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=50),
        budget=RequestBudget(per_second=10, per_minute=600),
        create_resend=Resend("same_result"),
        notifications_trusted=True,
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        pair = f"{settings.server_key.reveal()}:"
        self._head = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    @staticmethod
    def mode_of(settings: Settings) -> Mode:
        return "test" if settings.server_key.reveal().startswith("SB-") else "live"

    def check(self, order: CreateOrder) -> None:
        if order.amount.minor % 100:
            raise InvalidField("amount", "Midtrans takes whole rupiah")

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        details = {"order_id": order.number, "gross_amount": order.amount.minor // 100}
        wanted = {"transaction_details": details}
        response = yield with_json("POST", "/snap/v1/transactions", wanted, self._head)
        if (problem := no_answer(response)) is not None:
            return problem
        seen = PaymentObservation(number=order.number, status=Status.PENDING)
        return Done(Created(observation=seen, action=Redirect(url=document(response)["redirect_url"])))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        path = f"/v2/{order.number}/status"
        response = yield Request(method="GET", path=path, headers=self._head, host="api")
        if (problem := no_answer(response)) is not None:
            return problem
        found = document(response)
        if found["status_code"] == "404":  # the payer has chosen nothing yet: there may be a page to pay on
            return Done(Found(undecided=frozenset({order.number})))
        return Done(Found(observations=(_seen(found),)))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        try:
            told = json.loads(notification.body)
            signed = told["order_id"] + told["status_code"] + told["gross_amount"]
            given, seen = told["signature_key"].encode(), _seen(told)
        except UNREADABLE:
            raise MalformedNotification("it is no notification of Midtrans's") from None
        if not hmac.compare_digest(sign(signed, self._settings.server_key).encode(), given):
            raise NotAuthentic("its signature does not hold")
        return [seen]

    def acknowledge(self) -> Reply:
        return Reply()


def sign(signed: str, key: Secret) -> str:
    return hashlib.sha512((signed + key.reveal()).encode()).hexdigest()


def _seen(told: dict[str, Any]) -> PaymentObservation:
    return PaymentObservation(
        number=told["order_id"],
        status=STATES.get(told["transaction_status"], Status.PENDING),
        provider_id=told["transaction_id"],
        amount=Money(told["gross_amount"], "IDR"),
    )
