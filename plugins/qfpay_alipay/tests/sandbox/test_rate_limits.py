"""The request limits and the settings of a sandbox account."""

from collections.abc import Callable

import pytest

from paycore.sandbox.server import SandboxServer
from plugins.qfpay_alipay.tests.sandbox.merchant import QUERY, Merchant
from qfpay_alipay.sandbox import QFPaySandbox
from qfpay_alipay.sandbox.sandbox_settings import SandboxSettings, read_settings


def test_limits_are_the_documented_ones_by_default() -> None:
    """100 a second and 400 a minute. Source: G4/G5 "API Usage Guidelines"."""
    settings = SandboxSettings()
    assert (settings.rate_per_s, settings.rate_per_min) == (100, 400)


@pytest.mark.parametrize(("limits", "wait_s"), [(("3", "0"), 1), (("0", "3"), 60)])
def test_limit_is_429_until_its_window_has_passed(
    open_merchant: Callable[..., Merchant], limits: tuple[str, str], wait_s: int
) -> None:
    """The first request too many is HTTP 429 without effect; after the window the next is served."""
    merchant = open_merchant({"rate_per_s": limits[0], "rate_per_min": limits[1]})
    codes = [merchant.send(QUERY, {}).status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    merchant.gateway.clock.advance(wait_s + 1)
    assert merchant.send(QUERY, {}).status_code == 200
    assert merchant.control("GET", "stats").json()["limited"] == 2


def test_limit_is_per_app_code(open_merchant: Callable[..., Merchant]) -> None:
    """Requests with unknown app codes do not count for the account."""
    merchant = open_merchant({"rate_per_s": "1"})
    for _ in range(3):
        assert merchant.send(QUERY, {}, headers={"X-QF-APPCODE": "stranger"}).json()["respcd"] == "1108"
    assert merchant.send(QUERY, {}).status_code == 200


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"app_cod": "x"}, "did you mean app_code"),
        ({"zzz": "x"}, "there are: amounts, app_code"),
        ({"duplicate_policy": "charge"}, "one of refuse, same_result, charge_blindly"),
        ({"minimum_amount": "no"}, "one of warn, refuse"),
        ({"amounts": "float"}, "one of string, number"),
        ({"number_range": "both"}, "one of ignore, apply"),
        ({"rate_per_s": "-1"}, "rate_per_s is a whole number"),
        ({"pay_types": "801101,999999"}, "pay_types has 999999"),
        ({"client_key": ""}, "must not be empty"),
    ],
)
def test_setting_wrong_is_refused_with_a_hint(given: dict[str, str], words: str) -> None:
    """Opening fails with the reason and the known names, and leaves no port open."""
    with pytest.raises(ValueError, match=words), SandboxServer(QFPaySandbox(), settings=given):
        pass


def test_settings_are_taken_over(open_merchant: Callable[..., Merchant]) -> None:
    """Credentials and amounts are those set; a client with them is served."""
    merchant = open_merchant({"app_code": "A" * 32, "client_key": "B" * 32, "amounts": "number"})
    assert dict(merchant.server.settings) == {
        "region": "hk",
        "app_code": "A" * 32,
        "client_key": "B" * 32,
    }
    assert merchant.payment()["txamt"] == 8800
    assert read_settings({"pay_types": "801101"}).pay_types == {"801101"}
