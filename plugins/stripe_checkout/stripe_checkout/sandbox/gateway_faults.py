"""Faults inside Stripe, in addition to those of the connection."""

from __future__ import annotations

from typing import Any

from paycore.sandbox.connection import CONNECTION_FAULTS
from paycore.sandbox.faults import FaultBoard, FaultKind
from paycore.sandbox.gateway_kinds import COMMON_FAULTS
from stripe_checkout.sandbox.refusals import ApiError

_RECORDED = {"recorded": True}
STRIPE_FAULTS = (
    FaultKind(
        name="key_in_use",
        help="HTTP 409 idempotency_key_in_use, though done if `recorded`",
        options=_RECORDED,
    ),
    FaultKind(
        name="stored_500",
        help="the request fails with HTTP 500, which its key keeps; done if `recorded`",
        options=_RECORDED,
    ),
    FaultKind(name="lock_timeout", help="HTTP 429 lock_timeout: another request holds the object"),
    FaultKind(name="rate_limited", help="HTTP 429 with Stripe-Rate-Limited-Reason"),
    FaultKind(name="unauthorized", help="HTTP 401, as for a key that was rolled"),
    FaultKind(
        name="refuse",
        help="HTTP `status` with an error of `type` and `code`",
        options={"status": 400, "type": "invalid_request_error", "code": "something_new"},
    ),
    FaultKind(name="no_url", help="a session is made, its reply has no url"),
    FaultKind(
        name="wrong_amount",
        help="the session's amount_total in the reply is `by` too high",
        options={"by": 1},
    ),
    FaultKind(
        name="wrong_currency",
        help="the session's currency in the reply is `currency`",
        options={"currency": "nok"},
    ),
    FaultKind(name="new_words", help="statuses in the reply are words that no version has"),
    FaultKind(
        name="pending_refund", help="the next refund is pending for `seconds`", options={"seconds": 2.0}
    ),
)


def open_board() -> FaultBoard:
    return FaultBoard([*CONNECTION_FAULTS, *COMMON_FAULTS, *STRIPE_FAULTS])


def refusal(faults: FaultBoard, path: str) -> ApiError | None:
    """A refusal that the board wants instead of the request."""
    if faults.take("lock_timeout", path=path):
        return ApiError(
            429,
            "This object cannot be accessed right now because another API request is accessing it.",
            code="lock_timeout",
            headers={"Stripe-Should-Retry": "true"},
        )
    if faults.take("rate_limited", path=path):
        return limited()
    if faults.take("unauthorized", path=path):
        return ApiError(401, "Expired API Key provided.", code="api_key_expired")
    fault = faults.take("refuse", path=path)
    if fault is not None:
        status = int(fault.number("status"))
        return ApiError(
            status, "Refused by the fault board.", kind=fault.text("type"), code=fault.text("code") or None
        )
    return None


def limited() -> ApiError:
    headers = {"Stripe-Rate-Limited-Reason": "global-rate", "Stripe-Should-Retry": "false"}
    return ApiError(429, "Request rate limit exceeded.", code="rate_limit", headers=headers)


def distort(thing: dict[str, Any], faults: FaultBoard, path: str) -> dict[str, Any]:
    """A session in a reply, changed by the faults on the board."""
    if thing.get("object") != "checkout.session":
        return thing
    if faults.take("no_url", path=path):
        thing = thing | {"url": None}
    amount = faults.take("wrong_amount", path=path)
    if amount is not None:
        thing = thing | {"amount_total": thing["amount_total"] + int(amount.number("by"))}
    currency = faults.take("wrong_currency", path=path)
    if currency is not None:
        thing = thing | {"currency": currency.text("currency")}
    if faults.take("new_words", path=path):
        thing = thing | {"status": "marinating", "payment_status": "marinating"}
        if isinstance(thing["payment_intent"], dict):
            thing["payment_intent"] = thing["payment_intent"] | {"status": "marinating"}
    return thing
