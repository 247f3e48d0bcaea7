"""The example shop in a browser, unchanged, over every provider: its page, the provider's page, and back again."""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from paycore import Client
from paycore.serving import listen
from tests.switching.conftest import METHODS, ROOT, Street


@contextmanager
def shop_at(config: Path, installed: Path) -> Iterator[str]:
    """The example shop with this configuration, in a process of its own."""
    listener = listen("127.0.0.1", 0)
    with closing(listener.socket):
        url = listener.url
    command = [sys.executable, str(ROOT / "examples/web_shop/shop.py"), "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    with subprocess.Popen(
        [*command, "--port", url.rpartition(":")[2]], env=environment, stdout=subprocess.PIPE
    ) as process:
        try:
            _wait_for(url, process)
            yield url
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
    raise AssertionError("the shop does not answer")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dsn", ["sqlite"], indirect=True)
def test_shop_sells_over_every_provider(street: Street, installed_bank: Path, page: Page, name: str) -> None:
    """The same clicks lead to a paid order; only where there is no page, the payer transfers by what is shown."""
    street.open(name)
    with shop_at(street.config, installed_bank) as url:
        page.goto(url)
        page.get_by_role("button", name="Pay on this computer").click()
        expect(page.locator("#state")).to_have_attribute("data-status", "pending")
        with Client(street.config) as pay:
            (payment,) = pay.list()
        if page.locator("#link").count():
            with page.context.expect_page() as opened:
                page.locator("#link").click()
            expect(opened.value.get_by_text("88.00").first).to_be_visible()
            opened.value.get_by_role("button", name=re.compile("^Pay")).click()
        else:
            expect(page.locator("#details")).to_contain_text(payment.order_number)
            street.sandbox(name).pay(payment.order_number)
        expect(page.locator("#words")).to_have_text("Paid. Thank you!", timeout=20_000)
        assert street.sandbox(name).show_order(payment.order_number)["charges"] == 1
        expect(page.locator("#link")).to_have_count(0)
