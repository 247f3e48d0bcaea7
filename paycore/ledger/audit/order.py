"""
The order of all events: each has a position, and later ones have later times.

On SQLite one writer after the other takes the next position, at a time not before the newest event's. On
PostgreSQL transactions overlap: positions are left out where one was rolled back, and times step back by as
long as one took.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from paycore.ledger.audit.verdicts import Verdict, of_ledger
from paycore.ledger.clock import AHEAD_MAX, MILLISECOND
from paycore.ledger.history import Placed, Readable

_OVERLAP_MS: Mapping[str, int] = {"sqlite": 0, "postgres": 3_600_000}
"""How long ago a transaction may have begun that commits now: its process may have stood still."""

_AHEAD_MS = AHEAD_MAX // MILLISECOND

_CLOCK_SCHEMA = 3
"""Since this schema a ledger's clock is never behind what it holds."""


def order_differences(ledger: Readable, events: Iterable[Placed]) -> Iterator[Verdict]:
    """Positions that are missing, times that step back, and a clock that was not set by any event; goes through all."""
    steps = _Steps(ledger)
    before: Placed | None = None
    for event in events:
        if ledger.dialect == "sqlite" and event.position != (missing := _next(before)):
            yield of_ledger(f"position {missing}", "no event", "an event")
        if before is not None and steps.is_wrong(before.at, event.at):
            stored = f"event {event.seq} of payment {event.payment_id}, at {event.at}"
            yield of_ledger(f"position {event.position}", stored, f"not before {before.at}")
        steps.note(event.at)
        before = event
    yield from steps.clock_differences()


def _next(before: Placed | None) -> int:
    return 1 if before is None else before.position + 1


class _Steps:
    """What the ledger's clock may have done, by its own row and the time from which it was kept."""

    def __init__(self, ledger: Readable) -> None:
        rows = ledger.read(
            lambda tx: (
                tx.all("SELECT at FROM meta WHERE schema = ?", (_CLOCK_SCHEMA,)),
                tx.all("SELECT system_at, ahead_ms FROM clock"),
            )
        ).result()
        self._since = rows[0][0][0] if rows[0] else 0
        self._clock = rows[1]
        self._overlap_ms = _OVERLAP_MS[ledger.dialect]
        self._is_set_by_event = False

    def is_wrong(self, before_at: int, at: int) -> bool:
        """Whether a time can't follow on another."""
        # What is a day ahead is nobody's time, and is not followed.
        return min(before_at, at) >= self._since and self._overlap_ms < before_at - at <= _AHEAD_MS

    def note(self, at: int) -> None:
        """An event has this time."""
        self._is_set_by_event |= any(
            abs(system_at + ahead_ms - at) <= 1 for system_at, ahead_ms in self._clock
        )

    def clock_differences(self) -> Iterator[Verdict]:
        """When the clock stepped back, it went on from the newest event of that time."""
        for system_at, ahead_ms in self._clock:
            stored = f"{ahead_ms} ms ahead at {system_at}"
            # With nothing ahead it says nothing.
            if ahead_ms < 0 or (ahead_ms and not self._is_set_by_event):
                yield of_ledger("clock", stored, "ahead by what was left to the newest event then")
