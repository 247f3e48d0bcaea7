"""The wallet pages over HTTP: their content in each state, their buttons, and what they refuse."""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import Merchant


def wallet_of(merchant: Merchant, order: dict[str, str]) -> str:
    return f"{merchant.url}/wallet/orders/{order['syssn']}"


@pytest.mark.parametrize("pay_type", ["801101", "801107", "801512", "801514"])
def test_pay_url_shows_the_order(merchant: Merchant, pay_type: str) -> None:
    """Amount, currency, subject, numbers, time left, Pay and Decline; no external resources."""
    order = merchant.payment(pay_type, txamt="123456", goods_name="tea <b>")
    page = merchant.http.get(order["pay_url"])
    for words in (
        "1,234.56",
        "HKD",
        "tea &lt;b&gt;",
        order["out_trade_no"],
        order["syssn"],
        ">Pay<",
        ">Decline<",
    ):
        assert words in page.text
    assert re.search(r"\b(30:00|29:5\d)\b", page.text)  # the first second may not be over
    assert "<b>" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert ("<svg" in page.text) == (pay_type == "801514")


def test_pay_url_altered_is_refused(merchant: Merchant) -> None:
    """A changed amount or a missing signature shows no order."""
    url = merchant.payment(txamt="300")["pay_url"]
    for altered in (url.replace("total_fee=3.0", "total_fee=1.0"), url.replace("&sign=", "&sing=")):
        page = merchant.http.get(altered)
        assert (page.status_code, "ILLEGAL_SIGN" in page.text, ">Pay<" in page.text) == (400, True, False)


@pytest.mark.parametrize("pay_type", ["800101", "801501"])
def test_qr_code_leads_to_the_wallet(merchant: Merchant, pay_type: str) -> None:
    """A QR order's content is the address of its wallet page."""
    order = merchant.payment(pay_type)
    assert order["qrcode"] == wallet_of(merchant, order)
    assert order["out_trade_no"] in merchant.http.get(order["qrcode"]).text


def test_buttons_pay_and_decline(merchant: Merchant) -> None:
    """Each returns to the page, which shows the new state without buttons; a repeat changes nothing."""
    for verb, words, respcd in (
        ("pay", "Payment successful", "0000"),
        ("decline", "Payment declined", "1205"),
    ):
        order = merchant.payment()
        for _ in range(2):
            answer = merchant.http.post(f"{wallet_of(merchant, order)}/{verb}", follow_redirects=True)
            assert (answer.status_code, words in answer.text, ">Pay<" in answer.text) == (200, True, False)
        assert merchant.record(order["out_trade_no"])["respcd"] == respcd
    assert merchant.http.post(f"{merchant.url}/wallet/orders/0/pay").status_code == 404


def test_ended_orders_show_why(merchant: Merchant) -> None:
    """Closed by the merchant and expired have their own texts and no buttons."""
    closed, expired = merchant.payment(), merchant.payment()
    merchant.close(closed)
    merchant.gateway.orders.expire(expired["syssn"])
    for order, words in ((closed, "Closed by the merchant"), (expired, "Order expired")):
        page = merchant.http.get(order["pay_url"]).text
        assert (words in page, ">Pay<" in page) == (True, False)


def test_return_url_is_followed_after_paying_alone(merchant: Merchant) -> None:
    """Only a paid page has a refresh and a link to return_url, unchanged."""
    url = "https://shop.example/thanks?order=1&lang=en"
    shown = "https://shop.example/thanks?order=1&amp;lang=en"
    paid, declined = merchant.payment(return_url=url), merchant.payment(return_url=url)
    assert shown not in merchant.http.get(wallet_of(merchant, paid)).text
    merchant.gateway.orders.pay(paid["syssn"])
    merchant.gateway.orders.decline(declined["syssn"])
    page = merchant.http.get(wallet_of(merchant, paid)).text
    assert f'content="2; url={shown}"' in page
    assert f'href="{shown}"' in page
    assert shown not in merchant.http.get(wallet_of(merchant, declined)).text


def test_state_tells_the_open_page(merchant: Merchant) -> None:
    """The polled state and the seconds left on the sandbox clock."""
    order = merchant.payment(expired_time="5")
    state = merchant.http.get(wallet_of(merchant, order) + "/state").json()
    assert state["state"] == "unpaid"
    assert 290 <= state["seconds_left"] <= 300
    merchant.gateway.orders.pay(order["syssn"])
    assert merchant.http.get(wallet_of(merchant, order) + "/state").json()["state"] == "paid"
    assert merchant.http.get(merchant.url + "/wallet/orders/0/state").status_code == 404


