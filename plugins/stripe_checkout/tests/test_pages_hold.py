"""What the README and the documentation page say is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from paycore import Money
from paycore.sandbox.server import SandboxServer
from stripe_checkout.amounts import bounds
from stripe_checkout.products import METHODS, products
from stripe_checkout.sandbox import StripeSandbox
from stripe_checkout.sandbox.gateway_faults import STRIPE_FAULTS
from stripe_checkout.sandbox.sandbox_settings import SandboxSettings
from stripe_checkout.settings import StripeSettings

README = (Path(__file__).parents[1] / "README.md").read_text()
PAGE = (Path(__file__).parents[3] / "docs/stripe-checkout.md").read_text()


def names_in(text: str, heading: str) -> set[str]:
    """The code in the first column of the tables below a heading."""
    part = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", part, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_setting_is_described_and_no_other() -> None:
    """Those of an account and those of the sandbox."""
    assert names_in(README, "Settings") == set(StripeSettings.__struct_fields__)
    assert names_in(README, "Sandbox") == set(SandboxSettings.__struct_fields__)


def test_every_method_is_described_and_no_other() -> None:
    """With the currencies and the number of them that the README names."""
    assert names_in(README, "What it can do") == set(METHODS)
    assert f"{len(bounds(by_card=True))} of Stripe's" in README
    page_methods = re.search(r"^\| `method` \|(.*)$", PAGE, re.MULTILINE)
    assert page_methods is not None
    assert set(METHODS) <= set(re.findall(r"`(\w+)`", page_methods[1]))


def test_fields_are_those_that_are_declared() -> None:
    """Required, used, and left out."""
    for product in products():
        assert product.required == {"return_url"}
        assert product.optional == {"subject"}
        assert product.extra == {"locale"}


def test_every_fault_is_described_and_no_other() -> None:
    """In the words of the fault board."""
    table = PAGE.partition("<!-- faults -->")[2].partition("<!-- /faults -->")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)) == {
        kind.name: kind.help for kind in STRIPE_FAULTS
    }


@pytest.mark.parametrize("text", [README, PAGE], ids=["README", "page"])
def test_the_account_in_the_pages_is_one(text: str) -> None:
    """Its keys are settings, or those of every account."""
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (account,) = tomllib.loads(example)["accounts"].values()
    own = set(account) - {"provider", "mode", "base_url"}
    assert account["provider"] == "stripe-checkout"
    assert own == {"api_key", "webhook_secret"}


def test_the_first_payment_of_the_readme_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its configuration and its code as printed, but for the port."""
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    with SandboxServer(StripeSandbox(), auto_pay_s=0.2) as sandbox:
        (tmp_path / "paycore.toml").write_text(example.replace("http://127.0.0.1:8700", sandbox.url))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("STRIPE_KEY", sandbox.settings["api_key"])
        monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", sandbox.settings["webhook_secret"])
        values: dict[str, Any] = {}
        exec(compile(code, "README.md", "exec"), values)
    assert values["payment"].status == "paid"
    assert values["payment"].amount == Money("25.99", "EUR")
    assert f"{sandbox.url}/c/pay/cs_test_" in capsys.readouterr().out
