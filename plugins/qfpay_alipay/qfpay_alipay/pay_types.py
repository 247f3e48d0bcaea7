"""
The pay types: for each method, channel and region QFPay's pay type, its fields, its reply and how it is closed.

The result codes are in `respcodes`.

Sources, by row: sdk.qfapi.com "Payment Types", the Alipay pages ("Alipay Web Payments", "Alipay WAP / H5
Payments", "Alipay In-App Payments", "Alipay Service Window H5") and "Request Format"; SOURCES.md §3.1 to
§3.3, read 2026. Closing: SOURCES.md §5.2, where QFPay's own pages disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from paycore.plugin import Product

Region = Literal["hk", "overseas"]
ReplyShape = Literal["pay_url", "qrcode", "trade_no", "sdk_params", "final"]
CloseRequest = Literal["POST close", "GET close", "POST reversal", "GET reversal"]
"""HTTP method and last part of the path `/trade/v1/...` that close an unpaid order."""

TXAMT_MAX = 99_999_999_999
"""`txamt` is declared Int(11)."""

EXPIRES_IN_S = (5 * 60, 120 * 60)
"""`expired_time` is 5 to 120 whole minutes; the same bounds in seconds."""

EXPIRES_IN_DEFAULT_S = 30 * 60
"""What QFPay takes where `expired_time` can be sent and is not."""

CURRENCIES = tuple("AED AUD CAD CNY EUR HKD IDR JPY MMK MYR SGD THB USD".split())
"""sdk.qfapi.com "Currencies". Which of them an account takes is not documented."""

_ANY = frozenset({"subject", "notify_url", "device_id"})
"""Optional fields of every pay type: `goods_name`, `notify_url`, `udid`."""


class PayType(msgspec.Struct, frozen=True, kw_only=True):
    """
    One pay type: what `method` on `channel` is at QFPay, for accounts of `regions`.

    `required` and `optional` name fields of `create()`, `extra` QFPay's own fields. `reply` is where the
    reply to a creation has what the payer needs; with `final` the reply is the result.
    `minor_min` is the documented minimum amount by currency, 1 for the others. `show_as` is how a
    `pay_url` is shown. `close_request` is how an unpaid order is closed.
    """

    method: str
    channel: str
    regions: frozenset[Region]
    pay_type: str
    reply: ReplyShape
    close_request: CloseRequest
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()
    takes_expiry: bool = False
    minor_min: Mapping[str, int] = MappingProxyType({})
    show_as: Literal["page", "qr"] = "page"

    @property
    def product(self) -> Product:
        """What the plugin declares to paycore for this pay type."""
        expiry = frozenset({"expires_in_s"}) if self.takes_expiry else frozenset()
        return Product(
            method=self.method,
            channel=self.channel,
            currencies={code: (self.minor_min.get(code, 1), TXAMT_MAX) for code in CURRENCIES},
            required=self.required,
            optional=(_ANY | self.optional | expiry) - self.required,
            extra=self.extra,
            expires_in_s=EXPIRES_IN_S if self.takes_expiry else None,
            needs_action=self.reply != "final",
        )


_HK: frozenset[Region] = frozenset({"hk"})
_OVERSEAS: frozenset[Region] = frozenset({"overseas"})
_BOTH: frozenset[Region] = _HK | _OVERSEAS
_RETURN_URL = frozenset({"return_url"})
_MPM_EXTRA = frozenset({"limit_pay", "pay_tag"})
_APP_REQUIRED = frozenset({"subject", "return_url"})
_APP_EXTRA = frozenset({"pay_tag", "goods_info", "seller_id"})

PAY_TYPES: tuple[PayType, ...] = (
    PayType(
        method="alipay",
        channel="web",
        regions=_OVERSEAS,
        pay_type="801101",
        reply="pay_url",
        close_request="POST close",
        optional=_RETURN_URL,
        takes_expiry=True,
        # "Amount must exceed 1 HKD"; nothing is documented for other currencies.
        minor_min=MappingProxyType({"HKD": 101}),
    ),
    PayType(
        method="alipay",
        channel="web",
        regions=_HK,
        pay_type="801514",
        reply="pay_url",
        close_request="POST close",
        optional=_RETURN_URL,
        # The table of public parameters leaves 801514 out of `expired_time`; the product's own page, newer, has it.
        takes_expiry=True,
        # AlipayHK has no checkout page of its own: the URL is drawn as a QR code or put into an iframe.
        show_as="qr",
    ),
    PayType(
        method="alipay",
        channel="wap",
        regions=_OVERSEAS,
        pay_type="801107",
        reply="pay_url",
        close_request="POST close",
        optional=_RETURN_URL,
        takes_expiry=True,
    ),
    PayType(
        method="alipay",
        channel="wap",
        regions=_HK,
        pay_type="801512",
        reply="pay_url",
        close_request="POST close",
        optional=_RETURN_URL,
        takes_expiry=True,
    ),
    # One code for both regions: no page ties 800107 to either, and neither has another JSAPI code.
    PayType(
        method="alipay",
        channel="jsapi",
        regions=_BOTH,
        pay_type="800107",
        reply="trade_no",
        close_request="POST close",
        required=frozenset({"payer_id"}),
        optional=_RETURN_URL,
        extra=frozenset({"limit_pay"}),
    ),
    PayType(
        method="alipay",
        channel="qr",
        regions=_OVERSEAS,
        pay_type="800101",
        reply="qrcode",
        close_request="POST reversal",
        extra=_MPM_EXTRA,
        takes_expiry=True,
    ),
    PayType(
        method="alipay",
        channel="qr",
        regions=_HK,
        pay_type="801501",
        reply="qrcode",
        close_request="POST reversal",
        extra=_MPM_EXTRA,
        takes_expiry=True,
    ),
    PayType(
        method="alipay",
        channel="barcode",
        regions=_BOTH,
        pay_type="800108",
        reply="final",
        close_request="POST reversal",
        required=frozenset({"auth_code"}),
    ),
    # Any wallet: QFPay recognises it by the code. Offered in addition to "alipay".
    PayType(
        method="wallet",
        channel="barcode",
        regions=_BOTH,
        pay_type="800008",
        reply="final",
        close_request="POST close",
        required=frozenset({"auth_code"}),
    ),
    PayType(
        method="alipay",
        channel="app",
        regions=_OVERSEAS,
        pay_type="801110",
        reply="sdk_params",
        close_request="POST close",
        required=_APP_REQUIRED,
        extra=_APP_EXTRA,
    ),
    PayType(
        method="alipay",
        channel="app",
        regions=_HK,
        pay_type="801510",
        reply="sdk_params",
        close_request="POST close",
        required=_APP_REQUIRED,
        extra=_APP_EXTRA,
        takes_expiry=True,
    ),
)


def pay_types_of(region: Region) -> Mapping[tuple[str, str], PayType]:
    """The pay types an account of `region` has, by (method, channel)."""
    return {(row.method, row.channel): row for row in PAY_TYPES if region in row.regions}
