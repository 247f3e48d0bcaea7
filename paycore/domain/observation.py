"""What a provider reports of a payment or a refund, and the amount in it, which may be incomplete or unreadable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from paycore.domain.codec import encode
from paycore.domain.money import MINOR_MAX, Money
from paycore.domain.payment import Failure, RefundStatus, Status
from paycore.domain.safe_text import printable
from paycore.errors import InvalidMoney

UNREADABLE_LENGTH_MAX = 64
"""Characters of what can't be read that are kept."""


class PartialAmount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One half of an amount, the other not being told; or what was told in its place and is no amount.

    `minor` is 0 to `MINOR_MAX` minor units, `currency` an ISO 4217 code. `unreadable` is what can't be read,
    printable, at most `UNREADABLE_LENGTH_MAX` characters. Made by `read_amount`.
    """

    minor: int | None = None
    currency: str | None = None
    unreadable: str | None = None

    def __post_init__(self) -> None:
        if self.minor is not None and not 0 <= self.minor <= MINOR_MAX:
            raise ValueError(f"what is told of an amount is 0 to {MINOR_MAX} minor units")
        if self.unreadable is not None and not _is_line(self.unreadable):
            raise ValueError(f"what can't be read is kept as {UNREADABLE_LENGTH_MAX} printable characters")

    def contradicts(self, amount: Money) -> bool:
        """Whether what can be read of it is not that of `amount`."""
        return self.minor not in (None, amount.minor) or self.currency not in (None, amount.currency)

    def __str__(self) -> str:
        parts = []
        if self.minor is not None:
            parts.append(f"{self.minor} minor units without a currency")
        if self.currency is not None:
            parts.append(f"{self.currency} without an amount")
        if self.unreadable is not None:
            parts.append(f"an amount that can't be read: {self.unreadable}")
        return ", ".join(parts)


def read_amount(
    minor: int | None, currency: str | None, *, unreadable: str | None = None
) -> tuple[Money | None, PartialAmount | None]:
    """
    `amount` and `partial_amount` of an observation: a whole amount, else what is told of one, else neither.

    `minor` and `currency` as the provider gave them, None (or an empty currency) where it did not;
    `unreadable` is what it gave in place of one that is no amount, in whatever words. Never raises: what is no
    currency, and what is out of bounds, is unreadable too.
    """
    problems = [] if unreadable is None else [unreadable]
    if minor is not None and not 0 <= minor <= MINOR_MAX:
        problems.append(f"{_shown(minor)} minor units")
        minor = None
    if currency:
        try:
            Money.from_minor(0, currency)
        except InvalidMoney:
            problems.append(f"currency {currency}")
            currency = None
    if problems:
        return None, PartialAmount(
            minor=minor,
            currency=currency or None,
            unreadable=printable(", ".join(problems))[:UNREADABLE_LENGTH_MAX],
        )
    if minor is not None and currency:
        return Money.from_minor(minor, currency), None
    if minor is None and not currency:
        return None, None
    return None, PartialAmount(minor=minor, currency=currency or None)


def _shown(minor: int) -> str:
    """In few characters, of whatever length it is: a number that is longer than any amount is not written out."""
    if abs(minor) > 10**30:
        return "too many" if minor > 0 else "less than no"
    return f"{minor:.3e}" if minor > 0 else str(minor)


def _is_line(text: str) -> bool:
    return text.isprintable() and len(text) <= UNREADABLE_LENGTH_MAX


class PaymentObservation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="payment"):
    """
    What the provider says of one order. Totals, never deltas.

    `number` is our order number. `status` is pending, paid, failed or closed. `provider_id` is the
    provider's own id of the order: needed, and stable, once paid. `amount` is what the provider says the
    order is for, None when it does not say; `partial_amount` is the part it gives when that is half an amount, or
    unreadable (`read_amount` makes both). `refunded_minor` is the total refunded as the provider tells it,
    None when it does not. `words` keeps the provider's own codes as evidence; never secrets.

    What is told of the amount is compared with the order: where it differs, or can't be read, a person must
    look, and nothing else of the observation counts. `is_signed_wrong` says that it came with a signature that
    does not hold: nothing of it counts either.
    """

    number: str
    status: Status
    provider_id: str | None = None
    amount: Money | None = None
    refunded_minor: int | None = None
    failure: Failure | None = None
    occurred_at: datetime | None = None
    words: Mapping[str, str] = {}
    partial_amount: PartialAmount | None = msgspec.field(name="told", default=None)
    is_signed_wrong: bool = False

    def __post_init__(self) -> None:
        if self.status is Status.PAID and not self.provider_id:
            raise ValueError("a paid observation names the provider's id of the order")
        if self.status in (Status.CREATED, Status.UNKNOWN):
            raise ValueError("a provider observes pending, paid, failed or closed")
        if self.refunded_minor is not None and not 0 <= self.refunded_minor <= MINOR_MAX:
            raise ValueError(f"a refunded total is 0 to {MINOR_MAX} minor units")


class RefundObservation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="refund"):
    """
    What the provider says of one refund.

    `number` is our refund number; `status` is pending, succeeded or failed; `amount` None when the
    provider does not say. `partial_amount` and `is_signed_wrong` as a payment's.
    """

    number: str
    status: RefundStatus
    provider_id: str | None = None
    amount: Money | None = None
    failure: Failure | None = None
    occurred_at: datetime | None = None
    words: Mapping[str, str] = {}
    partial_amount: PartialAmount | None = msgspec.field(name="told", default=None)
    is_signed_wrong: bool = False

    def __post_init__(self) -> None:
        if self.status in (RefundStatus.CREATED, RefundStatus.UNKNOWN):
            raise ValueError("a provider observes a refund pending, succeeded or failed")


Observation = PaymentObservation | RefundObservation


def digest(observation: Observation) -> str:
    """
    What makes an observation distinct: who, what status, how much; not when, nor in which words.

    12 hex digits of SHA-256.
    """
    bare = replace(observation, occurred_at=None, words={})
    if bare.failure is not None:
        bare = replace(bare, failure=Failure(code=bare.failure.code, message=""))
    return hashlib.sha256(encode(bare)).hexdigest()[:12]
