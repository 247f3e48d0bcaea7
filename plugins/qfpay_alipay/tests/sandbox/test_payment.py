"""POST /trade/v1/payment: each pay type's answer, and every documented bound from both sides."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import PAYMENT, Merchant, new_number, now
from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES

PUBLIC = {
    "respcd", "resperr", "respmsg", "syssn", "out_trade_no", "txamt", "txcurrcd", "txdtm", "sysdtm", "paydtm",
    "pay_type", "udid", "cardcd", "chnlsn", "chnlsn2",
}  # fmt: skip
"""Source: G4/G5 public response fields (SOURCES.md §3.4)."""

EXTRA = {
    "801101": "pay_url", "801107": "pay_url", "801512": "pay_url", "801514": "pay_url",
    "800107": "pay_params", "801110": "pay_params", "801510": "pay_params",
    "800101": "qrcode", "801501": "qrcode", "800108": "", "800008": "",
}  # fmt: skip
"""Source: the pay type table (SOURCES.md §3.3)."""


def test_every_pay_type_has_a_row_here() -> None:
    """This file's table has the sandbox's pay types."""
    assert EXTRA.keys() == PAY_TYPES.keys()


@pytest.mark.parametrize("pay_type", EXTRA)
def test_payment_answers_public_fields_and_those_of_its_pay_type(merchant: Merchant, pay_type: str) -> None:
    """0000 with all public fields as strings, txdtm and numbers echoed, and the one field of the pay type."""
    number, at = new_number(), now()
    reply = merchant.payment(pay_type, out_trade_no=number, txdtm=at)
    extra = {EXTRA[pay_type]} - {""}
    assert reply.keys() == PUBLIC | extra
    assert (reply["respcd"], reply["out_trade_no"], reply["txdtm"]) == ("0000", number, at)
    assert (reply["txamt"], reply["txcurrcd"], reply["pay_type"]) == ("8800", "HKD", pay_type)
    assert reply["udid"] == "qiantai2"
    assert reply["paydtm"] == reply["sysdtm"]
    assert re.fullmatch(r"20[0-9]{6}[0-9]{4}0002[0-9]{10}", reply["syssn"])
    assert reply["syssn"][:8] == reply["sysdtm"][:10].replace("-", "")


@pytest.mark.parametrize("pay_type", [code for code, extra in EXTRA.items() if extra])
def test_accepted_is_not_paid(merchant: Merchant, pay_type: str) -> None:
    """0000 on creation, but the record reads 1143 without payer, wallet number or time. Source: G5-live, G2 2.4.5."""
    reply = merchant.payment(pay_type)
    record = merchant.record(reply["out_trade_no"])
    assert (record["respcd"], record["paydtm"], record["chnlsn"], record["cardcd"]) == ("1143", "", "", "")
    assert (reply["chnlsn"], reply["cardcd"]) == ("", "")


@pytest.mark.parametrize(
    ("pay_type", "service", "validity"),
    [
        ("801101", "create_forex_trade", ("order_valid_time", "600")),
        ("801514", "create_forex_trade", ("order_valid_time", "600")),
        ("801107", "create_forex_trade_wap", ("timeout_rule", "10m")),
        ("801512", "create_forex_trade_wap", ("timeout_rule", "10m")),
    ],
)
def test_pay_url_carries_the_documented_fields(
    merchant: Merchant, pay_type: str, service: str, validity: tuple[str, str]
) -> None:
    """At the sandbox's own wallet, with Alipay's query fields. Source: samples of the web and WAP pages."""
    reply = merchant.payment(pay_type, txamt="300", expired_time="10", goods_name="tea")
    assert reply["pay_url"].startswith(merchant.url + "/wallet/gateway.do?")
    query = {name: value for name, (value,) in parse_qs(urlsplit(reply["pay_url"]).query).items()}
    expected = {"service": service, "out_trade_no": reply["syssn"], "total_fee": "3.0", "currency": "HKD"}
    assert expected.items() <= query.items()
    assert query[validity[0]] == validity[1]
    assert (query["subject"], query["sign_type"]) == ("tea", "MD5")
    assert merchant.http.get(reply["pay_url"]).status_code == 200


def test_pay_url_shows_yen_without_decimals(merchant: Merchant) -> None:
    """The smallest unit of JPY is the yen. Source: G2 only."""
    url = merchant.payment(txcurrcd="JPY", txamt="300")["pay_url"]
    assert "total_fee=300.0&" in url


def test_jsapi_answers_a_trade_number(merchant: Merchant) -> None:
    """800107 answers pay_params.tradeNO only; it leads to the order's wallet page."""
    reply = merchant.payment("800107")
    (number,) = reply["pay_params"].values()
    assert re.fullmatch(r"[0-9]{28}", number)
    page = merchant.http.get(f"{merchant.url}/wallet/trade/{number}")
    assert reply["out_trade_no"] in page.text


