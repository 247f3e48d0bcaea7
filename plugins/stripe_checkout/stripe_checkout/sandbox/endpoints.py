"""
What each endpoint takes. Parameters of Stripe's that change nothing here are taken and left aside.

Source: stripe-python 16.1.0, `stripe/params`; API version 2026-10-28.endive, which has no `payment_method_types`.
"""

from __future__ import annotations

from stripe_checkout.sandbox.params import (
    Check,
    array,
    boolean,
    integer,
    metadata,
    nested,
    one_of,
    text,
    web_address,
)

METHODS = ("card", "sepa_debit", "us_bank_account")
"""The payment methods that are on in this account's Dashboard."""

EXPAND: dict[str, Check] = {"expand": array(text(), most=20)}

_PRICE = nested(
    {
        "currency": text(3),
        "unit_amount": integer(0, 999_999_999_999),
        "product_data": nested(
            {"name": text(), "description": text(), "images": array(text(), most=8), "metadata": metadata},
            required=("name",),
        ),
        "tax_behavior": one_of("exclusive", "inclusive", "unspecified"),
    },
    required=("currency", "unit_amount", "product_data"),
)

SESSION: dict[str, Check] = {
    "mode": one_of("payment", "setup", "subscription"),
    "client_reference_id": text(200),
    "line_items": array(
        nested({"price_data": _PRICE, "quantity": integer(1)}, required=("price_data", "quantity")), most=100
    ),
    "metadata": metadata,
    "payment_intent_data": nested(
        {
            "capture_method": one_of("automatic", "automatic_async", "manual"),
            "description": text(),
            "metadata": metadata,
            "receipt_email": text(),
            "statement_descriptor": text(22),
            "statement_descriptor_suffix": text(22),
        }
    ),
    "success_url": web_address,
    "cancel_url": web_address,
    "expires_at": integer(),
    "locale": text(10),
    "ui_mode": one_of("hosted_page", "embedded_page", "elements", "form"),
    "customer_email": text(800),
    "submit_type": text(20),
    "billing_address_collection": one_of("auto", "required"),
    "adaptive_pricing": nested({"enabled": boolean}),
    "allowed_payment_method_types": array(text(40)),
    "excluded_payment_method_types": array(text(40)),
    **EXPAND,
}

REFUND: dict[str, Check] = {
    "payment_intent": text(255),
    "charge": text(255),
    "amount": integer(1),
    "reason": one_of("duplicate", "fraudulent", "requested_by_customer"),
    "metadata": metadata,
    "instructions_email": text(),
    **EXPAND,
}

CAPTURE: dict[str, Check] = {
    "amount_to_capture": integer(1),
    "final_capture": boolean,
    "metadata": metadata,
    **EXPAND,
}

CANCEL: dict[str, Check] = {
    "cancellation_reason": one_of("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
    **EXPAND,
}

_PAGE: dict[str, Check] = {
    "limit": integer(1, 100),
    "starting_after": text(255),
    "ending_before": text(255),
    "created": nested({"gte": integer(), "gt": integer(), "lte": integer(), "lt": integer()}),
    **EXPAND,
}

SESSIONS = _PAGE | {"payment_intent": text(255), "status": one_of("open", "complete", "expired")}
INTENTS = _PAGE
REFUNDS = _PAGE | {"payment_intent": text(255), "charge": text(255)}
DISPUTES = REFUNDS
EVENTS = _PAGE | {"type": text(100), "types": array(text(100), most=20), "delivery_success": boolean}
