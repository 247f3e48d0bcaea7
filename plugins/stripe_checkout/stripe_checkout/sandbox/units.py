"""Currencies as Stripe counts them. Source: docs.stripe.com/currencies."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from paycore.plugin import Money

ZERO = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE = frozenset("bhd jod kwd omr tnd".split())
TWO = frozenset(
    """usd aed afn all amd aoa ars aud awg azn bam bbd bdt bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc cve
    czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs khr kyd kzt
    lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln
    qar ron rsd rub sar sbd scr sek sgd shp sle sos srd szl thb tjs top try ttd twd tzs uah ugx uyu uzs wst xcd xcg yer
    zar zmw""".split()
)
WHOLE = frozenset({"isk", "ugx"})
"""Two decimals in the API, and both are 0."""

MINIMUM = {
    "0.50": "usd ars aud brl cad chf cop eur idr ils inr nzd php rub sgd zar",
    "0.30": "gbp",
    "2.00": "aed myr pln ron",
    "2.50": "dkk",
    "3.00": "nok sek",
    "4.00": "hkd",
    "10.00": "mxn thb",
    "15.00": "czk",
    "175.00": "huf",
    "50": "jpy krw",
}
MAXIMUM_DIGITS = 12


def decimals_of(currency: str) -> int | None:
    """Decimals in the API; None for a currency that is not supported."""
    if currency in ZERO:
        return 0
    if currency in THREE:
        return 3
    return 2 if currency in TWO else None


def minimum_of(currency: str) -> int:
    """Least charge, in the API's units, where the currency is settled without conversion."""
    for amount, currencies in MINIMUM.items():
        if currency in currencies.split():
            return int(Decimal(amount).scaleb(decimals_of(currency) or 0))
    return 1


def iso_minor(units: int, currency: str) -> int:
    """The same amount in minor units as ISO 4217 has them."""
    exponent = Money.from_minor(0, currency.upper()).exponent
    return int(Fraction(units) * Fraction(10) ** (exponent - (decimals_of(currency) or 0)))


def units_of(minor: int, currency: str) -> int:
    """The API's units of an amount in ISO 4217's minor units."""
    exponent = Money.from_minor(0, currency.upper()).exponent
    return int(Fraction(minor) * Fraction(10) ** ((decimals_of(currency) or 0) - exponent))


def shown(units: int, currency: str) -> str:
    """For people: `25.99`."""
    decimals = decimals_of(currency) or 0
    return f"{Decimal(units).scaleb(-decimals):.{decimals}f}"
