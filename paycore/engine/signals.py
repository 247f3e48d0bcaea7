"""Signals that there is more to do: given from any thread, heard by whoever counts them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Signal:
    """
    Counts how often it was given, and calls whoever listens.

    Look at `count` first and at what there is to do afterwards: then no signal is missed in between.
    """

    def __init__(self) -> None:
        self.count = 0
        self._calls: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def give(self) -> None:
        """Call whoever listens."""
        with self._lock:
            self.count += 1
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    @contextmanager
    def heard(self, call: Callable[[], None]) -> Iterator[None]:
        """Call this when the signal is given next, inside the block."""
        with self._lock:
            self._calls.append(call)
        try:
            yield
        finally:
            with self._lock, suppress(ValueError):
                self._calls.remove(call)
