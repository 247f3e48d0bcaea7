"""Alipay, direct, by its miniature provider."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from paycore import Money
from paycore.domain.payment import RefundStatus, Status
from paycore.plugin import Redirect, Secret
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.alipay import Alipay, sign

KEY = "alipay-key"
SETTINGS = {"app_id": "2021000001", "key": KEY}
ORDER = {
    "reference": "order-1",
    "amount": Money("88.00", "CNY"),
    "method": "alipay",
    "channel": "web",
    "return_url": "https://shop.example/thanks",
}


class AlipayGateway(Gateway):
    """Trades by our number, once a payer opened a link; refunds by trade number and request number."""

    def __init__(self) -> None:
        super().__init__()
        self.trades: dict[str, dict[str, Any]] = {}
        self.refunds: dict[tuple[str, str], dict[str, Any]] = {}

    def answer(self, asked: Asked) -> tuple[int, object]:
        fields = check(asked.form)
        content = json.loads(fields["biz_content"])
        name = f"{fields['method'].replace('.', '_')}_response"
        return 200, {name: self._answer(fields["method"], content)}

    def _answer(self, method: str, content: dict[str, str]) -> dict[str, Any]:
        match method:
            case "alipay.trade.query":
                trade = self.trades.get(content["out_trade_no"])
                absent = {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "no such trade"}
                return absent if trade is None else {"code": "10000", **trade}
            case "alipay.trade.refund":
                self.refunds[content["trade_no"], content["out_request_no"]] = content
                return {"code": "10000"}
            case "alipay.trade.fastpay.refund.query":
                is_known = (content["trade_no"], content["out_request_no"]) in self.refunds
                return {"code": "10000"} | ({"refund_status": "REFUND_SUCCESS"} if is_known else {})
            case _:
                return {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR", "sub_msg": "can't be done now"}

    def pay(self, url: str) -> None:
        """The payer opens the link and pays."""
        content = json.loads(check(dict(parse_qsl(urlsplit(url).query)))["biz_content"])
        self.trades[content["out_trade_no"]] = {
            "trade_no": "20261128001",
            "trade_status": "TRADE_SUCCESS",
            "total_amount": content["total_amount"],
        }


def check(fields: dict[str, str]) -> dict[str, str]:
    """The fields, once their signature is verified."""
    assert fields.pop("sign") == sign(fields, Secret(KEY))
    return fields


def test_a_page_payment_is_a_signed_link_without_a_request(
    serve: Serve[AlipayGateway], open_shop: OpenShop
) -> None:
    """The provider knows mode, hosts and the time of the attempt: nothing is sent, and the link can be paid."""
    gateway = serve(AlipayGateway())
    shop = open_shop(Alipay, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    assert isinstance(payment.action, Redirect)
    assert payment.action.url.startswith(f"{gateway.url}/gateway.do?")
    assert (payment.status, gateway.asked) == (Status.PENDING, [])
    assert shop.query(payment.id).status is Status.PENDING
    gateway.pay(payment.action.url)
    payment = shop.query(payment.id)
    assert (payment.status, payment.provider_id) == (Status.PAID, "20261128001")


def test_a_refund_is_found_by_its_trade_and_its_own_number(
    serve: Serve[AlipayGateway], open_shop: OpenShop
) -> None:
    """A refund whose reply was lost is asked about below the trade it goes back from."""
    gateway = serve(AlipayGateway())
    shop = open_shop(Alipay, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.pay(payment.action.url)
    shop.query(payment.id)
    gateway.lose_reply("/gateway.do")
    payment = shop.refund(payment.id, reference="back-1", amount=Money("8.00", "CNY"))
    assert payment.refunds[0].status is RefundStatus.UNKNOWN
    payment = shop.query(payment.id)
    assert payment.refunds[0].status is RefundStatus.SUCCEEDED
    assert len(gateway.refunds) == 1
