"""
Reads and checks the parameters of requests: a typed value, or a `Refusal`.

Bounds are from G4 "Payment Methods", G5 "Request Format" and the product pages (SOURCES.md §3.1, §3.2, §4, §5).
A wrong parameter gets 1104, as documented; that `respmsg` names it is an addition of the sandbox. Empty values
count as not given. Parameters QFPay does not document are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from qfpay_alipay.sandbox import codes
from qfpay_alipay.sandbox.codes import Refusal
from qfpay_alipay.sandbox.gateway_pay_types import CURRENCIES, PAY_TYPES, GatewayPayType, Shape
from qfpay_alipay.sandbox.sandbox_settings import SandboxSettings
from qfpay_alipay.sandbox.times import month_bounds, month_of, parse_time

Params = Mapping[str, str]

_DIGITS = re.compile(r"[0-9]+")
# G2 allows letters, digits, `_`, `|` and `*`. The hyphen is not among them; later pages name no character set, and
# numbers with hyphens are common.
_NUMBER = re.compile(r"[A-Za-z0-9_|*-]+")
# "No special characters" (G4/G5); these two and control characters are the ones G2's longer list names in ASCII.
_SPECIAL = re.compile(r"[$&\x00-\x1f\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WEB_URL = re.compile(r"https?://[^\s\\\x00-\x1f\x7f]+")
_DEFAULT_LIFE_MIN = 30
_PAGE_SIZE_MAX = 100


class PaymentParams(msgspec.Struct, frozen=True, kw_only=True):
    pay_type: GatewayPayType
    txamt: int
    txcurrcd: str
    out_trade_no: str
    txdtm: str
    life_min: int
    warning: str
    auth_code: str
    goods_name: str
    goods_info: str
    limit_pay: str
    notify_url: str
    openid: str
    pay_tag: str
    return_url: str
    seller_id: str
    udid: str


class RefundParams(msgspec.Struct, frozen=True, kw_only=True):
    syssn: str
    out_trade_no: str
    txamt: int
    txdtm: str
    udid: str


class CancelParams(msgspec.Struct, frozen=True, kw_only=True):
    syssn: str
    out_trade_no: str
    txamt: int
    txdtm: str
    udid: str


class QueryParams(msgspec.Struct, frozen=True, kw_only=True):
    """`during` is the first and the last millisecond, `None` when the range is ignored: numbers are given."""

    syssns: frozenset[str]
    out_trade_nos: frozenset[str]
    pay_types: frozenset[str]
    respcd: str
    during: tuple[int, int] | None
    page: int
    page_size: int


def check_mchid(params: Params, settings: SandboxSettings) -> None:
    """
    An issued mchid must be in every request; if none was issued, none may be.

    Source: G5 "Introduction". The code for a violation is undocumented; 1104 chosen here.
    """
    given = params.get("mchid", "")
    if settings.mchid and not given:
        raise Refusal(codes.PARAMETER, "mchid is required: one was issued to this account")
    if given and not settings.mchid:
        raise Refusal(codes.PARAMETER, "mchid must be absent: none was issued to this account")
    if given != settings.mchid:
        raise Refusal(codes.PARAMETER, "mchid is not this account's")


def read_payment(params: Params, settings: SandboxSettings) -> PaymentParams:
    kind = _pay_type(params, settings)
    amount = _amount(params)
    return PaymentParams(
        pay_type=kind,
        txamt=amount,
        txcurrcd=_currency(params),
        out_trade_no=_order_number(params),
        txdtm=_time(params),
        life_min=_life(params, kind),
        warning=_minimum(amount, kind, settings),
        auth_code=_for(kind, Shape.RESULT, _optional(params, "auth_code", 128), "auth_code"),
        goods_name=_goods_name(params, kind),
        goods_info=_plain_text(params, "goods_info", 256),
        limit_pay=_one_of(params, "limit_pay", ("no_credit",)),
        notify_url=_web_url(params, "notify_url", 256),
        openid=_for(kind, Shape.TRADE_NO, _optional(params, "openid", 64), "openid"),
        pay_tag=_one_of(params, "pay_tag", ("ALIPAYHK", "ALIPAYCN")),
        return_url=_return_url(params, kind),
        seller_id=_optional(params, "seller_id", 64),
        udid=_optional(params, "udid", 40),
    )


def read_refund(params: Params) -> RefundParams:
    return RefundParams(
        syssn=_required(params, "syssn", 40),
        out_trade_no=_order_number(params),
        txamt=_amount(params),
        txdtm=_time(params),
        udid=_optional(params, "udid", 40),
    )


def read_cancel(params: Params) -> CancelParams:
    syssn = _optional(params, "syssn", 40)
    number = _optional(params, "out_trade_no", 128)
    if not syssn and not number:
        raise Refusal(codes.PARAMETER, "syssn or out_trade_no is required")
    return CancelParams(
        syssn=syssn,
        out_trade_no=number,
        txamt=_amount(params),
        txdtm=_time(params),
        udid=_optional(params, "udid", 40),
    )


def read_query(params: Params, settings: SandboxSettings, *, now_ms: int) -> QueryParams:
    syssns = _list(params, "syssn", 128)
    numbers = _list(params, "out_trade_no", 128)
    is_ranged = not syssns and (not numbers or settings.number_range == "apply")
    return QueryParams(
        syssns=syssns,
        out_trade_nos=numbers,
        pay_types=_list(params, "pay_type", 128),
        respcd=_optional(params, "respcd", 4),
        during=_range(params, now_ms) if is_ranged else None,
        page=_whole(params, "page", default=1, low=1, high=10**9),
        page_size=_whole(params, "page_size", default=10, low=1, high=_PAGE_SIZE_MAX),
    )


def _required(params: Params, name: str, width: int) -> str:
    if not params.get(name):
        raise Refusal(codes.PARAMETER, f"{name} is required")
    return _optional(params, name, width)


def _optional(params: Params, name: str, width: int) -> str:
    value = params.get(name, "")
    if len(value) > width:
        raise Refusal(codes.PARAMETER, f"{name} is longer than {width}")
    if _CONTROL.search(value):
        raise Refusal(codes.PARAMETER, f"{name} has control characters")
    return value


def _for(kind: GatewayPayType, shape: Shape, value: str, name: str) -> str:
    if kind.shape is shape and not value:
        raise Refusal(codes.PARAMETER, f"{name} is required for {kind.code}")
    return value


def _pay_type(params: Params, settings: SandboxSettings) -> GatewayPayType:
    code = _required(params, "pay_type", 6)
    if code not in settings.pay_types:
        # Source: FAQ17 question 2.
        raise Refusal(codes.PARAMETER, "filter error")
    return PAY_TYPES[code]


def _amount(params: Params) -> int:
    text = _required(params, "txamt", 11)
    if not _DIGITS.fullmatch(text) or int(text) == 0:
        raise Refusal(codes.PARAMETER, "txamt is a whole number above 0 in the smallest unit")
    return int(text)


def _minimum(amount: int, kind: GatewayPayType, settings: SandboxSettings) -> str:
    """A warning or, by the setting `minimum_amount`, a refusal of an amount the product does not take."""
    if amount > kind.amount_above:
        return ""
    message = f"txamt of {kind.code} must exceed {kind.amount_above}"
    if settings.minimum_amount == "refuse":
        raise Refusal(codes.PARAMETER, message)
    return message


def _currency(params: Params) -> str:
    currency = _required(params, "txcurrcd", 3)
    if currency not in CURRENCIES:
        raise Refusal(codes.PARAMETER, f"txcurrcd is one of {' '.join(sorted(CURRENCIES))}")
    return currency


def _order_number(params: Params) -> str:
    number = _required(params, "out_trade_no", 128)
    if not _NUMBER.fullmatch(number):
        raise Refusal(codes.PARAMETER, "out_trade_no has letters, digits and _ | * - only")
    return number


def _time(params: Params) -> str:
    text = _required(params, "txdtm", 20)
    try:
        parse_time(text)
    except ValueError:
        raise Refusal(codes.PARAMETER, "txdtm is not YYYY-MM-DD hh:mm:ss") from None
    return text


def _life(params: Params, kind: GatewayPayType) -> int:
    """Minutes until the order expires. Pay types without `expired_time` have it checked and not used."""
    minutes = _whole(params, "expired_time", default=_DEFAULT_LIFE_MIN, low=5, high=120)
    return minutes if kind.has_expired_time else _DEFAULT_LIFE_MIN


def _goods_name(params: Params, kind: GatewayPayType) -> str:
    name = _plain_text(params, "goods_name", 20)
    return _for(kind, Shape.IN_APP, name, "goods_name")


def _plain_text(params: Params, name: str, width: int) -> str:
    value = _optional(params, name, width)
    if _SPECIAL.search(value):
        raise Refusal(codes.PARAMETER, f"{name} has special characters")
    return value


def _one_of(params: Params, name: str, allowed: tuple[str, ...]) -> str:
    value = params.get(name, "")
    if value and value not in allowed:
        raise Refusal(codes.PARAMETER, f"{name} is {' or '.join(allowed)}")
    return value


def _web_url(params: Params, name: str, width: int) -> str:
    value = _optional(params, name, width)
    if value and not _WEB_URL.fullmatch(value):
        raise Refusal(codes.PARAMETER, f"{name} is not an http(s) URL")
    return value


def _return_url(params: Params, kind: GatewayPayType) -> str:
    if kind.shape is Shape.IN_APP:
        # An app returns to a scheme of its own; required by G5 "Alipay In-App Payments".
        return _for(kind, Shape.IN_APP, _optional(params, "return_url", kind.return_url_max), "return_url")
    return _web_url(params, "return_url", kind.return_url_max)


def _whole(params: Params, name: str, *, default: int, low: int, high: int) -> int:
    text = params.get(name, "")
    if not text:
        return default
    if not _DIGITS.fullmatch(text) or len(text) > 10 or not low <= int(text) <= high:
        raise Refusal(codes.PARAMETER, f"{name} is a whole number from {low} to {high}")
    return int(text)


def _list(params: Params, name: str, width: int) -> frozenset[str]:
    value = _optional(params, name, width)
    return frozenset(part for part in value.split(",") if part)


def _range(params: Params, now_ms: int) -> tuple[int, int]:
    """
    The time range of a query, inclusive, `end` to its last millisecond.

    One end missing is filled from the current month. What a range over two months gets is undocumented; 1104 here.
    """
    first, last = month_bounds(now_ms)
    start = _moment(params, "start_time", first)
    end = _moment(params, "end_time", last)
    if start > end:
        raise Refusal(codes.PARAMETER, "start_time is after end_time")
    if month_of(start) != month_of(end):
        raise Refusal(codes.PARAMETER, "start_time and end_time must lie in one calendar month")
    return start, end + 999


def _moment(params: Params, name: str, default: int) -> int:
    text = _optional(params, name, 20)
    if not text:
        return default
    try:
        return parse_time(text)
    except ValueError:
        raise Refusal(codes.PARAMETER, f"{name} is not YYYY-MM-DD hh:mm:ss") from None
