"""The wallet in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from plugins.qfpay_alipay.tests.sandbox.merchant import Merchant
from tests.support.shop_page import shop_page

SHOP = b"""<!doctype html><title>Shop</title><p id=result>waiting</p><button id=buy>Buy</button><script>
function ready(callback) {
  if (window.AlipayJSBridge) { callback && callback(); }
  else { document.addEventListener('AlipayJSBridgeReady', callback, false); }
}
ready(function () { document.getElementById('result').textContent = 'ready'; });
document.getElementById('buy').onclick = function () {
  AlipayJSBridge.call('tradePay', { tradeNO: location.hash.slice(1) || window.TRADE }, function (result) {
    document.getElementById('result').textContent = result.resultCode;
  });
};
</script>"""
"""A merchant's page as Alipay's documentation writes it; it has no code for a sandbox."""


@pytest.fixture
def shop() -> Iterator[str]:
    def page(path: str) -> bytes:
        number = path.partition("?")[2].encode()
        return SHOP.replace(b"window.TRADE", b"'" + number + b"'")

    with shop_page(page) as url:
        yield url


def test_payer_pays_on_a_phone_and_is_taken_back(merchant: Merchant, page: Page, shop: str) -> None:
    """Opens the pay URL, sees the countdown, taps Pay, sees the result, returns to the shop."""
    page.set_viewport_size({"width": 360, "height": 740})
    order = merchant.payment("801107", goods_name="測試商品", return_url=shop)
    page.goto(order["pay_url"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.get_by_text("測試商品")).to_be_visible()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^29:5\d$"))
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("status")).to_contain_text("Payment successful")
    page.get_by_role("link", name="Return to merchant").click()
    page.wait_for_url(shop)
    assert merchant.record(order["out_trade_no"])["respcd"] == "0000"


def test_payer_declines(merchant: Merchant, page: Page) -> None:
    """Decline ends the order, and the page says so."""
    order = merchant.payment("801101")
    page.goto(order["pay_url"])
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_role("status")).to_contain_text("Payment declined")
    assert merchant.record(order["out_trade_no"])["respcd"] == "1205"


def test_desktop_page_follows_the_phone(merchant: Merchant, page: Page) -> None:
    """AlipayHK web: the page shows a QR code, and updates when the phone has paid."""
    order = merchant.payment("801514")
    page.goto(order["pay_url"])
    expect(page.get_by_role("img", name="QR code of this order")).to_be_visible()
    merchant.gateway.orders.pay(order["syssn"])
    expect(page.get_by_role("status")).to_contain_text("Payment successful")


def test_page_of_another_origin_drives_nothing(merchant: Merchant, page: Page, shop: str) -> None:
    """Forms and `fetch` of another origin pay no order, add no fault and do not advance the clock."""
    order = merchant.payment("801107")
    before = merchant.control("GET", "clock").json()["now_ms"]
    places = {
        f"/wallet/orders/{order['syssn']}/pay": "",
        f"/_sandbox/orders/{order['syssn']}/pay": "",
        "/_sandbox/faults": '{"kind": "http_500", "times": 1000}',
        "/_sandbox/clock": '{"advance_s": 86400}',
    }
    for path, body in places.items():
        page.goto(shop)
        page.evaluate(
            "([url, body]) => fetch(url, { method: 'POST', mode: 'no-cors', body: body })",
            [merchant.url + path, body],
        )
        page.evaluate(
            "url => { const form = document.createElement('form'); form.method = 'post'; form.action = url; "
            "document.body.append(form); form.submit(); }",
            merchant.url + path,
        )
        expect(page.locator("body")).to_contain_text("no page of another origin acts here")
    assert merchant.record(order["out_trade_no"])["respcd"] == "1143"
    assert merchant.gateway.faults.active() == []
    assert merchant.control("GET", "clock").json()["now_ms"] - before < 3_600_000


def test_page_whose_name_was_rebound_reads_nothing(merchant: Merchant, page: Page) -> None:
    """Browsers resolve names under .localhost to this machine, as a rebound name would."""
    reply = page.goto(merchant.url.replace("127.0.0.1", "evil.localhost"))
    assert reply is not None
    assert reply.status == 403
    assert merchant.app_code not in page.content()


def test_page_for_alipay_runs_unchanged_in_the_sandbox(merchant: Merchant, page: Page, shop: str) -> None:
    """A shop's page in the "Alipay app": the bridge is ready, Cancel is 6001, Pay is 9000, again 4000."""
    order = merchant.payment("800107")
    number = order["pay_params"]["tradeNO"]
    page.goto(f"{merchant.url}/wallet/jsapi?url={shop}?{number}")
    result = page.locator("#result")
    expect(result).to_have_text("ready")
    page.get_by_role("button", name="Buy").click()
    page.get_by_role("button", name="Cancel").click()
    expect(result).to_have_text("6001")
    assert merchant.record(order["out_trade_no"])["respcd"] == "1143"
    page.get_by_role("button", name="Buy").click()
    expect(page.get_by_role("dialog")).to_contain_text("88.00")
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(result).to_have_text("9000")
    assert merchant.record(order["out_trade_no"])["respcd"] == "0000"
    page.get_by_role("button", name="Buy").click()
    expect(result).to_have_text("4000")


def test_page_of_another_origin_gets_the_bridge_by_a_script(
    merchant: Merchant, page: Page, shop: str
) -> None:
    """Injected before the page's own scripts, as the wallet does; `my.tradePay` answers the same codes."""
    order = merchant.payment("800107")
    page.add_init_script(merchant.http.get(merchant.url + "/_sandbox/bridge.js").text)
    page.goto(shop + "#" + order["pay_params"]["tradeNO"])
    expect(page.locator("#result")).to_have_text("ready")
    page.evaluate(
        "number => { window.codes = []; my.tradePay({ tradeNO: number, success: r => codes.push(r.resultCode), "
        "complete: r => codes.push(r.resultCode) }); }",
        order["pay_params"]["tradeNO"],
    )
    page.get_by_role("button", name="Pay", exact=True).click()
    page.wait_for_function("window.codes.length === 2")
    assert page.evaluate("window.codes") == ["9000", "9000"]
    page.evaluate("AlipayJSBridge.call('closeWebview', function (answer) { window.answer = answer; })")
    assert page.evaluate("window.answer.error") == 1
