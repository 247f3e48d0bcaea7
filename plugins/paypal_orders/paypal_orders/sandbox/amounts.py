"""PayPal's amounts as the gateway counts them: whole units of the last decimal it takes. Source: SOURCES.md §14."""

from __future__ import annotations

import re
from typing import Any

from paypal_orders.sandbox.refusals import invalid, unprocessable

NO_DECIMALS = ("HUF", "JPY", "TWD")
SUPPORTED = (
    *("AUD", "BRL", "CAD", "CNY", "CZK", "DKK", "EUR", "HKD", "HUF", "ILS", "JPY", "MYR", "MXN"),
    *("TWD", "NZD", "NOK", "PHP", "PLN", "GBP", "SGD", "SEK", "CHF", "THB", "USD"),
)
_VALUE = re.compile(r"(-?)([0-9]*)(?:\.([0-9]+))?", re.ASCII)
_LENGTH_MAX = 32


def decimals_of(currency: str) -> int:
    return 0 if currency in NO_DECIMALS else 2


def iso_minor(units: int, currency: str) -> int:
    """In minor units of ISO 4217, which gives HUF and TWD two decimals."""
    return units * 100 if currency in ("HUF", "TWD") else units


def from_iso(minor: int, currency: str) -> int:
    return minor // 100 if currency in ("HUF", "TWD") else minor


def document(units: int, currency: str) -> dict[str, str]:
    """The amount as PayPal writes it."""
    decimals = decimals_of(currency)
    value = str(units) if decimals == 0 else f"{units // 100}.{units % 100:02d}"
    return {"currency_code": currency, "value": value}


def read(given: Any, field: str) -> tuple[int, str]:
    """An amount that is to move: units and currency. `Refusal` names the field and the issue."""
    if not isinstance(given, dict):
        raise invalid("MISSING_REQUIRED_PARAMETER", field)
    currency, value = given.get("currency_code"), given.get("value")
    if not isinstance(currency, str) or not isinstance(value, str):
        raise invalid("MISSING_REQUIRED_PARAMETER", f"{field}/value")
    match = _VALUE.fullmatch(value)
    if match is None or not (match[2] or match[3]) or len(value) > _LENGTH_MAX:
        raise invalid("INVALID_PARAMETER_SYNTAX", f"{field}/value")
    if not re.fullmatch("[A-Z]{3}", currency):
        raise invalid("INVALID_STRING_LENGTH", f"{field}/currency_code")
    if currency not in SUPPORTED:
        raise unprocessable("CURRENCY_NOT_SUPPORTED", f"{field}/currency_code")
    decimals, fraction = decimals_of(currency), (match[3] or "")
    if len(fraction) > decimals:
        raise unprocessable("DECIMAL_PRECISION" if decimals else "DECIMALS_NOT_SUPPORTED", f"{field}/value")
    units = int((match[2] or "0") + fraction.ljust(decimals, "0"))
    if match[1] or units == 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE", f"{field}/value")
    if len(match[2]) > 15:
        raise unprocessable("MAX_VALUE_EXCEEDED", f"{field}/value")
    return units, currency
