"""Reads what the merchant asks for, and refuses it as PayPal does. Source: SOURCES.md §4, §7, §9."""

from __future__ import annotations

from typing import Any

import msgspec

from paypal_orders.sandbox import amounts
from paypal_orders.sandbox.refusals import invalid, unprocessable


class WantedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order to make."""

    intent: str
    units: int
    currency: str
    reference_id: str
    custom_id: str
    invoice_id: str
    description: str
    return_url: str
    cancel_url: str
    brand_name: str
    is_immediate: bool
    is_by_source: bool


def read_order(body: dict[str, Any]) -> WantedOrder:
    """The order of `POST /v2/checkout/orders`; this gateway takes one purchase unit."""
    intent = body.get("intent")
    if intent not in ("CAPTURE", "AUTHORIZE"):
        raise invalid("INVALID_PARAMETER_VALUE" if intent else "MISSING_REQUIRED_PARAMETER", "intent")
    given = body.get("purchase_units")
    if not isinstance(given, list) or not given:
        raise invalid("MISSING_REQUIRED_PARAMETER", "purchase_units")
    if len(given) > 1:
        raise unprocessable("UNSUPPORTED_INTENT", "purchase_units")
    unit = _object(given[0], "purchase_units/0")
    units, currency = amounts.read(unit.get("amount"), "purchase_units/0/amount")
    _check_breakdown(unit, units, currency)
    source = _object(body.get("payment_source", {}), "payment_source")
    wallet = _object(source.get("paypal", {}), "payment_source/paypal")
    older = _object(body.get("application_context", {}), "application_context")
    page = _object(wallet.get("experience_context", older), "experience_context")
    return WantedOrder(
        intent=intent,
        units=units,
        currency=currency,
        reference_id=_text(unit, "reference_id", 256) or "default",
        custom_id=_text(unit, "custom_id", 127),
        invoice_id=_text(unit, "invoice_id", 127),
        description=_text(unit, "description", 127),
        return_url=_text(page, "return_url", 2048),
        cancel_url=_text(page, "cancel_url", 2048),
        brand_name=_text(page, "brand_name", 127),
        is_immediate=page.get("payment_method_preference") == "IMMEDIATE_PAYMENT_REQUIRED",
        is_by_source="paypal" in source,
    )


def read_amount(body: dict[str, Any], currency: str, issue: str) -> int | None:
    """The units of `amount`, None where it is left out; refused with `issue` in another currency."""
    if "amount" not in body:
        return None
    units, given = amounts.read(body["amount"], "amount")
    if given != currency:
        raise unprocessable(issue, "amount/currency_code")
    return units


def read_custom_id(body: dict[str, Any]) -> str:
    return _text(body, "custom_id", 127)


def _check_breakdown(unit: dict[str, Any], units: int, currency: str) -> None:
    breakdown = _object(_object(unit["amount"], "amount").get("breakdown", {}), "breakdown")
    parts = {name: amounts.read(part, f"breakdown/{name}")[0] for name, part in breakdown.items()}
    less = parts.pop("shipping_discount", 0) + parts.pop("discount", 0)
    if breakdown and sum(parts.values()) - less != units:
        raise unprocessable("AMOUNT_MISMATCH", "purchase_units/0/amount/value")
    items = unit.get("items", [])
    if not isinstance(items, list):
        raise invalid("INVALID_PARAMETER_SYNTAX", "purchase_units/0/items")
    if items and "item_total" not in breakdown:
        raise unprocessable("ITEM_TOTAL_REQUIRED", "purchase_units/0/amount/breakdown/item_total")
    total = 0
    for item in items:
        quantity = str(_object(item, "items").get("quantity", ""))
        if not quantity.isdigit():
            raise invalid("INVALID_PARAMETER_SYNTAX", "purchase_units/0/items/quantity")
        each, of = amounts.read(item.get("unit_amount"), "purchase_units/0/items/unit_amount")
        if of != currency:
            raise unprocessable("MULTI_CURRENCY_ORDER", "purchase_units/0/items/unit_amount")
        total += each * int(quantity)
    if items and total != parts["item_total"]:
        raise unprocessable("ITEM_TOTAL_MISMATCH", "purchase_units/0/amount/breakdown/item_total")


def _object(given: Any, field: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise invalid("INVALID_PARAMETER_SYNTAX", field)
    return given


def _text(given: dict[str, Any], name: str, length_max: int) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise invalid("INVALID_PARAMETER_SYNTAX", name)
    if len(value) > length_max:
        raise invalid("INVALID_STRING_MAX_LENGTH", name)
    return value
