"""
QFPay's documented bounds on the fields of an order, checked before anything is sent.

`pay_types` declares which fields, currencies and amounts a pay type takes, and paycore checks that, and which
URLs may be sent. This module checks what a field may hold. Every error names the field, what is wrong and the bound.
Source: sdk.qfapi.com "Request Format", "Payment Methods" and the Alipay pages; SOURCES.md §3.1, §3.2.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from paycore.plugin import CreateOrder, InvalidField, url_problem
from qfpay_alipay.pay_types import EXPIRES_IN_S
from qfpay_alipay.settings import UDID_LENGTH_MAX

GOODS_NAME_LENGTH_MAX = 20
"""Characters; declared String(64), with "no more than 20 characters" in the text."""

RETURN_URL_LENGTH_MAX = 512
WAP_RETURN_URL_LENGTH_MAX = 200
"""QFPay declares 512 in general and 255 for WAP; Alipay's own WAP page takes 200."""

NOTIFY_URL_LENGTH_MAX = 256
OPENID_LENGTH_MAX = 64
AUTH_CODE_LENGTH_MAX = 128
EXTRA_LENGTH_MAX = 128
"""`goods_info` and `seller_id` have no documented width; QFPay's widest texts have 128."""

CHOICES: Mapping[str, frozenset[str]] = {
    "limit_pay": frozenset({"no_credit"}),
    "pay_tag": frozenset({"ALIPAYHK", "ALIPAYCN"}),
}
"""QFPay's own fields that take only these values."""

_APOSTROPHES = "'\u2019"
_MARKS = "-_."
"""Allowed beside letters, digits and spaces of any script; QFPay only says "no special characters"."""


def check_order(order: CreateOrder) -> None:
    """Raise `InvalidField` for the first field of `order` that is outside its documented bound."""
    if order.channel == "app" and goods_name_of(order.subject) is None:
        raise InvalidField("subject", "QFPay takes letters and digits for an app, and it has none")
    if order.expires_in_s is not None:
        _check_expiry(order.expires_in_s)
    if order.return_url is not None:
        is_wap = order.channel == "wap"
        length_max = WAP_RETURN_URL_LENGTH_MAX if is_wap else RETURN_URL_LENGTH_MAX
        _check_length("return_url", order.return_url, length_max)
    if order.notify_url is not None:
        _check_length("notify_url", order.notify_url, NOTIFY_URL_LENGTH_MAX)
        _check_port("notify_url", order.notify_url)
    if order.payer_id is not None:
        _check_word("payer_id", order.payer_id, OPENID_LENGTH_MAX)
    if order.device_id is not None:
        _check_word("device_id", order.device_id, UDID_LENGTH_MAX)
    if order.auth_code is not None:
        _check_word("auth_code", order.auth_code.reveal(), AUTH_CODE_LENGTH_MAX)
    for name, value in order.extra.items():
        _check_extra(name, value)


def goods_name_of(subject: str | None) -> str | None:
    """
    `subject` as QFPay takes it: its first characters without special ones; None where nothing of it is left.

    What can't be sent becomes a space, or nothing where it would split a word. A letter is sent with all its marks
    or not at all.
    """
    letters: list[str] = []
    for char in unicodedata.normalize("NFC", subject or ""):
        kind = unicodedata.category(char)
        is_new = not letters or letters[-1] == " "
        if kind[0] in "LN" or char in _MARKS:
            letters.append(char)
        elif kind[0] == "M":
            letters[-1:] = letters[-1:] if is_new else [letters[-1] + char]
        elif kind != "Cf" and char not in _APOSTROPHES and not is_new:
            letters.append(" ")
    return _first_of(letters, GOODS_NAME_LENGTH_MAX).strip() or None


def _first_of(letters: Iterable[str], length_max: int) -> str:
    """As many of the first letters as fit."""
    text = ""
    for letter in letters:
        if len(text) + len(letter) > length_max:
            break
        text += letter
    return text


def minutes_of(expires_in_s: int | None) -> int | None:
    """`expires_in_s` in whole minutes, not more than it is; None where QFPay's own lifetime counts."""
    return None if expires_in_s is None else expires_in_s // 60


def _check_expiry(seconds: int) -> None:
    least, most = EXPIRES_IN_S
    if not least <= seconds <= most:
        raise InvalidField("expires_in_s", f"{seconds}; QFPay takes {least} to {most} seconds (5 to 120 min)")


def _check_length(field: str, text: str, length_max: int) -> None:
    if not 1 <= len(text) <= length_max:
        raise InvalidField(field, f"{len(text)} characters; QFPay takes 1 to {length_max}")


def _check_plain(field: str, text: str) -> None:
    unusual = (char for char in text if char != " " and char not in _MARKS)
    special = next((char for char in unusual if unicodedata.category(char)[0] not in "LMN"), None)
    if special is not None:
        raise InvalidField(
            field, f"{special!a} is a special character; QFPay takes letters, digits, spaces and {_MARKS}"
        )


def _check_word(field: str, text: str, length_max: int) -> None:
    """Printable ASCII without spaces. The error does not show the value: it may be a payer's code."""
    _check_length(field, text, length_max)
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise InvalidField(field, "contains a space, a control character or one outside ASCII")


def _check_port(field: str, url: str) -> None:
    """QFPay calls ports 80 and 443 only; 80 would be plain http. The sandbox calls any port of this machine."""
    port = urlsplit(url).port
    if port not in (None, 443) and url_problem(url, takes_loopback=False) is None:
        raise InvalidField(field, f"port {port}; QFPay calls https on port 443 only")


def _check_extra(name: str, value: str) -> None:
    choices = CHOICES.get(name)
    if choices is not None:
        if value not in choices:
            raise InvalidField(name, f"{value[:32]!a}; QFPay takes {' or '.join(sorted(choices))}")
    elif name == "goods_info":
        _check_length(name, value, EXTRA_LENGTH_MAX)
        _check_plain(name, value)
    else:
        _check_word(name, value, EXTRA_LENGTH_MAX)
