"""Time on the monotonic clock: a deadline, when it starts, how long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Deadline:
    """The moment by which a whole conversation must be over, on the monotonic clock."""

    __slots__ = ("at",)

    def __init__(self, timeout_s: float) -> None:
        self.at = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds left; 0 or less once it has passed."""
        return self.at - time.monotonic()


class Timed(Generic[P, T]):
    """
    Wraps a decision so that the send deadline, `timeout`, starts when it is last made.

    A ledger may make it more than once; the last one is what was committed.
    """

    def __init__(self, decide: Callable[P, T], timeout: timedelta) -> None:
        self._decide = decide
        self._timeout_s = timeout.total_seconds()
        self._decided_at = time.monotonic()

    def deadline(self, at_most_s: float) -> Deadline:
        """That of what was decided last, or in `at_most_s` seconds where that is earlier."""
        left_s = self._timeout_s - (time.monotonic() - self._decided_at)
        return Deadline(min(at_most_s, left_s))

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> T:
        self._decided_at = time.monotonic()
        return self._decide(*arguments, **options)


class Stopwatch:
    """How long something takes, on the monotonic clock."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._since

    @property
    def ms(self) -> int:
        """Whole milliseconds since it was made."""
        return round(self.seconds * 1000)
