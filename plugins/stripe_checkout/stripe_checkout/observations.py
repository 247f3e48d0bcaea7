"""What a session, its intent and its disputes say about a payment, and what a refund says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from paycore.plugin import Failure, OrderRef, PaymentObservation, RefundObservation, RefundStatus, Status
from stripe_checkout.amounts import minor_of, read_units
from stripe_checkout.api import failure_of
from stripe_checkout.messages import CheckoutSession, Dispute, PaymentIntent, StripeCharge, StripeRefund

NUMBER = "paycore_number"
REFERENCE = "paycore_reference"
METHOD = "paycore_method"
"""Our keys in the metadata of sessions, intents (copied to their charges) and refunds."""

_DISPUTED = ("needs_response", "under_review", "lost", "won", "appeal_needs_response", "appeal_under_review")
_REFUND_STATUSES = {
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}


def payment_observation(
    number: str, session: CheckoutSession, disputes: Sequence[Dispute] = ()
) -> PaymentObservation:
    """
    What a session says, best with its intent and charge expanded.

    `complete` alone is not paid: a delayed method or a capture may still be awaited. `expired` is closed only where
    no attempt of the payer's can be under way. Source: SOURCES.md §9.
    """
    intent = session.intent
    amount, partial = read_units(session.amount_total, session.currency)
    status = _status_of(session, intent)
    # Before that, the newest charge may be of a declined attempt.
    charge = intent.charge if intent and status in (Status.PAID, Status.AUTHORIZED) else None
    received = minor_of(intent.amount_received, session.currency) if intent else None
    taken, won = _disputed(disputes, session.currency, received)
    if charge is not None and charge.status == "failed" and status is Status.PAID:
        taken, won = received, 0  # a debit that the bank took back after it had succeeded
    ids = {"payment_intent": session.intent_id, "charge": charge.id if charge else None}
    words = {"status": session.status, "payment_status": session.payment_status}
    words |= {"intent": intent.status, "cancellation": intent.cancellation_reason} if intent else {}
    return PaymentObservation(
        number=number,
        status=status,
        provider_id=session.id,
        ids=_told(ids),
        amount=amount,
        partial_amount=partial,
        paid_minor=received if status is Status.PAID else None,
        refunded_minor=minor_of(_refunded(intent, charge), session.currency) if intent and charge else None,
        charged_back_minor=taken,
        charge_back_won_minor=won,
        failure=_failure_of(intent) if status is Status.FAILED else None,
        occurred_at=_time((charge.created if charge else None) or session.created),
        words=_told(words),
    )


def _refunded(intent: PaymentIntent, charge: StripeCharge) -> int | None:
    """What went back, in Stripe's units: it counts what a partial capture released as well. Source: SOURCES.md §10."""
    released = max(0, (intent.amount or 0) - (intent.amount_received or 0))
    return None if charge.amount_refunded is None else max(0, charge.amount_refunded - released)


def _status_of(session: CheckoutSession, intent: PaymentIntent | None) -> Status:
    if session.payment_status == "paid" or (intent is not None and intent.status == "succeeded"):
        return Status.PAID  # of a captured session no page says that `payment_status` follows
    if intent is None:
        is_over = session.status == "expired" and session.intent_id is None
        return Status.CLOSED if is_over else Status.PENDING
    if intent.status == "requires_capture":
        return Status.AUTHORIZED
    if intent.status == "canceled":
        return Status.CLOSED if session.status != "open" else Status.PENDING
    if intent.status == "requires_payment_method":  # the last attempt failed, and the page is over
        return {"complete": Status.FAILED, "expired": Status.CLOSED}.get(session.status or "", Status.PENDING)
    return Status.PENDING


def intent_observation(order: OrderRef, intent: PaymentIntent) -> PaymentObservation:
    """What the intent alone says of an order, after its capture."""
    seen = CheckoutSession(
        id=order.provider_id or "",
        status="complete",
        payment_status="paid" if intent.status == "succeeded" else "unpaid",
        created=0,
        amount_total=intent.amount,
        currency=intent.currency,
        payment_intent=intent,
    )
    return payment_observation(order.number, seen)


def _disputed(
    disputes: Sequence[Dispute], currency: str | None, received: int | None
) -> tuple[int | None, int | None]:
    """
    What disputes took and what of it was won back, at most what was paid; None without a dispute.

    Inquiries take nothing. In any other status something was taken where the balance was booked; if in another currency
    than ours, all.
    """
    taking = [one for one in disputes if one.status in _DISPUTED or one.balance_transactions]
    if not taking:
        return None, None
    taken, won = 0, 0
    for dispute in taking:
        is_same = dispute.currency in (None, currency)
        minor = (minor_of(dispute.amount, currency) if is_same else received) or 0
        taken += minor
        won += int(minor * _share_won(dispute))
    most = taken if received is None else received
    return min(taken, most), min(won, taken, most)


def _share_won(dispute: Dispute) -> Fraction:
    """What part came back, by the balance: it may be in another currency, and may be less than all."""
    lost = -sum(one.amount for one in dispute.balance_transactions if one.amount < 0)
    back = sum(one.amount for one in dispute.balance_transactions if one.amount > 0)
    if not lost:
        return Fraction(dispute.status == "won")
    return Fraction(min(back, lost), lost)


def _failure_of(intent: PaymentIntent | None) -> Failure:
    error = intent.last_payment_error if intent else None
    if error is None:
        return Failure(code="payment_failed", message="the payer's bank did not pay")
    return failure_of(error)


def refund_observation(number: str, refund: StripeRefund) -> RefundObservation:
    """
    What a refund says. One that failed with a balance transaction of its failure was booked before: reversed.

    A status that is not known is pending. Source: SOURCES.md §10.
    """
    status = _REFUND_STATUSES.get(refund.status or "", RefundStatus.PENDING)
    failure = None
    if status is RefundStatus.FAILED:
        reason = refund.failure_reason or refund.status or "failed"
        failure = Failure(code=reason, message=f"the refund was not paid out: {reason}", who_acts="caller")
        status = RefundStatus.REVERSED if refund.failure_balance_transaction else status
    amount, partial = read_units(refund.amount, refund.currency)
    return RefundObservation(
        number=number,
        status=status,
        provider_id=refund.id,
        amount=amount,
        partial_amount=partial,
        failure=failure,
        occurred_at=_time(refund.created),
        words=_told({"status": refund.status, "pending_reason": refund.pending_reason}),
    )


def _told(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _time(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
