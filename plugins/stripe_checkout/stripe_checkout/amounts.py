"""
Amounts as Stripe counts them, which is not always ISO 4217, and the bounds of each currency.

Source: docs.stripe.com/currencies; SOURCES.md §7.
"""

from __future__ import annotations

from fractions import Fraction

from paycore.plugin import InvalidField, Money, PartialAmount, read_amount

_ZERO_DECIMAL = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()
_THREE_DECIMAL = "BHD JOD KWD OMR TND".split()
_TWO_DECIMAL = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE CZK DKK DOP
DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD KES KGS KHR KYD KZT LAK LBP LKR LRD
LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR
SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH UGX USD UYU UZS WST XCD XCG YER ZAR ZMW
""".split()
"""ISK and UGX have no decimals in ISO 4217 and two at Stripe."""

_DECIMALS = (
    dict.fromkeys(_ZERO_DECIMAL, 0) | dict.fromkeys(_TWO_DECIMAL, 2) | dict.fromkeys(_THREE_DECIMAL, 3)
)

_LEAST = (
    dict.fromkeys("USD AUD BRL CAD CHF EUR INR NZD SGD ARS COP IDR ILS PHP RUB ZAR".split(), 50)
    | dict.fromkeys(["JPY", "KRW"], 50)
    | dict.fromkeys(["AED", "MYR", "PLN", "RON"], 200)
    | {"GBP": 30, "DKK": 250, "NOK": 300, "SEK": 300, "HKD": 400, "MXN": 1000, "THB": 1000, "CZK": 1500}
    | {"HUF": 17500}
)
"""Least amounts in Stripe's units; Stripe compares after conversion into the currency it settles in."""

_ONE = Fraction(1)
_MOST_CARD = 10**12 - 1
_MOST = 10**8 - 1
_MOST_OTHER = {"IDR": 10**12 - 1, "COP": 10**10 - 1, "INR": 10**9 - 1}
_MULTIPLE = dict.fromkeys(_THREE_DECIMAL, 10)
"""What Stripe's units must be a multiple of: their last digit is 0. That of ISK and UGX follows from ISO 4217."""


def bounds(*, by_card: bool) -> dict[str, tuple[int, int]]:
    """The least and the largest amount of each currency, in ISO minor units."""
    return {
        currency: _bounds_of(currency, _MOST_CARD if by_card else _MOST_OTHER.get(currency, _MOST))
        for currency in _DECIMALS
    }


def _bounds_of(currency: str, most: int) -> tuple[int, int]:
    per_minor, step = _units_per_minor(currency), _MULTIPLE.get(currency, 1)
    least = max(_LEAST.get(currency, 1), step)
    if per_minor == 1:
        return least, most - most % step
    return _rounded_up(Fraction(least) / per_minor), int(Fraction(most - most % step) / per_minor)


def _rounded_up(number: Fraction) -> int:
    return -int(-number // 1)


def _units_per_minor(currency: str) -> Fraction:
    """Stripe's units in one ISO minor unit: 1, 100 for ISK and UGX, 1/100 for MGA. `KeyError` where there is none."""
    more = _DECIMALS[currency] - Money.from_minor(0, currency).exponent
    return Fraction(10) ** more if more else _ONE


def units_of(amount: Money) -> int:
    """
    Stripe's units of an amount.

    `InvalidField` where they can't express it (1.50 MGA), or it has a last digit that Stripe does not take (1.234 KWD).
    """
    per_minor, step = _units_per_minor(amount.currency), _MULTIPLE.get(amount.currency, 1)
    units = amount.minor * per_minor
    if units % step:
        shown = Money.from_minor(int(step / per_minor), amount.currency)
        raise InvalidField("amount", f"{amount}: Stripe takes multiples of {shown}")
    return int(units)


def read_units(units: int | None, currency: str | None) -> tuple[Money | None, PartialAmount | None]:
    """The amount, or what there is of one, that Stripe tells in its units and a currency in small letters."""
    code = currency.upper() if currency else None
    if units is None or code not in _DECIMALS:
        return read_amount(None if code else units, code)
    minor = units / _units_per_minor(code)
    if minor.denominator != 1:
        return read_amount(None, code, unreadable=f"{units} {code}")
    return read_amount(int(minor), code)


def minor_of(units: int | None, currency: str | None) -> int | None:
    """A total in ISO minor units; None where it is not told or can't be read."""
    amount, _ = read_units(units, currency)
    return None if amount is None else amount.minor
