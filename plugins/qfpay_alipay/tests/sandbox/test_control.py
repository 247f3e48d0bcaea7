"""The control endpoints, for people and for the command line."""

from collections.abc import Callable

import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import PAYMENT, QUERY, Merchant


def test_order_is_shown_with_charges_and_requests(open_merchant: Callable[..., Merchant]) -> None:
    """State, charges, creation requests (refused repeats too), refunds."""
    merchant = open_merchant()
    order = merchant.payment(out_trade_no="A1")
    merchant.payment(out_trade_no="A1")
    shown = merchant.control("GET", "orders/A1").json()
    assert (shown["state"], shown["charges"], shown["requests"]) == ("unpaid", 0, 2)
    assert (shown["syssn"], shown["txamt"], shown["refunds"]) == (order["syssn"], 8800, [])
    assert merchant.control("POST", "orders/A1/pay").json()["charges"] == 1
    merchant.refund(order, "100", out_trade_no="R1")
    (refund,) = merchant.control("GET", f"orders/{order['syssn']}").json()["refunds"]
    assert (refund["out_trade_no"], refund["txamt"], refund["respcd"]) == ("R1", 100, "0000")


def test_orders_are_listed_newest_first(open_merchant: Callable[..., Merchant]) -> None:
    """All, or up to the limit; refunds are not orders."""
    merchant = open_merchant()
    first = merchant.paid(out_trade_no="A1")
    merchant.refund(first, "1")
    merchant.payment(out_trade_no="A2")

    def listed(query: str) -> list[str]:
        orders = merchant.control("GET", "orders" + query).json()["orders"]
        return [order["out_trade_no"] for order in orders]

    assert listed("") == ["A2", "A1"]
    assert listed("?limit=1") == ["A2"]
    assert merchant.control("GET", "orders?limit=0").status_code == 400


def test_payer_acts(merchant: Merchant) -> None:
    """pay, decline and expire change the state; impossible ones are 409, unknown ones 404, with a hint."""
    for verb, state in (("pay", "paid"), ("decline", "declined"), ("expire", "expired")):
        number = merchant.payment()["out_trade_no"]
        assert merchant.control("POST", f"orders/{number}/{verb}").json()["state"] == state
        again = merchant.control("POST", f"orders/{number}/{verb}")
        assert (again.status_code, state in again.json()["hint"]) == (409, True)
    assert merchant.control("POST", "orders/nobody/pay").status_code == 404
    assert "orders lists them" in merchant.control("GET", "orders/nobody").json()["hint"]
    assert merchant.control("POST", f"orders/{merchant.payment()['syssn']}/steal").status_code == 404


def test_refund_number_leads_to_its_payment(merchant: Merchant) -> None:
    """A refund is not an order; the hint names its order."""
    order = merchant.paid()
    refund = merchant.refund(order, "1")
    reply = merchant.control("GET", f"orders/{refund['out_trade_no']}")
    assert (reply.status_code, order["syssn"] in reply.json()["hint"]) == (404, True)


def test_faults_over_http(merchant: Merchant) -> None:
    """Add, list, use up, clear; unknown kinds, options and values are 400 with the nearest name."""
    added = merchant.control("POST", "faults", {"kind": "answer_pending", "times": 2, "path": QUERY})
    assert (added.status_code, added.json()["times"], added.json()["code"]) == (201, 2, "1145")
    board = merchant.control("GET", "faults").json()
    assert [fault["kind"] for fault in board["faults"]] == ["answer_pending"]
    assert board["kinds"]["delay"]["options"] == {"seconds": 1.0}
    assert merchant.control("DELETE", "faults").json() == {"faults": []}
    for body, hint in (
        ({"kind": "lose_replies"}, "lose_reply"),
        ({"kind": "delay", "second": 1}, "seconds"),
        ({"kind": "delay", "seconds": "1"}, "seconds"),
        ({"kind": "delay", "times": 0}, "times"),
        ({"times": 1}, "kind"),
    ):
        refused = merchant.control("POST", "faults", body)
        assert (refused.status_code, hint in refused.json()["hint"]) == (400, True)
    assert merchant.gateway.faults.active() == []


def test_stats_count(open_merchant: Callable[..., Merchant]) -> None:
    """Requests by path, refusals by respcd, orders, distinct numbers, charges, refunds."""
    merchant = open_merchant({"duplicate_policy": "charge_blindly"})
    for number in ("A1", "A1", "A2"):
        merchant.paid(out_trade_no=number)
    merchant.payment(txamt="0")
    stats = merchant.control("GET", "stats").json()
    assert stats["requests"] == {PAYMENT: 4}
    assert stats["refused"] == {"1104": 1}
    assert (stats["orders"], stats["distinct_orders"], stats["charges"], stats["refunds"]) == (3, 2, 3, 0)


def test_clock_over_http(open_merchant: Callable[..., Merchant]) -> None:
    """The clock is advanced by seconds, never back."""
    merchant = open_merchant(speed=1.0)
    before = merchant.control("GET", "clock").json()
    after = merchant.control("POST", "clock", {"advance_s": 90}).json()
    assert 90_000 <= after["now_ms"] - before["now_ms"] < 95_000
    assert merchant.control("POST", "clock", {"advance_s": -1}).status_code == 400


PLACES = [
    "/",
    "/wallet/gateway.do",
    "/wallet/orders/{syssn}",
    "/wallet/orders/{syssn}/state",
    "/wallet/trade/{syssn}",
    "/wallet/sdk",
    "/wallet/jsapi",
    "/wallet/sheet/{syssn}",
    "/trade/v1/payment",
    "/trade/v1/query",
    "/trade/v1/close",
    "/_sandbox/bridge.js",
    "/_sandbox/orders",
    "/_sandbox/stats",
]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_shown_to_another_name(merchant: Merchant, place: str) -> None:
    """A request with a foreign Host name reads neither the account nor an order."""
    order = merchant.payment()
    path = merchant.url + place.format(syssn=order["syssn"])
    for host, is_taken in (
        ("evil.example", False),
        ("localhost:1", True),
        ("127.0.0.1:1", True),
        ("", False),
    ):
        reply = merchant.http.get(path, headers={"Host": host})
        assert (reply.status_code != 403) is is_taken
        if not is_taken:
            assert not any(text in reply.text for text in (merchant.app_code, merchant.key, order["syssn"]))


@pytest.mark.parametrize("verb", ["pay", "decline"])
def test_form_of_another_page_does_not_pay(merchant: Merchant, verb: str) -> None:
    """Only the wallet's own page and programs can pay."""
    for origin, status in (("http://evil.example", 403), ("null", 403), (merchant.url, 303), (None, 303)):
        order = merchant.payment()
        headers = {} if origin is None else {"Origin": origin}
        reply = merchant.http.post(f"{merchant.url}/wallet/orders/{order['syssn']}/{verb}", headers=headers)
        assert reply.status_code == status
        state = merchant.control("GET", f"orders/{order['syssn']}").json()["state"]
        assert (state == "unpaid") is (status == 403)
