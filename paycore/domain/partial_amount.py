"""What a provider tells of an amount when that is no whole one: half of it, or something that can't be read."""

from __future__ import annotations

import msgspec

from paycore.domain.money import MINOR_MAX, Money
from paycore.domain.printable import printable
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
