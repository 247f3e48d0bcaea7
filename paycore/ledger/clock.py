"""
The clock of a ledger: it follows the system clock, and is never behind the newest event of the ledger.

When the system clock is set back by an hour, deadlines that have passed must not lie in the future again, and
due times must not be an hour off. So the ledger's clock keeps the difference, and reduces it slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, overload

AHEAD_MAX = timedelta(days=1)
"""An event further ahead than this came from a broken clock, and is ignored."""

MILLISECOND = timedelta(milliseconds=1)

PAYBACK = 10
"""The difference is reduced by one second in this many."""


def utc_now() -> datetime:
    """The system clock: aware UTC, whole milliseconds."""
    return whole_ms(datetime.now(UTC))


def whole_ms(at: datetime) -> datetime:
    """The time truncated to the milliseconds that a ledger stores."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


@overload
def to_ms(at: datetime) -> int: ...
@overload
def to_ms(at: None) -> None: ...
@overload
def to_ms(at: datetime | None) -> int | None: ...
def to_ms(at: datetime | None) -> int | None:
    """UTC milliseconds since 1970; None for None."""
    return None if at is None else round(at.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """Aware UTC from milliseconds since 1970."""
    return datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)


class Step(NamedTuple):
    """A step back as stored: the system time when it was detected, and how far ahead of it the ledger's clock was."""

    system_ms: int
    ahead_ms: int


STANDING = (
    "(SELECT at FROM events ORDER BY position DESC LIMIT 1),"
    " (SELECT system_at FROM clock), (SELECT ahead_ms FROM clock)"
)
"""Columns of a SELECT for `LedgerClock.catch_up`: the time of the newest event, and the last step back; or NULL."""

KEEP_STEP = (
    "INSERT INTO clock (id, system_at, ahead_ms) VALUES (1, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET system_at = excluded.system_at, ahead_ms = excluded.ahead_ms"
)
"""Stores a `Step`."""


class LedgerClock:
    """
    `clock`, plus the difference that is left since it last stepped back.

    The step is stored in the ledger, so all processes compute the same time from the system clock and that row.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._step: Step | None = None

    def now(self) -> datetime:
        """The time now, by the last step that this process has read."""
        return self._at(self._clock())

    def now_for(self, begun_at: datetime) -> datetime:
        """
        The time by which the age of something begun at `begun_at` is measured.

        That is `now`, except for what began before the last step back: its age is measured by the system clock.
        """
        system = self._clock()
        is_from_before = self._step is not None and to_ms(begun_at) <= self._step.system_ms
        return system if is_from_before else self._at(system)

    def catch_up(
        self, newest_ms: int | None, system_ms: int | None, ahead_ms: int | None
    ) -> tuple[datetime, Step | None]:
        """
        The time now, not before the ledger's newest event, and the step if a new one was detected: store it.

        The arguments are the columns of `STANDING`.
        """
        self._step = None if system_ms is None or ahead_ms is None else Step(system_ms, ahead_ms)
        read_at = self._clock()
        now = self._at(read_at)
        newest = now if newest_ms is None else from_ms(newest_ms)
        if not timedelta() < newest - now <= AHEAD_MAX:
            return now, None
        self._step = Step(to_ms(read_at), (newest - read_at) // MILLISECOND)
        return newest, self._step

    def _at(self, system: datetime) -> datetime:
        if self._step is None:
            return system
        paid_back_ms = max(0, to_ms(system) - self._step.system_ms) // PAYBACK
        return system + MILLISECOND * max(0, self._step.ahead_ms - paid_back_ms)
