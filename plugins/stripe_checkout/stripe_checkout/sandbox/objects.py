"""New objects, with the fields that Stripe's have. Source: the resources of stripe-python 16.1.0, stripe/openapi."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stripe_checkout.sandbox.ids import new_id
from stripe_checkout.sandbox.store import Object

LIFETIME_S = 24 * 3600
VERSION = "2026-10-28.endive"


def new_session(
    params: Mapping[str, Any], *, now: int, public_url: str, total: int, methods: list[str]
) -> Object:
    session_id = new_id("cs_test_a1")
    intent_data = params.get("payment_intent_data", {})
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": params.get("adaptive_pricing", {}).get("enabled", True)},
        "amount_subtotal": total,
        "amount_total": total,
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "created": now,
        "currency": params["line_items"][0]["price_data"]["currency"],
        "customer": None,
        "customer_email": params.get("customer_email"),
        "expires_at": params.get("expires_at", now + LIFETIME_S),
        "livemode": False,
        "locale": params.get("locale"),
        "metadata": params.get("metadata", {}),
        "mode": params["mode"],
        "payment_intent": None,
        "payment_method_types": methods,
        "payment_status": "unpaid",
        "presentment_details": None,
        "status": "open",
        "success_url": params["success_url"],
        "ui_mode": "hosted_page",
        "url": f"{public_url}/c/pay/{session_id}",
        "_name": params["line_items"][0]["price_data"]["product_data"]["name"],
        "_capture": intent_data.get("capture_method", "automatic_async"),
        "_intent_metadata": intent_data.get("metadata", {}),
        "_description": intent_data.get("description"),
        "_charges": 0,
    }


def new_intent(session: Object, now: int) -> Object:
    return {
        "id": new_id("pi_3"),
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_capturable": 0,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": session["_capture"],
        "created": now,
        "currency": session["currency"],
        "description": session["_description"],
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": session["_intent_metadata"],
        "payment_method_types": session["payment_method_types"],
        "status": "requires_payment_method",
        "_session": session["id"],
    }


def new_charge(intent: Object, method: str, status: str, now: int, *, is_captured: bool) -> Object:
    return {
        "id": new_id("ch_3" if method == "card" else "py_3"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if is_captured and status == "succeeded" else 0,
        "amount_refunded": 0,
        "captured": is_captured and status == "succeeded",
        "created": now,
        "currency": intent["currency"],
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": intent["metadata"],
        "paid": status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method_details": {"type": method},
        "refunded": False,
        "status": status,
        "_refund": "",
    }


def new_refund(charge: Object, amount: int, params: Mapping[str, Any], now: int) -> Object:
    return {
        "id": new_id("re_3"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn_3"),
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "destination_details": {"type": charge["payment_method_details"]["type"]},
        "metadata": params.get("metadata", {}),
        "payment_intent": charge["payment_intent"],
        "reason": params.get("reason"),
        "status": "succeeded",
    }


def new_dispute(charge: Object, amount: int, reason: str, now: int) -> Object:
    is_inquiry = reason == "inquiry"
    return {
        "id": new_id("du_1"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "evidence_details": {"due_by": now + 9 * 86400, "has_evidence": False, "past_due": False},
        "is_charge_refundable": is_inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "type": "card",
            "card": {"case_type": "inquiry" if is_inquiry else "chargeback"},
        },
        "reason": "general" if is_inquiry else reason,
        "status": "warning_needs_response" if is_inquiry else "needs_response",
    }


def new_transaction(dispute: Object, amount: int, fee: int) -> Object:
    """A booking of a dispute on the merchant's balance."""
    return {
        "id": new_id("txn_1"),
        "object": "balance_transaction",
        "amount": amount,
        "currency": dispute["currency"],
        "fee": fee,
        "net": amount - fee,
        "source": dispute["id"],
        "status": "available",
        "type": "adjustment",
    }


def new_event(
    kind: str, about: Object, now: int, *, previous: Mapping[str, Any] | None, request: Any
) -> Object:
    data: Object = {"object": about}
    if previous:
        data["previous_attributes"] = dict(previous)
    return {
        "id": new_id("evt_1"),
        "object": "event",
        "api_version": VERSION,
        "created": now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": request,
        "type": kind,
    }
