"""The Alipay pay types of the gateway. Source: G4 "Payment Methods", G5 "Payment Types", SOURCES.md §3.3."""

from __future__ import annotations

import enum

import msgspec


class Shape(enum.Enum):
    """What a payment's reply carries beyond the public fields."""

    PAY_URL = "pay_url"
    QRCODE = "qrcode"
    TRADE_NO = "pay_params.tradeNO"
    IN_APP = "pay_params"
    RESULT = "result"


class GatewayPayType(msgspec.Struct, frozen=True, kw_only=True):
    """
    One pay type.

    `channel` is where the payer stands, in paycore's word. `service` and `product` are Alipay's names in the pay URL.
    `has_expired_time` says whether `expired_time` has an effect. `return_url_max` is the product page's own width.
    `cancel` is the mark a cancelled order gets.
    """

    code: str
    title: str
    shape: Shape
    channel: str
    service: str = ""
    product: str = ""
    has_expired_time: bool = False
    amount_above: int = 0
    return_url_max: int = 512
    cancel: str = "2"


_ROWS = (
    GatewayPayType(
        code="801101",
        title="web, overseas",
        shape=Shape.PAY_URL,
        channel="web",
        service="create_forex_trade",
        product="NEW_OVERSEAS_SELLER",
        has_expired_time=True,
        amount_above=100,
    ),
    GatewayPayType(
        code="801107",
        title="WAP, overseas",
        shape=Shape.PAY_URL,
        channel="wap",
        service="create_forex_trade_wap",
        product="NEW_WAP_OVERSEAS_SELLER",
        has_expired_time=True,
        return_url_max=255,
    ),
    # expired_time: the public table leaves 801514 out, the product's own page (G5-live "Alipay Web Payments") lists it.
    GatewayPayType(
        code="801514",
        title="web, Hong Kong",
        shape=Shape.PAY_URL,
        channel="web",
        service="create_forex_trade",
        product="NEW_OVERSEAS_SELLER",
        has_expired_time=True,
    ),
    GatewayPayType(
        code="801512",
        title="WAP, Hong Kong",
        shape=Shape.PAY_URL,
        channel="wap",
        service="create_forex_trade_wap",
        product="NEW_WAP_OVERSEAS_SELLER",
        has_expired_time=True,
        return_url_max=255,
    ),
    GatewayPayType(
        code="800107",
        title="JSAPI in the Alipay app",
        shape=Shape.TRADE_NO,
        channel="jsapi",
    ),
    GatewayPayType(
        code="800101", title="QR code, overseas", shape=Shape.QRCODE, channel="qr", has_expired_time=True
    ),
    GatewayPayType(
        code="801501", title="QR code, Hong Kong", shape=Shape.QRCODE, channel="qr", has_expired_time=True
    ),
    # The mark of a reversed barcode payment is 1, of a cancelled QR order 2 (G4/G5 "Transaction Enquiry").
    GatewayPayType(code="800108", title="barcode", shape=Shape.RESULT, channel="barcode", cancel="1"),
    GatewayPayType(
        code="800008", title="barcode, any wallet", shape=Shape.RESULT, channel="barcode", cancel="1"
    ),
    GatewayPayType(
        code="801110",
        title="in-app, overseas",
        shape=Shape.IN_APP,
        channel="app",
    ),
    GatewayPayType(
        code="801510", title="in-app, Hong Kong", shape=Shape.IN_APP, channel="app", has_expired_time=True
    ),
)

PAY_TYPES = {row.code: row for row in _ROWS}

CURRENCIES = frozenset("AED CNY EUR HKD IDR JPY MMK MYR SGD THB USD CAD AUD".split())
"""Source: G4/G5 "Currencies"."""

_NO_DECIMALS = frozenset({"JPY"})


def major_units(amount: int, currency: str) -> float:
    """
    The amount in major units, as Alipay's `total_fee` has it: 300 HKD cents are 3.0.

    A float as in the sample, only for display. JPY without decimals is stated by G2 (Japan) only.
    """
    return float(amount) if currency in _NO_DECIMALS else amount / 100


def shown_amount(amount: int, currency: str) -> str:
    """The amount in major units, for people."""
    return f"{amount:,}" if currency in _NO_DECIMALS else f"{amount // 100:,}.{amount % 100:02d}"
