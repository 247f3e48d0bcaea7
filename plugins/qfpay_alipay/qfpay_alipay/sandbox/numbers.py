"""QFPay's order numbers (`syssn`) and the wallet's (`tradeNO`)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable

from paycore.sandbox.virtual_clock import SandboxClock
from qfpay_alipay.sandbox.times import date_digits, ms_of_day

_NODE = "0003"
_DIGITS = 10


class Numbers:
    """
    Counts up from the time of day, and from past every number in `known`.

    So a restarted sandbox never repeats a number, with its state or without.

    Source: shape of `syssn` inferred from the samples (SOURCES.md §1): date, 4-digit node, `0002`, 10-digit
    counter. The shape of `tradeNO` is not published by QFPay; 28 digits beginning with the date is how Alipay's trade
    numbers commonly look.
    """

    def __init__(self, clock: SandboxClock, *, known: Iterable[str]) -> None:
        self._clock = clock
        last = max((int(number[-_DIGITS:]) for number in known), default=0)
        self._count = itertools.count(max(last + 1, ms_of_day(clock.now_ms()) * 100))
        self._lock = threading.Lock()

    def syssn(self) -> str:
        return f"{date_digits(self._clock.now_ms())}{_NODE}0002{self._next():0{_DIGITS}d}"

    def trade_no(self) -> str:
        return f"{date_digits(self._clock.now_ms())}22001{self._next():015d}"

    def _next(self) -> int:
        with self._lock:
            return next(self._count)
