"""
Exact money: an integer of minor units beside an ISO 4217 currency.

Exponents come from `currencies`, generated from the `iso4217` package. Text is parsed strictly and in
bounded time: ASCII digits and one point, at most 15 digits before it.
"""

from __future__ import annotations

import re
from functools import total_ordering

from paycore.domain.currencies import EXPONENTS
from paycore.errors import InvalidMoney

MINOR_MAX = 10**15 - 1
"""Largest amount in minor units; fits a 64-bit column and a JSON number exactly."""

EXPONENT_MAX = 4
"""Most decimals of any currency in ISO 4217."""

_TEXT = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,4}))?", re.ASCII)


def currency_exponent(currency: str) -> int:
    """
    Digits after the point in `currency`, an upper-case ISO 4217 code: HKD 2, JPY 0, BHD 3.

    Raises `InvalidMoney` for an unknown code or one without minor units (gold, test codes).
    """
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        shown = currency if len(currency) <= 8 else currency[:8] + "…"
        raise InvalidMoney(f"{shown!r} is no ISO 4217 currency with minor units; write a code such as 'HKD'")
    return exponent


@total_ordering
class Money:
    """
    An exact, non-negative amount: `Money("88.00", "HKD")` or `Money.from_minor(8800, "HKD")`.

    `minor` is the amount in the currency's smallest unit (8800), `currency` its ISO 4217 code,
    `exponent` the digits after the point. Immutable, hashable, ordered within one currency.
    Raises `InvalidMoney` for anything that is not exact: floats, exponents, signs, other digits than
    0-9, more decimals than the currency has, more than 15 digits.
    """

    __slots__ = ("currency", "exponent", "minor")

    minor: int
    currency: str
    exponent: int

    def __init__(self, amount: str, currency: str) -> None:
        if not isinstance(amount, str):
            raise InvalidMoney(
                f"give it as text such as '88.00', not as {type(amount).__name__}; "
                "for minor units use Money.from_minor"
            )
        if not isinstance(currency, str):
            raise InvalidMoney("the currency is an ISO 4217 code such as 'HKD'")
        exponent = currency_exponent(currency)
        _fill(self, parse_minor(amount, currency, exponent), currency, exponent)

    @classmethod
    def from_minor(cls, minor: int, currency: str, *, exponent: int | None = None) -> Money:
        """
        Money from an integer of minor units, 0 to `MINOR_MAX`.

        `exponent` None takes the ISO 4217 one; a stored amount brings its own, 0 to 4.
        """
        if isinstance(minor, bool) or not isinstance(minor, int):
            raise InvalidMoney(f"minor units are an integer, not {type(minor).__name__}")
        if not 0 <= minor <= MINOR_MAX:
            raise InvalidMoney(f"minor units go from 0 to {MINOR_MAX}")
        exponent = currency_exponent(currency) if exponent is None else exponent
        if type(exponent) is not int or not 0 <= exponent <= EXPONENT_MAX:
            raise InvalidMoney(f"a currency's exponent goes from 0 to {EXPONENT_MAX}")
        money = cls.__new__(cls)
        _fill(money, minor, currency, exponent)
        return money

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Money is immutable")

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.minor, self.currency, self.exponent)

    @property
    def text(self) -> str:
        """The amount in major units with all its decimals, without the currency: `88.00`."""
        return render_minor(self.minor, self.exponent)

    def __str__(self) -> str:
        return f"{self.text} {self.currency}"

    def __repr__(self) -> str:
        return f"Money({self.text!r}, {self.currency!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        same_currency = self.currency == other.currency and self.exponent == other.exponent
        return same_currency and self.minor == other.minor

    def __hash__(self) -> int:
        return hash((self.minor, self.currency, self.exponent))

    def __lt__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        if (self.currency, self.exponent) != (other.currency, other.exponent):
            raise InvalidMoney(f"{self.currency} and {other.currency} can't be compared")
        return self.minor < other.minor


def _fill(money: Money, minor: int, currency: str, exponent: int) -> None:
    """Set the fields of a new `Money`, which is immutable afterwards."""
    object.__setattr__(money, "minor", minor)
    object.__setattr__(money, "currency", currency)
    object.__setattr__(money, "exponent", exponent)


def _restore(minor: int, currency: str, exponent: int) -> Money:
    return Money.from_minor(minor, currency, exponent=exponent)


def parse_minor(text: str, currency: str, exponent: int) -> int:
    """Minor units of `text`, an amount in major units; `InvalidMoney` when it is not one."""
    match = _TEXT.fullmatch(text)
    if match is None:
        shown = text if len(text) <= 24 else text[:24] + "…"
        raise InvalidMoney(f"{shown!r} is not an amount; write digits and at most one point, as in '88.00'")
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > exponent:
        allowed = f"at most {exponent} decimals" if exponent else "no decimals"
        raise InvalidMoney(f"{text!r} has {len(fraction)} decimals; {currency} has {allowed}")
    minor = int(whole + fraction.ljust(exponent, "0"))
    if minor > MINOR_MAX:
        raise InvalidMoney(f"{text!r} is more than paycore can hold ({render_minor(MINOR_MAX, exponent)})")
    return minor


def render_minor(minor: int, exponent: int) -> str:
    """Major units of `minor` with exactly `exponent` decimals: 8800, 2 gives `88.00`."""
    if not exponent:
        return str(minor)
    digits = str(minor).rjust(exponent + 1, "0")
    return f"{digits[:-exponent]}.{digits[-exponent:]}"
