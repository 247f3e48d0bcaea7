"""
The one clock of a ledger: it goes on at the system's pace, and never behind what the ledger already holds.

A system clock that steps back an hour must neither make a deadline that has passed look as if it were to
come, nor put every payment's next look an hour off. So a step back is added on again, and paid back
slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

AHEAD_MAX = timedelta(days=1)
"""What is recorded further ahead than this is somebody's broken clock, and nobody follows it."""

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


class LedgerClock:
    """`clock`, and on top of it what it lacks to the newest time recorded."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._ahead = timedelta()
        self._read_at: datetime | None = None

    def now(self) -> datetime:
        """The time now, as far as this process knows."""
        return self._clock() + self._ahead

    def catch_up(self, newest: datetime | None) -> datetime:
        """The time now, not before `newest`, the time of the newest event in the ledger."""
        read_at = self._clock()
        if self._ahead and self._read_at is not None:
            passed = max(timedelta(), read_at - self._read_at)
            self._ahead = whole_ms_of(max(timedelta(), self._ahead - passed / PAYBACK))
        self._read_at = read_at
        if newest is not None and timedelta() < newest - read_at - self._ahead <= AHEAD_MAX:
            self._ahead = newest - read_at
        return read_at + self._ahead


def whole_ms_of(span: timedelta) -> timedelta:
    """The span, rounded up to whole milliseconds."""
    return -(-span // timedelta(milliseconds=1)) * timedelta(milliseconds=1)
