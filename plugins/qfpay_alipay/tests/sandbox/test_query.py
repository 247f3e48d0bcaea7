"""POST /trade/v1/query. Source: G4/G5 "Transaction Enquiry" (SOURCES.md §4)."""

import datetime as dt
from collections.abc import Callable

import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import QUERY, Merchant

FIELDS = {
    "syssn", "out_trade_no", "chnlsn", "chnlsn2", "goods_name", "goods_info", "goods_detail", "txcurrcd", "origssn",
    "pay_type", "order_type", "txdtm", "txamt", "sysdtm", "paydtm", "cancel", "respcd", "errmsg", "exchange_rate",
    "cash_fee", "cash_fee_type", "cash_refund_fee", "cash_refund_fee_type",
}  # fmt: skip
HONG_KONG = dt.timezone(dt.timedelta(hours=8))


def clock_of(merchant: Merchant) -> dt.datetime:
    return dt.datetime.fromtimestamp(merchant.gateway.clock.now_ms() / 1000, tz=HONG_KONG)


def text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def test_query_unknown_order_is_success_with_no_data(merchant: Merchant) -> None:
    """The answer is 0000 and an empty list. Source: QFPay 2016 test suite, 91APP."""
    for fields in ({"out_trade_no": "nobody"}, {"syssn": "20260101000300020012345678"}):
        answer = merchant.ask(QUERY, fields)
        assert (answer["respcd"], answer["data"], answer["page"], answer["page_size"]) == ("0000", [], 1, 10)


def test_query_record_has_all_documented_fields(merchant: Merchant) -> None:
    """Of payments and refunds; a refund has its payment in origssn."""
    order = merchant.paid(goods_name="tea")
    refund = merchant.refund(order, "800")
    payment, refunded = merchant.record(order["out_trade_no"]), merchant.record(refund["out_trade_no"])
    assert payment.keys() >= FIELDS
    assert refunded.keys() >= FIELDS
    assert (payment["order_type"], payment["origssn"]) == ("payment", None)
    assert (refunded["order_type"], refunded["origssn"]) == ("refund", order["syssn"])
    assert (payment["txamt"], payment["respcd"], payment["goods_name"]) == ("8800", "0000", "tea")
    assert (refunded["txamt"], refunded["respcd"], refunded["cash_refund_fee"]) == ("800", "0000", "800")
    assert payment["paydtm"]
    assert payment["chnlsn"]


def test_query_by_several_numbers(merchant: Merchant) -> None:
    """Comma separated syssn or out_trade_no; unknown ones are left out; with both, both must match."""
    one, two, three = merchant.payment(), merchant.payment(), merchant.payment()
    by_number = merchant.query(out_trade_no=f"{one['out_trade_no']},{two['out_trade_no']},nobody")
    assert {record["syssn"] for record in by_number} == {one["syssn"], two["syssn"]}
    by_syssn = merchant.query(syssn=f"{two['syssn']},{three['syssn']}")
    assert [record["syssn"] for record in by_syssn] == [three["syssn"], two["syssn"]]
    assert merchant.query(syssn=one["syssn"], out_trade_no=two["out_trade_no"]) == []
    assert len(merchant.query(syssn=one["syssn"], out_trade_no=one["out_trade_no"])) == 1


def test_query_number_list_is_128_wide(merchant: Merchant) -> None:
    """The declared width is String(128): four 26-digit numbers fit, five do not."""
    syssns = ["2026010100030002001234567" + str(digit) for digit in range(5)]
    assert merchant.query(syssn=",".join(syssns[:4])) == []
    assert merchant.ask(QUERY, {"syssn": ",".join(syssns)})["respcd"] == "1104"