@pytest.mark.parametrize("pay_type", ["801110", "801510"])
def test_in_app_answers_all_fields_of_the_order_string(merchant: Merchant, pay_type: str) -> None:
    """All of G5 "Alipay In-App Payments": total_fee a number in major units, sign percent-encoded, the rest strings."""
    reply = merchant.payment(pay_type, txamt="1099", goods_name="tea", goods_info="green")
    params: dict[str, Any] = reply["pay_params"]
    names = (
        "partner seller_id subject body total_fee notify_url service payment_type _input_charset it_b_pay return_url "
        "payment_inst currency product_code sign sign_type secondary_merchant_id secondary_merchant_name "
        "secondary_merchant_industry forex_biz out_trade_no"
    )
    assert params.keys() == set(names.split())
    assert params["total_fee"] == 10.99
    assert all(isinstance(value, str) for name, value in params.items() if name != "total_fee")
    assert (params["out_trade_no"], params["subject"], params["body"]) == (reply["syssn"], "tea", "green")
    assert (params["service"], params["payment_inst"]) == ("mobile.securitypay.pay", "ALIPAYHK")
    assert (params["it_b_pay"], params["sign_type"], params["forex_biz"]) == ("30m", "RSA", "FP")
    assert re.fullmatch(r"([A-Za-z0-9]|%2B|%2F|%3D)+", params["sign"])


def test_in_app_wallet_region_and_seller_are_the_merchants(merchant: Merchant) -> None:
    """pay_tag selects the wallet, seller_id is passed through."""
    params = merchant.payment("801110", pay_tag="ALIPAYCN", seller_id="2088000000000001")["pay_params"]
    assert (params["payment_inst"], params["seller_id"]) == ("ALIPAYCN", "2088000000000001")


@pytest.mark.parametrize(
    ("ending", "respcd", "then"),
    [
        ("0099", "0000", "0000"),
        ("1143", "1143", "1143"),
        ("1145", "1145", "0000"),
        ("1201", "1201", "1201"),
        ("1202", "1202", "1202"),
        ("1205", "1205", "1205"),
    ],
)
@pytest.mark.parametrize("pay_type", ["800108", "800008"])
def test_barcode_ending_decides_the_result(
    open_merchant: Callable[..., Merchant], pay_type: str, ending: str, respcd: str, then: str
) -> None:
    """The test codes of `barcodes.py`: the result at once, and the record a minute later."""
    merchant = open_merchant()
    reply = merchant.payment(pay_type, auth_code="28000000000000" + ending)
    assert reply["respcd"] == respcd
    assert (reply["chnlsn"] != "") == (respcd == "0000")
    assert merchant.record(reply["out_trade_no"])["respcd"] == respcd
    merchant.gateway.clock.advance(60)
    assert merchant.record(reply["out_trade_no"])["respcd"] == then


def test_barcode_waiting_for_the_password_can_be_paid(merchant: Merchant) -> None:
    """1143 is open: the payer can complete it."""
    reply = merchant.payment("800108", auth_code="280000000001231143")
    merchant.gateway.orders.pay(reply["out_trade_no"])
    assert merchant.record(reply["out_trade_no"])["respcd"] == "0000"


def test_barcode_works_once(merchant: Merchant) -> None:
    """The same code again is 1202, wrong or expired (the code is chosen; that it works once is G4/G5)."""
    code = "280000000000777799"
    assert merchant.payment("800108", auth_code=code)["respcd"] == "0000"
    assert merchant.payment("800108", auth_code=code)["respcd"] == "1202"


