"""
When a payment is looked at next: a pure function of what is known and how old it is.

A waiting payment is a row with a due time, not a coroutine. Young ones are asked about every 2 seconds,
the interval grows by half each time and stops at 60 seconds.
"""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from paycore.domain.payment import (
    OperationState,
    Payment,
    Status,
    has_earlier_number,
    is_needless,
    is_refunding,
)

INTERVAL_MIN_S = 2.0
INTERVAL_MAX_S = 60.0
LATE_CHECKS = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""Closed orders do get paid: they are asked about this long after closing."""


def interval_s(age_s: float) -> float:
    """
    Seconds until the next look at a payment `age_s` seconds after it last changed.

    An interval that starts at 2 s and grows by half each time has, after `age` seconds, the length
    `2 + age / 2`; capped at 60 s.
    """
    return min(INTERVAL_MAX_S, INTERVAL_MIN_S + max(0.0, age_s) / 2)


def resend_pause_s(failures: int) -> float:
    """Seconds from a send to the next at least, when so many repetitions came to nothing: 0, 2, 3, 4.5 ... 60."""
    return 0.0 if failures < 1 else min(INTERVAL_MAX_S, INTERVAL_MIN_S * 1.5 ** min(failures - 1, 10))


def jitter(seed: str, now: datetime) -> float:
    """A factor from 0.8 to 1.2, spread evenly over payments and times, the same for the same input."""
    return (8000 + zlib.crc32(f"{seed}{now.timestamp()}".encode()) % 4001) / 10_000


def due_at(payment: Payment, now: datetime) -> datetime | None:
    """
    When to look at `payment` next, None when there is nothing to look for.

    Under way: once no answer can come any more. Uncertain or pending, refunds too, or made anew and not sent
    yet: by age.
    Expiring: at its expiry at the latest. Paid by one order while another is open: by age, for it may be
    paid twice. Settled, and an order of it was closed: a few late checks, also when a later order was paid.
    Otherwise settled: not any more.
    """
    under_way = [
        op.in_flight_until
        for op in payment.operations
        if op.state is OperationState.SENT and op.in_flight_until > now
    ]
    if under_way:
        return min(under_way)
    if _is_to_ask_about(payment):
        return _by_age(payment, now)
    if _has_closed_order(payment):
        checks = (payment.updated_at + after for after in LATE_CHECKS)
        return next((check for check in checks if check > now), None)
    return None


def _is_to_ask_about(payment: Payment) -> bool:
    waits = payment.status in (Status.PENDING, Status.UNKNOWN) or _is_unsent_successor(payment)
    return waits or payment.uncertain or is_needless(payment) or is_refunding(payment)


def _is_unsent_successor(payment: Payment) -> bool:
    """Whether its order was closed for a new one, which then could not be sent: recovery has not finished."""
    is_unsent = payment.status is Status.CREATED and payment.creation.state is OperationState.INTENT
    return is_unsent and has_earlier_number(payment)


def is_left_to_caller(payment: Payment) -> bool:
    """Whether it certainly is not at the provider, and nobody but its caller sends it: nothing comes of waiting."""
    is_unsent = payment.status is Status.CREATED and not payment.uncertain
    return is_unsent and not _is_unsent_successor(payment)


def is_awaited(payment: Payment) -> bool:
    """Whether waiting may tell more: it or a refund of it is under way, and nobody has to look at it."""
    is_under_way = not payment.status.is_final or is_refunding(payment)
    return is_under_way and not payment.review and not is_left_to_caller(payment)


def _has_closed_order(payment: Payment) -> bool:
    """Whether an order was closed and has not been paid all the same."""
    charged = {charge.number for charge in payment.charges}
    return any(Status.CLOSED in op.observed and op.number not in charged for op in payment.operations)


def _by_age(payment: Payment, now: datetime) -> datetime:
    age_s = (now - payment.updated_at).total_seconds()
    due = now + timedelta(seconds=interval_s(age_s) * jitter(payment.id, now))
    if payment.expires_at is not None and now < payment.expires_at < due:
        return payment.expires_at
    return due
