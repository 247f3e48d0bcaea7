"""The gateway's own faults: what a client sees, and the gateway's state afterwards."""

import hashlib

import httpx2
import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import (
    CLOSE,
    PAYMENT,
    QUERY,
    REFUND,
    Merchant,
    new_number,
    now,
)


def fields(number: str) -> dict[str, str]:
    return {"txamt": "8800", "txcurrcd": "HKD", "pay_type": "801101", "out_trade_no": number, "txdtm": now()}


def test_lost_request_leaves_nothing(merchant: Merchant) -> None:
    """The connection breaks without an order; the same number works afterwards."""
    number = new_number()
    merchant.gateway.faults.add("lose_request", path=PAYMENT)
    with pytest.raises(httpx2.TransportError):
        merchant.send(PAYMENT, fields(number))
    assert merchant.query(out_trade_no=number) == []
    assert merchant.ask(PAYMENT, fields(number))["respcd"] == "0000"


def test_lost_reply_leaves_an_order(merchant: Merchant) -> None:
    """The connection breaks the same way, and the order exists."""
    number = new_number()
    merchant.gateway.faults.add("lose_reply", path=PAYMENT)
    with pytest.raises(httpx2.TransportError):
        merchant.send(PAYMENT, fields(number))
    assert merchant.record(number)["respcd"] == "1143"
    assert merchant.ask(PAYMENT, fields(number))["respcd"] == "1251"


def test_pending_answer_is_given_n_times(merchant: Merchant) -> None:
    """answer_pending: the order exists and its reply says 1145 without a URL; records say 1145 N times."""
    number = new_number()
    merchant.gateway.faults.add("answer_pending", path=PAYMENT)
    reply = merchant.ask(PAYMENT, fields(number))
    assert (reply["respcd"], "pay_url" in reply) == ("1145", False)
    merchant.gateway.orders.pay(number)
    merchant.gateway.faults.add("answer_pending", path=QUERY, times=2)
    seen = [merchant.record(number)["respcd"] for _ in range(3)]
    assert seen == ["1145", "1145", "0000"]
    assert merchant.record(number)["paydtm"]


def test_any_code_can_be_answered(merchant: Merchant) -> None:
    """respcd: the request is refused with the code, before or after it was carried out."""
    number = new_number()
    merchant.gateway.faults.add("respcd", code="1298", message="slow", path=PAYMENT)
    reply = merchant.ask(PAYMENT, fields(number))
    assert (reply["respcd"], reply["respmsg"]) == ("1298", "slow")
    assert merchant.query(out_trade_no=number) == []
    merchant.gateway.faults.add("respcd", code="1298", recorded=True, path=PAYMENT)
    assert merchant.ask(PAYMENT, fields(number))["respcd"] == "1298"
    assert len(merchant.query(out_trade_no=number)) == 1


@pytest.mark.parametrize(
    ("pay_type", "name"), [("801101", "pay_url"), ("800107", "pay_params"), ("800101", "qrcode")]
)
def test_accepted_without_what_the_payer_needs(merchant: Merchant, pay_type: str, name: str) -> None:
    """no_pay_url: 0000 without the one field; the next reply has it."""
    merchant.gateway.faults.add("no_pay_url")
    bare, whole = merchant.payment(pay_type), merchant.payment(pay_type)
    assert (bare["respcd"], name in bare, name in whole) == ("0000", False, True)


@pytest.mark.parametrize("path", [PAYMENT, QUERY, REFUND, CLOSE])
def test_wrong_amount_and_currency_in_every_reply(merchant: Merchant, path: str) -> None:
    """In replies and in each record of a query; the gateway's own data is right."""
    order = merchant.paid() if path in (QUERY, REFUND) else merchant.payment()
    merchant.gateway.faults.add("wrong_amount", path=path, by=100)
    merchant.gateway.faults.add("wrong_currency", path=path, currency="JPY")
    if path == PAYMENT:
        reply = merchant.payment()
    elif path == QUERY:
        reply = merchant.record(order["out_trade_no"])
    elif path == REFUND:
        reply = merchant.refund(order, "8800")
    else:
        reply = merchant.close(order)
    assert (reply["txamt"], reply["txcurrcd"]) == ("8900", "JPY")
    assert merchant.record(reply["out_trade_no"])["txamt"] == "8800"


def test_numbers_instead_of_strings(merchant: Merchant) -> None:
    """Amounts as JSON numbers in a reply and in records; the next are strings again."""
    order = merchant.paid()
    merchant.gateway.faults.add("numbers_instead_of_strings", times=2)
    assert merchant.payment()["txamt"] == 8800
    assert merchant.record(order["out_trade_no"])["cash_fee"] == 8800
    assert merchant.payment()["txamt"] == "8800"


def test_wrong_reply_signature(merchant: Merchant) -> None:
    """wrong_signature: X-QF-SIGN is present and invalid."""
    merchant.gateway.faults.add("wrong_signature")
    for fits in (False, True):
        reply = merchant.send(QUERY, {})
        right = hashlib.md5(reply.content + merchant.key.encode()).hexdigest().upper()
        assert (reply.headers["X-QF-SIGN"] == right) is fits


def test_fault_keeps_to_its_path_and_number(merchant: Merchant) -> None:
    """A fault with a path affects only that; one with times 2 ends after two."""
    merchant.gateway.faults.add("http_500", path=REFUND, times=2)
    assert merchant.send(QUERY, {}).status_code == 200
    assert [merchant.send(REFUND, {}).status_code for _ in range(3)] == [500, 500, 200]


def test_faults_spare_wallet_and_control(merchant: Merchant) -> None:
    """Connection faults apply to the API only."""
    merchant.gateway.faults.add("http_500")
    assert merchant.http.get(merchant.url + "/").status_code == 200
    assert merchant.control("GET", "stats").status_code == 200
    assert merchant.send(QUERY, {}).status_code == 500
