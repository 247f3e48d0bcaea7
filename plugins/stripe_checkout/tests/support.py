"""What the tests share: an account, orders, and a gateway that is a function `Request -> Response`."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from paycore.plugin import (
    Attempt,
    CaptureOrder,
    CreateOrder,
    Flow,
    Money,
    Notification,
    OrderRef,
    RefundOrder,
    Request,
    Response,
    Secret,
)
from stripe_checkout.provider import StripeCheckout
from stripe_checkout.settings import StripeSettings

T = TypeVar("T")
Gateway = Callable[[Request], Response]

SECRET = "whsec_of_these_tests"
NUMBER = "01JGFJJZ00STR1PE0000000001"
SESSION_ID = "cs_test_a1Session"
BEGUN_AT = datetime(2026, 11, 18, 12, 0, 0, tzinfo=UTC)
ATTEMPT = Attempt(sent_at=BEGUN_AT, nonce="0" * 26)
PRICE = Money("25.99", "EUR")


def account(**settings: Any) -> StripeCheckout:
    """A provider of a test account."""
    given: dict[str, Any] = {
        "api_key": Secret("sk_test_of_these_tests"),
        "webhook_secret": (Secret(SECRET),),
    } | settings
    return StripeCheckout(StripeSettings(**given))


def new_order(**changes: Any) -> CreateOrder:
    fields: dict[str, Any] = {
        "number": NUMBER,
        "begun_at": BEGUN_AT,
        "attempt": ATTEMPT,
        "reference": "order-1",
        "amount": PRICE,
        "method": "card",
        "channel": "web",
        "subject": "Two tickets! #5",
        "return_url": "https://shop.example/ok",
    }
    return CreateOrder(**fields | changes)


def ref(**changes: Any) -> OrderRef:
    fields: dict[str, Any] = {
        "kind": "payment",
        "number": NUMBER,
        "provider_id": SESSION_ID,
        "begun_at": BEGUN_AT,
        "attempt": ATTEMPT,
        "amount": PRICE,
        "method": "card",
        "channel": "web",
        "ids": {"payment_intent": "pi_1"},
    }
    return OrderRef(**fields | changes)


def refund_of(amount: Money = PRICE, **changes: Any) -> RefundOrder:
    order = changes.pop("order", ref())
    return RefundOrder(number="R1", begun_at=BEGUN_AT, attempt=ATTEMPT, amount=amount, order=order, **changes)


def capture_of(amount: Money = PRICE, **changes: Any) -> CaptureOrder:
    order = changes.pop("order", ref())
    return CaptureOrder(number="C1", begun_at=BEGUN_AT, attempt=ATTEMPT, amount=amount, order=order)


def run(flow: Flow[T], gateway: Gateway) -> T:
    """The outcome of a flow whose requests `gateway` answers."""
    try:
        request = next(flow)
        while True:
            request = flow.send(gateway(request))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


class Script:
    """A gateway that answers with these responses in turn and keeps the requests."""

    def __init__(self, *responses: Response) -> None:
        self._responses = list(responses)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return self._responses.pop(0)

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


def answer(document: object, status: int = 200, **headers: str) -> Response:
    """A response with a JSON body."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Response(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def error(
    code: str | None, *, status: int = 400, kind: str = "invalid_request_error", **more: Any
) -> Response:
    """A refusal."""
    words = {"type": kind, "message": "Synthetic text.", **more} | ({"code": code} if code else {})
    return answer({"error": words}, status)


def session(**changes: Any) -> dict[str, Any]:
    """An open session."""
    return {
        "id": SESSION_ID,
        "object": "checkout.session",
        "amount_total": 2599,
        "client_reference_id": NUMBER,
        "created": 1795000100,
        "currency": "eur",
        "expires_at": 1795086500,
        "livemode": False,
        "metadata": {"paycore_number": NUMBER, "paycore_reference": "order-1"},
        "mode": "payment",
        "payment_intent": None,
        "payment_status": "unpaid",
        "status": "open",
        "url": "https://checkout.stripe.com/c/pay/cs_test_a1Session#fid",
    } | changes


def intent(status: str, **changes: Any) -> dict[str, Any]:
    """An expanded payment intent with its charge."""
    received = 2599 if status == "succeeded" else 0
    charge = {
        "id": "ch_1",
        "object": "charge",
        "status": "succeeded",
        "amount_refunded": 0,
        "disputed": False,
        "created": 1795000200,
    }
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "amount": 2599,
        "amount_received": received,
        "currency": "eur",
        "latest_charge": charge | changes.pop("charge", {}),
        "last_payment_error": None,
    } | changes


def paid_session(**changes: Any) -> dict[str, Any]:
    inner = intent("succeeded", **changes.pop("intent", {}))
    return session(status="complete", payment_status="paid", url=None, payment_intent=inner) | changes


def event(kind: str, about: Mapping[str, Any], **changes: Any) -> bytes:
    """An event's body."""
    return json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "created": 1795000300,
            "type": kind,
            "livemode": False,
            "data": {"object": about},
        }
        | changes
    ).encode()


def signed(body: bytes, *, secrets: Iterable[str] = (SECRET,), at: int | None = None) -> Notification:
    """A notification as Stripe sends it."""
    at = int(BEGUN_AT.timestamp()) if at is None else at
    digests = [
        hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest() for key in secrets
    ]
    header = ",".join([f"t={at}", *(f"v1={digest}" for digest in digests)])
    return notification(body, header)


def notification(body: bytes, header: str, *, received_at: float | None = None) -> Notification:
    received = BEGUN_AT if received_at is None else datetime.fromtimestamp(received_at, UTC)
    return Notification(body=body, headers={"stripe-signature": header}, received_at=received)
