"""Square by its miniature provider."""

import json
from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import Status
from paycore.errors import NotAuthentic
from paycore.plugin import Secret
from tests.providers.conftest import OpenShop, Serve, eventually
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.square import Square, sign

URL = "https://shop.example/square"
SETTINGS = {
    "access_token": "token",
    "location_id": "L1",
    "signature_key": "signature-key",
    "notification_url": URL,
}
ORDER = {"reference": "order-1", "amount": Money("25.00", "USD"), "method": "card", "channel": "web"}


class SquareGateway(Gateway):
    """Orders by id; a key that is known gets the link it made."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}

    def answer(self, asked: Asked) -> tuple[int, object]:
        if asked.method == "GET":
            return 200, {"order": self.orders[asked.path.rpartition("/")[2]]}
        return self.once(asked.document["idempotency_key"], lambda: self._link(asked.document))

    def _link(self, wanted: dict[str, Any]) -> tuple[int, object]:
        order_id = f"O{len(self.orders) + 1}"
        total = wanted["quick_pay"]["price_money"]
        self.orders[order_id] = {"id": order_id, "state": "OPEN", "total_money": total}
        return 200, {"payment_link": {"order_id": order_id, "url": f"https://square.link/u/{order_id}"}}


def test_a_key_makes_one_link(serve: Serve[SquareGateway], open_shop: OpenShop) -> None:
    """A lost reply is found by the same key, which makes no second order."""
    gateway = serve(SquareGateway())
    shop = open_shop(Square, gateway, **SETTINGS)
    gateway.lose_reply("/payment-links")
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    assert shop.query(payment.id).provider_id == "O1"
    assert len(gateway.orders) == 1


def test_a_notification_is_signed_over_url_and_body(serve: Serve[SquareGateway], open_shop: OpenShop) -> None:
    """The URL is the account's setting: one that was signed for another URL is not authentic."""
    gateway = serve(SquareGateway())
    shop = open_shop(Square, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.orders["O1"] |= {"state": "COMPLETED", "tenders": [{"payment_id": "P1"}]}
    body = json.dumps({"data": {"object": {"payment": {"order_id": "O1"}}}}).encode()
    signature, elsewhere = (
        sign(url.encode() + body, Secret("signature-key")) for url in (URL, "https://evil.example")
    )
    with pytest.raises(NotAuthentic):
        shop.receive("shop", body=body, headers={"X-Square-HmacSha256-Signature": elsewhere})
    shop.receive("shop", body=body, headers={"X-Square-HmacSha256-Signature": signature})
    payment = eventually(shop, payment, lambda payment: payment.status is Status.PAID)
    assert (payment.status, dict(payment.ids)) == (Status.PAID, {"payment": "P1"})
