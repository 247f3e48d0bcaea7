"""Razorpay by its miniature provider."""

import json
from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import ReviewReason, Status
from paycore.errors import ConfigError
from paycore.plugin import ClientCall, Secret
from tests.providers.conftest import OpenShop, Serve, eventually
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.razorpay import SCRIPT, Razorpay, sign

SETTINGS = {"key_id": "rzp_test_1", "key_secret": "key-secret", "webhook_secret": "webhook-secret"}
ORDER = {"reference": "order-1", "amount": Money("880.00", "INR"), "method": "card", "channel": "web"}


class RazorpayGateway(Gateway):
    """One order, its payments and its disputes."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[dict[str, Any]] = []
        self.payments: list[dict[str, Any]] = []
        self.disputes: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> tuple[int, object]:
        if asked.method == "POST":
            self.orders.append({"id": "order_1", **asked.document})
            return 200, self.orders[-1]
        if asked.path.endswith("/payments"):
            return 200, {"items": self.payments}
        if asked.path.endswith("/disputes"):
            return 200, {"items": self.disputes}
        return 200, {"items": [made for made in self.orders if made["receipt"] == asked.query["receipt"]]}


def send_event(shop: Any, payload: dict[str, Any]) -> None:
    body = json.dumps({"payload": payload}).encode()
    signature = sign(body, Secret("webhook-secret"))
    shop.receive("shop", body=body, headers={"X-Razorpay-Signature": signature})


def test_a_payment_below_its_order_is_paid_and_disputed(
    serve: Serve[RazorpayGateway], open_shop: OpenShop
) -> None:
    """A script opens the checkout; the payment's id is kept beside the order's, and a dispute names only that."""
    gateway = serve(RazorpayGateway())
    shop = open_shop(Razorpay, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    params = {"key": "rzp_test_1", "order_id": "order_1", "amount": 88000}
    assert payment.action == ClientCall(script=SCRIPT, params=params)
    gateway.payments.append({"id": "pay_1", "status": "captured", "amount_refunded": 0})
    payment = shop.returned(payment.id, {"razorpay_payment_id": "pay_1"})
    assert payment.status is Status.PAID
    assert (payment.provider_id, dict(payment.ids)) == ("order_1", {"payment": "pay_1"})
    gateway.disputes.append({"payment_id": "pay_1", "amount_deducted": 88000})
    send_event(shop, {"payment": {"entity": {"id": "pay_1"}}})
    payment = eventually(shop, payment, lambda payment: payment.review)
    assert (payment.status, payment.charged_back_minor) == (Status.PAID, 88000)
    assert payment.review_reasons == (ReviewReason.CHARGED_BACK,)


@pytest.mark.parametrize(("mode", "key_id"), [("test", "rzp_live_1"), ("live", "rzp_test_1")])
def test_a_key_of_another_mode_is_refused(open_shop: OpenShop, mode: str, key_id: str) -> None:
    """Test and live share a host: the key says which it is."""
    secrets = {"key_secret": {"env": "HOME"}, "webhook_secret": {"env": "HOME"}}
    shop = open_shop(Razorpay, mode=mode, key_id=key_id, **secrets)
    with pytest.raises(ConfigError, match="its credentials are for"):
        shop.create(**ORDER)
