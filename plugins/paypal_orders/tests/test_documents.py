"""What the plugin's pages say is so, and every fact about PayPal has a source."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import paycore
from paycore.domain.payment import Status
from paycore.engine.config import parse_config
from paypal_orders.provider import PayPalOrders
from paypal_orders.sandbox.gateway_faults import GATEWAY_FAULTS
from paypal_orders.sandbox.sandbox_settings import SandboxSettings
from paypal_orders.settings import PayPalSettings
from plugins.paypal_orders.tests.conftest import OpenSandbox
from plugins.paypal_orders.tests.support import make_provider
from plugins.paypal_orders.tests.test_life import ORDER

PLUGIN = Path(__file__).parents[1]
README = (PLUGIN / "README.md").read_text()
PAGE = (PLUGIN.parents[1] / "docs/paypal-orders.md").read_text()
SOURCES = (PLUGIN / "SOURCES.md").read_text()
CITING = sorted(
    path
    for path in PLUGIN.rglob("*")
    if path.suffix in {".py", ".html", ".md"} and path.name not in {"SOURCES.md", Path(__file__).name}
)
SECTIONS = set(re.findall(r"^## (\d+)", SOURCES, re.MULTILINE))
VECTORS = set(re.findall(r"\*\*(V\d+)\*\*", SOURCES))


def cited(text: str) -> set[str]:
    """The sections and vectors that a text cites and SOURCES.md lacks."""
    sections = set(re.findall(r"§(\d+)", text)) - SECTIONS
    return sections | (set(re.findall(r"\b(V\d+)\b", text)) - VECTORS)


@pytest.mark.parametrize("path", CITING, ids=lambda path: str(path.relative_to(PLUGIN)))
def test_each_citation_exists(path: Path) -> None:
    """In SOURCES.md, as a section or a vector."""
    assert cited(path.read_text()) == set()


def test_a_citation_that_is_not_there_is_found() -> None:
    """The check above bites."""
    assert cited("Source: SOURCES.md §44, vector V99") == {"44", "V99"}


def first_cells(heading: str) -> set[str]:
    """The code words in the first column of the table under a heading or with this header."""
    table = README[README.index(heading) :].split("\n\n")
    rows = next(part for part in table if part.startswith("|") or heading in part)
    return {word for row in rows.splitlines() for word in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_the_readme_names_every_setting_and_fault() -> None:
    """Of the account, of the sandbox, and the faults of its own."""
    assert first_cells("| Setting |") == set(PayPalSettings.__struct_fields__)
    assert first_cells("| Sandbox setting |") == set(SandboxSettings.__struct_fields__)
    assert first_cells("| Fault |") == {kind.name for kind in GATEWAY_FAULTS}


def test_the_readme_tells_what_is_declared() -> None:
    """Products, currencies, fields, and how long a request id is counted on."""
    capabilities = make_provider().capabilities
    assert {(one.method, one.channel) for one in capabilities.products} == {
        ("paypal", "web"),
        ("paypal", "wap"),
    }
    for product in capabilities.products:
        assert " ".join(sorted(product.currencies)) in README
        assert (set(product.required), set(product.optional)) == ({"return_url"}, {"subject"})
        assert (product.capture, product.refund, product.close) == ("partial", "partial", True)
    assert capabilities.create_resend.window_s == capabilities.capture_resend.window_s == 5 * 3600
    assert capabilities.refund_resend.window_s == 44 * 24 * 3600
    assert (capabilities.budget.per_second, capabilities.budget.per_minute) == (10, 300)


def test_the_page_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_sandbox: OpenSandbox) -> None:
    """Its code runs as it is printed, with the account it shows."""
    sandbox = open_sandbox(auto_pay_s=0.3)
    monkeypatch.setenv("PAYPAL_CLIENT_SECRET", SandboxSettings().client_secret)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    Path("paycore.toml").write_text(example.replace("http://127.0.0.1:8700", sandbox.url))
    told: dict[str, Any] = {}
    for block in re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL):
        exec(block, told)
    assert told["payment"].status is Status.PAID
    controls: Any = sandbox.gateway.controls
    with paycore.Client() as pay:
        order = {**ORDER, "reference": "order-1002", "capture": "manual"}
        payment = pay.create(**order)
        controls.pay(payment.order_number)
        payment = told["thanks"](pay, payment.id, {"token": payment.provider_id})
        assert payment.status is Status.AUTHORIZED
        assert told["ship"](pay, payment.id).paid_minor == 1000


def test_the_page_shows_an_account_that_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of paycore.toml is read, with the sandbox's public credentials."""
    monkeypatch.setenv("PAYPAL_CLIENT_SECRET", SandboxSettings().client_secret)
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    config = parse_config(tomllib.loads(example), tmp_path / "paycore.toml")
    assert config.accounts["shop"].provider == PayPalOrders.info.name
    assert SandboxSettings().client_id in example
