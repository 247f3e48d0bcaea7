"""What the provider's tests share: an account, orders, and a gateway that is a function `Request -> Response`."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from paycore.plugin import Attempt, CreateOrder, Money, OrderRef, RefundOrder, Request, Response, Secret
from qfpay_alipay.provider import QFPayAlipay
from qfpay_alipay.settings import QFPaySettings

T = TypeVar("T")
Gateway = Callable[[Request], Response]

KEY = "0123456789ABCDEF0123456789ABCDEF"
"""K, the synthetic key of the vectors V6 to V12."""

APP_CODE = "ABCDEF0123456789ABCDEF0123456789"
BEGUN_AT = datetime(2026, 1, 1, 4, 0, 0, tzinfo=UTC)
"""2026-01-01 12:00:00 in Hong Kong."""

NUMBER = "01JGFJJZ00QFPAYA1IPAY00001"
SYSSN = "20260101000300020012345678"

ROWS = [
    # (channel, method, region, fields that `create()` must be given)
    ("web", "alipay", "overseas", {}),
    ("web", "alipay", "hk", {}),
    ("wap", "alipay", "overseas", {}),
    ("wap", "alipay", "hk", {}),
    ("jsapi", "alipay", "overseas", {"payer_id": "2088802811715388"}),
    ("jsapi", "alipay", "hk", {"payer_id": "2088802811715388"}),
    ("qr", "alipay", "overseas", {}),
    ("qr", "alipay", "hk", {}),
    ("barcode", "alipay", "overseas", {"auth_code": Secret("283854702356157409")}),
    ("barcode", "alipay", "hk", {"auth_code": Secret("283854702356157409")}),
    ("barcode", "wallet", "overseas", {"auth_code": Secret("283854702356157409")}),
    ("barcode", "wallet", "hk", {"auth_code": Secret("283854702356157409")}),
    ("app", "alipay", "overseas", {"subject": "Coffee", "return_url": "https://shop.example/ok"}),
    ("app", "alipay", "hk", {"subject": "Coffee", "return_url": "https://shop.example/ok"}),
]


def make_settings(**changes: Any) -> QFPaySettings:
    """An account of QFPay in Hong Kong."""
    return QFPaySettings(
        **{"app_code": Secret(APP_CODE), "client_key": (Secret(KEY),), "region": "hk", **changes}
    )


def make_provider(**changes: Any) -> QFPayAlipay:
    """The provider of that account."""
    return QFPayAlipay(make_settings(**changes))


def attempt_at(sent_at: datetime) -> Attempt:
    """An attempt sent then."""
    return Attempt(sent_at=sent_at, nonce="NONCE")


def make_order(**changes: Any) -> CreateOrder:
    """An order of 10.99 HKD on the web."""
    fields: dict[str, Any] = {
        "number": NUMBER,
        "begun_at": BEGUN_AT,
        "attempt": attempt_at(BEGUN_AT),
        "reference": "order-1001",
        "amount": Money("10.99", "HKD"),
        "method": "alipay",
        "channel": "web",
    }
    return CreateOrder(**{**fields, **changes})


def make_ref(**changes: Any) -> OrderRef:
    """That order, queried a minute later."""
    fields: dict[str, Any] = {
        "kind": "payment",
        "number": NUMBER,
        "provider_id": None,
        "begun_at": BEGUN_AT,
        "attempt": attempt_at(datetime(2026, 1, 1, 4, 1, 0, tzinfo=UTC)),
        "amount": Money("10.99", "HKD"),
        "method": "alipay",
        "channel": "web",
    }
    return OrderRef(**{**fields, **changes})


def make_refund(**changes: Any) -> RefundOrder:
    """A refund of 2.00 HKD of that order, ten minutes later."""
    fields: dict[str, Any] = {
        "number": "01JGFJJZ00QFPAYREFUND00001",
        "begun_at": datetime(2026, 1, 1, 4, 10, 0, tzinfo=UTC),
        "attempt": attempt_at(datetime(2026, 1, 1, 4, 10, 0, tzinfo=UTC)),
        "amount": Money("2.00", "HKD"),
        "order": make_ref(provider_id=SYSSN),
    }
    return RefundOrder(**{**fields, **changes})


def run(flow: Generator[Request, Response, T], gateway: Gateway) -> T:
    """Drive a flow to its end."""
    try:
        request = next(flow)
        while True:
            request = flow.send(gateway(request))
    except StopIteration as stop:
        result: T = stop.value
        return result


def answer(body: object = None, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply: bytes as they are, anything else as the JSON that QFPay's Python writes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, headers=headers or {}, body=content)


def always(*args: Any, **kwargs: Any) -> Gateway:
    """A gateway that gives one reply to every request."""
    return lambda request: answer(*args, **kwargs)


class Recorder:
    """A gateway that gives prepared replies in order, and records the requests."""

    def __init__(self, replies: Iterable[object]) -> None:
        self._replies = iter(replies)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        reply = next(self._replies)
        return reply if isinstance(reply, Response) else answer(reply)

    @property
    def forms(self) -> list[dict[str, str]]:
        """The fields of every request."""
        return [fields_in(request) for request in self.requests]


def fields_in(request: Request) -> dict[str, str]:
    """A request's fields, from its body or query string."""
    form = request.body.decode() if request.method == "POST" else request.path.partition("?")[2]
    return dict(parse_qsl(form, strict_parsing=True))
