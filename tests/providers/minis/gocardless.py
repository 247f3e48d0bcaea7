"""GoCardless: a direct debit takes days, is charged back after it was paid, and 250 events come in one body."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from paycore.plugin import (
    Capabilities,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    Lookup,
    MalformedNotification,
    Mention,
    Money,
    NotAuthentic,
    Notice,
    Notification,
    NotNow,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Redirect,
    Rejected,
    Reply,
    Request,
    RequestBudget,
    Resend,
    Response,
    Secret,
    Status,
    Unknown,
)
from tests.providers.minis.calls import UNREADABLE, document, no_answer, with_json

TAKEN = ("confirmed", "paid_out", "charged_back")
STATES = {"failed": Status.FAILED, "cancelled": Status.CLOSED}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    access_token: Secret
    webhook_secret: Secret


class GoCardless:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-gocardless",
        title="GoCardless",
        settings=Settings,
        base_urls={"test": "https://api-sandbox.gocardless.com", "live": "https://api.gocardless.com"},
        live_hosts=frozenset({"api.gocardless.com"}),
        notification_headers=frozenset({"webhook-signature"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="direct_debit",
                channel="web",
                currencies={"GBP": (100, 500_000)},
                required=frozenset({"return_url"}),
                optional=frozenset({"subject"}),
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=128),
        budget=RequestBudget(per_second=10, per_minute=1000),
        lookup=Lookup.BY_PROVIDER_ID,
        create_resend=Resend("same_result"),
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._head = {
            "authorization": f"Bearer {settings.access_token.reveal()}",
            "gocardless-version": "2015-07-06",
        }

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {"amount": order.amount.minor, "currency": order.amount.currency}
        request = {"billing_requests": {"payment_request": wanted | {"description": order.subject}}}
        response = yield self._post("/billing_requests", request, order.number)
        if (refusal := _refusal(response)) is not None:
            return refusal
        request_id = document(response)["billing_requests"]["id"]
        links = {"redirect_uri": order.return_url, "links": {"billing_request": request_id}}
        flow = {"billing_request_flows": links}
        response = yield self._post("/billing_request_flows", flow, f"{order.number}-F")
        if (refusal := _refusal(response)) is not None:
            return refusal
        url = document(response)["billing_request_flows"]["authorisation_url"]
        seen = PaymentObservation(number=order.number, status=Status.PENDING, provider_id=request_id)
        return Done(Created(observation=seen, action=Redirect(url=url)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        response = yield self._get(f"/billing_requests/{order.provider_id}")
        if (refusal := _refusal(response)) is not None:
            return refusal
        links = document(response)["billing_requests"]["links"]
        if "payment_request_payment" not in links:
            return Done(Found(observations=(_seen(order, {}, was_taken=False),)))
        payment_id = links["payment_request_payment"]
        response = yield self._get(f"/payments/{payment_id}")
        if (refusal := _refusal(response)) is not None:
            return refusal
        payment = document(response)["payments"]
        was_taken = payment["status"] in TAKEN
        if payment["status"] == "failed":  # also after it was confirmed, which only its events tell
            response = yield self._get(f"/events?payment={payment_id}&action=confirmed")
            was_taken = bool(document(response)["events"])
        return Done(Found(observations=(_seen(order, payment, was_taken=was_taken),)))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        path = f"/billing_requests/{order.provider_id}/actions/cancel"
        response = yield self._post(path, {}, f"{order.number}-C")
        return _refusal(response) or Done(
            PaymentObservation(number=order.number, status=Status.CLOSED, provider_id=order.provider_id)
        )

    def verify(self, notification: Notification) -> Sequence[Notice]:
        key = self._settings.webhook_secret.reveal().encode()
        digest = hmac.new(key, notification.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(
            digest.encode(), notification.headers.get("webhook-signature", "").encode()
        ):
            raise NotAuthentic("its signature does not hold")
        try:
            links = [event["links"] for event in json.loads(notification.body)["events"]]
            named = {about.get("billing_request") or about.get("payment") for about in links}
            return [Mention(id=named_id) for named_id in sorted(named - {None})]
        except UNREADABLE:
            raise MalformedNotification("it is no list of events") from None

    def acknowledge(self) -> Reply:
        return Reply(status=204)

    def _get(self, path: str) -> Request:
        return Request(method="GET", path=path, headers=self._head)

    def _post(self, path: str, wanted: object, key: str) -> Request:
        return with_json("POST", path, wanted, {**self._head, "idempotency-key": key})


def _refusal(response: Response) -> Rejected | NotNow | Unknown | None:
    if (problem := no_answer(response)) is not None or response.status < 400:
        return problem
    error = document(response)["error"]
    return Rejected(failure=Failure(code=error["type"], message=error["message"]))


def _seen(order: OrderRef, payment: dict[str, Any], *, was_taken: bool) -> PaymentObservation:
    is_back = was_taken and payment["status"] in ("failed", "charged_back")
    state = payment.get("status", "")
    return PaymentObservation(
        number=order.number,
        status=Status.PAID if was_taken else STATES.get(state, Status.PENDING),
        provider_id=order.provider_id,
        ids={"payment": payment["id"]} if payment else {},
        amount=Money.from_minor(payment["amount"], payment["currency"]) if payment else None,
        charged_back_minor=payment["amount"] if is_back else None,
    )
