"""The example shop in a real browser, and against requests from other sessions and sites."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Page, expect

SHOP = Path(__file__).parents[2] / "examples/web_shop/shop.py"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The output of the shop's process."""
    return tmp_path / "log"


@pytest.fixture
def shop(log: Path) -> Iterator[str]:
    """The URL of the shop, which runs with its sandbox in a separate process."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (
        log.open("wb") as said,
        subprocess.Popen([sys.executable, str(SHOP), "--port", str(port)], stderr=said) as process,
    ):
        try:
            wait_for(url)
            yield url
        finally:
            process.terminate()


def wait_for(url: str) -> None:
    """Wait until the shop answers."""
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
    "words", ["Pay on this computer", "Scan a QR code", "Pay on this phone"], ids=["web", "qr", "wap"]
)
def test_web_shop_sells(shop: str, page: Page, words: str) -> None:
    """A click makes the payment, the payer pays on the wallet's page, and the shop's page updates itself."""
    page.goto(shop)
    page.get_by_role("button", name=words).click()
    expect(page.locator("#state")).to_have_attribute("data-status", "pending")
    with page.context.expect_page() as opened:
        page.locator("#link").click()
    opened.value.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page.locator("#words")).to_have_text("Paid. Thank you!", timeout=20_000)


def test_web_shop_is_notified(shop: str) -> None:
    """The gateway's notification reaches the shop and is acknowledged; a forged one, or for nobody, is not."""
    with closing(visitor(shop)) as buyer, httpx2.Client(trust_env=False) as payer:
        reference = drawn(buyer)
        buyer.post("/buy", data={"reference": reference, "channel": "web"})
        link = re.findall(r'id="link" href="([^"]+)"', buyer.get(f"/orders/{reference}").text)[0]
        gateway = "http://" + urlsplit(link).netloc
        number = payer.get(f"{gateway}/_sandbox/orders").json()["orders"][0]["out_trade_no"]
        payer.post(f"{gateway}/_sandbox/orders/{number}/pay").raise_for_status()
        give_up_at = time.monotonic() + 20
        while payer.get(f"{gateway}/_sandbox/stats").json()["accepted"] == 0:
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        for account, status in (("hk", 400), ("nobody", 404)):
            assert payer.post(f"{shop}/notifications/{account}", content=b"{}").status_code == status


def test_web_shop_takes_a_double_click_for_one(shop: str, page: Page) -> None:
    """A form sent twice leads to one order."""
    page.goto(shop)
    reference = page.locator("[name=reference]").input_value()
    form: dict[str, str | float | bool] = {"reference": reference, "channel": "web"}
    first, second = (page.request.post(f"{shop}/buy", form=form, headers={"Origin": shop}) for _ in range(2))
    assert first.url == second.url == f"{shop}/orders/{reference}"
    links = [re.findall(r'id="link" href="([^"]+)"', reply.text()) for reply in (first, second)]
    assert links[0] == links[1] != []


def test_web_shop_knows_no_other_orders(shop: str, page: Page) -> None:
    """An unknown order gives an error page without a traceback."""
    reply = page.request.get(f"{shop}/orders/nothing")
    assert reply.status == 404
    assert "There is no such order." in reply.text()


def visitor(shop: str) -> httpx2.Client:
    """A client with its own session that has opened the front page."""
    client = httpx2.Client(base_url=shop, trust_env=False, timeout=10, headers={"Origin": shop})
    client.get("/")
    return client


def drawn(client: httpx2.Client) -> str:
    """The reference in a new form."""
    reference: str = re.findall(r'name="reference" value="([^"]+)"', client.get("/").text)[0]
    return reference


