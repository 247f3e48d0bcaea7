"""
Waiters: woken by any change of their payment, whichever process made it.

A waiter registers first and reads the row afterwards, so no change is missed in between. It holds nothing but
its wake-up: nothing is lost when the caller goes away.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from paycore.engine.bridge import Bridge
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


class Wanted:
    """
    What the embedded worker looks after.

    The payments somebody waits for, until they are final; and those a notification told of, for which
    whoever takes them is to ask the provider.
    """

    def __init__(self, on_wanted: Callable[[], None]) -> None:
        self._on_wanted = on_wanted
        self._counts: dict[str, int] = {}
        self._to_confirm: set[str] = set()
        self.is_over = False
        self._lock = threading.Lock()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of those waited for now."""
        with self._lock:
            return tuple(self._counts)

    def confirm(self, payment_ids: Collection[str]) -> None:
        """A notification told of these; they have come due in the ledger."""
        with self._lock:
            self._to_confirm.update(payment_ids)
        self._on_wanted()

    def take_to_confirm(self) -> Collection[str]:
        """The ids that came with `confirm` since the last time: whoever takes them sees to it."""
        with self._lock:
            taken, self._to_confirm = self._to_confirm, set()
        return taken

    @contextmanager
    def holding(self, payment_id: str) -> Iterator[None]:
        """Want this payment looked after, inside the block."""
        with self._lock:
            self._counts[payment_id] = self._counts.get(payment_id, 0) + 1
        self._on_wanted()
        try:
            yield
        finally:
            with self._lock:
                self._counts[payment_id] -= 1
                if not self._counts[payment_id]:
                    del self._counts[payment_id]


class Waiter:
    """Waiting in threads. Starts to watch the ledger with the first wait."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._hub = Hub()
        self._stop_watching: Callable[[], None] | None = None
        self._starting = threading.Lock()
        self._begun = threading.Event()
        self.wanted = Wanted(self._begun.set)

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

    def until_wanted(self, timeout_s: float | None) -> bool:
        """Until somebody begins to wait, at most `timeout_s`; False once there will be no more."""
        self._begun.wait(timeout_s)
        self._begun.clear()
        return not self.wanted.is_over

    def _watch(self) -> None:
        with self._starting:
            if self._stop_watching is None:
                self._stop_watching = self._ledger.watch(self._hub.wake)

    def close(self) -> None:
        """Stop watching, end every wait, and let `until_wanted` say that it is over."""
        self.wanted.is_over = True
        self._begun.set()
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
        self._begun = asyncio.Event()
        self.wanted = Wanted(self._begun.set)

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

    async def until_wanted(self, timeout_s: float | None) -> bool:
        """Until somebody begins to wait, at most `timeout_s`; False once there will be no more."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), timeout_s)
        self._begun.clear()
        return not self.wanted.is_over

    def close(self) -> None:
        """Stop watching, end every wait, and let `until_wanted` say that it is over."""
        self.wanted.is_over = True
        self._begun.set()
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
