"""Decoding and encoding: tolerant where QFPay's samples differ, one typed error for the rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore.plugin import Money, PartialAmount
from qfpay_alipay import messages


def trade(**fields: Any) -> messages.Trade:
    """A trade decoded from JSON with these fields."""
    return messages.decode(json.dumps({"respcd": "0000", **fields}).encode(), messages.Trade)


@pytest.mark.parametrize(
    ("respcd", "code"),
    [
        ("0000", "0000"),
        (0, "0000"),
        (1143, "1143"),
        ("0", "0"),
        ("", ""),
        ("é\n", "é"),
        (-1, "-001"),
        (10**6, "1000000"),
    ],
)
def test_code_number_gets_its_zeros_back_and_text_stays(respcd: object, code: str) -> None:
    """A 0000 serialised as the number 0 is restored; text is unchanged."""
    assert trade(respcd=respcd).code == code


@pytest.mark.parametrize(
    ("txamt", "txcurrcd", "amount", "told"),
    [
        ("1099", "HKD", Money("10.99", "HKD"), None),
        (1099, "HKD", Money("10.99", "HKD"), None),
        ("100", "JPY", Money("100", "JPY"), None),
        ("0", "HKD", Money("0", "HKD"), None),
        (0, "", None, PartialAmount(minor=0)),
        ("1099", "", None, PartialAmount(minor=1099)),
        ("1099", None, None, PartialAmount(minor=1099)),
        ("", "HKD", None, PartialAmount(currency="HKD")),
        (None, "HKD", None, PartialAmount(currency="HKD")),
        ("", "", None, None),
        (None, None, None, None),
    ],
)
def test_amount_text_or_number_is_minor_units(
    txamt: object, txcurrcd: object, amount: Money | None, told: PartialAmount | None
) -> None:
    """Strings and numbers are accepted; with one part empty or null the other is reported."""
    assert trade(txamt=txamt, txcurrcd=txcurrcd).amounts == (amount, told)


def test_amount_missing_is_the_half_that_is_told() -> None:
    """A reply may leave out one part of an amount, or both."""
    assert trade().amounts == (None, None)
    assert trade(txamt="1").amounts == (None, PartialAmount(minor=1))
    assert trade(txcurrcd="HKD").amounts == (None, PartialAmount(currency="HKD"))


@pytest.mark.parametrize(
    ("txamt", "txcurrcd", "unreadable"),
    [("-1", "HKD", 'txamt "-1"'), (-1, "HKD", "txamt -1"), ("1e3", "HKD", 'txamt "1e3"'),
     ("10.99", "HKD", 'txamt "10.99"'), (8800.0, "HKD", "txamt 8800.0"), (True, "HKD", "txamt true"),
     ([1], "HKD", "txamt [1]"), ("１０", "HKD", "txamt"), (" 1", "HKD", 'txamt " 1"'), ("1" * 16, "HKD", "txamt"),
     ("9" * 5000, "HKD", "txamt"), (10**300, "HKD", "txamt 1000"), ("abc", "HKD", 'txamt "abc"'),
     ("1", "hkd", "currency hkd"), ("1", "XAU", "currency XAU"), ("1", "HONGKONG" * 40, "txcurrcd"),
     ("1", 344, "txcurrcd 344"), ("1", ["HKD"], 'txcurrcd ["HKD"]')],
)  # fmt: skip
def test_amount_that_is_not_exact_is_named(txamt: object, txcurrcd: object, unreadable: str) -> None:
    """Signs, exponents, points, other digits, types and currencies are no amount, and are reported."""
    amount, told = trade(txamt=txamt, txcurrcd=txcurrcd).amounts
    assert amount is None
    assert told is not None
    assert (told.unreadable or "").startswith(unreadable)


@pytest.mark.parametrize("syssn", ["2" * 24, "2" * 26, 10**23])
def test_provider_id_of_any_width_is_taken(syssn: object) -> None:
    """24 digits before 2018, 26 since; also as a number."""
    assert trade(syssn=syssn).provider_id == str(syssn)


@pytest.mark.parametrize("syssn", ["", None])
def test_provider_id_empty_is_none(syssn: object) -> None:
    """A refused reply has no syssn."""
    assert trade(syssn=syssn).provider_id is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"respcd": "0000", "syssn": "2026',
        b'{"respcd": 0000}',
        b'{"respcd": null}',
        b"{}",
        b"[]",
        b"null",
        b'"0000"',
        b'{"respcd": "0000", "syssn": {"a": 1}}',
        b'{"respcd": "0000", "txamt": NaN}',
        b'{"respcd": "\xff"}',
        b'{"respcd": "0000", "resperr": "\\ud800"}',
        b'{"respcd": "0000", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"respcd": ' + b"1" * 5_000 + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_decode_malformed_body_is_one_typed_error(body: bytes) -> None:
    """HTML, truncated, official samples' unquoted 0000, wrong types, bad UTF-8, deep nesting."""
    with pytest.raises(messages.Malformed) as malformed:
        messages.decode(body, messages.PaymentReply)
    assert str(malformed.value) == "not a PaymentReply in JSON"
    assert malformed.value.__cause__ is None


