"""WeChat Pay v3 by its miniature provider."""

import base64
import json
import re
import time
from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import Status
from paycore.engine import sessions
from paycore.errors import NotAuthentic
from paycore.plugin import QRCode, Secret
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.wechat import WeChat, sign

KEY = "merchant-key"
SETTINGS = {"mchid": "1900000001", "key": KEY}
ORDER = {
    "reference": "order-1",
    "amount": Money("88.00", "CNY"),
    "method": "wechat",
    "channel": "qr",
    "notify_url": "https://shop.example/wechat",
}


class WeChatGateway(Gateway):
    """Trades by our number. A request holds for a minute, and its nonce once. `certificates` by serial number."""

    def __init__(self) -> None:
        super().__init__()
        self.nonces: list[str] = []
        self.times: list[int] = []
        self.trades: dict[str, dict[str, Any]] = {}
        self.certificates = {"S1": "certificate-1"}

    def handle(self, asked: Asked) -> tuple[int, object] | None:
        said = dict(re.findall(r'(\w+)="([^"]*)"', asked.headers["authorization"]))
        self.nonces.append(said["nonce_str"])
        self.times.append(int(said["timestamp"]))
        assert abs(time.time() - int(said["timestamp"])) < 60
        assert len(set(self.nonces)) == len(self.nonces)
        query = f"?mchid={asked.query['mchid']}" if asked.query else ""
        signed = f"{asked.method}\n{asked.path}{query}\n{said['timestamp']}\n{said['nonce_str']}\n".encode()
        assert said["signature"] == sign(signed + asked.body + b"\n", Secret(KEY))
        return super().handle(asked)

    def answer(self, asked: Asked) -> tuple[int, object]:
        if asked.path == "/v3/certificates":
            pairs = self.certificates.items()
            return 200, {"data": [{"serial_no": serial, "certificate": key} for serial, key in pairs]}
        if asked.path.endswith("/native"):
            wanted = asked.document
            self.trades[wanted["out_trade_no"]] = {**wanted, "trade_state": "NOTPAY"}
            return 200, {"code_url": "weixin://wxpay/bizpayurl?pr=1"}
        number = asked.path.split("/")[5]
        if number not in self.trades:
            return 404, {"code": "ORDER_NOT_EXIST", "message": "no such order"}
        if asked.method == "POST":
            self.trades[number]["trade_state"] = "CLOSED"
        return 200, self.trades[number]


def notify(shop: Any, trade: dict[str, Any], serial: str, key: str) -> None:
    resource = base64.b64encode(json.dumps(trade).encode()).decode()
    body, at = json.dumps({"resource": resource}).encode(), int(time.time())
    signature = sign(f"{at}\nnonce-1\n".encode() + body + b"\n", Secret(key))
    head = {"Timestamp": str(at), "Nonce": "nonce-1", "Signature": signature, "Serial": serial}
    shop.receive("shop", body=body, headers={f"Wechatpay-{name}": value for name, value in head.items()})


def test_a_request_sent_again_has_its_own_time_and_nonce(
    serve: Serve[WeChatGateway], open_shop: OpenShop
) -> None:
    """The first one vanishes; the order is proven absent, and sent again with its number: all else is signed anew."""
    gateway = serve(WeChatGateway())
    shop = open_shop(WeChat, gateway, **SETTINGS)
    gateway.lose_request("/native")
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    payment = shop.query(payment.id)
    assert payment.action == QRCode(content="weixin://wxpay/bizpayurl?pr=1")
    first, second = gateway.calls("POST", "/native")
    assert first.body == second.body
    assert first.headers["authorization"] != second.headers["authorization"]
    assert shop.close(payment.id).status is Status.CLOSED


def test_a_notification_holds_by_the_certificates_that_were_fetched(
    serve: Serve[WeChatGateway], open_shop: OpenShop
) -> None:
    """They are fetched once, for flows and notifications; a signature by none of them is refused."""
    gateway = serve(WeChatGateway())
    shop = open_shop(WeChat, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    trade = gateway.trades[payment.order_number] | {"trade_state": "SUCCESS", "transaction_id": "420001"}
    for serial, key in (("S1", "certificate-2"), ("S2", "certificate-2")):
        with pytest.raises(NotAuthentic):
            notify(shop, trade, serial, key)
    notify(shop, trade, "S1", "certificate-1")
    payment = shop.get(payment.id)
    assert (payment.status, payment.provider_id) == (Status.PAID, "420001")
    assert len(gateway.calls("GET", "/certificates")) == 1


def test_certificates_are_rotated(
    serve: Serve[WeChatGateway], open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notification by one that is newer than the session: the certificates are fetched anew, and it holds."""
    monkeypatch.setattr(sessions, "DOUBTED_AFTER_S", 0.0)
    gateway = serve(WeChatGateway())
    shop = open_shop(WeChat, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.certificates["S2"] = "certificate-2"
    trade = gateway.trades[payment.order_number] | {"trade_state": "SUCCESS", "transaction_id": "420001"}
    notify(shop, trade, "S2", "certificate-2")
    assert shop.get(payment.id).status is Status.PAID
    assert len(gateway.calls("GET", "/certificates")) == 2
