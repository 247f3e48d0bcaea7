"""
QFPay's requests, replies and notifications, and the one place where their bytes become values.

Requests are form bodies, replies and notifications JSON. Decoding is tolerant where the samples differ
(strings or numbers, missing or extra fields, empty currency) and raises `Malformed` for the rest. A message
with an object that names a field twice is refused as a whole: parsers differ in which of the two they take.

Source: sdk.qfapi.com "Request Format", "Payment Methods", "Transaction Enquiry", "Refunds", "Asynchronous
Notifications"; SOURCES.md §1, §3, §4, §5, §7, read 2026.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from paycore.plugin import Money, NotNow, PartialAmount, Unknown, read_amount

T = TypeVar("T")

Text = str | int | None
"""A field that arrives as text or as a whole number, or not at all."""

QFPAY_ZONE = timezone(timedelta(hours=8))
"""`sysdtm`, `paydtm` and the ranges of a query are QFPay's clock, UTC+8 (inferred from samples, §1)."""

MESSAGE_MAX = 256 * 1024
"""Bytes. A page of 100 records, the most this plugin asks for, has about 60,000."""

_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)
_WORDS_LENGTH_MAX = 256
_AMOUNT_LENGTH_MAX = 64


TOO_MANY_PAUSE_S = 5.0
"""How long to wait after HTTP 429; QFPay says to back off, and not for how long (§1)."""


class NoAnswer(Exception):
    """A response that does not answer the request; `outcome` is what the flow ends with."""

    @property
    def outcome(self) -> Unknown | NotNow:
        """`Unknown`: QFPay may have done what was asked."""
        return Unknown(problem=str(self))


class Malformed(NoAnswer):
    """A message is not what QFPay documents. The error is safe to log: it quotes nothing of the message."""


class TooManyRequests(NoAnswer):
    """HTTP 429: there were too many requests, and nothing was done."""

    @property
    def outcome(self) -> NotNow:
        """The same request can be sent later."""
        return NotNow(problem="HTTP status 429, too many requests", retry_after_s=TOO_MANY_PAUSE_S)


# --- requests ----------------------------------------------------------------------------------------


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /trade/v1/payment`. Its repr hides all fields: whoever has `auth_code` can charge the payer."""

    txamt: str
    txcurrcd: str
    pay_type: str
    out_trade_no: str
    txdtm: str
    goods_name: str | None = None
    expired_time: str | None = None
    return_url: str | None = None
    notify_url: str | None = None
    openid: str | None = None
    auth_code: str | None = None
    limit_pay: str | None = None
    pay_tag: str | None = None
    goods_info: str | None = None
    seller_id: str | None = None
    udid: str | None = None
    mchid: str | None = None

    def __repr__(self) -> str:
        return "PaymentRequest(***)"


class QueryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /trade/v1/query`: by `out_trade_no` (comma separated) within a range, or by range alone."""

    out_trade_no: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    page: str = "1"
    page_size: str
    mchid: str | None = None


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /trade/v1/refund`: `syssn` is the payment's, `out_trade_no` the refund's own."""

    syssn: str
    out_trade_no: str
    txamt: str
    txdtm: str
    udid: str | None = None
    mchid: str | None = None


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`/trade/v1/close` and `/trade/v1/reversal`: either `syssn` or `out_trade_no`, of the order."""

    syssn: str | None = None
    out_trade_no: str | None = None
    txamt: str
    txdtm: str
    udid: str | None = None
    mchid: str | None = None


def fields_of(request: msgspec.Struct) -> dict[str, str]:
    """The fields of `request` that are signed and sent: raw values, without empty ones and None."""
    return {name: value for name, value in msgspec.structs.asdict(request).items() if value}


def render_form(fields: Mapping[str, str]) -> str:
    """The fields as a form body or query string, in the order given: values percent-encoded as UTF-8, names plain."""
    return "&".join([f"{name}={quote(value, safe='')}" for name, value in fields.items()])


def render_time(at: datetime, zone: tzinfo) -> str:
    """`YYYY-MM-DD hh:mm:ss`, 24 hours, in `zone`. `at` is aware."""
    return at.astimezone(zone).strftime(_TIME_FORMAT)


# --- replies and notifications -----------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of every reply and every record. `respcd` is the result, the texts are for people."""

    respcd: str | int
    resperr: Text = None
    respmsg: Text = None
    errmsg: Text = None

    @property
    def code(self) -> str:
        """`respcd` as four digits; one sent as a JSON number gets its leading zeros back."""
        return str(self.respcd).zfill(4) if isinstance(self.respcd, int) else trimmed(self.respcd)

    @property
    def text(self) -> str:
        """QFPay's texts, without repetition, joined with `; `; at most 256 characters."""
        said = [trimmed(text) for text in (self.resperr, self.respmsg, self.errmsg)]
        return "; ".join(dict.fromkeys(text for text in said if text))[:_WORDS_LENGTH_MAX]


