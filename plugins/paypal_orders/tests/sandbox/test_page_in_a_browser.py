"""The payer's page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from paycore.sandbox.server import SandboxServer
from plugins.paypal_orders.tests.sandbox.merchant import Merchant
from tests.support.shop_page import shop_page


@pytest.fixture
def merchant(sandbox: SandboxServer) -> Merchant:
    return Merchant(sandbox)


@pytest.fixture
def shop() -> Iterator[str]:
    """A shop's page, of another origin."""
    with shop_page() as url:
        yield url


def ordered(merchant: Merchant, shop: str, *, intent: str = "CAPTURE", **context: str) -> dict[str, str]:
    page = {"return_url": f"{shop}ok?a=1", "cancel_url": f"{shop}no", "brand_name": "Ducks & Co", **context}
    order = merchant.order(intent=intent, payment_source={"paypal": {"experience_context": page}})
    order["purchase_units"][0]["description"] = "兩張門票"
    made = merchant.post("/v2/checkout/orders", order).json()
    (url,) = [link["href"] for link in made["links"] if link["rel"] == "payer-action"]
    return {"id": made["id"], "url": url}


def test_a_payer_agrees_on_a_phone_and_comes_back(merchant: Merchant, page: Page, shop: str) -> None:
    """Sees what is paid to whom, taps Pay now, and is back with the token and the payer's id."""
    page.set_viewport_size({"width": 360, "height": 740})
    order = ordered(merchant, shop)
    page.goto(order["url"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.get_by_role("heading")).to_have_text("Pay Ducks & Co")
    expect(page.get_by_text("兩張門票")).to_be_visible()
    page.get_by_role("button", name="Pay now").click()
    page.wait_for_url(f"{shop}ok?a=1&token={order['id']}&PayerID=PAYERAB234567")
    assert merchant.shown(order["id"])["status"] == "APPROVED"


def test_a_payer_chooses_what_is_declined_and_agrees_again(merchant: Merchant, page: Page, shop: str) -> None:
    """The same page, to the same order."""
    order = ordered(merchant, shop)
    page.goto(order["url"])
    page.get_by_label("A card that is declined").check()
    page.get_by_role("button", name="Pay now").click()
    page.wait_for_url(f"{shop}**")
    assert merchant.post(f"/v2/checkout/orders/{order['id']}/capture").status_code == 422
    page.goto(order["url"])
    page.get_by_role("button", name="Pay now").click()
    page.wait_for_url(f"{shop}**")
    assert merchant.post(f"/v2/checkout/orders/{order['id']}/capture").status_code == 201
    page.goto(order["url"])
    expect(page.get_by_role("status")).to_contain_text("Payment completed")


def test_a_payer_cancels(merchant: Merchant, page: Page, shop: str) -> None:
    """Back at the shop, without the payer's id; the order stays open."""
    order = ordered(merchant, shop)
    page.goto(order["url"])
    page.get_by_role("button", name="Cancel and return").click()
    page.wait_for_url(f"{shop}no?token={order['id']}")
    assert merchant.shown(order["id"])["status"] == "PAYER_ACTION_REQUIRED"


def test_the_page_says_what_became_of_the_order(merchant: Merchant, page: Page, shop: str) -> None:
    """It follows an order that is agreed to elsewhere, that is gone, or that takes days."""
    order = ordered(merchant, shop, intent="AUTHORIZE")
    page.goto(order["url"])
    expect(page.get_by_role("button", name="Agree and authorize")).to_be_visible()
    merchant.controls.pay(order["id"])
    expect(page.get_by_role("status")).to_contain_text("You agreed")
    other = ordered(merchant, shop)
    page.goto(other["url"])
    merchant.controls.expire(other["id"])
    expect(page.get_by_role("status")).to_contain_text("not there any more")
    echeck = ordered(merchant, shop)
    merchant.controls.agree(echeck["id"], "echeck")
    merchant.post(f"/v2/checkout/orders/{echeck['id']}/capture")
    page.goto(echeck["url"])
    expect(page.get_by_role("status")).to_contain_text("on its way")
    answer = page.goto(f"{merchant.url}/checkoutnow?token=NONE")
    assert answer is not None
    assert answer.status == 404


def test_what_takes_days_is_not_offered_where_it_must_not(merchant: Merchant, page: Page, shop: str) -> None:
    """An order that wants its money at once."""
    order = ordered(merchant, shop, payment_method_preference="IMMEDIATE_PAYMENT_REQUIRED")
    page.goto(order["url"])
    expect(page.get_by_role("radio")).to_have_count(4)
    expect(page.get_by_text("eCheck")).to_have_count(0)


def test_a_page_of_another_origin_agrees_to_nothing(merchant: Merchant, page: Page, shop: str) -> None:
    """Its forms are refused."""
    order = ordered(merchant, shop)
    page.goto(shop)
    page.evaluate(
        "url => { const form = document.createElement('form'); form.method = 'post'; form.action = url; "
        "document.body.append(form); form.submit(); }",
        f"{merchant.url}/checkoutnow/{order['id']}/agree",
    )
    expect(page.locator("body")).to_contain_text("no page of another origin acts here")
    assert merchant.shown(order["id"])["status"] == "PAYER_ACTION_REQUIRED"


def test_the_first_page_lists_the_orders(merchant: Merchant, page: Page, shop: str) -> None:
    """With a link to each, and without the secret."""
    order = ordered(merchant, shop)
    page.goto(merchant.url)
    page.get_by_role("link", name=order["id"]).click()
    expect(page.get_by_role("heading")).to_have_text("Pay Ducks & Co")
    page.goto(merchant.url)
    assert merchant.pair[1] not in page.content()
