"""The payer's action for each shape of reply, and which links are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paycore.plugin import AppCall, QRCode, Redirect, WalletCall
from qfpay_alipay import messages
from qfpay_alipay.observations import action_of, sdk_order_string
from qfpay_alipay.pay_types import PayType, Region, pay_types_of

# G5 "Alipay In-App Payments": the fields of its sample; total_fee is a number in major units.
PAY_PARAMS = (
    b'{"partner": "2088231067382451", "seller_id": "2088231067382451", "subject": "Coffee", "body": "Two", '
    b'"total_fee": 3.0, "notify_url": "https://test-o2-hk.qfapi.com/trade/alipay_hk/v1/notify", '
    b'"service": "mobile.securitypay.pay", "payment_type": "1", "_input_charset": "utf-8", "it_b_pay": "30m", '
    b'"return_url": "https://shop.example/ok", "payment_inst": "ALIPAYHK", "currency": "HKD", '
    b'"product_code": "NEW_WAP_OVERSEAS_SELLER", "sign": "pg8YMvU%2Fa%3D", "sign_type": "RSA", '
    b'"secondary_merchant_id": "2", "secondary_merchant_name": "###merchant.nickname", '
    b'"secondary_merchant_industry": "7011", "forex_biz": "FP", "out_trade_no": "20260101000300020012345678"}'
)


def row_for(channel: str, region: Region = "hk", method: str = "alipay") -> PayType:
    """The row of the pay-type table."""
    return pay_types_of(region)[method, channel]


def reply_with(**fields: Any) -> messages.PaymentReply:
    """An accepted reply with these fields."""
    return messages.decode(json.dumps({"respcd": "0000", **fields}).encode(), messages.PaymentReply)


@pytest.mark.parametrize(
    ("channel", "region", "show_as"),
    [("web", "overseas", "page"), ("web", "hk", "qr"), ("wap", "overseas", "page"), ("wap", "hk", "page")],
)
def test_action_of_pay_url_is_a_redirect(channel: str, region: Region, show_as: str) -> None:
    """801514 has no checkout page of its own: its URL is shown as a QR code (G5-live "Alipay Web Payments")."""
    action = action_of(reply_with(pay_url="https://pay.example/x"), row_for(channel, region))
    assert action == Redirect(url="https://pay.example/x", show_as=show_as)  # type: ignore[arg-type]


@pytest.mark.parametrize("region", ["overseas", "hk"])
def test_action_of_qrcode_is_drawn(region: Region) -> None:
    """800101 and 801501 answer with the content of a QR code."""
    action = action_of(reply_with(qrcode="https://qr.alipay.com/bax0"), row_for("qr", region))
    assert action == QRCode(content="https://qr.alipay.com/bax0")


def test_action_of_trade_no_is_a_wallet_call() -> None:
    """800107 answers with pay_params.tradeNO, for tradePay."""
    reply = reply_with(pay_params={"tradeNO": "2026010122001415381000000001", "more": 1})
    assert action_of(reply, row_for("jsapi")) == WalletCall(
        call="tradePay", params={"tradeNO": "2026010122001415381000000001"}
    )


@pytest.mark.parametrize("method", ["alipay", "wallet"])
def test_action_of_scanned_code_is_none(method: str) -> None:
    """The reply is the result: the payer has nothing to do."""
    assert action_of(reply_with(), row_for("barcode", method=method)) is None


@pytest.mark.parametrize("region", ["overseas", "hk"])
def test_action_of_sdk_params_is_the_exact_order_string(region: Region) -> None:
    """By name, quoted, joined with &, then sign and sign_type; numbers as printed."""
    reply = messages.decode(b'{"respcd": "0000", "pay_params": ' + PAY_PARAMS + b"}", messages.PaymentReply)
    action = action_of(reply, row_for("app", region))
    assert isinstance(action, AppCall)
    assert action.params == json.loads(PAY_PARAMS)
    assert action.params["total_fee"] == 3.0
    assert action.order == (
        '_input_charset="utf-8"&body="Two"&currency="HKD"&forex_biz="FP"&it_b_pay="30m"'
        '&notify_url="https://test-o2-hk.qfapi.com/trade/alipay_hk/v1/notify"'
        '&out_trade_no="20260101000300020012345678"&partner="2088231067382451"&payment_inst="ALIPAYHK"'
        '&payment_type="1"&product_code="NEW_WAP_OVERSEAS_SELLER"&return_url="https://shop.example/ok"'
        '&secondary_merchant_id="2"&secondary_merchant_industry="7011"'
        '&secondary_merchant_name="###merchant.nickname"&seller_id="2088231067382451"'
        '&service="mobile.securitypay.pay"&subject="Coffee"&total_fee="3.0"'
        '&sign="pg8YMvU%2Fa%3D"&sign_type="RSA"'
    )


@pytest.mark.parametrize("printed", ["3", "3.0", "3.10", "0.01", "1e2", "12345678901.99"])
def test_sdk_order_string_prints_numbers_as_they_came(printed: str) -> None:
    """QFPay signs its own spelling of the number."""
    body = f'{{"total_fee": {printed}, "sign": "s", "sign_type": "RSA"}}'
    reply = messages.decode(f'{{"respcd": "0000", "pay_params": {body}}}'.encode(), messages.PaymentReply)
    action = action_of(reply, row_for("app"))
    assert isinstance(action, AppCall)
    assert action.order == f'total_fee="{printed}"&sign="s"&sign_type="RSA"'


@pytest.mark.parametrize(
    ("printed", "problem"),
    [
        ({"sign_type": "RSA"}, "pay_params.sign is missing"),
        ({"sign": "s"}, "pay_params.sign_type is missing"),
        ({"sign": "", "sign_type": "RSA"}, "pay_params.sign is missing"),
        ({"sign": "s", "sign_type": "RSA", "subject": 'a"b'}, "quotation mark"),
    ],
)
def test_sdk_order_string_that_can_not_be_made_is_malformed(printed: dict[str, str], problem: str) -> None:
    """Without a signature, or with a value that contains quotes, there is no order string."""
    with pytest.raises(messages.Malformed, match=problem):
        sdk_order_string(printed)


@pytest.mark.parametrize(
    ("channel", "fields", "problem"),
    [
        ("web", {}, "pay_url is missing"),
        ("web", {"pay_url": ""}, "pay_url is missing"),
        ("web", {"pay_url": None}, "pay_url is missing"),
        ("qr", {}, "qrcode is missing"),
        ("qr", {"qrcode": "javascript:alert(1)"}, "qrcode has a scheme other than https"),
        (
            "qr",
            {"qrcode": "https://good\\@evil.example/"},
            "qrcode has a quote, an angle bracket, a backslash",
        ),
        ("jsapi", {}, "pay_params is missing"),
        ("jsapi", {"pay_params": None}, "pay_params is"),
        ("jsapi", {"pay_params": {}}, "pay_params.tradeNO is missing"),
        ("jsapi", {"pay_params": {"tradeNO": ""}}, "pay_params.tradeNO is missing"),
        ("jsapi", {"pay_params": ["tradeNO"]}, "pay_params is not an object"),
        ("app", {}, "pay_params is missing"),
        ("app", {"pay_params": {"sign": {"a": 1}}}, "pay_params is not an object"),
    ],
)
def test_action_of_reply_without_what_is_needed_is_malformed(
    channel: str, fields: dict[str, Any], problem: str
) -> None:
    """The field is missing or unsafe."""
    with pytest.raises(messages.Malformed, match=problem):
        action_of(reply_with(**fields), row_for(channel))
