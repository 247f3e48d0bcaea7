"""Whether those who wait are woken in time, and whether what they wait for is looked after."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from paycore.domain.payment import Payment, Status

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

WOKEN_MAX_S = 0.3
"""To hear of a change and read the payment again, as long as nobody stands still."""

LOOKED_MAX_S = 150.0
"""Between two looks: the longest interval and its jitter, and twice a lease of somebody who died."""


class Wait(msgspec.Struct, frozen=True):
    """One caller's `wait`, as it began."""

    who: str
    timeout_s: float
    began_s: float
    lost_before_s: float


class Waits:
    """Knows when each payment was settled, and when its provider was asked about it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settled_s: dict[str, float] = {}
        self._asked_s: dict[str, list[float]] = defaultdict(list)

    def changed(self, payment: Payment) -> None:
        """A change of this payment was committed."""
        if _is_settled(payment):
            self._settled_s.setdefault(payment.id, self._now_s())
        else:
            self._settled_s.pop(payment.id, None)

    def asked(self, numbers: list[str]) -> None:
        """Some process asks its provider about these numbers."""
        for number in numbers:
            self._asked_s[number].append(self._now_s())

    @contextmanager
    def in_time(self, process: Process, who: str, most_s: float) -> Iterator[None]:
        """A call that comes back, with whatever, within `most_s`; one that is cancelled may not."""
        began_s, lost_before_s = self._now_s(), process.lost_s
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception:
            self._judge(process, who, began_s, most_s - lost_before_s)
            raise
        else:
            self._judge(process, who, began_s, most_s - lost_before_s)

    def _judge(self, process: Process, who: str, began_s: float, most_s: float) -> None:
        took_s = self._now_s() - began_s
        if took_s > most_s + process.lost_s:
            self._world.witness.violated("a call ends in time", f"{who} was kept for {took_s:.3f} s")

    def begin(self, process: Process, who: str, timeout_s: float) -> Wait:
        """A caller begins to wait."""
        return Wait(who, timeout_s, self._now_s(), process.lost_s)

    def end(self, wait: Wait, process: Process, payment: Payment) -> None:
        """The wait has ended with this payment."""
        lost_s = process.lost_s - wait.lost_before_s
        took_s = self._now_s() - wait.began_s
        for rule, what in self._broken(wait, payment, took_s, lost_s):
            self._world.witness.violated(rule, f"{wait.who} waited {took_s:.3f} s for {payment.id}: {what}")

    def _broken(
        self, wait: Wait, payment: Payment, took_s: float, lost_s: float
    ) -> Iterator[tuple[str, str]]:
        settled_s = max(self._settled_s.get(payment.id, self._now_s()), wait.began_s)
        if not _is_settled(payment) and took_s < wait.timeout_s:
            yield "who waits gets an answer", f"it is {payment.status} before the time is over"
        if took_s > wait.timeout_s + lost_s + WOKEN_MAX_S:
            yield "a wait ends in time", f"at most {wait.timeout_s:.3f} s were asked for"
        if self._now_s() > settled_s + lost_s + WOKEN_MAX_S:
            yield "who waits is woken", f"it was settled at {settled_s:.3f}"
        gap_s = self._longest_gap_s(wait, payment, settled_s)
        if payment.status is not Status.CREATED and gap_s > LOOKED_MAX_S + lost_s:
            yield "who is waited for is looked after", f"nobody asked about it for {gap_s:.0f} s"

    def _longest_gap_s(self, wait: Wait, payment: Payment, until_s: float) -> float:
        numbers = [operation.number for operation in payment.operations]
        asked_s = sorted(at for number in numbers for at in self._asked_s[number])
        asked_s = [at for at in asked_s if wait.began_s < at < until_s]
        return max(later - earlier for earlier, later in pairwise([wait.began_s, *asked_s, until_s]))

    def _now_s(self) -> float:
        return self._world.scheduler.monotonic()


def _is_settled(payment: Payment) -> bool:
    return payment.status.is_final or payment.review
