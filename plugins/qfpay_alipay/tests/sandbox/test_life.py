"""An order's states on the sandbox clock: waiting, paid, declined, expired, and late money."""

import time
from collections.abc import Callable

import pytest

from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.sandbox.scenario import read_auto_pay
from plugins.qfpay_alipay.tests.sandbox.merchant import Merchant


def wait_until(condition: Callable[[], bool], *, within_s: float = 1.5) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_paid_order_reads_0000(merchant: Merchant) -> None:
    """Paid: 0000, cancel 0, with the payer, the wallet's number, the time and what was paid."""
    order = merchant.paid("800107")
    record = merchant.record(order["out_trade_no"])
    assert (record["respcd"], record["cancel"], record["cardcd"]) == ("0000", "0", "2088802811715388")
    assert record["chnlsn"] == order["pay_params"]["tradeNO"]
    assert (record["cash_fee"], record["cash_fee_type"]) == ("8800", "HKD")
    assert record["paydtm"] >= record["sysdtm"]


def test_declined_order_reads_1205_and_stays(merchant: Merchant) -> None:
    """Declined is final: 1205 (chosen), not payable, not declinable again."""
    order = merchant.payment()
    merchant.gateway.orders.decline(order["out_trade_no"])
    assert merchant.record(order["out_trade_no"])["respcd"] == "1205"
    for act in (merchant.gateway.orders.pay, merchant.gateway.orders.decline, merchant.gateway.orders.expire):
        with pytest.raises(NotPossible):
            act(order["out_trade_no"])


def test_paid_order_is_charged_once(merchant: Merchant) -> None:
    """Paying again charges nothing."""
    order = merchant.paid()
    with pytest.raises(NotPossible, match="already paid"):
        merchant.gateway.orders.pay(order["out_trade_no"])
    assert merchant.control("GET", f"orders/{order['syssn']}").json()["charges"] == 1


def test_order_is_found_by_every_number(merchant: Merchant) -> None:
    """out_trade_no, syssn and the wallet's number name the same order; others none."""
    order = merchant.payment("800107")
    book = merchant.gateway.orders.book
    numbers = (order["out_trade_no"], order["syssn"], order["pay_params"]["tradeNO"])
    assert {book.find(number).syssn for number in numbers} == {order["syssn"]}
    with pytest.raises(UnknownOrder, match="_sandbox/orders"):
        book.find("nobody")


@pytest.mark.parametrize(
    ("fields", "minutes"), [({}, 30), ({"expired_time": "5"}, 5), ({"expired_time": "120"}, 120)]
)
def test_order_expires_when_its_time_is_up(
    open_merchant: Callable[..., Merchant], fields: dict[str, str], minutes: int
) -> None:
    """1143 until a second before expired_time (default 30 minutes), 1181 from then on, and not payable."""
    merchant = open_merchant()
    number = merchant.payment(**fields)["out_trade_no"]
    merchant.gateway.clock.advance(minutes * 60 - 2)
    assert merchant.record(number)["respcd"] == "1143"
    merchant.gateway.clock.advance(2)
    assert merchant.record(number)["respcd"] == "1181"
    with pytest.raises(NotPossible, match="expired"):
        merchant.gateway.orders.pay(number)


def test_expired_time_has_no_effect_where_it_is_not_documented(
    open_merchant: Callable[..., Merchant],
) -> None:
    """800107 is not in the list of pay types with expired_time: it keeps 30 minutes."""
    merchant = open_merchant()
    number = merchant.payment("800107", expired_time="5")["out_trade_no"]
    merchant.gateway.clock.advance(6 * 60)
    assert merchant.record(number)["respcd"] == "1143"
    merchant.gateway.clock.advance(25 * 60)
    assert merchant.record(number)["respcd"] == "1181"


@pytest.mark.parametrize("end", ["close", "expire", "decline"])
def test_late_money_needs_the_fault(merchant: Merchant, end: str) -> None:
    """An ended order can be paid only with late_pay, once, and then reads 0000."""
    order = merchant.payment()
    number = order["out_trade_no"]
    if end == "close":
        merchant.close(order)
    else:
        getattr(merchant.gateway.orders, end)(number)
    with pytest.raises(NotPossible, match="late_pay"):
        merchant.gateway.orders.pay(number)
    merchant.gateway.faults.add("late_pay")
    merchant.gateway.orders.pay(number)
    record = merchant.record(number)
    assert (record["respcd"], record["cancel"]) == ("0000", "0")
    assert merchant.gateway.faults.active() == []


def test_auto_pay_pays_after_its_seconds(open_merchant: Callable[..., Merchant]) -> None:
    """The simulated payer pays on the sandbox clock, unless the order was closed before."""
    merchant = open_merchant(auto_pay_s=20)
    first, closed = merchant.payment(), merchant.payment()
    merchant.close(closed)
    merchant.gateway.clock.advance(19)
    assert merchant.record(first["out_trade_no"])["respcd"] == "1143"
    merchant.gateway.clock.advance(2)
    assert merchant.record(first["out_trade_no"])["respcd"] == "0000"
    assert merchant.record(closed["out_trade_no"])["respcd"] == "1142"


def test_rules_decide_who_pays(open_merchant: Callable[..., Merchant]) -> None:
    """By what the order is for, its amount and its channel; others are left alone."""
    rules = ["reference:close=off", "amount:9.00=off", "channel:web=5", "10"]
    merchant = open_merchant(scenario=read_auto_pay(rules))
    asked: list[dict[str, str]] = [
        {"pay_type": "800101", "goods_name": "close me"},
        {"pay_type": "800101", "txamt": "900"},
        {"pay_type": "801514"},
        {"pay_type": "800101"},
    ]
    numbers = [merchant.payment(**one)["out_trade_no"] for one in asked]
    paid = []
    for seconds in (6, 5):
        merchant.gateway.clock.advance(seconds)
        paid.append([merchant.record(number)["respcd"] == "0000" for number in numbers])
    assert paid == [[False, False, True, False], [False, False, True, True]]


def test_a_scanned_code_decides_for_itself(open_merchant: Callable[..., Merchant]) -> None:
    """Its payer pays as the code says, whatever the rules say of others."""
    merchant = open_merchant(scenario=read_auto_pay(["1"]))
    number = merchant.payment(pay_type="800108", auth_code="280000000000001145")["out_trade_no"]
    merchant.gateway.clock.advance(2)
    assert merchant.record(number)["respcd"] != "0000"
    merchant.gateway.clock.advance(4)
    assert merchant.record(number)["respcd"] == "0000"


def test_auto_pay_needs_nobody(open_merchant: Callable[..., Merchant]) -> None:
    """Without advancing the clock: paid after a tenth of a second, in real time."""
    merchant = open_merchant(auto_pay_s=0.1)
    number = merchant.payment()["out_trade_no"]
    wait_until(lambda: merchant.record(number)["respcd"] == "0000")


def test_speed_makes_orders_age_faster(open_merchant: Callable[..., Merchant]) -> None:
    """At speed 10000 half an hour passes in 180 ms."""
    merchant = open_merchant(speed=10_000)
    number = merchant.payment()["out_trade_no"]
    wait_until(lambda: merchant.record(number)["respcd"] == "1181")
