"""Decides what a payer comes back with: kept for the provider's flows, as evidence of nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from paycore.domain.bounds import RETURNS_MAX
from paycore.domain.events import Change, Returned
from paycore.domain.payment import Payment
from paycore.errors import TooMany


def bring_back(payment: Payment, _now: datetime, *, params: Mapping[str, str]) -> list[Change]:
    """What the payer came back with, nothing when it is known; `TooMany` once they did `RETURNS_MAX` times."""
    if params == payment.returned:
        return []
    if payment.return_count >= RETURNS_MAX:
        raise TooMany(
            f"its payer came back {RETURNS_MAX} times with something new; what they bring now is not kept",
            payment_id=payment.id,
        )
    return [Returned(params=params)]
