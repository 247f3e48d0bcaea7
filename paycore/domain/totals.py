"""Sums over many payments: what they are grouped by, and what is summed. No amount is summed over currencies."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from paycore.domain.payment import Status

TotalsBy = Literal["day", "account", "status", "currency"]
"""What payments are grouped by; by currency they always are."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """
    Sums over the payments that have the same `currency`, and the same of whatever else they are grouped by.

    `day`, `account` and `status` are None unless payments are grouped by them. `count` is the number of payments; the
    sums are in minor units, with `exponent` digits after the point: what was to be paid, and of the payments as they
    are now what was paid, went back, was charged back, and was won back of that. A refund is counted with its payment,
    on the day of the payment.
    """

    day: date | None = None
    account: str | None = None
    status: Status | None = None
    currency: str
    exponent: int
    count: int
    amount_minor: int
    paid_minor: int
    refunded_minor: int
    charged_back_minor: int
    charge_back_won_minor: int
