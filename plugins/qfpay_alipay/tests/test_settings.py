"""The account's settings: what is accepted, and what is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from paycore.plugin import Secret
from plugins.qfpay_alipay.tests.support import APP_CODE, KEY, make_provider, make_settings
from qfpay_alipay.settings import QFPaySettings


def convert(document: dict[str, Any]) -> QFPaySettings:
    """Decode settings as the core does: strict, with secrets made by its hook."""
    plain = {"app_code": "A1", "client_key": ["k"], "region": "hk", **document}
    return msgspec.convert(plain, QFPaySettings, dec_hook=lambda kind, value: kind(value))


def test_settings_minimal_have_the_documented_defaults() -> None:
    """MD5, Hong Kong time, no mchid, notifications and unsigned replies as QFPay's weak signatures demand."""
    settings = convert({})
    assert settings == make_settings(app_code=Secret("A1"), client_key=(Secret("k"),))
    assert (settings.sign_type, settings.timezone, settings.mchid, settings.udid) == (
        *("MD5", "Asia/Hong_Kong"),
        *(None, None),
    )
    assert not settings.trust_notifications
    assert not settings.require_signed_replies
    assert settings.close_requests == {}


def test_settings_full_are_taken() -> None:
    """Every setting as in `paycore.toml`."""
    settings = convert(
        {
            "client_key": ["new", "old"],
            "region": "overseas",
            "mchid": "M" * 16,
            "udid": "u" * 40,
            "sign_type": "SHA256",
            "timezone": "Asia/Tokyo",
            "trust_notifications": True,
            "require_signed_replies": True,
            "close_requests": {"801514": "GET close", "800108": "POST reversal"},
        }
    )
    assert [key.reveal() for key in settings.client_key] == ["new", "old"]
    assert str(settings.zone) == "Asia/Tokyo"
    assert make_provider(trust_notifications=True).capabilities.notifications_trusted


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"app_code": ""}, "app_code"),
        ({"app_code": "a b"}, "app_code"),
        ({"app_code": "é"}, "app_code"),
        ({"client_key": []}, "client_key"),
        ({"client_key": [""]}, "client_key"),
        ({"client_key": ["good", "b d"]}, "client_key"),
        ({"mchid": ""}, "mchid"),
        ({"mchid": "M" * 17}, "mchid"),
        ({"udid": "u" * 41}, "udid"),
        ({"udid": "\n"}, "udid"),
        ({"timezone": "Hong Kong"}, "timezone"),
        ({"timezone": ""}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"timezone": "Asia"}, "timezone"),
        ({"close_requests": {"800208": "POST close"}}, "close_requests"),
        ({"close_requests": {"801514": "PUT close"}}, "close_requests"),
        ({"region": "cn"}, "region"),
        ({"sign_type": "SHA1"}, "sign_type"),
        ({"clientkey": "k"}, "clientkey"),
    ],
)
def test_settings_wrong_value_is_refused_by_name(document: dict[str, Any], named: str) -> None:
    """The error names the setting, and shows no key."""
    with pytest.raises(msgspec.ValidationError, match=named) as refused:
        convert(document)
    assert "good" not in str(refused.value)


def test_settings_repr_shows_no_key() -> None:
    """Keys are masked wherever settings are shown."""
    assert KEY not in repr(make_settings())
    assert APP_CODE not in repr(make_settings())
