"""The control endpoints for sessions."""

from __future__ import annotations

from paycore.sandbox.api import Document, NotPossible, UnknownOrder
from stripe_checkout.sandbox import units
from stripe_checkout.sandbox.aftermath import Aftermath
from stripe_checkout.sandbox.api import StripeApi
from stripe_checkout.sandbox.event_log import Events
from stripe_checkout.sandbox.session_lifecycle import Lifecycle
from stripe_checkout.sandbox.store import Object, public
from stripe_checkout.sandbox.test_data import SUCCEEDS, Outcome

_NOTIFY_KINDS = ("repeat", "late", "forged")


class StripeControls:
    """`paycore.sandbox.api.FullControls` for this gateway."""

    def __init__(self, lifecycle: Lifecycle, aftermath: Aftermath, events: Events, api: StripeApi) -> None:
        self._lifecycle = lifecycle
        self._aftermath = aftermath
        self._events = events
        self._api = api
        self._store = lifecycle.store

    def list_orders(self, limit: int) -> list[Document]:
        return [self._summary(one) for one in self._store.all("checkout.session")[:limit]]

    def show_order(self, number: str) -> Document:
        session = self._session(number)
        same = [
            one
            for one in self._store.all("checkout.session")
            if one is session or (_number(one) and _number(one) == _number(session))
        ]
        charges = [charge for one in same for charge in self._charges(one)]
        return {
            **self._summary(session),
            "orders": [one["id"] for one in same],
            "charges": sum(one["_charges"] for one in same),
            "paid_minor": sum(units.iso_minor(one["amount_captured"], one["currency"]) for one in charges),
            "refunded_minor": sum(self._refunded(one) for one in charges),
            "refunds": [public(refund) for one in charges for refund in self._aftermath.refunds_of(one)],
            "disputes": [public(dispute) for one in charges for dispute in self._aftermath.disputes_of(one)],
            "events": [
                {"id": event["id"], "type": event["type"], "tries": event["_tries"]}
                for event in self._events.of(self._ids(session))
            ],
        }

    def pay(self, number: str) -> Document:
        """The payer pays with a card, or a debit that is paid at once where the page has no cards."""
        session = self._session(number)
        method = session["payment_method_types"][0]
        self._lifecycle.attempt(session, method, SUCCEEDS)
        self._decide(session)
        return self.show_order(session["id"])

    def decline(self, number: str) -> Document:
        """The payer's card is declined and the session ended, for a session itself outlives a declined card."""
        session = self._session(number)
        method = session["payment_method_types"][0]
        self._lifecycle.attempt(
            session, method, Outcome(code="card_declined", decline_code="generic_decline")
        )
        self._decide(session)
        if self._session(session["id"])["status"] == "open":
            self._lifecycle.expire(session)
        return self.show_order(session["id"])

    def expire(self, number: str) -> Document:
        session = self._session(number)
        if session["status"] != "open":
            raise NotPossible(f"the session is {session['status']}")
        self._lifecycle.expire(session)
        return self.show_order(session["id"])

    def notify(self, number: str, *, kind: str, seconds: float) -> Document:
        """Send the newest event of the order once more."""
        if kind not in _NOTIFY_KINDS:
            raise ValueError(f"kind is one of {', '.join(_NOTIFY_KINDS)}, not {kind!r}")
        refund = self._refund(number)
        ids = {refund["id"]} if refund else self._ids(self._session(number))
        events = self._events.of(ids)
        if not events:
            raise NotPossible("nothing has happened to it that an event tells")
        return self._events.send_again(
            events[0], after_s=seconds if kind == "late" else 0.0, is_forged=kind == "forged"
        )

    def charge_back(self, number: str, minor: int | None) -> Document:
        charge = self._charge(number)
        left = charge["amount_captured"] - sum(one["amount"] for one in self._aftermath.disputes_of(charge))
        disputed = left if minor is None else units.units_of(minor, charge["currency"])
        self._aftermath.dispute(charge, "fraudulent", disputed)
        return self.show_order(number)

    def win_charge_back(self, number: str, minor: int | None) -> Document:
        charge = self._charge(number)
        open_ones = [one for one in self._aftermath.disputes_of(charge) if one["status"] == "needs_response"]
        if not open_ones:
            raise NotPossible("there is no open dispute")
        left = None if minor is None else units.units_of(minor, charge["currency"])
        for dispute in open_ones:
            won = dispute["amount"] if left is None else min(left, dispute["amount"])
            if won > 0:
                self._aftermath.win(dispute, won)
            left = None if left is None else left - won
        return self.show_order(number)

    def fail_refund(self, number: str) -> Document:
        refund = self._refund(number)
        if refund is None:
            raise UnknownOrder(f"no refund {number!r}")
        self._aftermath.settle(refund, "failed")
        return self.show_order(refund["payment_intent"])

    def stats(self) -> Document:
        sessions = self._store.all("checkout.session")
        return {
            "requests": dict(self._api.requests),
            "limited": self._api.limited,
            "orders": len(sessions),
            "distinct_orders": len({_number(one) or one["id"] for one in sessions}),
            "charges": sum(one["_charges"] for one in sessions),
            "refunds": len(self._store.all("refund")),
            "events": len(self._store.all("event")),
        }

    def _decide(self, session: Object) -> None:
        for charge in self._charges(self._session(session["id"])):
            self._lifecycle.decide(charge)

    def _session(self, number: str) -> Object:
        """By its own id, our number, or that of its intent, a charge or a refund; the newest of several."""
        for session in self._store.all("checkout.session"):
            if number in (session["id"], _number(session)):
                return session
        refund = self._refund(number)
        for session in self._store.all("checkout.session"):
            known = self._ids(session)
            if number in known or (refund is not None and refund["id"] in known):
                return session
        raise UnknownOrder(f"no session {number!r}; GET /_sandbox/orders lists them")

    def _refund(self, number: str) -> Object | None:
        for refund in self._store.all("refund"):
            if number == refund["id"] or number in refund["metadata"].values():
                return refund
        return None

    def _charge(self, number: str) -> Object:
        charges = [one for one in self._charges(self._session(number)) if one["status"] == "succeeded"]
        if not charges:
            raise NotPossible("nothing was paid")
        return charges[0]

    def _charges(self, session: Object) -> list[Object]:
        intent = self._lifecycle.intent_of(session)
        return [one for one in self._store.all("charge") if intent and one["payment_intent"] == intent["id"]]

    def _ids(self, session: Object) -> set[str]:
        """The ids of everything that belongs to a session."""
        charges = self._charges(session)
        below = [
            thing["id"]
            for charge in charges
            for thing in (*self._aftermath.refunds_of(charge), *self._aftermath.disputes_of(charge))
        ]
        return {session["id"], session["payment_intent"] or "", *(one["id"] for one in charges), *below} - {
            ""
        }

    def _refunded(self, charge: Object) -> int:
        """What was returned of it, or will be: all but the refunds that failed."""
        live = [
            one for one in self._aftermath.refunds_of(charge) if one["status"] not in ("failed", "canceled")
        ]
        return sum(units.iso_minor(one["amount"], one["currency"]) for one in live)

    def _summary(self, session: Object) -> Document:
        return {
            "id": session["id"],
            "client_reference_id": _number(session),
            "payment_intent": session["payment_intent"],
            "state": self.state_of(session),
            "amount_total": session["amount_total"],
            "currency": session["currency"],
            "created": session["created"],
            "expires_at": session["expires_at"],
            "url": session["url"],
            "charges": session["_charges"],
            "requests": self._lifecycle.requests[_number(session)],
        }

    def state_of(self, session: Object) -> str:
        """`open`, `expired`, `paid`, or what its intent is."""
        if session["status"] != "complete" or session["payment_status"] == "paid":
            return "paid" if session["payment_status"] == "paid" else str(session["status"])
        intent = self._lifecycle.intent_of(session)
        words = {"requires_capture": "authorized", "requires_payment_method": "failed"}
        return words.get(intent["status"], str(intent["status"])) if intent else "complete"


def _number(session: Object) -> str:
    number: str | None = session["client_reference_id"]
    return number or ""
