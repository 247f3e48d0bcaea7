"""POST /trade/v1/refund. Source: G5 "Refund API Guide", 91APP (SOURCES.md §5.1)."""

from collections.abc import Callable

import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import REFUND, Merchant, new_number, now

FIELDS = {
    "syssn", "orig_syssn", "txamt", "txcurrcd", "out_trade_no", "txdtm", "sysdtm", "paydtm", "chnlsn", "cardcd", "udid",
    "respcd", "resperr", "respmsg", "cash_refund_fee", "cash_refund_fee_type",
}  # fmt: skip


def test_refund_answers_all_fields(merchant: Merchant) -> None:
    """Its own syssn and number beside the original's; the currency is optional."""
    order, number = merchant.paid(), new_number()
    reply = merchant.refund(order, "800", out_trade_no=number)
    assert reply.keys() == FIELDS
    assert (reply["respcd"], reply["orig_syssn"], reply["out_trade_no"]) == ("0000", order["syssn"], number)
    assert (reply["txamt"], reply["txcurrcd"]) == ("800", "HKD")
    assert reply["syssn"] not in ("", order["syssn"])


def test_refund_in_parts_up_to_the_whole(merchant: Merchant) -> None:
    """Several partial refunds up to the amount; cancel reads 5, then 3; afterwards 1264 "wrong cancel"."""
    order = merchant.paid()
    number = order["out_trade_no"]
    assert merchant.refund(order, "800")["respcd"] == "0000"
    assert (merchant.record(number)["cancel"], merchant.record(number)["respcd"]) == ("5", "0000")
    assert merchant.refund(order, "8001")["respcd"] == "1272"
    assert merchant.refund(order, "8000")["respcd"] == "0000"
    assert (merchant.record(number)["cancel"], merchant.record(number)["respcd"]) == ("3", "0000")
    late = merchant.refund(order, "1")
    assert (late["respcd"], late["respmsg"]) == ("1264", "wrong cancel")
    assert len(merchant.gateway.orders.book.refunds_of(merchant.gateway.orders.book.find(number))) == 2


def test_refund_of_a_barcode_payment_reads_cancel_1(merchant: Merchant) -> None:
    """A wholly refunded barcode payment has cancel 1. Source: G4/G5 "Transaction Enquiry"."""
    order = merchant.payment("800108")
    merchant.refund(order, "8800")
    assert merchant.record(order["out_trade_no"])["cancel"] == "1"


@pytest.mark.parametrize(
    ("end", "respcd"),
    [("", "1261"), ("decline", "1261"), ("expire", "1261"), ("close", "1264"), ("pay", "0000")],
)
def test_refund_only_what_is_paid(merchant: Merchant, end: str, respcd: str) -> None:
    """Unpaid, declined and expired orders are 1261, closed ones 1264, paid ones are refunded."""
    order = merchant.payment()
    if end == "close":
        merchant.close(order)
    elif end:
        merchant.control("POST", f"orders/{order['syssn']}/{end}").raise_for_status()
    assert merchant.refund(order, "100")["respcd"] == respcd


def test_refund_refused_names_the_original_and_has_no_syssn(merchant: Merchant) -> None:
    """orig_syssn, out_trade_no, the three resp fields and the currency. Source: 91APP."""
    order = merchant.payment()
    refusal = merchant.refund(order, "100")
    assert refusal.keys() == {"orig_syssn", "out_trade_no", "txcurrcd", "respcd", "resperr", "respmsg"}


def test_refund_of_an_unknown_order_is_1268(merchant: Merchant) -> None:
    """Also for a refund's number."""
    order = merchant.paid()
    refund = merchant.refund(order, "100")
    for syssn in ("20260101000300020012345678", refund["syssn"]):
        assert merchant.refund({"syssn": syssn}, "100")["respcd"] == "1268"


def test_refund_number_is_shared_with_payments(merchant: Merchant) -> None:
    """A payment's or an earlier refund's number is 1251, "out_trade_no is used". Source: 91APP."""
    order = merchant.paid()
    refund = merchant.refund(order, "100")
    for number in (order["out_trade_no"], refund["out_trade_no"]):
        refusal = merchant.refund(order, "100", out_trade_no=number)
        assert (refusal["respcd"], refusal["respmsg"]) == ("1251", "out_trade_no is used")


@pytest.mark.parametrize("name", ["syssn", "out_trade_no", "txamt", "txdtm"])
def test_refund_needs_its_parameters(merchant: Merchant, name: str) -> None:
    """Each required parameter missing is 1104 with its name, txamt for a full refund too."""
    order = merchant.paid()
    fields = {"syssn": order["syssn"], "out_trade_no": new_number(), "txamt": "8800", "txdtm": now()}
    refusal = merchant.ask(REFUND, {key: value for key, value in fields.items() if key != name})
    assert (refusal["respcd"], name in refusal["respmsg"]) == ("1104", True)
    assert merchant.ask(REFUND, fields)["respcd"] == "0000"


def test_refund_pending_ends_by_itself(open_merchant: Callable[..., Merchant]) -> None:
    """Fault pending_refund: a record with 1143, its number used and its amount reserved; later 0000."""
    merchant = open_merchant()
    merchant.gateway.faults.add("pending_refund", seconds=30.0)
    order = merchant.paid()
    reply = merchant.refund(order, "8000")
    number = reply["out_trade_no"]
    assert (reply["respcd"], merchant.record(number)["respcd"]) == ("1143", "1143")
    assert merchant.record(order["out_trade_no"])["cancel"] == "0"
    assert merchant.refund(order, "100", out_trade_no=number)["respcd"] == "1251"
    assert merchant.refund(order, "801")["respcd"] == "1272"
    merchant.gateway.clock.advance(31)
    assert merchant.record(number)["respcd"] == "0000"
    assert merchant.record(order["out_trade_no"])["cancel"] == "5"


def test_refund_pending_can_fail(open_merchant: Callable[..., Merchant]) -> None:
    """A pending refund that fails releases its amount."""
    merchant = open_merchant()
    merchant.gateway.faults.add("pending_refund", seconds=30.0, code="1269")
    order = merchant.paid()
    number = merchant.refund(order, "8800")["out_trade_no"]
    merchant.gateway.clock.advance(31)
    assert merchant.record(number)["respcd"] == "1269"
    assert merchant.record(order["out_trade_no"])["cancel"] == "0"
    assert merchant.refund(order, "8800")["respcd"] == "0000"


def test_refund_with_an_empty_balance_is_1269(merchant: Merchant) -> None:
    """Fault balance_empty: refused once without effect; the same number works afterwards."""
    order, number = merchant.paid(), new_number()
    merchant.gateway.faults.add("balance_empty")
    assert merchant.refund(order, "8800", out_trade_no=number)["respcd"] == "1269"
    assert merchant.refund(order, "8800", out_trade_no=number)["respcd"] == "0000"
