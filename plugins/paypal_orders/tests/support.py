"""What the provider's own tests share: an account, orders, and gateways that are functions `Request -> Response`."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from paycore.plugin import (
    Attempt,
    CaptureOrder,
    CreateOrder,
    Money,
    OrderRef,
    RefundOrder,
    Request,
    Response,
    Secret,
)
from paypal_orders.provider import PayPalOrders
from paypal_orders.settings import PayPalSettings

T = TypeVar("T")
Answers = Callable[[Request], Response]

BEGUN_AT = datetime(2026, 3, 2, 10, 12, tzinfo=UTC)
ORDER_ID, CAPTURE_ID, REFUND_ID = "5UX01234AB567890C", "8MC23456DE789012F", "2RF34567GH890123J"
AMOUNT = Money("12.34", "EUR")
NUMBER = "pay_0001"
"""What the vectors carry as `custom_id`."""


def make_provider(**changes: Any) -> PayPalOrders:
    """The provider of the vectors' account; it asks for no disputes unless it is told to."""
    settings = {"client_id": "client-123", "client_secret": Secret("s3cret"), "disputes": False}
    return PayPalOrders(PayPalSettings(**{**settings, **changes}))


def make_attempt(at: datetime = BEGUN_AT) -> Attempt:
    return Attempt(sent_at=at, nonce="NONCE", session=Secret("A21AAsandboxTOKEN0001"))


def make_order(**changes: Any) -> CreateOrder:
    fields: dict[str, Any] = {
        "number": NUMBER,
        "begun_at": BEGUN_AT,
        "attempt": make_attempt(),
        "reference": "order-1",
        "amount": AMOUNT,
        "method": "paypal",
        "channel": "web",
        "return_url": "https://shop.example/return",
    }
    return CreateOrder(**{**fields, **changes})


def make_ref(*, after_s: float = 3600.0, **changes: Any) -> OrderRef:
    """That order, asked about an hour later."""
    fields: dict[str, Any] = {
        "kind": "payment",
        "number": NUMBER,
        "provider_id": ORDER_ID,
        "begun_at": BEGUN_AT,
        "attempt": make_attempt(BEGUN_AT + timedelta(seconds=after_s)),
        "amount": AMOUNT,
        "method": "paypal",
        "channel": "web",
    }
    return OrderRef(**{**fields, **changes})


def make_capture(**changes: Any) -> CaptureOrder:
    fields: dict[str, Any] = {
        "number": "cap_0001",
        "begun_at": BEGUN_AT,
        "attempt": make_attempt(),
        "amount": AMOUNT,
        "order": make_ref(),
    }
    return CaptureOrder(**{**fields, **changes})


def make_refund(**changes: Any) -> RefundOrder:
    fields: dict[str, Any] = {
        "number": "ref_0001",
        "begun_at": BEGUN_AT,
        "attempt": make_attempt(),
        "amount": Money("2.34", "EUR"),
        "order": make_ref(ids={"capture": CAPTURE_ID}),
    }
    return RefundOrder(**{**fields, **changes})


def run(flow: Generator[Request, Response, T], answers: Answers) -> T:
    """Drive a flow to its end."""
    try:
        request = next(flow)
        while True:
            request = flow.send(answers(request))
    except StopIteration as stop:
        result: T = stop.value
        return result


class Script:
    """
    Prepared answers, in order: bytes, a document, or a pair of status and either. Records the requests.

    200 unless a status is given; the last answer is given again when there are no more.
    """

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(given, Response):
            return given
        status, body = given if isinstance(given, tuple) else (200, given)
        return Response(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


def issue(code: str, name: str = "UNPROCESSABLE_ENTITY") -> dict[str, Any]:
    """An error body with this issue."""
    return {"name": name, "message": "It can't be done.", "debug_id": "d1", "details": [{"issue": code}]}
