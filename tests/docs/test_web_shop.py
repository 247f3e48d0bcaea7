"""The example shop in a real browser: from the click to the thanks."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

SHOP = Path(__file__).parents[2] / "examples/web_shop/shop.py"


@pytest.fixture
def shop() -> Iterator[str]:
    """The shop with its own sandbox, in a process of its own; where it is."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, str(SHOP), "--port", str(port)]) as process:
        try:
            wait_for(url)
            yield url
        finally:
            process.terminate()


def wait_for(url: str) -> None:
    """Until the shop answers."""
    give_up_at = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize(
    "words", ["Alipay on this computer", "Scan a QR code", "Alipay on this phone"], ids=["web", "qr", "wap"]
)
def test_web_shop_sells(shop: str, page: Page, words: str) -> None:
    """A click makes the payment, the payer pays on the wallet's page, and the shop's page says so by itself."""
    page.goto(shop)
    page.get_by_role("button", name=words).click()
    expect(page.locator("#state")).to_have_attribute("data-status", "pending")
    with page.context.expect_page() as opened:
        page.locator("#link").click()
    opened.value.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page.locator("#words")).to_have_text("Paid. Thank you!", timeout=20_000)


def test_web_shop_takes_a_double_click_for_one(shop: str, page: Page) -> None:
    """The form sent twice leads to the same order."""
    page.goto(shop)
    reference = page.locator("[name=reference]").input_value()
    form = {"reference": reference, "channel": "web"}
    first = page.request.post(f"{shop}/buy", form=form)
    second = page.request.post(f"{shop}/buy", form=form)
    assert first.url == second.url == f"{shop}/orders/{reference}"
    links = [re.findall(r'id="link" href="([^"]+)"', reply.text()) for reply in (first, second)]
    assert links[0] == links[1] != []


def test_web_shop_knows_no_other_orders(shop: str, page: Page) -> None:
    """An order that is not there is a page that says so, and not a trace of the inside."""
    reply = page.request.get(f"{shop}/orders/nothing")
    assert reply.status == 404
    assert "There is no such order." in reply.text()