def test_query_range_filters_on_sysdtm(open_merchant: Callable[..., Merchant]) -> None:
    """Both ends are included; with numbers the range has no effect."""
    merchant = open_merchant()
    order = merchant.payment()
    at = dt.datetime.strptime(order["sysdtm"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=HONG_KONG)
    second = dt.timedelta(seconds=1)
    month = at.replace(day=1, hour=0, minute=0, second=0)
    assert len(merchant.query(start_time=text(at), end_time=text(at))) == 1
    assert merchant.query(start_time=text(month), end_time=text(max(month, at - second))) == []
    assert merchant.query(start_time=text(at + second)) == []
    long_ago = {"start_time": "2020-01-01 00:00:00", "end_time": "2020-01-31 23:59:59"}
    assert merchant.query(**long_ago) == []
    assert len(merchant.query(out_trade_no=order["out_trade_no"], **long_ago)) == 1
    assert len(merchant.query(syssn=order["syssn"], **long_ago)) == 1


def test_query_range_may_hold_for_numbers_too(open_merchant: Callable[..., Merchant]) -> None:
    """G5's other reading: without a range the present month, with one only its orders; never for `syssn`."""
    merchant = open_merchant({"number_range": "apply"})
    order = merchant.payment()
    number, month = order["out_trade_no"], order["sysdtm"][:8]
    assert len(merchant.query(out_trade_no=number)) == 1
    merchant.gateway.clock.advance(32 * 86400)
    assert merchant.query(out_trade_no=number) == []
    this_day = {
        "start_time": order["sysdtm"][:10] + " 00:00:00",
        "end_time": order["sysdtm"][:10] + " 23:59:59",
    }
    assert month in this_day["start_time"]
    assert len(merchant.query(out_trade_no=number, **this_day)) == 1
    assert len(merchant.query(syssn=order["syssn"])) == 1


@pytest.mark.parametrize("page_order", ["newest_first", "oldest_first", "mixed"])
def test_query_pages_have_every_record_once_in_any_order(
    open_merchant: Callable[..., Merchant], page_order: str
) -> None:
    """The order of records is undocumented: newest first, oldest first, or without any relation to their times."""
    merchant = open_merchant({"page_order": page_order, "rate_per_s": "0"})
    made = [merchant.payment()["syssn"] for _ in range(12)]
    seen = [
        record["syssn"] for page in ("1", "2", "3") for record in merchant.query(page=page, page_size="5")
    ]
    assert sorted(seen) == made
    assert {"newest_first": seen == made[::-1], "oldest_first": seen == made}.get(page_order, True)


def test_query_shows_a_new_order_late_where_it_is_set_so(open_merchant: Callable[..., Merchant]) -> None:
    """How soon a new order shows is undocumented: by its number and in a range."""
    merchant = open_merchant({"records_late_s": "30"})
    order = merchant.payment()
    assert merchant.query() == merchant.query(out_trade_no=order["out_trade_no"]) == []
    merchant.gateway.clock.advance(30)
    assert [record["syssn"] for record in merchant.query()] == [order["syssn"]]
    assert len(merchant.query(out_trade_no=order["out_trade_no"])) == 1


@pytest.mark.parametrize(
    ("start", "end", "respcd"),
    [
        ("2026-01-01 00:00:00", "2026-01-31 23:59:59", "0000"),
        ("2026-01-31 23:59:59", "2026-02-01 00:00:00", "1104"),
        ("2025-01-01 00:00:00", "2026-01-01 00:00:00", "1104"),
        ("2026-01-02 00:00:00", "2026-01-01 00:00:00", "1104"),
        ("2026-01-01", "2026-01-31", "1104"),
    ],
)
def test_query_range_stays_in_one_month(merchant: Merchant, start: str, end: str, respcd: str) -> None:
    """A range within one calendar month; the code otherwise is undocumented, 1104 chosen."""
    assert merchant.ask(QUERY, {"start_time": start, "end_time": end})["respcd"] == respcd


def test_query_without_anything_is_this_month(open_merchant: Callable[..., Merchant]) -> None:
    """The default range is the gateway's current month: 32 days later the order is outside it."""
    merchant = open_merchant()
    order = merchant.payment()
    assert [record["syssn"] for record in merchant.query()] == [order["syssn"]]
    month = order["sysdtm"][:8]
    merchant.gateway.clock.advance(32 * 86400)
    assert merchant.query() == []
    assert len(merchant.query(start_time=month + "01 00:00:00", end_time=month + "28 23:59:59")) == (
        1 if int(order["sysdtm"][8:10]) <= 28 else 0
    )
    assert len(merchant.query(out_trade_no=order["out_trade_no"])) == 1


def test_query_filters_by_pay_type_and_respcd(open_merchant: Callable[..., Merchant]) -> None:
    """pay_type takes several, comma separated; respcd is the record's; a refund has its payment's pay type."""
    merchant = open_merchant()
    web, wap, paid = merchant.payment("801101"), merchant.payment("801107"), merchant.paid("801514")
    refund = merchant.refund(paid, "1")

    def found(**fields: str) -> set[str]:
        return {record["syssn"] for record in merchant.query(**fields)}

    assert found(pay_type="801101") == {web["syssn"]}
    assert found(pay_type="801101,801107") == {web["syssn"], wap["syssn"]}
    assert found(pay_type="801514") == {paid["syssn"], refund["syssn"]}
    assert found(respcd="1143") == {web["syssn"], wap["syssn"]}
    assert found(respcd="0000", pay_type="801101") == set()


def test_query_pages(open_merchant: Callable[..., Merchant]) -> None:
    """Ten a page by default, at most 100, newest first, integers in the answer, nothing past the last page."""
    merchant = open_merchant()
    numbers = [merchant.payment()["syssn"] for _ in range(12)]
    newest_first = numbers[::-1]
    first, second = merchant.ask(QUERY, {}), merchant.ask(QUERY, {"page": "2"})
    assert [record["syssn"] for record in first["data"]] == newest_first[:10]
    assert [record["syssn"] for record in second["data"]] == newest_first[10:]
    assert (second["page"], second["page_size"]) == (2, 10)
    assert len(merchant.query(page_size="100")) == 12
    assert merchant.query(page="3") == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("page_size", "100", "101"), ("page_size", "1", "0"), ("page", "1", "0"), ("page", "2", "x")],
)
def test_query_paging_bounds(merchant: Merchant, name: str, good: str, bad: str) -> None:
    """page from 1, page_size from 1 to 100."""
    assert merchant.ask(QUERY, {name: good})["respcd"] == "0000"
    refusal = merchant.ask(QUERY, {name: bad})
    assert (refusal["respcd"], name in refusal["respmsg"]) == ("1104", True)
