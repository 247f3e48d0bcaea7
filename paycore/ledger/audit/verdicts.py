"""Results of verifying: verdicts and differences."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """
    The first difference of a payment, or a difference of the ledger as a whole.

    `where` is `event 3` (and the column, where one differs), a column of the payment's row, a field of its
    `body`, or the table, trigger, index or position that is missing or wrong. `stored` is what was found,
    `derived` what should be there.
    """

    where: str
    stored: str
    derived: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """
    The result for one payment: its number of events, and the difference; None when there is none.

    `payment_id` is None for a difference of the ledger as a whole.
    """

    payment_id: str | None
    events: int
    difference: Difference | None


def of_ledger(where: str, stored: object, derived: object) -> Verdict:
    """A verdict on the ledger as a whole."""
    difference = Difference(where=where, stored=str(stored), derived=str(derived))
    return Verdict(payment_id=None, events=0, difference=difference)


def unequal(
    stored: Mapping[str, object], derived: Mapping[str, object], *, prefix: str = ""
) -> Difference | None:
    """The first value of `derived` that differs from the stored one of that name."""
    for name, value in derived.items():
        if stored[name] != value:
            return Difference(where=f"{prefix}{name}", stored=str(stored[name]), derived=str(value))
    return None
