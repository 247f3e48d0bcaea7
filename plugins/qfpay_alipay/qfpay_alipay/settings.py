"""The settings of one QFPay account, from `[accounts.NAME]` in `paycore.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec

from paycore.plugin import Secret
from qfpay_alipay.pay_types import PAY_TYPES, CloseRequest, Region
from qfpay_alipay.signing import SignType, is_usable_key

MCHID_LENGTH_MAX = 16
UDID_LENGTH_MAX = 40


class QFPaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The settings of one account. `ValueError` names the setting that is wrong and never shows a key.

    `app_code` and `client_key` are the credentials, documented as 32 characters each; with several keys, during a
    rotation, the first signs and all verify. `region` decides which pay types the account has. `mchid` is sent
    exactly when set, as QFPay demands. `udid` names the device unless an order does. `timezone` is that of
    `txdtm`, the merchant's own clock.

    `trust_notifications`: a notification alone changes a payment, without a confirming query; off because
    notifications are signed with MD5 over body and key. `require_signed_replies`: an unsigned reply counts as no
    reply; off because QFPay does not say that replies are signed today. `close_requests`: how an
    unpaid order is closed, by pay type, if QFPay told you something else than `pay_types.PAY_TYPES`.

    Source: sdk.qfapi.com "Introduction", "Request Format"; SOURCES.md §1, §2, §5.2.
    """

    app_code: Secret
    client_key: tuple[Secret, ...]
    region: Region
    mchid: str | None = None
    udid: str | None = None
    sign_type: SignType = "MD5"
    timezone: str = "Asia/Hong_Kong"
    trust_notifications: bool = False
    require_signed_replies: bool = False
    close_requests: Mapping[str, CloseRequest] = {}

    def __post_init__(self) -> None:
        if not is_usable_key(self.app_code):
            raise ValueError("app_code: write printable ASCII without spaces, at least one character")
        if not self.client_key or not all(is_usable_key(key) for key in self.client_key):
            raise ValueError(
                "client_key: write keys of printable ASCII without spaces, at least one character each"
            )
        if self.mchid is not None:
            _check_word("mchid", self.mchid, MCHID_LENGTH_MAX)
        if self.udid is not None:
            _check_word("udid", self.udid, UDID_LENGTH_MAX)
        _check_timezone(self.timezone)
        unknown = sorted(set(self.close_requests) - {row.pay_type for row in PAY_TYPES})
        if unknown:
            named = ", ".join(map(repr, unknown))
            raise ValueError(f"close_requests: {named} is no Alipay pay type of this plugin")

    @property
    def zone(self) -> ZoneInfo:
        """The zone of `txdtm`."""
        return ZoneInfo(self.timezone)


def _check_word(name: str, value: str, length_max: int) -> None:
    if not (value.isascii() and value.isprintable()) or " " in value or not value:
        raise ValueError(f"{name}: write printable ASCII without spaces, at least one character")
    if len(value) > length_max:
        raise ValueError(f"{name}: {len(value)} characters; QFPay takes at most {length_max}")


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"timezone: {name!r} is no IANA zone; write one such as 'Asia/Hong_Kong'") from None
