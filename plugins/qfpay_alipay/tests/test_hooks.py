"""What the plugin registers, and what it declares to the core."""

from __future__ import annotations

import string
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from paycore.domain.provider import Mode
from paycore.engine.config import AccountConfig
from paycore.engine.hosts import resolve_base_urls
from paycore.errors import ConfigError
from paycore.plugin import RequestBudget, Resend
from plugins.qfpay_alipay.tests.support import make_provider
from qfpay_alipay import hooks
from qfpay_alipay.provider import QFPayAlipay
from qfpay_alipay.settings import QFPaySettings


def test_hook_register_providers_is_the_one_provider() -> None:
    """`qfpay-alipay`, found by the entry point group `paycore`."""
    assert list(hooks.paycore_register_providers()) == [QFPayAlipay]
    (entry,) = entry_points(group="paycore", name="qfpay-alipay")
    assert entry.load() is hooks


def test_hook_register_sandboxes_is_the_providers_sandbox() -> None:
    """It has the provider's name."""
    (sandbox,) = hooks.paycore_register_sandboxes()
    assert sandbox.name == QFPayAlipay.info.name


def test_hooks_import_neither_the_sandbox_nor_a_web_server() -> None:
    """The sandbox needs an extra; the provider works without it."""
    code = (
        "import sys, qfpay_alipay.hooks; "
        "print([m for m in sys.modules if m.startswith(('qfpay_alipay.sandbox', 'starlette', 'httpx'))])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_info_names_the_documented_hosts() -> None:
    """G5 "Environments": test charges real wallets without settlement; live settles."""
    info = QFPayAlipay.info
    assert (info.name, info.settings) == ("qfpay-alipay", QFPaySettings)
    assert info.base_urls == {
        "test": "https://test-openapi-hk.qfapi.com",
        "live": "https://openapi-hk.qfapi.com",
    }
    assert "test-openapi-hk.qfapi.com" not in info.live_hosts


@pytest.mark.parametrize(
    "host",
    [
        "openapi-hk.qfapi.com",
        "openapi-sg.qfapi.com",
        "openapi-th.qfapi.com",
        "openapi-eur.qfapi.com",
        "openapi.qfapi.com",
        "openapi.qfpay.com",
        "osqt.qfpay.com",
        "qtapi.qfpay.com",
    ],
)
@pytest.mark.parametrize("mode", ["sandbox", "test"])
def test_production_host_of_any_region_is_for_live_accounts(host: str, mode: Mode) -> None:
    """QFPay's older and regional hosts, still in samples, would charge real money."""
    account = AccountConfig(
        name="shop",
        provider="qfpay-alipay",
        mode=mode,
        base_url=f"https://{host}",
        timeout_s=10,
        settings={},
    )
    with pytest.raises(ConfigError, match="moves real money"):
        resolve_base_urls(account, QFPayAlipay.info, path=Path("paycore.toml"))


def test_info_has_a_sample_of_the_settings_that_no_type_can_make_up() -> None:
    """With it and any keys the provider can be tried when it is loaded."""
    assert make_provider(**QFPayAlipay.info.sample).capabilities.product("alipay", "web") is not None


def test_capabilities_are_the_documented_ones() -> None:
    """Budget of "API Usage Guidelines", String(128) numbers, a repeated number is refused."""
    capabilities = make_provider().capabilities
    assert capabilities.budget == RequestBudget(per_second=100, per_minute=400)
    assert set(capabilities.number.characters) == set(string.ascii_letters + string.digits)
    assert capabilities.number.length_max == 128
    assert capabilities.create_resend == capabilities.refund_resend == Resend("refused_as_duplicate")
    assert {product.capture for product in capabilities.products} == {"none"}
    assert capabilities.query_proves_absence_after_s == 5
    assert not capabilities.notifications_trusted
    product = capabilities.product("alipay", "web")
    assert product is not None
    assert (product.close, product.refund) == (True, "partial")
    assert capabilities.product("alipay", "kiosk") is None
