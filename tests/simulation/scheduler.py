"""The virtual clock: runs calls in an order that depends on the seed only."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil

START = datetime(2026, 1, 1, tzinfo=UTC)

Call = Callable[..., object]


class Scheduler:
    """
    Runs calls at their time; time passes only between calls.

    It also stands in for the module `time` where the engine reads the monotonic clock.
    """

    def __init__(self) -> None:
        self.elapsed_ms = 0
        self.calls_made = 0
        self.lines: list[str] = []
        self._queue: list[tuple[int, int, Call, tuple[object, ...]]] = []
        self._order = count()

    def now(self) -> datetime:
        """The true time: the ledger's clock."""
        return START + timedelta(milliseconds=self.elapsed_ms)

    def monotonic(self) -> float:
        """Seconds since the run began."""
        return self.elapsed_ms / 1000

    def after(self, delay_s: float, call: Call, *arguments: object) -> None:
        """Make this call `delay_s` from now: to the millisecond, and time passes however short the delay is."""
        at_ms = self.elapsed_ms + max(delay_s > 0, ceil(round(delay_s * 1000, 3)))
        heapq.heappush(self._queue, (at_ms, next(self._order), call, arguments))

    def run(self, until_s: float, is_over: Callable[[], bool]) -> None:
        """Run every call up to `until_s` seconds since the start, unless the run ends before."""
        while self._queue and self._queue[0][0] <= until_s * 1000 and not is_over():
            self.elapsed_ms, _, call, arguments = heapq.heappop(self._queue)
            self.calls_made += 1
            call(*arguments)
        if not is_over():
            self.elapsed_ms = max(self.elapsed_ms, round(until_s * 1000))

    def log(self, who: str, what: str) -> None:
        """Add a line to the log by which two runs are compared."""
        self.lines.append(f"{self.elapsed_ms / 1000:12.3f} {who:<8} {what}")

    @property
    def digest(self) -> str:
        """The digest of the whole log."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
