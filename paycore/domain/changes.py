"""
What an application hears of: the changes that an event makes of a payment, by kinds.

`changes_of` is the one place that derives them. Most events make one change or none; late money makes two, `paid` and
`review`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from paycore.domain.events import Event
from paycore.domain.payment import Payment, RefundStatus, Status


class ChangeKind(StrEnum):
    """What changed. The first seven are the payment's new status."""

    CREATED = "created"
    """The payment is recorded; nothing is confirmed."""
    UNKNOWN = "unknown"
    """It was sent, and no definite answer came."""
    PENDING = "pending"
    """The provider has it, and the payer must act."""
    AUTHORIZED = "authorized"
    """The payer agreed; the money can be captured."""
    PAID = "paid"
    """The money was taken."""
    FAILED = "failed"
    """It was definitely refused; no money was taken."""
    CLOSED = "closed"
    """It was cancelled or expired, and the provider confirmed it."""
    REFUNDED = "refunded"
    """Money was returned, by a refund of ours or outside of paycore."""
    REFUND_FAILED = "refund_failed"
    """A refund was definitely refused."""
    REFUND_REVERSED = "refund_reversed"
    """A refund had succeeded, and the money came back."""
    CHARGED_BACK = "charged_back"
    """The payer's bank took money back."""
    CHARGE_BACK_WON = "charge_back_won"
    """Money that was charged back came back to the merchant."""
    REVIEW = "review"
    """There is a new reason for review: the facts contradict each other."""


class PaymentChange(msgspec.Struct, frozen=True, kw_only=True):
    """
    One change of a payment, as the change feed hands it over.

    `key` identifies it for ever: store it in the transaction that acts on the change, and act only where it is new.
    `position` is its event's place in the ledger; later changes never have a smaller one. `at` is when it was recorded,
    by the ledger's clock. `payment` is the payment as it is now, perhaps with later changes. `refund` is the reference
    of the refund it is about, None for other changes and for money returned outside of paycore.
    """

    key: str
    position: int
    kind: ChangeKind
    at: datetime
    payment: Payment
    refund: str | None = None


class Happened(NamedTuple):
    """A kind of change, and the reference of the refund it is about."""

    kind: ChangeKind
    refund: str | None = None


def change_key(payment_id: str, seq: int, kind: ChangeKind, refund: str | None) -> str:
    """The key of a change: from what is never changed and goes along when a ledger is copied."""
    key = f"{payment_id}.{seq}.{kind.value}"
    return key if refund is None else f"{key}.{refund}"


def changes_of(event: Event, before: Payment | None, after: Payment) -> tuple[Happened, ...]:
    """
    The changes that an event makes, in a fixed order. Pure.

    `before` is the payment before the event (None: there was none), `after` the payment with it. The status is the
    recorded one.
    """
    return tuple(_changes(event, before, after))


def _changes(event: Event, before: Payment | None, after: Payment) -> Iterator[Happened]:
    if event.status_from != event.status_to:
        yield Happened(_OF_STATUS[event.status_to])
    if before is None:
        return
    yield from _refund_changes(before, after)
    if after.charged_back_minor > before.charged_back_minor:
        yield Happened(ChangeKind.CHARGED_BACK)
    if after.charge_back_won_minor > before.charge_back_won_minor:
        yield Happened(ChangeKind.CHARGE_BACK_WON)
    if set(after.review_reasons) - set(before.review_reasons):
        yield Happened(ChangeKind.REVIEW)


def _refund_changes(before: Payment, after: Payment) -> Iterator[Happened]:
    statuses = {refund.reference: refund.status for refund in before.refunds}
    changed = [refund for refund in after.refunds if refund.status is not statuses.get(refund.reference)]
    for refund in changed:
        kind = _OF_REFUND.get(refund.status)
        if kind is not None:
            yield Happened(kind, refund.reference)
    is_ours = any(refund.status is RefundStatus.SUCCEEDED for refund in changed)
    if after.refunded_minor > before.refunded_minor and not is_ours:
        yield Happened(ChangeKind.REFUNDED)


_OF_STATUS = {status: ChangeKind(status.value) for status in Status}
_OF_REFUND = {
    RefundStatus.SUCCEEDED: ChangeKind.REFUNDED,
    RefundStatus.FAILED: ChangeKind.REFUND_FAILED,
    RefundStatus.REVERSED: ChangeKind.REFUND_REVERSED,
}
