"""
What happens to money after it was paid: refunds and disputes.

Source: docs.stripe.com/refunds, docs.stripe.com/disputes, docs.stripe.com/api/refunds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paycore.sandbox.api import NotPossible
from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.gateway_kinds import FAILING_REFUND, REFUSE_REFUND
from paycore.sandbox.virtual_clock import SandboxClock
from stripe_checkout.sandbox import objects
from stripe_checkout.sandbox.ids import new_id
from stripe_checkout.sandbox.refusals import invalid, missing
from stripe_checkout.sandbox.session_lifecycle import Announce
from stripe_checkout.sandbox.store import Object, Store

DISPUTE_FEE = 2000
_LIVE = ("pending", "requires_action", "succeeded")
_SECOND_S = 30.0
"""Seconds until a test card's refund changes its mind; Stripe says "later"."""


class Aftermath:
    """`refunds_take_s`: how long refunds are pending that no fault or test card decides on."""

    def __init__(
        self,
        clock: SandboxClock,
        store: Store,
        announce: Announce,
        faults: FaultBoard,
        *,
        refunds_take_s: int,
    ) -> None:
        self._refunds_take_s = refunds_take_s
        self._clock = clock
        self._store = store
        self._announce = announce
        self._faults = faults

    # --- refunds --------------------------------------------------------------------------------------

    def refund(self, params: Mapping[str, Any]) -> Object:
        """Refund a charge or a part of it. Refusals as recorded from Stripe's test mode."""
        with self._store.lock:
            charge = self._charge(params)
            left = self._check_refundable(charge)
            amount = params.get("amount", left)
            if amount > left:
                words = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
                raise invalid(words, param="amount", stored=True)
            if self._faults.take(REFUSE_REFUND) is not None:
                raise invalid(
                    f"Charge {charge['id']} cannot be refunded.", code="charge_not_refundable", stored=True
                )
            refund = objects.new_refund(charge, amount, params, self._now())
            later = self._later(charge)
            if later is not None:
                refund |= {"_at": later[0], "_becomes": later[1]}
            if later is not None and later[1] == "succeeded":
                # Not booked yet, as in the fixtures of stripe/openapi.
                refund |= {"status": "pending", "pending_reason": "processing", "balance_transaction": None}
            self._store.put(refund)
            self._count(charge)
        self._announce("refund.created", refund)
        if refund["status"] == "succeeded":
            self._announce("charge.refunded", self._store.get("charge", charge["id"]))
        self._plan(refund)
        return refund

    def _charge(self, params: Mapping[str, Any]) -> Object:
        if "charge" not in params and "payment_intent" not in params:
            raise invalid(
                "One of the following params should be provided for this request: payment_intent or charge."
            )
        if "charge" in params:
            charge = self._store.get("charge", params["charge"])
            if charge is None:
                raise missing("charge", params["charge"], "charge")
            return charge
        intent = self._store.get("payment_intent", params["payment_intent"])
        if intent is None:
            raise missing("payment_intent", params["payment_intent"], "payment_intent")
        charge = self._store.get("charge", intent["latest_charge"])
        if charge is None or charge["status"] != "succeeded":
            words = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise invalid(words, stored=True)
        return charge

    def _check_refundable(self, charge: Object) -> int:
        """What is left to refund, above 0."""
        if not charge["captured"]:
            raise invalid("This charge is not captured; cancel its PaymentIntent.", stored=True)
        taking = [one for one in self.disputes_of(charge) if not one["status"].startswith("warning")]
        if any(one["status"] != "won" for one in taking):
            words = f"Charge {charge['id']} has been charged back; cannot issue a refund."
            raise invalid(words, code="charge_disputed", stored=True)
        live = sum(one["amount"] for one in self.refunds_of(charge) if one["status"] in _LIVE)
        left: int = charge["amount_captured"] - live
        if left <= 0:
            words = f"Charge {charge['id']} has already been refunded."
            raise invalid(words, code="charge_already_refunded", stored=True)
        return left

    def _later(self, charge: Object) -> tuple[int, str] | None:
        """When its refund changes and to what: by the fault board, the test card, or the settings."""
        for kind, status in (("pending_refund", "succeeded"), (FAILING_REFUND, "failed")):
            fault = self._faults.take(kind)
            if fault is not None:
                return self._clock.now_ms() + round(fault.number("seconds") * 1000), status
        status = {"pending": "succeeded", "fails": "failed"}.get(charge["_refund"], "")
        if not status and not self._refunds_take_s:
            return None
        after_s = _SECOND_S if status else self._refunds_take_s
        return self._clock.now_ms() + round(after_s * 1000), status or "succeeded"

    def settle(self, refund: Object, status: str) -> Object:
        """The bank's answer to a refund: `succeeded`, or `failed`, also after it had succeeded."""
        with self._store.lock:
            refund = self._store.get("refund", refund["id"]) or refund
            before = refund["status"]
            if before == status or before in ("failed", "canceled"):
                return refund
            changes: Object = {"status": status, "pending_reason": None}
            if status == "succeeded":
                changes |= {"balance_transaction": new_id("txn_3")}
            else:
                is_booked = refund["balance_transaction"] is not None
                changes |= {"failure_reason": "expired_or_canceled_card"}
                changes |= {"failure_balance_transaction": new_id("txn_3")} if is_booked else {}
            refund = self._store.change(refund["id"], **changes)
            charge = self._count(self._store.get("charge", refund["charge"]) or {})
        previous = {"status": before}
        self._announce("refund.updated", refund, previous=previous)
        if status == "failed":
            self._announce("refund.failed", refund, previous=previous)
        else:
            self._announce("charge.refunded", charge)
        return refund

    def _count(self, charge: Object) -> Object:
        """The charge's own total: without pending refunds, with what a partial capture released."""
        done = sum(one["amount"] for one in self.refunds_of(charge) if one["status"] == "succeeded")
        return self._store.change(
            charge["id"],
            amount_refunded=charge["amount"] - charge["amount_captured"] + done,
            refunded=done == charge["amount_captured"],
        )

    def refunds_of(self, charge: Object) -> list[Object]:
        return [one for one in self._store.all("refund") if one["charge"] == charge["id"]]

    def resume(self) -> None:
        for refund in self._store.all("refund"):
            self._plan(refund)

    def _plan(self, refund: Object) -> None:
        if "_at" in refund and refund["status"] not in ("failed", refund["_becomes"]):
            self._clock.call_at(refund["_at"], lambda: self._settle(refund))

    def _settle(self, refund: Object) -> None:
        self.settle(refund, refund["_becomes"])

    # --- disputes -------------------------------------------------------------------------------------

    def paid(self, charge: Object) -> None:
        """A charge took the money: test cards and accounts are disputed at once."""
        if charge.get("_disputed"):
            self.dispute(charge, charge["_disputed"], charge["amount_captured"])

    def dispute(self, charge: Object, reason: str, amount: int) -> Object:
        """Open a dispute. `NotPossible` for what was not paid. An inquiry takes nothing."""
        with self._store.lock:
            taken = sum(one["amount"] for one in self.disputes_of(charge))
            if charge["status"] != "succeeded" or not 0 < amount <= charge["amount_captured"] - taken:
                raise NotPossible("only what was paid, and is not disputed yet, is charged back")
            dispute = objects.new_dispute(charge, amount, reason, self._now())
            if reason != "inquiry":
                booked = objects.new_transaction(dispute, -amount, DISPUTE_FEE)
                dispute["balance_transactions"] = [booked]
            self._store.put(dispute)
            charge = self._store.change(charge["id"], disputed=True)
        self._announce("charge.dispute.created", dispute)
        if reason != "inquiry":
            self._announce("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def win(self, dispute: Object, amount: int) -> Object:
        """The bank decides for the merchant, who gets `amount` back."""
        with self._store.lock:
            booked = [
                *dispute["balance_transactions"],
                objects.new_transaction(dispute, amount, 0),
            ]
            before = dispute["status"]
            dispute = self._store.change(dispute["id"], status="won", balance_transactions=booked)
        self._announce("charge.dispute.funds_reinstated", dispute)
        self._announce("charge.dispute.closed", dispute, previous={"status": before})
        return dispute

    def disputes_of(self, charge: Object) -> list[Object]:
        return [one for one in self._store.all("dispute") if one["charge"] == charge["id"]]

    def _now(self) -> int:
        return self._clock.now_ms() // 1000
