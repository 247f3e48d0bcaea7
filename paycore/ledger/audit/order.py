"""
Checks the order of all events: each has a position, and later ones have later times.

On SQLite writers take positions in turn, at a time not before the newest event's. On PostgreSQL transactions
overlap: rollbacks leave gaps in the positions, and times step back by up to the length of a transaction. So it is with
the events that a SQLite ledger was given by a copy of a PostgreSQL database: how many these are is kept in `origin`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from paycore.ledger.audit.verdicts import Verdict, of_ledger
from paycore.ledger.clock import AHEAD_MAX, MILLISECOND
from paycore.ledger.history import Placed, Readable

_OVERLAP_MS: Mapping[str, int] = {"sqlite": 0, "postgres": 3_600_000}
"""The maximum age of a transaction that commits; its process may have been stopped meanwhile."""

_AHEAD_MS = AHEAD_MAX // MILLISECOND

_CLOCK_SCHEMA = 3
"""From this schema on, a ledger's clock is never behind its events."""


def order_differences(ledger: Readable, events: Iterable[Placed]) -> Iterator[Verdict]:
    """Missing positions, times that step back, and a clock that no event explains; iterates over all events."""
    steps, copied = _Steps(ledger), _copied(ledger)
    before: Placed | None = None
    found = 0
    for event in events:
        is_copied = event.position <= copied.up_to
        found += is_copied
        if ledger.dialect == "sqlite" and not is_copied:
            missing = copied.up_to + 1 if before is None else max(before.position, copied.up_to) + 1
            if event.position != missing:
                yield of_ledger(f"position {missing}", "no event", "an event")
        dialect = "postgres" if is_copied else ledger.dialect
        if before is not None and steps.is_wrong(before.at, event.at, dialect):
            stored = f"event {event.seq} of payment {event.payment_id}, at {event.at}"
            yield of_ledger(f"position {event.position}", stored, f"not before {before.at}")
        steps.note(event.at)
        before = event
    if found != copied.events:
        where = f"origin, events up to position {copied.up_to}"
        yield of_ledger(where, f"{found} events", f"{copied.events} events")
    yield from steps.clock_differences()


class _Copied(NamedTuple):
    """The events that came from a PostgreSQL database: their newest position, and how many there are."""

    up_to: int
    events: int


def _copied(ledger: Readable) -> _Copied:
    sql = "SELECT position, events FROM origin"
    rows = ledger.read(lambda tx: tx.execute(sql).fetchall()).result()
    return _Copied(*rows[0]) if rows else _Copied(0, 0)


class _Steps:
    """The steps that the ledger's clock may have made, by its row and the time since which it is stored."""

    def __init__(self, ledger: Readable) -> None:
        rows = ledger.read(
            lambda tx: (
                tx.execute("SELECT at FROM meta WHERE schema = ?", (_CLOCK_SCHEMA,)).fetchall(),
                tx.execute("SELECT system_at, ahead_ms FROM clock").fetchall(),
            )
        ).result()
        self._since = rows[0][0][0] if rows[0] else 0
        self._clock = rows[1]
        self._is_set_by_event = False

    def is_wrong(self, before_at: int, at: int, dialect: str) -> bool:
        """Whether a time can't follow the one before, in a database of this dialect."""
        # A time a day ahead is from a broken clock, and is ignored.
        return min(before_at, at) >= self._since and _OVERLAP_MS[dialect] < before_at - at <= _AHEAD_MS

    def note(self, at: int) -> None:
        """Add an event's time."""
        self._is_set_by_event |= any(
            abs(system_at + ahead_ms - at) <= 1 for system_at, ahead_ms in self._clock
        )

    def clock_differences(self) -> Iterator[Verdict]:
        """A stored step must lead to the time of the newest event at that moment."""
        for system_at, ahead_ms in self._clock:
            stored = f"{ahead_ms} ms ahead at {system_at}"
            # A step of 0 ms needs no event.
            if ahead_ms < 0 or (ahead_ms and not self._is_set_by_event):
                yield of_ledger("clock", stored, "ahead by what was left to the newest event then")
