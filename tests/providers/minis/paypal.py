"""PayPal Orders: a token that lasts hours, an order that is captured after the payer agreed, unsigned mentions."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from paycore.plugin import (
    Attempt,
    Capabilities,
    CaptureOrder,
    CaptureReply,
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
    Session,
    SessionReply,
    Status,
    Unknown,
)
from tests.providers.minis.calls import UNREADABLE, document, no_answer, with_form, with_json

STATES = {"COMPLETED": Status.PAID, "DECLINED": Status.FAILED}
REFUND_STATES = {"COMPLETED": RefundStatus.SUCCEEDED, "FAILED": RefundStatus.FAILED}
HOUR_S, DAY_S = 3600.0, 24 * 3600.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    client_id: str
    client_secret: Secret


class PayPal:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-paypal",
        title="PayPal Orders",
        settings=Settings,
        base_urls={"test": "https://api-m.sandbox.paypal.com", "live": "https://api-m.paypal.com"},
        live_hosts=frozenset({"api-m.paypal.com"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="paypal",
                channel="web",
                currencies={"EUR": (1, 99_999_999)},
                required=frozenset({"return_url"}),
                close=False,  # an order that is not captured lapses
                capture="full",
            ),
        ),
        number=NumberFormat(length_max=38),
        budget=RequestBudget(per_second=10, per_minute=300),
        lookup=Lookup.BY_PROVIDER_ID,
        create_resend=Resend("same_result", window_s=5 * HOUR_S),
        capture_resend=Resend("same_result", window_s=5 * HOUR_S),
        refund_resend=Resend("same_result", window_s=44 * DAY_S),
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def open_session(self, attempt: Attempt) -> Flow[SessionReply]:
        pair = f"{self._settings.client_id}:{self._settings.client_secret.reveal()}"
        head = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        response = yield with_form("POST", "/v1/oauth2/token", {"grant_type": "client_credentials"}, head)
        if (refusal := _refusal(response)) is not None:
            return refusal
        token = document(response)
        return Done(Session(value=Secret(token["access_token"]), lasts_s=token["expires_in"] - 60.0))

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {
            "intent": "CAPTURE",
            "purchase_units": [{"custom_id": order.number, "amount": _written(order.amount)}],
            "payment_source": {"paypal": {"experience_context": {"return_url": order.return_url}}},
        }
        response = yield _post("/v2/checkout/orders", wanted, order.number, order.attempt)
        if (refusal := _refusal(response)) is not None:
            return refusal
        seen = _seen(order.number, document(response))
        return Done(Created(observation=seen, action=seen.action))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        kind = "payments/refunds" if order.kind == "refund" else "checkout/orders"
        response = yield _get(f"/v2/{kind}/{order.provider_id}", order.attempt)
        if (refusal := _refusal(response)) is not None:
            return refusal
        seen = _seen_refund if order.kind == "refund" else _seen
        return Done(Found(observations=(seen(order.number, document(response)),)))

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        order = capture.order
        path = f"/v2/checkout/orders/{order.provider_id}/capture"
        response = yield _post(path, {}, capture.number, capture.attempt)
        refusal = _refusal(response)
        if isinstance(refusal, Rejected) and refusal.failure.code == "ORDER_ALREADY_CAPTURED":
            return Unknown(problem="it is captured already")  # perhaps by us: the query that follows tells
        return refusal or Done(_seen(order.number, document(response)))

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        path = f"/v2/payments/captures/{refund.order.ids['capture']}/refund"
        wanted = {"amount": _written(refund.amount)}
        response = yield _post(path, wanted, refund.number, refund.attempt)
        return _refusal(response) or Done(_seen_refund(refund.number, document(response)))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        try:  # only a call to PayPal could verify it, so it is no more than a mention
            about = json.loads(notification.body)["resource"]
            related = about.get("supplementary_data", {}).get("related_ids", {})
            return [Mention(id=related.get("order_id", about["id"]))]
        except UNREADABLE:
            raise MalformedNotification("it is no event of PayPal's") from None

    def acknowledge(self) -> Reply:
        return Reply()


def _head(attempt: Attempt) -> dict[str, str]:
    return {"authorization": f"Bearer {attempt.session.reveal()}", "prefer": "return=representation"}


def _get(path: str, attempt: Attempt) -> Request:
    return Request(method="GET", path=path, headers=_head(attempt))


def _post(path: str, wanted: object, number: str, attempt: Attempt) -> Request:
    return with_json("POST", path, wanted, {**_head(attempt), "paypal-request-id": number})


def _refusal(response: Response) -> Rejected | NotNow | Unknown | None:
    if response.status == 401:
        return NotNow(problem="the token does not hold", is_session_refused=True)
    if (problem := no_answer(response)) is not None or response.status < 400:
        return problem
    error = document(response)
    issue = error["details"][0]["issue"] if error.get("details") else error["name"]
    return Rejected(failure=Failure(code=issue, message=error["message"]))


def _written(amount: Money) -> dict[str, str]:
    return {"currency_code": amount.currency, "value": amount.text}


def _seen(number: str, order: dict[str, Any]) -> PaymentObservation:
    (unit,) = order["purchase_units"]
    captures = unit.get("payments", {}).get("captures", [])
    links = {link["rel"]: link["href"] for link in order["links"]}
    status = Status.AUTHORIZED if order["status"] == "APPROVED" else Status.PENDING
    return PaymentObservation(
        number=number,
        status=STATES.get(captures[0]["status"], Status.PENDING) if captures else status,
        provider_id=order["id"],
        ids={"capture": captures[0]["id"]} if captures else {},
        amount=Money(unit["amount"]["value"], unit["amount"]["currency_code"]),
        action=Redirect(url=links["payer-action"]) if "payer-action" in links else None,
        occurred_at=datetime.fromisoformat(order["update_time"]),
    )


def _seen_refund(number: str, refund: dict[str, Any]) -> RefundObservation:
    status = REFUND_STATES.get(refund["status"], RefundStatus.PENDING)
    return RefundObservation(number=number, status=status, provider_id=refund["id"])
