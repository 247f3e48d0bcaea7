"""
The one clock of a ledger: it goes on at the system's pace, and never behind what the ledger already holds.

A system clock that steps back an hour must neither make a deadline that has passed look as if it were to
come, nor put every payment's next look an hour off. So a step back is added on again, and paid back
slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

AHEAD_MAX = timedelta(days=1)
"""What is recorded further ahead than this is somebody's broken clock, and nobody follows it."""

MILLISECOND = timedelta(milliseconds=1)

PAYBACK = 10
"""One second of each of this many is given back, so that a step that was a correction is made up for."""


def utc_now() -> datetime:
    """The system clock: aware UTC, whole milliseconds."""
    return whole_ms(datetime.now(UTC))


def whole_ms(at: datetime) -> datetime:
    """Without the microseconds a ledger doesn't keep."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def to_ms(at: datetime) -> int:
    """UTC milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """Aware UTC from milliseconds since 1970."""
    return datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)


class Step(NamedTuple):
    """A step back as the ledger keeps it: the system's time when it was noticed, and how far ahead that left us."""

    system_ms: int
    ahead_ms: int


class Standing(NamedTuple):
    """What a ledger says of its clock: the time of its newest event and the last step back; None: there is none."""

    newest_ms: int | None
    step: Step | None

    @classmethod
    def of(cls, newest_ms: int | None, system_ms: int | None, ahead_ms: int | None) -> Standing:
        """From the columns of `STANDING`."""
        step = None if system_ms is None or ahead_ms is None else Step(system_ms, ahead_ms)
        return cls(newest_ms, step)


STANDING = (
    "(SELECT at FROM events ORDER BY position DESC LIMIT 1),"
    " (SELECT system_at FROM clock), (SELECT ahead_ms FROM clock)"
)
"""Columns of a SELECT for `Standing.of`."""

KEEP_STEP = (
    "INSERT INTO clock (id, system_at, ahead_ms) VALUES (1, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET system_at = excluded.system_at, ahead_ms = excluded.ahead_ms"
)
"""Keeps a `Step`."""


class LedgerClock:
    """
    `clock`, and on top of it what it lacks since it last stepped back.

    The step stands in the ledger, so that all processes on it have the same time: it follows from the
    system's clock and that one row.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._step: Step | None = None

    def now(self) -> datetime:
        """The time now, as far as this process knows."""
        return self._at(self._clock())

    def now_for(self, begun_at: datetime) -> datetime:
        """
        The time now by which what began then grows older.

        That is `now`, but for what began before the last step back, by a time that was not ahead: it has not grown
        older by what is added since.
        """
        system = self._clock()
        is_from_before = self._step is not None and to_ms(begun_at) <= self._step.system_ms
        return system if is_from_before else self._at(system)

    def catch_up(self, standing: Standing) -> tuple[datetime, Step | None]:
        """The time now, not before the ledger's newest event; and the step that was noticed, to be kept."""
        self._step = standing.step
        read_at = self._clock()
        now = self._at(read_at)
        newest = None if standing.newest_ms is None else from_ms(standing.newest_ms)
        if newest is None or not timedelta() < newest - now <= AHEAD_MAX:
            return now, None
        self._step = Step(to_ms(read_at), (newest - read_at) // MILLISECOND)
        return newest, self._step

    def _at(self, system: datetime) -> datetime:
        if self._step is None:
            return system
        paid_back_ms = max(0, to_ms(system) - self._step.system_ms) // PAYBACK
        return system + MILLISECOND * max(0, self._step.ahead_ms - paid_back_ms)
