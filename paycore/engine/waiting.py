"""Waiting for many payments at once: each is handed over as soon as nothing of it is awaited any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

from paycore.domain.payment import Payment
from paycore.domain.schedule import is_awaited
from paycore.engine.effects import Pause, Program, UntilSignalled, in_ledger
from paycore.engine.telling import tell
from paycore.engine.timing import Deadline, Stopwatch
from paycore.engine.waiter import Hub, ManyTold, Wanted, WantedOf
from paycore.ledger.api import Ledger

READS_AT_ONCE = 64
"""Payments that are read one after another before others on the event loop have their turn."""


class Waiting:
    """
    A wait for these payments, until the deadline; `end` it.

    It holds one wake-up for all of them, and of each no more than its id.
    """

    def __init__(self, hub: Hub[Any], wanted: Wanted, payment_ids: Iterable[str], deadline: Deadline) -> None:
        self._hub = hub
        self._wanted = wanted
        self._deadline = deadline
        self._watch = Stopwatch()
        self._told = ManyTold()
        self._reads = 0
        self._left: dict[str, WantedOf | None] = dict.fromkeys(payment_ids)
        self._to_read = deque(self._left)
        for payment_id in self._left:
            hub.subscribe(payment_id, self._told)

    def next(self) -> Program[Payment | None]:
        """The next one that is not awaited any more; at the deadline each as it is; None when none is left."""
        while self._left:
            seen = self._told.signal.count
            self._to_read.extend(payment_id for payment_id in self._told.take() if payment_id in self._left)
            while self._to_read:
                found = yield from self._read(self._to_read.popleft())
                if found is not None:
                    return found
            if self._deadline.left_s <= 0:
                self._to_read.extend(self._left)
                continue
            yield UntilSignalled(self._told.signal, seen, self._deadline.left_s)
            self._hub.check_open()
        return None

    def _read(self, payment_id: str) -> Program[Payment | None]:
        """The payment, if this is what it is handed over as."""
        if payment_id not in self._left:
            return None
        self._reads += 1
        if self._reads % READS_AT_ONCE == 0:
            yield Pause(0)
        payment = yield from in_ledger(partial(_get, payment_id), self._deadline)
        if is_awaited(payment) and self._deadline.left_s > 0:
            self._want(payment)
            return None
        self._let_go(payment_id)
        tell("wait", (payment,), self._watch)
        return payment

    def _want(self, payment: Payment) -> None:
        if self._left[payment.id] is None:
            scope = self._left[payment.id] = self._wanted.of(payment.account)
            scope.hold(payment.id)

    def _let_go(self, payment_id: str) -> None:
        self._hub.unsubscribe(payment_id, self._told)
        scope = self._left.pop(payment_id)
        if scope is not None:
            scope.let_go(payment_id)

    def end(self) -> None:
        """Wait no more."""
        for payment_id in tuple(self._left):
            self._let_go(payment_id)


def _get(payment_id: str, ledger: Ledger) -> Future[Payment]:
    return ledger.get(payment_id)
