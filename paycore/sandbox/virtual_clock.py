"""The clock of a sandbox: it has a speed, can jump ahead, and calls functions at given times."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

_LAST_MS = 221_876_928_000_000
"""The start of the year 9001, well before the last date that `datetime` can represent."""

_log = logging.getLogger("paycore.sandbox")


class SandboxClock:
    """
    Milliseconds since the Unix epoch, `speed` times as fast as the real clock. Never goes back.

    `not_before_ms` is the last time of the clock of an earlier run: the new one starts there if that is later than
    the real time, so that a restart does not make orders younger. `on_jump` is called with the new time after each
    `advance`.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        not_before_ms: int = 0,
        on_jump: Callable[[int], None] = lambda _now_ms: None,
    ) -> None:
        self.speed = speed
        self._on_jump = on_jump
        self._start_ms = max(time.time_ns() // 1_000_000, not_before_ms)
        self._start_real = time.monotonic()
        self._changed = threading.Condition()
        self._one_at_a_time = threading.RLock()
        """Held while a plan is carried out: one at a time, in their order, whichever thread does it."""
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic() - self._start_real) * self.speed * 1000)

    def advance(self, seconds: float) -> int:
        """Jump ahead, and return the new time in ms once all that has become due is done."""
        if not seconds >= 0:  # also refuses NaN
            raise ValueError("the clock only goes forward")
        if self.now_ms() + seconds * 1000 > _LAST_MS:
            raise ValueError("the clock ends with the year 9000")
        with self._changed:
            self._start_ms += round(seconds * 1000)
            self._changed.notify()
        self._on_jump(self.now_ms())
        self._run_due()
        return self.now_ms()

    def call_at(self, due_ms: int, action: Callable[[], None]) -> None:
        """Call `action` once at `due_ms`, in the clock's own thread; it must not block."""
        with self._changed:
            heapq.heappush(self._due, (due_ms, next(self._order), action))
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, name="sandbox-clock", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                wait_s = self._real_seconds_to_next()
                if not self._is_closed and (wait_s is None or wait_s > 0):
                    self._changed.wait(wait_s)
                if self._is_closed:
                    return
            self._run_due()

    def _real_seconds_to_next(self) -> float | None:
        if not self._due:
            return None
        return max(0.0, (self._due[0][0] - self.now_ms()) / 1000 / self.speed)

    def _run_due(self) -> None:
        with self._one_at_a_time:
            while (action := self._next_due()) is not None:
                try:
                    action()
                except Exception:  # noqa: BLE001 -- one failing action must not stop the clock
                    _log.exception("something planned on the sandbox clock failed")

    def _next_due(self) -> Callable[[], None] | None:
        with self._changed:
            if self._is_closed or not self._due or self._due[0][0] > self.now_ms():
                return None
            return heapq.heappop(self._due)[2]
