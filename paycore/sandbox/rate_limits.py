"""Rate limits of a gateway, for instance per second and per minute."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from paycore.sandbox.virtual_clock import SandboxClock


class RateLimit:
    """
    Sliding windows by the sandbox clock. `windows` are pairs (requests, seconds); 0 requests disables a window.

    A refused request does not count, so a client that waits until the window has room is served at once.
    """

    def __init__(self, clock: SandboxClock, windows: Sequence[tuple[int, float]]) -> None:
        self._clock = clock
        self._windows = [(count, round(seconds * 1000)) for count, seconds in windows if count > 0]
        self._seen: deque[int] = deque(maxlen=max((count for count, _ in self._windows), default=0))
        self._lock = threading.Lock()

    def admits(self) -> bool:
        """Count one request and return True, or return False when a window is full."""
        if not self._windows:
            return True
        with self._lock:
            now = self._clock.now_ms()
            for count, length in self._windows:
                if len(self._seen) >= count and self._seen[-count] > now - length:
                    return False
            self._seen.append(now)
        return True
