"""A sandbox on a socket, and a paycore.toml that points at it in the test's folder."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from paycore import Client, close_shared_client
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

CONFIG = """
ledger = "sqlite:///paycore.db"

[accounts.sandbox]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
default_method = "alipay"
region = "hk"
app_code = "{app_code}"
client_key = "{client_key}"
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxServer]:
    """A QFPay sandbox whose payer pays after half a second, and a ledger that another process has open."""
    with SandboxServer(QFPaySandbox(), auto_pay_s=0.5) as server:
        config = CONFIG.format(url=server.url, **server.settings)
        (tmp_path / "paycore.toml").write_text(config, encoding="utf-8")
        with Client(tmp_path / "paycore.toml"):
            yield server
            close_shared_client()


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Restore the logging configuration that a page changes."""
    root, ours = logging.getLogger(), logging.getLogger("paycore")
    level, handlers = ours.level, list(root.handlers)
    yield
    ours.setLevel(level)
    root.handlers[:] = handlers
