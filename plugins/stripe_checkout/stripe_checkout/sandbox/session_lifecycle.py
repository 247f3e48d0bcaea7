"""
What happens to sessions and their intents: what the merchant requests and what the payer does.

Source: docs.stripe.com/checkout/fulfillment, /payments/paymentintents/lifecycle, /api/checkout/sessions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from paycore.sandbox.api import NotPossible
from paycore.sandbox.virtual_clock import SandboxClock
from stripe_checkout.sandbox import objects, units
from stripe_checkout.sandbox.endpoints import METHODS
from stripe_checkout.sandbox.refusals import ApiError, invalid
from stripe_checkout.sandbox.store import Object, Store, public
from stripe_checkout.sandbox.test_data import Outcome

Announce = Callable[..., None]
_SHORTEST_S, _LONGEST_S = 30 * 60, 24 * 3600


class Lifecycle:
    """
    The rules for changes of sessions.

    `announce(type, object, previous=...)` sends an event. `on_made` is called with a session once it is kept, and
    `on_paid` with a charge once it took the units.
    `debit_s`: how long a bank debit takes.
    """

    def __init__(
        self,
        clock: SandboxClock,
        store: Store,
        announce: Announce,
        *,
        on_made: Callable[[Object], None],
        on_paid: Callable[[Object], None],
        public_url: str,
        debit_s: int,
    ) -> None:
        self.store = store
        self.requests: Counter[str] = Counter()
        self._clock = clock
        self._announce = announce
        self._on_made = on_made
        self._on_paid = on_paid
        self._public_url = public_url
        self._debit_s = debit_s

    def now(self) -> int:
        """Seconds since the epoch, as Stripe writes times."""
        return self._clock.now_ms() // 1000

    # --- what the merchant requests -------------------------------------------------------------------

    def create(self, params: Mapping[str, Any]) -> Object:
        """Make a session. 400 for what the documentation refuses."""
        total, methods = self._checked(params)
        session = objects.new_session(
            params, now=self.now(), public_url=self._public_url, total=total, methods=methods
        )
        self.store.put(session)
        self._plan(session)
        self._on_made(session)
        return session

    def _checked(self, params: Mapping[str, Any]) -> tuple[int, list[str]]:
        if params["mode"] != "payment" or params.get("ui_mode", "hosted_page") != "hosted_page":
            raise invalid("This sandbox has sessions of mode payment on the hosted page only.", param="mode")
        currencies = {item["price_data"]["currency"] for item in params["line_items"]}
        currency = next(iter(currencies))
        if len(currencies) > 1:
            raise invalid("All line items must have the same currency.", param="line_items")
        if units.decimals_of(currency) is None:
            raise invalid(f"Invalid currency: {currency}.", param="line_items[0][price_data][currency]")
        total = sum(item["price_data"]["unit_amount"] * item["quantity"] for item in params["line_items"])
        self._check_total(total, currency)
        expires_at, now = params.get("expires_at"), self.now()
        if expires_at is not None and not now + _SHORTEST_S <= expires_at <= now + _LONGEST_S:
            raise invalid(
                "The `expires_at` timestamp must be from 30 minutes to 24 hours from Checkout Session creation.",
                param="expires_at",
            )
        return total, _methods(params, currency)

    def _check_total(self, total: int, currency: str) -> None:
        least = units.minimum_of(currency)
        if total < least:
            words = f"The Checkout Session's total amount must be at least {least} {currency}."
            raise invalid(words, code="amount_too_small")
        if total >= 10**units.MAXIMUM_DIGITS:
            raise invalid(
                f"Amount must be no more than {units.MAXIMUM_DIGITS} digits.", code="amount_too_large"
            )
        step = 100 if currency in units.WHOLE else 10 if currency in units.THREE else 1
        if total % step:
            raise invalid(f"Amounts in {currency} are multiples of {step}.", code="invalid_charge_amount")

    def expire(self, session: Object) -> Object:
        """End an open session; 400 in any other state."""
        with self.store.lock:
            status = self._fresh(session)["status"]
            if status != "open":
                raise invalid(
                    'Only Checkout Sessions with a status in ["open"] can be expired.'
                    f" This Checkout Session has a status of {status}.",
                    stored=True,
                )
            return self._end(session)

    def _end(self, session: Object) -> Object:
        ended = self.store.change(session["id"], status="expired", url=None)
        intent = self.intent_of(ended)
        if intent is not None and intent["status"] in ("requires_payment_method", "requires_action"):
            self._canceled(intent, "automatic")
        self._announce("checkout.session.expired", ended)
        return ended

    def capture(self, intent: Object, amount: int | None) -> Object:
        """Take what is authorized, or a part; the rest is released."""
        with self.store.lock:
            intent = self._fresh(intent)
            if intent["status"] != "requires_capture":
                raise self._unexpected(intent, "captured", "requires_capture")
            taken = intent["amount_capturable"] if amount is None else amount
            if taken > intent["amount_capturable"]:
                raise invalid(
                    f"The amount could not be captured because it is greater than the remaining amount"
                    f" {intent['amount_capturable']}.",
                    param="amount_to_capture",
                    code="amount_too_large",
                    stored=True,
                )
            released = intent["amount"] - taken  # Stripe counts it as refunded
            charge = self.store.change(
                intent["latest_charge"], captured=True, amount_captured=taken, amount_refunded=released
            )
            intent = self._succeeded(intent, taken)
        self._announce("charge.captured", charge)
        return intent

    def cancel(self, intent: Object, reason: str | None) -> Object:
        """Release what is authorized. An intent of an open session is ended by expiring that."""
        with self.store.lock:
            intent = self._fresh(intent)
            session = self.store.get("checkout.session", intent["_session"])
            if intent["status"] in ("succeeded", "canceled"):
                raise self._unexpected(intent, "canceled", "requires_payment_method, requires_capture")
            if session is not None and session["status"] == "open":
                raise invalid("This PaymentIntent is of an open Checkout Session: expire that.", stored=True)
            return self._canceled(intent, reason)

    def _unexpected(self, intent: Object, done: str, allowed: str) -> ApiError:
        words = (
            f"This PaymentIntent could not be {done} because it has a status of {intent['status']}."
            f" Only a PaymentIntent with one of the following statuses may be {done}: {allowed}."
        )
        return ApiError(
            400, words, code="payment_intent_unexpected_state", is_stored=True, payment_intent=public(intent)
        )

    # --- what the payer does --------------------------------------------------------------------------

    def attempt(self, session: Object, method: str, outcome: Outcome) -> Object:
        """
        The payer pays with a card or a bank account. `NotPossible` once the session is over.

        A declined card leaves the session open. A debit completes it, and is decided days later.
        """
        with self.store.lock:
            session = self._open(session)
            intent = self.intent_of(session) or self.store.put(objects.new_intent(session, self.now()))
            session = self.store.change(session["id"], payment_intent=intent["id"])
            if method != "card":
                return self._debited(session, intent, method, outcome)
            if outcome.code:
                self._declined(intent, method, outcome)
                return session
            return self._charged(session, intent, method, outcome)

    def _open(self, session: Object) -> Object:
        session = self._fresh(session)
        if session["status"] != "open":
            raise NotPossible(f"the session is {session['status']}")
        return session

    def _declined(self, intent: Object, method: str, outcome: Outcome) -> None:
        charge = objects.new_charge(intent, method, "failed", self.now(), is_captured=False)
        charge |= {"failure_code": outcome.code, "failure_message": "Declined by the sandbox."}
        self.store.put(charge)
        error = {
            "type": "card_error" if method == "card" else "invalid_request_error",
            "code": outcome.code,
            "decline_code": outcome.decline_code,
            "message": "Your payment method was declined.",
            "charge": charge["id"],
        }
        intent = self.store.change(
            intent["id"],
            status="requires_payment_method",
            last_payment_error=error,
            latest_charge=charge["id"],
        )
        self._announce("payment_intent.payment_failed", intent)
        self._announce("charge.failed", charge)

    def _charged(self, session: Object, intent: Object, method: str, outcome: Outcome) -> Object:
        is_held = session["_capture"] == "manual"
        charge = objects.new_charge(intent, method, "succeeded", self.now(), is_captured=not is_held)
        charge |= {"_refund": outcome.refund, "_disputed": outcome.disputed}
        self.store.put(charge)
        intent = self.store.change(intent["id"], latest_charge=charge["id"], last_payment_error=None)
        changes = {"status": "complete", "url": None} | ({} if is_held else {"payment_status": "paid"})
        session = self.store.change(session["id"], **changes)
        self._announce("checkout.session.completed", session)
        if is_held:
            held = {"status": "requires_capture", "amount_capturable": intent["amount"]}
            intent = self.store.change(intent["id"], **held)
            self._announce("payment_intent.amount_capturable_updated", intent)
        else:
            self._succeeded(intent, intent["amount"])
            self._announce("charge.succeeded", charge)
        return session

    def _succeeded(self, intent: Object, taken: int) -> Object:
        intent = self.store.change(
            intent["id"], status="succeeded", amount_received=taken, amount_capturable=0
        )
        session = self._fresh({"id": intent["_session"], "object": "checkout.session"})
        self.store.change(session["id"], payment_status="paid", _charges=session["_charges"] + 1)
        self._announce("payment_intent.succeeded", intent)
        self._on_paid(self.store.get("charge", intent["latest_charge"]) or {})
        return intent

    def _debited(self, session: Object, intent: Object, method: str, outcome: Outcome) -> Object:
        charge = objects.new_charge(intent, method, "pending", self.now(), is_captured=True)
        charge |= {
            "_code": outcome.code,
            "_decline_code": outcome.decline_code,
            "_disputed": outcome.disputed,
        }
        charge["_decided_at"] = self._clock.now_ms() + self._debit_s * 1000
        self.store.put(charge)
        self.store.change(intent["id"], status="processing", latest_charge=charge["id"])
        session = self.store.change(session["id"], status="complete", url=None)
        self._announce("checkout.session.completed", session)
        self._plan_debit(charge)
        return session

    def decide(self, charge: Object) -> Object:
        """The bank has answered: the debit is paid, or has failed; the session as it is now."""
        with self.store.lock:
            charge = self._fresh(charge)
            intent = self.store.get("payment_intent", charge["payment_intent"]) or {}
            session = self._fresh({"id": intent["_session"], "object": "checkout.session"})
            if charge["status"] != "pending":
                return session
            if charge["_code"]:
                return self._debit_failed(session, intent, charge)
            charge = self.store.change(
                charge["id"], status="succeeded", paid=True, captured=True, amount_captured=charge["amount"]
            )
            self._succeeded(intent, intent["amount"])
            session = self._fresh(session)
        self._announce("charge.succeeded", charge)
        self._announce("checkout.session.async_payment_succeeded", session)
        return session

    def _debit_failed(self, session: Object, intent: Object, charge: Object) -> Object:
        self.store.change(charge["id"], status="failed", failure_code=charge["_code"])
        error = {
            "type": "invalid_request_error",
            "code": charge["_code"],
            "decline_code": charge["_decline_code"],
            "message": "The customer's bank did not pay this debit.",
        }
        intent = self.store.change(intent["id"], status="requires_payment_method", last_payment_error=error)
        self._announce("payment_intent.payment_failed", intent)
        self._announce("checkout.session.async_payment_failed", session)
        return session

    def _canceled(self, intent: Object, reason: str | None) -> Object:
        intent = self.store.change(
            intent["id"],
            status="canceled",
            canceled_at=self.now(),
            cancellation_reason=reason,
            amount_capturable=0,
        )
        self._announce("payment_intent.canceled", intent)
        return intent

    # --- time -----------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Plan again what was still to happen when the last process ended."""
        for session in self.store.all("checkout.session"):
            self._plan(session)
        for charge in self.store.all("charge"):
            self._plan_debit(charge)

    def _plan(self, session: Object) -> None:
        if session["status"] == "open":
            self._clock.call_at(session["expires_at"] * 1000, lambda: self._expire_if_open(session))

    def _plan_debit(self, charge: Object) -> None:
        if charge["status"] == "pending":
            self._clock.call_at(charge["_decided_at"], lambda: self._decide(charge))

    def _decide(self, charge: Object) -> None:
        self.decide(charge)

    def _expire_if_open(self, session: Object) -> None:
        with self.store.lock:
            if self._fresh(session)["status"] == "open":
                self._end(session)

    def is_open(self, session_id: str) -> bool:
        """Whether the payer of this session can pay."""
        session = self.store.get("checkout.session", session_id)
        return session is not None and session["status"] == "open"

    def intent_of(self, session: Object) -> Object | None:
        return self.store.get("payment_intent", session["payment_intent"])

    def _fresh(self, thing: Object) -> Object:
        found = self.store.get(thing["object"], thing["id"])
        if found is None:
            raise LookupError(thing["id"])
        return found


def _methods(params: Mapping[str, Any], currency: str) -> list[str]:
    """The methods on the page: those of the Dashboard that fit, filtered. Types that do not fit are dropped."""
    eligible = [one for one in METHODS if _fits(one, currency)]
    allowed = params.get("allowed_payment_method_types") or eligible
    excluded = params.get("excluded_payment_method_types", [])
    methods = [one for one in eligible if one in allowed and one not in excluded]
    is_held = params.get("payment_intent_data", {}).get("capture_method") == "manual"
    methods = [one for one in methods if one == "card" or not is_held]
    if not methods:
        raise invalid("No valid payment method types for this Checkout Session.")
    return methods


def _fits(method: str, currency: str) -> bool:
    return {"sepa_debit": currency == "eur", "us_bank_account": currency == "usd"}.get(method, True)