def test_web_shop_shows_an_order_to_its_own_session_alone(shop: str) -> None:
    """Another session with the reference can neither see the order nor retry it."""
    with (
        closing(visitor(shop)) as buyer,
        closing(visitor(shop)) as stranger,
        httpx2.Client(base_url=shop, trust_env=False) as nobody,
    ):
        reference = drawn(buyer)
        form = {"reference": reference, "channel": "web"}
        assert stranger.post("/buy", data=form).status_code == 400
        assert buyer.post("/buy", data=form).headers["location"] == f"/orders/{reference}"
        assert buyer.get(f"/orders/{reference}").status_code == 200
        assert buyer.get(f"/orders/{reference}/status").json()["status"] == "pending"
        for other in (stranger, nobody):
            assert "There is no such order." in other.get(f"/orders/{reference}").text
            assert other.get(f"/orders/{reference}/status").json() == {"status": "not_found"}
        assert stranger.post("/buy", data=form).status_code == 400


def test_web_shop_takes_the_payer_back(shop: str, page: Page) -> None:
    """The wallet's page leads back to the order, which is paid at once: the shop has asked the provider."""
    page.goto(shop)
    page.get_by_role("button", name="Pay on this computer").click()
    with page.context.expect_page() as opened:
        page.locator("#link").click()
    opened.value.get_by_role("button", name=re.compile("^Pay")).click()
    opened.value.get_by_role("link", name="Return to merchant").click()
    expect(opened.value.locator("#words")).to_have_text("Paid. Thank you!")
    expect(opened.value).to_have_url(re.compile(r"/orders/web-[^/?]+$"))


def test_web_shop_believes_nothing_that_comes_back(shop: str) -> None:
    """A return that claims success changes nothing, and one of another session is not taken."""
    with closing(visitor(shop)) as buyer, closing(visitor(shop)) as stranger:
        reference = drawn(buyer)
        buyer.post("/buy", data={"reference": reference, "channel": "web"})
        claim = {"status": "paid", "x" * 20_000: "y"}
        for params in ({"status": "paid"}, claim):
            came = buyer.get(f"/orders/{reference}/back", params=params)
            assert (came.status_code, came.headers["location"]) == (303, f"/orders/{reference}")
        assert buyer.get(f"/orders/{reference}/status").json()["status"] == "pending"
        assert stranger.get(f"/orders/{reference}/back").status_code == 404


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://localhost:1", "https://{shop}"]
)
def test_web_shop_takes_forms_of_its_own_pages_alone(shop: str, origin: str | None) -> None:
    """A form of another site can't order with the visitor's cookie."""
    with closing(visitor(shop)) as buyer:
        reference = drawn(buyer)
        headers = {} if origin is None else {"Origin": origin.replace("{shop}", shop.partition("//")[2])}
        cookies = "; ".join(f"{name}={value}" for name, value in buyer.cookies.items())
        form = {"reference": reference, "channel": "web"}
        with httpx2.Client(base_url=shop, trust_env=False, headers={"Cookie": cookies, **headers}) as foreign:
            assert foreign.post("/buy", data=form).status_code == 400
        assert buyer.get(f"/orders/{reference}").status_code == 404


def test_web_shop_is_reached_by_its_own_name(shop: str) -> None:
    """Requests with a foreign Host header are refused."""
    assert httpx2.get(shop, headers={"Host": "evil.example"}, trust_env=False).status_code == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reference", "x\norder 'web-1': paid, deliver Two tickets"),
        ("reference", "x: paid, deliver Two tickets"),
        ("reference", "web-1-2"),
        ("reference", ""),
        ("channel", "web\r\norder 'web-1': paid, deliver Two tickets"),
        ("channel", "barcode"),
        ("channel", "\x1b[2J"),
        ("more", "&".join(f"a{number}=1" for number in range(99))),
        ("more", "x" * 5000),
    ],
)
def test_web_shop_logs_nothing_a_form_says(shop: str, log: Path, field: str, value: str) -> None:
    """A form can't forge a log line; a reference the shop did not make is refused."""
    with closing(visitor(shop)) as buyer:
        form = {"reference": drawn(buyer), "channel": "web", field: value}
        body = value if field == "more" else None
        reply = buyer.post("/buy", content=body) if body else buyer.post("/buy", data=form)
        assert reply.status_code == 400
        assert "Nothing was ordered" in reply.text
    assert log.read_bytes() == b""
