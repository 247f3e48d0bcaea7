"""The checkout in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Page, expect

from paycore.sandbox.server import SandboxServer
from plugins.stripe_checkout.tests.conftest import OpenSandbox
from tests.support.shop_page import shop_page

FORM = {
    "mode": "payment",
    "line_items[0][quantity]": "1",
    "line_items[0][price_data][unit_amount]": "2599",
    "line_items[0][price_data][currency]": "eur",
    "line_items[0][price_data][product_data][name]": "Two tickets! #5 測試",
}


@pytest.fixture
def shop() -> Iterator[str]:
    """A merchant's page to come back to."""
    with shop_page() as url:
        yield url


@pytest.fixture
def sandbox(open_sandbox: OpenSandbox) -> SandboxServer:
    return open_sandbox()


def url_of_session(sandbox: SandboxServer, shop: str, number: str = "ref-1001", **changes: str) -> str:
    form = FORM | {"client_reference_id": number, "success_url": f"{shop}ok?sid={{CHECKOUT_SESSION_ID}}"}
    form |= {"cancel_url": f"{shop}back"} | changes
    head = {"authorization": f"Bearer {sandbox.settings['api_key']}"}
    answer = httpx2.post(f"{sandbox.url}/v1/checkout/sessions", headers=head, data=form)
    url: str = answer.json()["url"]
    return url


def pay_with(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_role("group", name="Card").get_by_role("button", name="Pay EUR 25.99").click()


def test_a_payer_pays_on_a_phone_and_is_taken_back(sandbox: SandboxServer, page: Page, shop: str) -> None:
    """Sees what for, how much and how long; pays; the session's id comes back with them."""
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(url_of_session(sandbox, shop))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.get_by_text("Two tickets! #5 測試")).to_be_visible()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^23:59:\d\d$"))
    pay_with(page, "4242 4242 4242 4242")
    page.wait_for_url(re.compile(rf"^{re.escape(shop)}ok\?sid=cs_test_"))
    assert sandbox.gateway.controls.show_order("ref-1001")["state"] == "paid"


def test_a_declined_card_is_told_and_another_pays(sandbox: SandboxServer, page: Page, shop: str) -> None:
    """The page stays; what a payer is not to be told is not."""
    page.goto(url_of_session(sandbox, shop))
    for number, words in (
        ("4000000000009995", "insufficient funds"),
        ("4000000000009987", "Your card was declined"),
        ("1234", "Use a test card"),
    ):
        pay_with(page, number)
        expect(page.get_by_role("alert")).to_contain_text(words)
    assert sandbox.gateway.controls.show_order("ref-1001")["state"] == "open"
    pay_with(page, "5555 5555 5555 4444")
    page.wait_for_url(re.compile("ok"))


def test_a_bank_asks_the_payer(sandbox: SandboxServer, page: Page, shop: str) -> None:
    """3-D Secure: failed, then confirmed."""
    page.goto(url_of_session(sandbox, shop))
    pay_with(page, "4000 0025 0000 3155")
    page.get_by_role("button", name="Fail").click()
    expect(page.get_by_role("alert")).to_contain_text("declined")
    pay_with(page, "4000 0025 0000 3155")
    expect(page.get_by_text("3-D Secure")).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(re.compile("ok"))
    assert sandbox.gateway.controls.show_order("ref-1001")["charges"] == 1


def test_a_debit_is_processed_for_days(sandbox: SandboxServer, page: Page, shop: str) -> None:
    """The payer is taken back; the page says that it is under way, and then that it failed."""
    url = url_of_session(sandbox, shop)
    page.goto(url)
    page.get_by_label("IBAN").fill("DE62 3704 0044 0532 0130 01")
    page.get_by_role("group", name="SEPA").get_by_role("button").click()
    page.wait_for_url(re.compile("ok"))
    page.goto(url)
    expect(page.get_by_role("status")).to_contain_text("processing")
    sandbox.gateway.clock.advance(5 * 24 * 3600)
    page.goto(url)
    expect(page.get_by_role("status")).to_contain_text("did not pay")


def test_a_payer_goes_back_and_the_session_stays_open(sandbox: SandboxServer, page: Page, shop: str) -> None:
    """The link back ends nothing; an expired page says so by itself."""
    url = url_of_session(sandbox, shop)
    page.goto(url)
    page.get_by_role("link", name="Back to").click()
    page.wait_for_url(f"{shop}back")
    assert sandbox.gateway.controls.show_order("ref-1001")["state"] == "open"
    page.goto(url)
    sandbox.gateway.controls.expire("ref-1001")
    expect(page.get_by_role("status")).to_contain_text("expired")


def test_a_name_is_text_and_no_markup(sandbox: SandboxServer, page: Page, shop: str) -> None:
    """Whatever a merchant writes is shown as it is; the home page lists it."""
    name = "<img src=x onerror=alert(1)>"
    url = url_of_session(sandbox, shop, **{"line_items[0][price_data][product_data][name]": name})
    for address in (url, sandbox.url):
        page.goto(address)
        expect(page.get_by_text(name)).to_be_visible()


def test_a_page_that_is_not_there(sandbox: SandboxServer, page: Page) -> None:
    """404 with words."""
    answer = page.goto(f"{sandbox.url}/c/pay/cs_test_nobody")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("Page not found")).to_be_visible()
