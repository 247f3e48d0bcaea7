"""What verifying comes to: verdicts, and the differences in them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """
    The first thing about a payment, or a thing about the ledger, that is not as the history says.

    `where` is `event 3` (and the column, where one differs), a column of the payment's row, a field of its
    `body`, or the table, trigger, index or position that is missing or wrong; `stored` and `derived` are what
    stands there and what should.
    """

    where: str
    stored: str
    derived: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """
    One payment, how many events it has, and what is wrong with it; None when everything holds.

    `payment_id` is None for a difference that is the ledger's, and no one payment's.
    """

    payment_id: str | None
    events: int
    difference: Difference | None


def of_ledger(where: str, stored: object, derived: object) -> Verdict:
    """A difference that is no one payment's."""
    difference = Difference(where=where, stored=str(stored), derived=str(derived))
    return Verdict(payment_id=None, events=0, difference=difference)


def unequal(
    stored: Mapping[str, object], derived: Mapping[str, object], *, prefix: str = ""
) -> Difference | None:
    """The first of `derived` that is not what is stored under its name."""
    for name, value in derived.items():
        if stored[name] != value:
            return Difference(where=f"{prefix}{name}", stored=str(stored[name]), derived=str(value))
    return None