class Trade(Answer, frozen=True, kw_only=True):
    """The fields of one trade, in any reply, record or notification that has one."""

    syssn: Text = None
    out_trade_no: Text = None
    txamt: msgspec.Raw = msgspec.Raw()
    txcurrcd: msgspec.Raw = msgspec.Raw()
    sysdtm: str | None = None
    paydtm: str | None = None
    pay_type: Text = None
    cancel: Text = None

    @property
    def provider_id(self) -> str | None:
        """`syssn`: 26 digits since 2018, 24 before, width not checked; None when there is none."""
        return text_of(self.syssn) or None

    @property
    def number(self) -> str:
        """`out_trade_no`: our number for it; empty when there is none."""
        return text_of(self.out_trade_no)

    @property
    def words(self) -> dict[str, str]:
        """QFPay's codes and texts, to keep as evidence; nothing about the payer, and nothing empty."""
        words = {
            "respcd": self.code,
            "resperr": trimmed(self.resperr),
            "respmsg": trimmed(self.respmsg),
            "errmsg": trimmed(self.errmsg),
            "cancel": trimmed(self.cancel),
            "pay_type": trimmed(self.pay_type),
        }
        return {name: word for name, word in words.items() if word}

    @property
    def amounts(self) -> tuple[Money | None, PartialAmount | None]:
        """
        `txamt` in `txcurrcd`; if they are no whole amount, what can be read of them and what can't.

        None twice if both are empty, null or missing, as in published samples.
        """
        minor, no_minor = _read(self.txamt, _minor)
        currency, no_currency = _read(self.txcurrcd, _currency)
        unreadable = [*(f"txamt {text}" for text in no_minor), *(f"txcurrcd {text}" for text in no_currency)]
        return read_amount(minor, currency, unreadable=", ".join(unreadable) or None)


def _read(raw: msgspec.Raw, read: Callable[[object], T]) -> tuple[T | None, list[str]]:
    """The field's value, None when it is empty, null or missing; and its text, if `read` refuses it."""
    text = bytes(raw) or b"null"
    try:
        if len(text) > _AMOUNT_LENGTH_MAX:
            raise ValueError("too long for an amount or a currency")
        value = msgspec.json.decode(text)
        return (None if value is None or value == "" else read(value)), []
    except (msgspec.MsgspecError, ValueError):
        return None, [text[:_AMOUNT_LENGTH_MAX].decode(errors="replace")]


def _minor(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int) or not _DIGITS.fullmatch(str(value)):
        raise ValueError("no whole number of minor units")
    return int(value)