def test_unknown_order_is_404(merchant: Merchant) -> None:
    """The page says so."""
    for path in ("/wallet/orders/0", "/wallet/trade/0", "/wallet/sdk?order=x"):
        page = merchant.http.get(merchant.url + path)
        assert (page.status_code, "Order not found" in page.text) == (404, True)


def order_string(params: dict[str, object]) -> str:
    """The SDK string as G5 "Alipay In-App Payments" describes it, written independently of the sandbox."""
    others = sorted(name for name in params if name not in ("sign", "sign_type"))
    return "&".join(f'{name}="{params[name]}"' for name in [*others, "sign", "sign_type"])


@pytest.mark.parametrize("pay_type", ["801110", "801510"])
def test_sdk_takes_the_exact_order_string(merchant: Merchant, pay_type: str) -> None:
    """Sorted, quoted, sign and sign_type last. Anything else is refused."""
    order = merchant.payment(pay_type, txamt="1099", goods_info="green")
    params = order["pay_params"]
    right = order_string(params)
    unquoted = "&".join(f"{name}={params[name]}" for name in sorted(params))
    unsorted = "&".join(reversed(right.split("&")))
    dearer = right.replace("10.99", "1.99")

    def page(text: str) -> tuple[int, bool]:
        answer = merchant.http.get(f"{merchant.url}/wallet/sdk?order={quote(text, safe='')}")
        return answer.status_code, ">Pay<" in answer.text

    assert page(right) == (200, True)
    assert page(unquoted) == (404, False)
    assert page(unsorted) == (400, False)
    assert page(dearer) == (400, False)


def test_home_lists_orders_without_the_key(open_merchant: Callable[..., Merchant]) -> None:
    """The account and the latest orders, never the client key."""
    merchant = open_merchant({"client_key": "KEEP-THIS-TO-YOURSELF"})
    assert "No orders yet" in merchant.http.get(merchant.url).text
    order = merchant.payment()
    page = merchant.http.get(merchant.url).text
    assert order["out_trade_no"] in page
    assert merchant.app_code in page
    assert "KEEP-THIS" not in page


def test_bridge_is_a_script_for_any_page_of_this_machine(merchant: Merchant) -> None:
    """Pages of loopback origins may load it and read its answers; others may not."""
    script = merchant.http.get(merchant.url + "/_sandbox/bridge.js")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert f'"{merchant.url}"' in script.text
    order = merchant.payment("800107")
    sheet = f"{merchant.url}/wallet/sheet/{order['pay_params']['tradeNO']}"
    own, foreign = (
        merchant.http.get(sheet, headers={"Origin": origin})
        for origin in ("http://localhost:3000", "http://evil.example")
    )
    assert own.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "Access-Control-Allow-Origin" not in foreign.headers
    assert merchant.http.post(sheet + "/pay", headers={"Origin": "http://evil.example"}).status_code == 403
    assert (foreign.json()["state"], foreign.json()["amount"]) == ("unpaid", "88.00")
    assert [merchant.http.post(sheet + "/pay").json()["resultCode"] for _ in range(2)] == ["9000", "4000"]
    assert merchant.http.get(merchant.url + "/wallet/sheet/0").status_code == 404
    assert merchant.http.post(merchant.url + "/wallet/sheet/0/pay").json() == {"resultCode": "4000"}


def test_alipay_app_opens_pages_of_this_machine_only(merchant: Merchant) -> None:
    """`/wallet/jsapi?url=` adds the bridge to a local page, and fetches no other."""
    page = merchant.http.get(merchant.url + "/wallet/jsapi", params={"url": merchant.url + "/"})
    assert page.text.startswith(
        f'<base href="{merchant.url}/"><script src="{merchant.url}/_sandbox/bridge.js">'
    )
    assert "QFPay Alipay sandbox" in page.text
    for url in (
        "https://shop.example/",
        "file:///etc/passwd",
        "http://u@127.0.0.1/",
        "http://169.254.169.254/",
        "x",
    ):
        assert merchant.http.get(merchant.url + "/wallet/jsapi", params={"url": url}).status_code == 403
    gone = merchant.http.get(merchant.url + "/wallet/jsapi", params={"url": "http://127.0.0.1:9/"})
    assert gone.status_code == 502
