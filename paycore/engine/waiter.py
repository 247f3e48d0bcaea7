"""
Waiters: woken by any change of their payment, whichever process made it.

A waiter registers first and reads the row afterwards, so no change is missed in between. It holds nothing but
its wake-up: nothing is lost when the caller goes away.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from paycore.engine.bridge import Bridge
from paycore.engine.timing import Deadline
from paycore.errors import LedgerUnavailable
from paycore.ledger.api import Ledger


class Hub:
    """Wake-ups by payment id; called from the ledger's threads, subscribed to from any."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Callable[[], None]]] = {}
        self._lock = threading.Lock()
        self._is_over = False

    @contextmanager
    def subscribed(self, payment_id: str, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` at every change of this payment, inside the block; and once nothing more can be heard of."""
        with self._lock:
            self._calls.setdefault(payment_id, []).append(wake)
            is_over = self._is_over
        if is_over:
            wake()
        try:
            yield
        finally:
            with self._lock:
                calls = self._calls[payment_id]
                calls.remove(wake)
                if not calls:
                    del self._calls[payment_id]

    def wake(self, changed: Collection[str]) -> None:
        """Wake whoever waits for one of these payments."""
        with self._lock:
            calls = [call for payment_id in changed for call in self._calls.get(payment_id, ())]
        for call in calls:
            call()

    def close(self) -> None:
        """Wake everybody: nobody looks after what they wait for any more."""
        with self._lock:
            self._is_over = True
            waiting = tuple(self._calls)
        self.wake(waiting)

    def check_open(self) -> None:
        """`LedgerUnavailable` once it is over: nothing more is heard of any change."""
        if self._is_over:
            raise LedgerUnavailable("the client was closed meanwhile; wait again with one that is open")


CONFIRM_WITHIN_S = 60.0
"""How long a client follows up a notification. The payment stays due in the ledger for any other worker."""


class Wanted:
    """
    What a client's own workers look after: what somebody waits for, and what a notification told of.

    `signal` is called when there is more to look after, and when it is over.
    """

    pause_max_s: float | None = None

    def __init__(self, signal: Callable[[], None]) -> None:
        self._signal = signal
        self._waited: dict[str, Counter[str]] = {}
        self._to_confirm: dict[str, dict[str, Deadline]] = {}
        self._lock = threading.Lock()
        self.is_over = False

    def accounts(self) -> tuple[str, ...]:
        """The accounts of which something is wanted now."""
        with self._lock:
            return tuple({**self._waited, **self._to_confirm})

    def ids(self, account: str) -> Collection[str]:
        """The ids of the account's payments that are wanted now."""
        with self._lock:
            told = self._to_confirm.get(account, {})
            for payment_id in [one for one, until in told.items() if until.left_s <= 0]:
                del told[payment_id]
            if not told:
                self._to_confirm.pop(account, None)
            return {*self._waited.get(account, ()), *told}

    def confirm(self, account: str, payment_ids: Collection[str]) -> None:
        """A notification told of these; they have come due in the ledger."""
        until = Deadline(CONFIRM_WITHIN_S)
        with self._lock:
            self._to_confirm.setdefault(account, {}).update(dict.fromkeys(payment_ids, until))
        self._signal()

    def resolved(self, account: str, payment_ids: Collection[str]) -> None:
        """Nothing is to be asked about these any more."""
        with self._lock:
            for payment_id in payment_ids:
                self._to_confirm.get(account, {}).pop(payment_id, None)

    @contextmanager
    def holding(self, account: str | None, payment_id: str) -> Iterator[None]:
        """Want this payment looked after, inside the block; None: by nobody."""
        if account is None:
            yield
            return
        with self._lock:
            self._waited.setdefault(account, Counter())[payment_id] += 1
        self._signal()
        try:
            yield
        finally:
            with self._lock:
                waited = self._waited[account]
                waited[payment_id] -= 1
                if not waited[payment_id]:
                    del waited[payment_id]
                if not waited:
                    del self._waited[account]

    def end(self) -> None:
        """Nothing is looked after any more."""
        self.is_over = True
        self._signal()


class Waiter:
    """Waiting in threads. Starts to watch the ledger with the first wait."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._hub = Hub()
        self._stop_watching: Callable[[], None] | None = None
        self._starting = threading.Lock()
        self._signals = 0
        self._signalled = threading.Condition()
        self.wanted = Wanted(self.signal)

    def until_changed(self, payment_id: str, version: int, timeout_s: float) -> None:
        """
        Until this payment is no longer at `version`, at most `timeout_s`.

        Raises `LedgerUnavailable` when it is closed meanwhile.
        """
        self._watch()
        woken = threading.Event()
        with self._hub.subscribed(payment_id, woken.set):
            if self._ledger.get(payment_id).result().version == version:
                woken.wait(timeout_s)
        self._hub.check_open()

    def until_wanted(self, seen: int, timeout_s: float | None) -> int:
        """Until there were more signals than `seen`, at most `timeout_s` seconds; how many there were."""
        with self._signalled:
            self._signalled.wait_for(lambda: self._signals != seen, timeout_s)
            return self._signals

    def signal(self) -> None:
        """Wake all workers."""
        with self._signalled:
            self._signals += 1
            self._signalled.notify_all()

    def _watch(self) -> None:
        with self._starting:
            if self._stop_watching is None:
                self._stop_watching = self._ledger.watch(self._hub.wake)

    def close(self) -> None:
        """Stop watching, and end every wait."""
        self.wanted.end()
        self._hub.close()
        if self._stop_watching is not None:
            self._stop_watching()


class AsyncWaiter:
    """Waiting on one event loop. Starts to watch the ledger with the first wait."""

    def __init__(self, ledger: Ledger, bridge: Bridge) -> None:
        self._ledger = ledger
        self._bridge = bridge
        self._hub = Hub()
        self._stop_watching: Callable[[], None] | None = None
        self._signals = 0
        self._signalled = asyncio.Event()
        self.wanted = Wanted(self.signal)

    async def until_changed(self, payment_id: str, version: int, timeout_s: float) -> None:
        """See `Waiter.until_changed`."""
        if self._stop_watching is None:
            self._stop_watching = self._ledger.watch(self._hub.wake)
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        with self._hub.subscribed(payment_id, lambda: _call_soon(loop, woken)):
            payment = await self._bridge.result(self._ledger.get(payment_id))
            if payment.version == version:
                await asyncio.wait((woken,), timeout=timeout_s)
        self._hub.check_open()

    async def until_wanted(self, seen: int, timeout_s: float | None) -> int:
        """Until there were more signals than `seen`, at most `timeout_s` seconds; how many there were."""
        if self._signals == seen:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), timeout_s)
        return self._signals

    def signal(self) -> None:
        """Wake all workers; called on the loop."""
        self._signals += 1
        self._signalled.set()  # whoever waits is woken, and whoever comes later waits for the next one
        self._signalled.clear()

    def close(self) -> None:
        """Stop watching, and end every wait."""
        self.wanted.end()
        self._hub.close()
        if self._stop_watching is not None:
            self._stop_watching()


def _call_soon(loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
    """Resolve the future on its own loop; a loop that is gone has nobody waiting."""

    def resolve() -> None:
        if not woken.done():
            woken.set_result(None)

    with suppress(RuntimeError):
        loop.call_soon_threadsafe(resolve)