# name, pay type, a value that passes, a value that is refused; "" is a field left out
BOUNDS = [
    ("txamt", "801107", "1", "0"),
    ("txamt", "801107", "9" * 11, "9" * 12),
    ("txamt", "801107", "100", "1.00"),
    ("txamt", "801107", "100", "-100"),
    ("txamt", "801107", "100", "１００"),
    ("txamt", "801107", "100", ""),
    ("txcurrcd", "801107", "USD", "usd"),
    ("txcurrcd", "801107", "HKD", "KRW"),
    ("txcurrcd", "801107", "HKD", ""),
    ("pay_type", "801107", "801101", "801801"),
    ("pay_type", "801107", "801101", ""),
    ("out_trade_no", "801107", "a_|*-9" + "x" * 122, "a_|*-9" + "x" * 123),
    ("out_trade_no", "801107", "order-1", "order 1"),
    ("out_trade_no", "801107", "order-2", "order,2"),
    ("out_trade_no", "801107", "order-3", ""),
    ("txdtm", "801107", "2026-01-01 23:59:59", "2026-01-01 24:00:00"),
    ("txdtm", "801107", "2026-02-28 12:00:00", "2026-02-29 12:00:00"),
    ("txdtm", "801107", "2026-01-01 12:00:00", "2026-01-01T12:00:00"),
    ("txdtm", "801107", "2026-01-01 12:00:00", ""),
    ("expired_time", "801107", "5", "4"),
    ("expired_time", "801107", "120", "121"),
    ("expired_time", "801107", "30", "30m"),
    ("expired_time", "800107", "30", "121"),
    ("goods_name", "801107", "測" * 20, "測" * 21),
    ("goods_name", "801107", "tea 2 go", "tea & more"),
    ("goods_name", "801107", "tea", "tea\n"),
    ("goods_name", "801107", "tea 5", "tea $5"),
    ("goods_name", "801110", "tea", ""),
    ("goods_name", "801510", "tea", ""),
    ("goods_info", "801110", "green", "green\x00"),
    ("udid", "801107", "u" * 40, "u" * 41),
    ("notify_url", "801107", "https://a.example/" + "n" * 238, "https://a.example/" + "n" * 239),
    ("notify_url", "801107", "http://127.0.0.1:9/n", "ftp://a.example/n"),
    ("return_url", "801101", "https://a.example/" + "r" * 494, "https://a.example/" + "r" * 495),
    ("return_url", "801107", "https://a.example/" + "r" * 237, "https://a.example/" + "r" * 238),
    ("return_url", "801512", "https://a.example/" + "r" * 237, "https://a.example/" + "r" * 238),
    ("return_url", "801101", "https://a.example/", "javascript:alert(1)"),
    ("return_url", "801110", "shop://paid", ""),
    ("return_url", "801510", "shop://paid", ""),
    ("openid", "800107", "2088802811715388", ""),
    ("openid", "800107", "2" * 64, "2" * 65),
    ("auth_code", "800108", "280000000000000001", ""),
    ("auth_code", "800008", "280000000000000002", ""),
    ("auth_code", "800108", "2" * 128, "2" * 129),
    ("limit_pay", "800107", "no_credit", "credit"),
    ("pay_tag", "800101", "ALIPAYCN", "WECHAT"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pay_type", "good", "bad"), BOUNDS)
def test_payment_bound_is_enforced_on_both_sides(
    open_merchant: Callable[..., Merchant], merchant: Merchant, name: str, pay_type: str, good: str, bad: str
) -> None:
    """A value at the bound passes, one beyond it is 1104 with the parameter's name. Source: SOURCES.md §3.1, 3.2."""
    is_code = name in ("auth_code", "out_trade_no")
    for_good = open_merchant() if is_code else merchant
    assert for_good.payment(**{"pay_type": pay_type, name: good})["respcd"] == "0000"
    refusal = merchant.payment(**{"pay_type": pay_type, name: bad})
    assert refusal["respcd"] == "1104"
    assert name in refusal["respmsg"] or refusal["respmsg"] == "filter error"
    assert "syssn" not in refusal


@pytest.mark.parametrize("pay_type", ["801107", "801514", "800101", "801501"])
def test_payment_optional_fields_may_be_missing_or_empty(merchant: Merchant, pay_type: str) -> None:
    """The public fields suffice, and an empty value counts as missing."""
    fields = {
        "txamt": "300",
        "txcurrcd": "HKD",
        "pay_type": pay_type,
        "out_trade_no": new_number(),
        "txdtm": now(),
    }
    assert merchant.ask(PAYMENT, fields)["respcd"] == "0000"
    empty = {"goods_name": "", "return_url": "", "expired_time": "", "udid": "", "unheard_of": "x"}
    assert merchant.ask(PAYMENT, {**fields, "out_trade_no": new_number(), **empty})["respcd"] == "0000"


def test_minimum_of_801101_warns_or_refuses(open_merchant: Callable[..., Merchant]) -> None:
    """More than 1 HKD is documented, QFPay's sample sends 0.10: a warning, or 1104 if set so."""
    lenient, strict = open_merchant(), open_merchant({"minimum_amount": "refuse"})
    warned = lenient.payment(txamt="100")
    assert (warned["respcd"], "exceed 100" in warned["respmsg"]) == ("0000", True)
    assert "exceed 100" in lenient.http.get(warned["pay_url"]).text
    assert lenient.payment(txamt="101")["respmsg"] == ""
    refused = strict.payment(txamt="100")
    assert (refused["respcd"], "txamt" in refused["respmsg"]) == ("1104", True)
    assert strict.payment(txamt="101")["respcd"] == "0000"
    assert strict.payment("801107", txamt="1")["respcd"] == "0000"


def test_pay_type_not_enabled_is_filter_error(open_merchant: Callable[..., Merchant]) -> None:
    """1104 "filter error" for a pay type the account lacks. Source: FAQ17 question 2."""
    merchant = open_merchant({"pay_types": "801514, 801512"})
    assert merchant.payment("801514")["respcd"] == "0000"
    refusal = merchant.payment("801101")
    assert (refusal["respcd"], refusal["respmsg"]) == ("1104", "filter error")


def test_number_used_is_1251(merchant: Merchant) -> None:
    """A used out_trade_no is refused, whether a payment (in any state) or a refund used it. Source: 91APP."""
    order = merchant.paid()
    refund = merchant.refund(order, "100")
    closed = merchant.payment()
    merchant.close(closed)
    for number in (order["out_trade_no"], refund["out_trade_no"], closed["out_trade_no"]):
        again = merchant.payment(out_trade_no=number)
        assert (again["respcd"], again["respmsg"]) == ("1251", "out_trade_no is used")


def test_number_used_gives_the_same_result_when_set_so(open_merchant: Callable[..., Merchant]) -> None:
    """`same_result`: an identical request for an unpaid order gets its answer again; anything else is 1251."""
    merchant = open_merchant({"duplicate_policy": "same_result"})
    first = merchant.payment(out_trade_no="A1")
    again = merchant.payment(out_trade_no="A1")
    assert (again["respcd"], again["syssn"], again["pay_url"]) == ("0000", first["syssn"], first["pay_url"])
    assert merchant.payment(out_trade_no="A1", txamt="8801")["respcd"] == "1251"
    merchant.gateway.orders.pay("A1")
    assert merchant.payment(out_trade_no="A1")["respcd"] == "1251"


def test_number_used_is_charged_twice_when_set_so(open_merchant: Callable[..., Merchant]) -> None:
    """`charge_blindly`: two orders, two records, and `charges` 2 when both are paid."""
    merchant = open_merchant({"duplicate_policy": "charge_blindly"})
    first, second = merchant.payment(out_trade_no="A1"), merchant.payment(out_trade_no="A1")
    assert first["syssn"] != second["syssn"]
    for order in (first, second):
        merchant.gateway.orders.pay(order["syssn"])
    assert [record["respcd"] for record in merchant.query(out_trade_no="A1")] == ["0000", "0000"]
    shown = merchant.control("GET", "orders/A1").json()
    assert (shown["charges"], shown["requests"], len(shown["orders"])) == (2, 2, 2)
