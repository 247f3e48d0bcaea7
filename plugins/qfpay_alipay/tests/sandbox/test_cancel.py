"""Close and reversal. The sources disagree on their use (SOURCES.md §5.2): here both do the same."""

import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import CLOSE, REVERSAL, Merchant, now
from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES

FIELDS = {
    "syssn", "orig_syssn", "out_trade_no", "txamt", "txcurrcd", "txdtm", "sysdtm", "chnlsn", "respcd", "resperr",
    "respmsg",
}  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", [CLOSE, REVERSAL])
def test_close_ends_an_unpaid_order(merchant: Merchant, path: str, method: str) -> None:
    """By GET and POST: 0000 with a syssn of its own, then the record reads 1142 with cancel 2."""
    order = merchant.payment()
    reply = merchant.close(order, path, method)
    assert reply.keys() == FIELDS
    assert (reply["respcd"], reply["orig_syssn"]) == ("0000", order["syssn"])
    assert reply["syssn"] != order["syssn"]
    record = merchant.record(order["out_trade_no"])
    assert (record["respcd"], record["cancel"]) == ("1142", "2")


@pytest.mark.parametrize("pay_type", [code for code in PAY_TYPES if code not in ("800108", "800008")])
def test_close_works_for_every_pay_type(merchant: Merchant, pay_type: str) -> None:
    """Every pay type can be closed."""
    order = merchant.payment(pay_type)
    assert merchant.close(order)["respcd"] == "0000"


def test_reversal_of_a_barcode_payment_reads_cancel_1(merchant: Merchant) -> None:
    """Of a reversed barcode payment cancel is 1. Source: G4/G5 "Transaction Enquiry"."""
    order = merchant.payment("800108", auth_code="280000000009991143")
    assert merchant.close(order, REVERSAL)["respcd"] == "0000"
    record = merchant.record(order["out_trade_no"])
    assert (record["respcd"], record["cancel"]) == ("1142", "1")


def test_close_by_order_number(merchant: Merchant) -> None:
    """syssn or out_trade_no; one of them is needed; together they must be the same order's (1267)."""
    one, two = merchant.payment(), merchant.payment()
    assert merchant.close(one, syssn="", out_trade_no=two["out_trade_no"])["respcd"] == "0000"
    assert merchant.record(two["out_trade_no"])["respcd"] == "1142"
    assert merchant.close(one, out_trade_no=two["out_trade_no"])["respcd"] == "1267"
    refusal = merchant.ask(CLOSE, {"txamt": "8800", "txdtm": now()})
    assert (refusal["respcd"], "syssn" in refusal["respmsg"]) == ("1104", True)


@pytest.mark.parametrize(
    ("end", "respcd"), [("pay", "1260"), ("decline", "1264"), ("expire", "1264"), ("close", "1263")]
)
def test_close_only_what_is_open(merchant: Merchant, end: str, respcd: str) -> None:
    """Paid 1260, already cancelled 1263, ended otherwise 1264; the order is unchanged."""
    order = merchant.payment()
    if end == "close":
        merchant.close(order)
    else:
        merchant.control("POST", f"orders/{order['syssn']}/{end}").raise_for_status()
    before = merchant.record(order["out_trade_no"])
    assert merchant.close(order)["respcd"] == respcd
    assert merchant.record(order["out_trade_no"]) == before


def test_close_with_another_amount_is_1266(merchant: Merchant) -> None:
    """txamt must be the order's."""
    order = merchant.payment()
    assert merchant.close(order, txamt="8801")["respcd"] == "1266"
    assert merchant.close(order)["respcd"] == "0000"


def test_close_of_an_unknown_order_is_1268(merchant: Merchant) -> None:
    """Also for a refund's number."""
    order = merchant.paid()
    refund = merchant.refund(order, "100")
    for syssn in ("20260101000300020012345678", refund["syssn"]):
        assert merchant.close({"syssn": syssn, "txamt": "100"})["respcd"] == "1268"


@pytest.mark.parametrize("name", ["txamt", "txdtm"])
def test_close_needs_its_parameters(merchant: Merchant, name: str) -> None:
    """Each required parameter missing is 1104 with its name."""
    refusal = merchant.close(merchant.payment(), **{name: ""})
    assert (refusal["respcd"], name in refusal["respmsg"]) == ("1104", True)