@given(st.binary(max_size=200))
def test_decode_any_bytes_are_a_value_or_malformed(body: bytes) -> None:
    """No bytes raise anything else."""
    for shape in (
        messages.PaymentReply,
        messages.QueryReply,
        messages.TradeNotification,
        messages.NotificationHead,
    ):
        try:
            messages.decode(body, shape)
        except messages.Malformed:
            continue


def test_decode_field_named_twice_counts_with_its_last_value() -> None:
    """The parser takes the last of duplicate names, as it documents."""
    reply = messages.decode(b'{"respcd": "1143", "respcd": "0000"}', messages.Trade)
    assert reply.code == "0000"


def test_decode_unknown_fields_are_left() -> None:
    """QFPay adds fields without notice: surcharge_fee, cardtp, clisn."""
    assert trade(surcharge_fee="0", clisn="000001", nested={"a": [1]}).code == "0000"


def test_answer_text_is_without_repeats() -> None:
    """resperr, respmsg and errmsg, at most 256 characters; the core cleans it."""
    told = trade(resperr="said\n", respmsg="said", errmsg=7)
    assert told.text == "said; 7"
    assert len(trade(resperr="x" * 300, respmsg="y" * 300).text) == 256
    assert trade().text == ""


def test_fields_of_request_leaves_out_what_is_empty() -> None:
    """Unset and empty fields are neither signed nor sent."""
    request = messages.RefundRequest(syssn="1", out_trade_no="2", txamt="3", txdtm="4", udid="", mchid=None)
    assert messages.fields_of(request) == {"syssn": "1", "out_trade_no": "2", "txamt": "3", "txdtm": "4"}


def test_payment_request_repr_shows_nothing() -> None:
    """A request may hold a scanned code."""
    request = messages.PaymentRequest(
        txamt="1", txcurrcd="HKD", pay_type="800108", out_trade_no="1", txdtm="t", auth_code="CANARY"
    )
    assert repr(request) == "PaymentRequest(***)"


def test_render_form_percent_encodes_utf8() -> None:
    """V7's encoding; a space is %20, and nothing of a URL is unencoded (SOURCES.md §2.5)."""
    assert (
        messages.render_form({"goods_name": "測試商品"}) == "goods_name=%E6%B8%AC%E8%A9%A6%E5%95%86%E5%93%81"
    )
    assert messages.render_form({"a": "1 2", "b": "x&y=/?"}) == "a=1%202&b=x%26y%3D%2F%3F"


def test_render_time_is_twenty_four_hours_in_the_zone() -> None:
    """Hours go to 23, despite "hh" (SOURCES.md §8, item 7)."""
    at = datetime(2026, 1, 1, 12, 30, 5, tzinfo=UTC)
    assert messages.render_time(at, ZoneInfo("Asia/Hong_Kong")) == "2026-01-01 20:30:05"
    assert messages.render_time(at, ZoneInfo("Asia/Tokyo")) == "2026-01-01 21:30:05"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-01 07:59:59", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2020-04-13 11:32:03", datetime(2020, 4, 13, 3, 32, 3, tzinfo=UTC)),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("2026-02-30 00:00:00", None),
        ("0001-01-01 00:00:00", None),
    ],
)
def test_parse_time_is_utc_plus_eight(text: str | None, at: datetime | None) -> None:
    """sysdtm and paydtm are on QFPay's clock; an unreadable one is None."""
    assert messages.parse_time(text) == at
