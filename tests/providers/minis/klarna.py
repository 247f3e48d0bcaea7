"""Klarna: what the payer brings back makes the order; it is captured when the goods are sent, the rest is released."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from paycore.plugin import (
    Capabilities,
    CaptureOrder,
    CaptureReply,
    ClientCall,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    Lookup,
    NotNow,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Rejected,
    Request,
    RequestBudget,
    Resend,
    Response,
    Secret,
    Status,
    Unknown,
)
from tests.providers.minis.calls import document, no_answer, with_json

STATES = {"AUTHORIZED": Status.AUTHORIZED, "CAPTURED": Status.PAID, "CANCELLED": Status.CLOSED}
DAY_S = 24 * 3600.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    password: Secret


class Klarna:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-klarna",
        title="Klarna Payments",
        settings=Settings,
        base_urls={"test": "https://api.playground.klarna.com", "live": "https://api.klarna.com"},
        live_hosts=frozenset({"api.klarna.com"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="klarna",
                channel="web",
                currencies={"EUR": (1, 99_999_999)},
                refund="none",
                capture="partial",
            ),
        ),
        number=NumberFormat(length_max=50),
        budget=RequestBudget(per_second=10, per_minute=600),
        lookup=Lookup.BY_PROVIDER_ID,
        create_resend=Resend("same_result", window_s=DAY_S),
        capture_resend=Resend("same_result", window_s=DAY_S),
    )

    def __init__(self, settings: Settings) -> None:
        pair = f"{settings.username}:{settings.password.reveal()}"
        self._head = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {"order_amount": order.amount.minor, "purchase_currency": order.amount.currency}
        response = yield self._post("/payments/v1/sessions", wanted, order.number)
        if (refusal := _refusal(response)) is not None:
            return refusal
        made = document(response)
        seen = PaymentObservation(
            number=order.number, status=Status.PENDING, ids={"session": made["session_id"]}
        )
        script, params = "https://x.klarnacdn.net/kp/lib/v1/api.js", {"client_token": made["client_token"]}
        return Done(Created(observation=seen, action=ClientCall(script=script, params=params)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        order_id, token = order.provider_id, quote(order.returned.get("authorization_token", ""), safe="")
        if order_id is None and not token:
            return Done(Found())  # the payer is not back: there is nothing to ask about
        if order_id is None:
            # It reserves and takes no money, and makes one order whenever it is sent: it is safe.
            wanted = {"order_amount": order.amount.minor, "purchase_currency": order.amount.currency}
            path = f"/payments/v1/authorizations/{token}/order"
            response = yield self._post(path, wanted, token, safe=True)
            if response.status == 404:  # anybody can come back with a token
                return Done(Found(undecided=frozenset({order.number})))
            if (refusal := _refusal(response)) is not None:
                return refusal
            order_id = document(response)["order_id"]
        response = yield Request(
            method="GET", path=f"/ordermanagement/v1/orders/{order_id}", headers=self._head
        )
        return _refusal(response) or Done(Found(observations=(_seen(order.number, document(response)),)))

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        path = f"/ordermanagement/v1/orders/{capture.order.provider_id}"
        wanted = {"captured_amount": capture.amount.minor, "reference": capture.number}
        response = yield self._post(f"{path}/captures", wanted, capture.number)
        if response.status != 201 and (refusal := _refusal(response)) is not None:
            return refusal
        response = yield Request(method="GET", path=path, headers=self._head)
        return _refusal(response) or Done(_seen(capture.order.number, document(response)))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        if order.provider_id is None:
            return Rejected(failure=Failure(code="no_order", message="there is no order to cancel yet"))
        path = f"/ordermanagement/v1/orders/{order.provider_id}/cancel"
        response = yield self._post(path, {}, f"{order.number}-cancel")
        if response.status != 204 and (refusal := _refusal(response)) is not None:
            return refusal
        return Done(
            PaymentObservation(number=order.number, status=Status.CLOSED, provider_id=order.provider_id)
        )

    def _post(self, path: str, wanted: object, key: str, **options: bool) -> Request:
        return with_json("POST", path, wanted, {**self._head, "klarna-idempotency-key": key}, **options)


def _refusal(response: Response) -> Rejected | NotNow | Unknown | None:
    if (problem := no_answer(response)) is not None or response.status < 400:
        return problem
    error = document(response)
    return Rejected(failure=Failure(code=error["error_code"], message=error["error_code"].lower()))


def _seen(number: str, made: dict[str, Any]) -> PaymentObservation:
    return PaymentObservation(
        number=number,
        status=STATES.get(made["status"], Status.PENDING),
        provider_id=made["order_id"],
        paid_minor=made["captured_amount"] or None,
        occurred_at=datetime.fromisoformat(made["created_at"]),
    )
