"""The pay-type table, row by row against SOURCES.md §3.1 to §3.3, §5.2."""

from __future__ import annotations

from typing import Any

import pytest

from paycore.plugin import Money
from plugins.qfpay_alipay.tests.support import ROWS, fields_in, make_order, make_provider, make_ref
from qfpay_alipay.pay_types import CURRENCIES, PAY_TYPES, TXAMT_MAX, Region, pay_types_of

EVERY = {"subject", "notify_url", "device_id"}
MPM = {"limit_pay", "pay_tag"}
APP = {"pay_tag", "goods_info", "seller_id"}

TABLE = [
    # method, channel, region -> pay type, reply, required, optional beyond EVERY, extra, expiry, least HKD, close
    ("alipay", "web", "overseas", "801101", "pay_url", set(), {"return_url"}, set(), True, 101, "POST close"),
    ("alipay", "web", "hk", "801514", "pay_url", set(), {"return_url"}, set(), True, 1, "POST close"),
    ("alipay", "wap", "overseas", "801107", "pay_url", set(), {"return_url"}, set(), True, 1, "POST close"),
    ("alipay", "wap", "hk", "801512", "pay_url", set(), {"return_url"}, set(), True, 1, "POST close"),
    (
        *("alipay", "jsapi", "overseas", "800107", "trade_no", {"payer_id"}, {"return_url"}, {"limit_pay"}),
        *(False, 1, "POST close"),
    ),
    (
        *("alipay", "jsapi", "hk", "800107", "trade_no", {"payer_id"}, {"return_url"}, {"limit_pay"}),
        *(False, 1, "POST close"),
    ),
    ("alipay", "qr", "overseas", "800101", "qrcode", set(), set(), MPM, True, 1, "POST reversal"),
    ("alipay", "qr", "hk", "801501", "qrcode", set(), set(), MPM, True, 1, "POST reversal"),
    (
        "alipay",
        "barcode",
        "overseas",
        "800108",
        "final",
        {"auth_code"},
        set(),
        set(),
        False,
        1,
        "POST reversal",
    ),
    ("alipay", "barcode", "hk", "800108", "final", {"auth_code"}, set(), set(), False, 1, "POST reversal"),
    ("wallet", "barcode", "overseas", "800008", "final", {"auth_code"}, set(), set(), False, 1, "POST close"),
    ("wallet", "barcode", "hk", "800008", "final", {"auth_code"}, set(), set(), False, 1, "POST close"),
    (
        *("alipay", "app", "overseas", "801110", "sdk_params", {"subject", "return_url"}, set(), APP),
        *(False, 1, "POST close"),
    ),
    (
        *("alipay", "app", "hk", "801510", "sdk_params", {"subject", "return_url"}, set(), APP),
        *(True, 1, "POST close"),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(row[:3]))
def test_pay_type_row_is_that_of_the_reference(row: tuple[Any, ...]) -> None:
    """Each (method, channel, region) has its pay type, reply, fields, bounds and way of closing."""
    method, channel, region, pay_type, reply, required, optional, extra, expiry, least, close = row
    found = pay_types_of(region)[method, channel]
    assert (found.pay_type, found.reply, found.close_request) == (pay_type, reply, close)
    product = found.product
    assert (product.method, product.channel) == (method, channel)
    assert product.required == required
    assert product.optional == (EVERY | optional | ({"expires_in_s"} if expiry else set())) - required
    assert product.extra == extra
    assert product.expires_in_s == ((300, 7200) if expiry else None)
    assert product.currencies["HKD"] == (least, TXAMT_MAX)
    assert product.needs_action is (reply != "final")


@pytest.mark.parametrize("region", ["hk", "overseas"])
def test_pay_types_of_region_are_the_rows_above_and_no_other(region: Region) -> None:
    """The table is complete, and each pair has one row per region."""
    expected = {(row[0], row[1]) for row in TABLE if row[2] == region}
    assert set(pay_types_of(region)) == expected
    products = make_provider(region=region).capabilities.products
    assert {(product.method, product.channel) for product in products} == expected
    assert len([row for row in PAY_TYPES if region in row.regions]) == len(expected)


def test_amount_of_801101_must_exceed_one_hong_kong_dollar() -> None:
    """1.00 HKD is refused, 1.01 accepted; other currencies have no documented minimum."""
    bounds = pay_types_of("overseas")["alipay", "web"].product.currencies
    assert bounds["HKD"][0] == Money("1.01", "HKD").minor
    assert {bounds[currency][0] for currency in CURRENCIES if currency != "HKD"} == {1}


def test_amount_is_at_most_eleven_digits() -> None:
    """`txamt` is Int(11)."""
    assert {row.product.currencies[c][1] for row in PAY_TYPES for c in CURRENCIES} == {99_999_999_999}


def test_currencies_are_the_documented_ones() -> None:
    """The list of sdk.qfapi.com "Currencies"."""
    assert set(CURRENCIES) == set("AED CNY EUR HKD IDR JPY MMK MYR SGD THB USD CAD AUD".split())


@pytest.mark.parametrize(("channel", "method", "region", "fields"), ROWS)
def test_create_sends_the_pay_type_of_its_row(
    channel: str, method: str, region: Region, fields: dict[str, Any]
) -> None:
    """The request has the row's pay type and the given fields in QFPay's spelling."""
    order = make_order(channel=channel, method=method, device_id="till-1", **fields)
    provider = make_provider(region=region)
    provider.check(order)
    sent = fields_in(next(provider.create(order)))
    spelling = {
        "payer_id": "openid",
        "subject": "goods_name",
        "return_url": "return_url",
        "auth_code": "auth_code",
    }
    given = {
        spelling[name]: value if isinstance(value, str) else value.reveal() for name, value in fields.items()
    }
    assert sent == {
        "txamt": "1099",
        "txcurrcd": "HKD",
        "pay_type": pay_types_of(region)[method, channel].pay_type,
        "out_trade_no": order.number,
        "txdtm": "2026-01-01 12:00:00",
        "udid": "till-1",
        **given,
    }


@pytest.mark.parametrize(("channel", "method", "region", "fields"), ROWS)
def test_close_asks_the_endpoint_of_its_row_unless_overridden(
    channel: str, method: str, region: Region, fields: dict[str, Any]
) -> None:
    """Close or reversal, GET or POST: the row's, or the account's choice for that pay type."""
    row = pay_types_of(region)[method, channel]
    ref = make_ref(channel=channel, method=method)
    request = next(make_provider(region=region).close(ref))
    assert (request.method, request.path) == ("POST", f"/trade/v1/{row.close_request.split()[1]}")
    other = make_provider(region=region, close_requests={row.pay_type: "GET reversal"})
    request = next(other.close(ref))
    assert (request.method, request.path.partition("?")[0]) == ("GET", "/trade/v1/reversal")
    assert request.body == b""
    assert fields_in(request)["out_trade_no"] == ref.number
