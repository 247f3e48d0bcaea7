"""Mollie: an unsigned webhook with an id, refunds below their payment, cancelled by DELETE, keys kept for an hour."""

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl

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
    Mode,
    Money,
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
    RefundObservation,
    RefundOrder,
    RefundReply,
    RefundStatus,
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
from tests.providers.minis.calls import document, no_answer, with_json

KEY_KEPT_S = 3500.0  # an idempotency key is kept for an hour
STATES = {
    "open": Status.PENDING,
    "pending": Status.PENDING,
    "paid": Status.PAID,
    "canceled": Status.CLOSED,
    "expired": Status.CLOSED,
    "failed": Status.FAILED,
}
REFUND_STATES = {
    "queued": RefundStatus.PENDING,
    "pending": RefundStatus.PENDING,
    "processing": RefundStatus.PENDING,
    "refunded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
}
NO_STATE = Unknown(problem="a state that is not in the manual")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    api_key: Secret


class Mollie:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-mollie",
        title="Mollie",
        settings=Settings,
        base_urls={"test": "https://api.mollie.com", "live": "https://api.mollie.com"},
        live_hosts=frozenset({"api.mollie.com"}),
        sample={"api_key": "test_1"},
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="ideal",
                channel="web",
                currencies={"EUR": (10, 5_000_000)},
                required=frozenset({"return_url"}),
                optional=frozenset({"subject", "notify_url"}),
            ),
        ),
        number=NumberFormat(length_max=64),
        budget=RequestBudget(per_second=10, per_minute=600),
        lookup=Lookup.BY_PROVIDER_ID,
        create_resend=Resend("same_result", window_s=KEY_KEPT_S),
        refund_resend=Resend("same_result", window_s=KEY_KEPT_S),
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @staticmethod
    def mode_of(settings: Settings) -> Mode:
        return "live" if settings.api_key.reveal().startswith("live_") else "test"

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {
            "amount": _written(order.amount),
            "description": order.subject or order.reference,
            "redirectUrl": order.return_url,
            "webhookUrl": order.notify_url,
            "method": "ideal",
        }
        response = yield self._post("/v2/payments", wanted, order.number)
        if (refusal := _refusal(response)) is not None:
            return refusal
        made = document(response)
        if (seen := _seen(order.number, made)) is None:
            return NO_STATE
        return Done(Created(observation=seen, action=Redirect(url=made["_links"]["checkout"]["href"])))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        above = f"{order.payment.provider_id}/refunds/" if order.payment else ""
        response = yield self._request("GET", f"/v2/payments/{above}{order.provider_id}")
        if (refusal := _refusal(response)) is not None:
            return refusal
        made = document(response)
        seen = _seen_refund(order.number, made) if order.payment else _seen(order.number, made)
        return Done(Found(observations=(seen,)) if seen else Found(undecided=frozenset({order.number})))

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        path = f"/v2/payments/{refund.order.provider_id}/refunds"
        response = yield self._post(path, {"amount": _written(refund.amount)}, refund.number)
        if (refusal := _refusal(response)) is not None:
            return refusal
        seen = _seen_refund(refund.number, document(response))
        return Done(seen) if seen else NO_STATE

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        response = yield self._request("DELETE", f"/v2/payments/{order.provider_id}")
        if (refusal := _refusal(response)) is not None:
            return refusal
        seen = _seen(order.number, document(response))
        return Done(seen) if seen else NO_STATE

    def verify(self, notification: Notification) -> Sequence[Notice]:
        fields = dict(parse_qsl(notification.body.decode(errors="replace")))
        if "id" not in fields:
            raise MalformedNotification("it has no id")
        return [Mention(id=fields["id"])]  # anybody can send it, and only the query that follows counts

    def acknowledge(self) -> Reply:
        return Reply()

    def _request(self, method: Any, path: str) -> Request:
        return Request(method=method, path=path, headers=self._head)

    def _post(self, path: str, wanted: object, key: str) -> Request:
        return with_json("POST", path, wanted, {**self._head, "idempotency-key": key})

    @property
    def _head(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._settings.api_key.reveal()}"}


def _refusal(response: Response) -> Rejected | NotNow | Unknown | None:
    if (problem := no_answer(response)) is not None or response.status < 400:
        return problem
    error = document(response)
    return Rejected(failure=Failure(code=error["title"], message=error["detail"]))


def _written(amount: Money) -> dict[str, str]:
    return {"currency": amount.currency, "value": amount.text}


def _money(given: dict[str, str] | None) -> Money | None:
    return Money(given["value"], given["currency"]) if given else None


def _seen(number: str, made: dict[str, Any]) -> PaymentObservation | None:
    if made["status"] not in STATES:
        return None  # a state that no manual names is no answer
    refunded, charged_back = _money(made.get("amountRefunded")), _money(made.get("amountChargedBack"))
    return PaymentObservation(
        number=number,
        status=STATES[made["status"]],
        provider_id=made["id"],
        amount=_money(made["amount"]),
        refunded_minor=refunded.minor if refunded else None,
        charged_back_minor=charged_back.minor if charged_back else None,
    )


def _seen_refund(number: str, made: dict[str, Any]) -> RefundObservation | None:
    if made["status"] not in REFUND_STATES:
        return None
    return RefundObservation(
        number=number,
        status=REFUND_STATES[made["status"]],
        provider_id=made["id"],
        amount=_money(made["amount"]),
    )