def _currency(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no currency")  # noqa: TRY004 - data from QFPay, not an argument
    return value


class PaymentReply(Trade, frozen=True, kw_only=True):
    """The reply to a creation. `pay_params` is kept as it came, because numbers must be passed on digit for digit."""

    pay_url: str | None = None
    qrcode: str | None = None
    pay_params: msgspec.Raw = msgspec.Raw()


class RefundReply(Trade, frozen=True, kw_only=True):
    """The reply to a refund; a refused one has no `syssn` of its own."""

    orig_syssn: Text = None


class CancelReply(Trade, frozen=True, kw_only=True):
    """The reply to a close or reversal: `syssn` is that of the closing, `orig_syssn` that of the order."""

    orig_syssn: Text = None


class QueryReply(Answer, frozen=True, kw_only=True):
    """The reply to a query. `respcd` is the result of the call; `data` is empty when nothing was found."""

    data: list[msgspec.Raw] | None = None


class Record(Trade, frozen=True, kw_only=True):
    """One record of a query. Its `respcd` is the result of the trade."""

    order_type: Text = None
    origssn: Text = None

    @property
    def kind(self) -> str:
        """The kind of trade, one of `ORDER_TYPES` if known; old records have none and are payments."""
        return trimmed(self.order_type) or "payment"

    @property
    def words(self) -> dict[str, str]:
        """Those of every trade, and of a refund the `syssn` of its payment."""
        words = super().words
        return {**words, "origssn": trimmed(self.origssn)} if self.origssn else words


ORDER_TYPES = ("payment", "refund", "close")
"""The known values of `order_type`; "close" in the issue of 2018."""


class _Numbered(msgspec.Struct, frozen=True):
    out_trade_no: Text = None


def read_record(raw: msgspec.Raw) -> tuple[str, Record | None]:
    """
    A record's `out_trade_no`, and the record.

    None in place of a record that can't be read, and an empty text in place of a number that can't.
    """
    try:
        record = decode(raw, Record)
    except Malformed:
        return _number_in(raw), None
    return record.number, record


def _number_in(raw: msgspec.Raw) -> str:
    try:
        return text_of(decode(raw, _Numbered).out_trade_no)
    except Malformed:
        return ""


class NotificationHead(msgspec.Struct, frozen=True, kw_only=True):
    """The fields read of every kind of notification: its kind, its merchant, and its order if it has one."""

    notify_type: Text = None
    mchid: Text = None
    out_trade_no: Any = None

    @property
    def number(self) -> str:
        """`out_trade_no`, our number for the order or refund; empty when there is none."""
        return text_of(self.out_trade_no) if type(self.out_trade_no) in (str, int) else ""


class TradeNotification(Trade, frozen=True, kw_only=True):
    """A notification of a payment or a refund. `status` is documented as always "1"."""

    status: Text = None


def read_message(body: bytes, shape: type[T]) -> T:
    """A whole reply or notification as `shape`; `Malformed` also when it is too long or names a field twice."""
    if len(body) > MESSAGE_MAX:
        raise Malformed(f"longer than {MESSAGE_MAX} bytes")
    message = decode(body, shape)
    try:
        _NAMES.decode(body.decode())
    except (ValueError, RecursionError):
        raise Malformed(f"not a {shape.__name__} in JSON") from None
    return message


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Malformed("ambiguous: it names a field twice")


def _nothing(_digits: str) -> None:
    """Numbers are not converted: a very long one would take too much time."""


_NAMES = json.JSONDecoder(
    object_pairs_hook=_each_once, parse_int=_nothing, parse_float=_nothing, parse_constant=_nothing
)
"""Checks the names of all fields, and nothing else."""


def decode(body: bytes | msgspec.Raw, shape: type[T]) -> T:
    """
    `body`, one JSON value, as `shape`; unknown fields are ignored. `Malformed` for anything else.

    Of a repeated field the last value is taken; `read_message` refuses one.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        # Without the cause, whose text can quote the message.
        raise Malformed(f"not a {shape.__name__} in JSON") from None


def decode_params(raw: msgspec.Raw) -> tuple[dict[str, str | int | float], dict[str, str]]:
    """
    `pay_params` as values, and each as QFPay printed it: text without quotes, numbers digit for digit.

    `Malformed` when it is not an object of texts and numbers.
    """
    values = _decode_as(raw, dict[str, str | int | float])
    tokens = _decode_as(raw, dict[str, msgspec.Raw])
    printed = {
        name: value if isinstance(value, str) else bytes(tokens[name]).decode()
        for name, value in values.items()
    }
    return values, printed


def _decode_as(raw: msgspec.Raw, shape: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Malformed("pay_params is not an object of texts and numbers") from None


def parse_time(text: str | None) -> datetime | None:
    """`sysdtm` or `paydtm`, UTC+8, as aware UTC; None when empty, missing or unreadable."""
    text = text or ""
    # As it is printed; a page has two hundred of them, and `strptime` is slow.
    is_plain = len(text) == 19 and text[4] + text[7] + text[10] + text[13] + text[16] == "-- ::"
    parse = datetime.fromisoformat if is_plain else _parse_slowly
    try:
        return parse(text).replace(tzinfo=QFPAY_ZONE).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _parse_slowly(text: str) -> datetime:
    return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=QFPAY_ZONE)


def text_of(value: Text) -> str:
    """An id or a number unchanged, as text; empty for None."""
    return "" if value is None else str(value)


def trimmed(value: Text) -> str:
    """A text or a code without surrounding spaces, at most 256 characters; empty for None."""
    return text_of(value)[:_WORDS_LENGTH_MAX].strip()
