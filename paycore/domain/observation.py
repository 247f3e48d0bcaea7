"""What a provider reports of a payment or a refund, and the amount in it, which may be incomplete or unreadable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from paycore.domain.action import Action
from paycore.domain.codec import encode
from paycore.domain.money import MINOR_MAX, Money
from paycore.domain.payment import Failure, RefundStatus, Status
from paycore.domain.safe_text import printable
from paycore.errors import InvalidMoney

UNREADABLE_LENGTH_MAX = 64
"""Characters kept of an unreadable amount."""


class PartialAmount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An incomplete amount: minor units without a currency, a currency without minor units, or unreadable text.

    `minor` is 0 to `MINOR_MAX` minor units, `currency` an ISO 4217 code. `unreadable` is the text that is no amount,
    printable, at most `UNREADABLE_LENGTH_MAX` characters. Made by `read_amount`.
    """

    minor: int | None = None
    currency: str | None = None
    unreadable: str | None = None

    def __post_init__(self) -> None:
        if self.minor is not None and not 0 <= self.minor <= MINOR_MAX:
            raise ValueError(f"`minor` is 0 to {MINOR_MAX} minor units")
        if self.unreadable is not None and not _is_line(self.unreadable):
            raise ValueError(f"`unreadable` is at most {UNREADABLE_LENGTH_MAX} printable characters")

    def contradicts(self, amount: Money) -> bool:
        """Whether its minor units or its currency differ from those of `amount`."""
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
    `amount` and `partial_amount` of an observation: a complete amount, else an incomplete one, else neither.

    `minor` and `currency` are as the provider gave them, None (or an empty currency) where it gave none;
    `unreadable` is text it gave that is no amount. Never raises: an unknown currency and minor units out of range
    count as unreadable too.
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
    """A short text for a number of any length."""
    if abs(minor) > 10**30:
        return "too many" if minor > 0 else "less than no"
    return f"{minor:.3e}" if minor > 0 else str(minor)


def _is_line(text: str) -> bool:
    return text.isprintable() and len(text) <= UNREADABLE_LENGTH_MAX


class PaymentObservation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="payment"):
    """
    What the provider reports of one order. Totals, never deltas.

    `number` is our order number. `status` is pending, authorized, paid, failed or closed. `provider_id` is the
    provider's own id of the order: required and stable once paid. `ids` are further ids of the order by name, such as
    `{"charge": "ch_1"}`; the id of a name never changes. `amount` is the order's amount as reported, None when it is
    not; `partial_amount` is what was reported instead of a complete amount (`read_amount` makes both). `words` keeps
    the provider's own codes as evidence; never secrets.

    `action` is what the payer must do now, where that changed: it replaces the one known if `occurred_at` is later.
    Without `occurred_at` it replaces the one of the create's reply only. A payer who agreed a second time, after a
    refused capture, is `authorized` with a later `occurred_at`.

    Totals in minor units, None where they are not reported: `paid_minor` was taken, where that may be less than the
    order's amount (a partial capture); `refunded_minor` was returned; `charged_back_minor` was taken back by the
    payer's bank, in disputes and returned debits; `charge_back_won_minor` of that came back to the merchant.

    The reported amount is compared with the order's. Where it differs or is unreadable, the payment needs review and
    nothing else in the observation is used. `is_signed_wrong`: its signature does not verify, and nothing in it is
    used either.
    """

    number: str
    status: Status
    provider_id: str | None = None
    ids: Mapping[str, str] = {}
    amount: Money | None = None
    paid_minor: int | None = None
    refunded_minor: int | None = None
    charged_back_minor: int | None = None
    charge_back_won_minor: int | None = None
    failure: Failure | None = None
    action: Action | None = None
    occurred_at: datetime | None = None
    words: Mapping[str, str] = {}
    partial_amount: PartialAmount | None = msgspec.field(name="told", default=None)
    is_signed_wrong: bool = False

    def __post_init__(self) -> None:
        if self.status is Status.PAID and not self.provider_id:
            raise ValueError("a paid observation names the provider's id of the order")
        if self.status in (Status.CREATED, Status.UNKNOWN):
            raise ValueError("a provider observes pending, authorized, paid, failed or closed")
        for total in ("paid_minor", "refunded_minor", "charged_back_minor", "charge_back_won_minor"):
            _check_total(total, getattr(self, total))
        if (self.charge_back_won_minor or 0) > (self.charged_back_minor or 0):
            raise ValueError("`charge_back_won_minor` is a part of `charged_back_minor`")


def _check_total(name: str, minor: int | None) -> None:
    if minor is not None and not 0 <= minor <= MINOR_MAX:
        raise ValueError(f"`{name}` is 0 to {MINOR_MAX} minor units")


class RefundObservation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="refund"):
    """
    What the provider reports of one refund.

    `number` is our refund number; `status` is pending, succeeded, failed or reversed: it succeeded, and the money came
    back later. `amount` is None when it is not reported. `ids`, `partial_amount` and `is_signed_wrong` are as in
    `PaymentObservation`.
    """

    number: str
    status: RefundStatus
    provider_id: str | None = None
    ids: Mapping[str, str] = {}
    amount: Money | None = None
    failure: Failure | None = None
    occurred_at: datetime | None = None
    words: Mapping[str, str] = {}
    partial_amount: PartialAmount | None = msgspec.field(name="told", default=None)
    is_signed_wrong: bool = False

    def __post_init__(self) -> None:
        if self.status in (RefundStatus.CREATED, RefundStatus.UNKNOWN):
            raise ValueError("a provider observes a refund pending, succeeded, failed or reversed")


Observation = PaymentObservation | RefundObservation


def told_ids(observation: Observation) -> set[str]:
    """All that the provider calls the order or refund, as far as this observation tells."""
    return {observation.provider_id or "", *observation.ids.values()} - {""}


def digest(observation: Observation) -> str:
    """
    Identifies an observation by its content: number, status, amounts; not by its time or the provider's wording.

    Only an authorization counts by its time too, since a payer may agree a second time, and so does what brings an
    action. 12 hex digits of SHA-256.
    """
    has_action = isinstance(observation, PaymentObservation) and observation.action is not None
    is_dated = has_action or observation.status is Status.AUTHORIZED
    at = observation.occurred_at if is_dated else None
    bare = replace(observation, occurred_at=at, words={})
    if bare.failure is not None:
        bare = replace(bare, failure=Failure(code=bare.failure.code, message=""))
    return hashlib.sha256(encode(bare)).hexdigest()[:12]
