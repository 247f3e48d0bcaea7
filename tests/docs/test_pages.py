"""What a reader copies from the pages works."""

import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest

from paycore.engine.accounts import Accounts
from paycore.engine.config import load_config
from paycore.engine.plugins import ENTRY_POINTS, Plugins
from paycore.sandbox.scenario_files import read_scenario
from paycore.sandbox.server import SandboxServer
from tests.docs.pages import PAGES, blocks, compiled, name_of, with_blocks

SETTINGS = {
    "QFPAY_APP_CODE": "an-app-code",
    "QFPAY_CLIENT_KEY": "a-client-key",
    "QFPAY_NEW_KEY": "a-new-key",
    "QFPAY_LIVE_APP_CODE": "a-live-app-code",
    "QFPAY_LIVE_CLIENT_KEY": "a-live-client-key",
    "PAYPAL_CLIENT_SECRET": "a-client-secret",
    "STRIPE_KEY": "sk_live_of_a_page",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_a_page",
}

KEYS = {"api_key": "sk_live_of_a_page", "webhook_secret": "whsec_of_a_page"}
"""What a file with a secret holds, by the setting, where that has a form."""


def write_secrets(document: dict[str, Any], folder: Path) -> None:
    """Write each file that a configuration takes a secret from."""
    for account in document.get("accounts", {}).values():
        for setting, value in account.items():
            for pointer in value if isinstance(value, list) else [value]:
                if isinstance(pointer, dict) and "file" in pointer:
                    path = folder / pointer["file"]
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(KEYS.get(setting, "a-key"))
                    path.chmod(0o600)


def run(path: Path) -> dict[str, Any]:
    """Run the page's Python blocks one after the other, in one module."""
    module = types.ModuleType("a_page")
    sys.modules[module.__name__] = module
    try:
        for _, code in compiled(path):
            exec(code, module.__dict__)  # type: ignore[arg-type]
    finally:
        del sys.modules[module.__name__]
    return module.__dict__


@pytest.mark.parametrize("path", with_blocks("python"), ids=name_of)
def test_pages_python_runs(path: Path, sandbox: SandboxServer) -> None:
    """The Python blocks of a page run in order, where paycore.toml points at a sandbox whose payers pay."""
    run(path)


def test_pages_readme_pays(sandbox: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The five lines of the README end with a paid payment, sync and async."""
    readme = next(path for path in PAGES if path.name == "README.md")
    run(readme)
    assert capsys.readouterr().out.splitlines()[-2:] == ["paid", "paid"]
    orders = sandbox.gateway.controls.list_orders(10)
    assert [order["charges"] for order in orders] == [1, 1]


@pytest.mark.parametrize("path", with_blocks("toml"), ids=name_of)
def test_pages_configuration_is_read(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each configuration a page shows is read by paycore's own loader, down to accounts that could be used."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    for line, source in blocks(path, "toml"):
        document = tomllib.loads(source)
        if "project" in document:
            assert list(document["project"]["entry-points"]) == [ENTRY_POINTS]
            continue
        if "rule" in document:  # a sandbox's scenario
            (tmp_path / "scenario.toml").write_text(source)
            assert read_scenario(tmp_path / "scenario.toml").rules
            continue
        if set(document) == {"tool"}:
            assert set(document["tool"]) == {"pytest"}
            continue
        write_secrets(document, tmp_path)
        file = tmp_path / "paycore.toml"
        file.write_text("\n" * (line - 1) + source)
        config = load_config(file)
        accounts = Accounts(config, Plugins())
        for name, account in config.accounts.items():
            if account.provider != "acme":  # the page on plugins makes it; its own test uses it
                accounts.get(name)
