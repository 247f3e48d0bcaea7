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
from functools import partial

from paycore.engine.bridge import Bridge
from paycore.engine.signals import Signal
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

    `look_after` is called once for each account of which anything is wanted, with what is wanted of it.
    """

    def __init__(self, look_after: Callable[[WantedOf], None]) -> None:
        self._look_after = look_after
        self._scopes: dict[str, WantedOf] = {}
        self._lock = threading.Lock()
        self._is_over = False

    def of(self, account: str) -> WantedOf:
        """What is wanted of this account."""
        scope = self._scopes.get(account)
        return scope or self._begun(account)

    def _begun(self, account: str) -> WantedOf:
        with self._lock:
            scope = self._scopes.get(account)
            if scope is not None:
                return scope
            scope = self._scopes[account] = WantedOf(account)
            scope.is_over = self._is_over
        if not scope.is_over:
            self._look_after(scope)
        return scope

    @contextmanager
    def holding(self, account: str | None, payment_id: str) -> Iterator[None]:
        """Want this payment looked after, inside the block; None: by nobody."""
        if account is None:
            yield
            return
        scope = self.of(account)
        scope.hold(payment_id)
        try:
            yield
        finally:
            scope.let_go(payment_id)

    def end(self) -> None:
        """Nothing is looked after any more."""
        with self._lock:
            self._is_over = True
            scopes = tuple(self._scopes.values())
        for scope in scopes:
            scope.end()


class WantedOf:
    """The payments of one account that are wanted; a `Scope`."""

    pause_max_s: float | None = None

    def __init__(self, account: str) -> None:
        self._account = account
        self._waited: Counter[str] = Counter()
        self._to_confirm: dict[str, Deadline] = {}
        self._lock = threading.Lock()
        self.signal = Signal()
        self.is_over = False

    def accounts(self) -> tuple[str, ...]:
        """See `Scope.accounts`; none while nothing is wanted."""
        return (self._account,) if self._waited or self._to_confirm else ()

    def ids(self, _account: str) -> Collection[str]:
        """The ids of the payments that are wanted now."""
        with self._lock:
            told = self._to_confirm
            for payment_id in [one for one, until in told.items() if until.left_s <= 0]:
                del told[payment_id]
            return {*self._waited, *told}

    def confirm(self, payment_ids: Collection[str]) -> None:
        """A notification told of these; they have come due in the ledger."""
        until = Deadline(CONFIRM_WITHIN_S)
        with self._lock:
            self._to_confirm.update(dict.fromkeys(payment_ids, until))
        self.signal.give()

    def resolved(self, _account: str, payment_ids: Collection[str]) -> None:
        """Nothing is to be asked about these any more."""
        with self._lock:
            for payment_id in payment_ids:
                self._to_confirm.pop(payment_id, None)

    def hold(self, payment_id: str) -> None:
        """Somebody waits for this, until `let_go`."""
        with self._lock:
            self._waited[payment_id] += 1
        self.signal.give()

    def let_go(self, payment_id: str) -> None:
        """They wait no more."""
        with self._lock:
            self._waited[payment_id] -= 1
            if not self._waited[payment_id]:
                del self._waited[payment_id]

    def end(self) -> None:
        """Nothing is looked after any more."""
        self.is_over = True
        self.signal.give()


class Waiter:
    """Waiting in threads. Starts to watch the ledger with the first wait."""

    def __init__(self, ledger: Ledger, look_after: Callable[[WantedOf], None]) -> None:
        self._ledger = ledger
        self._hub = Hub()
        self._stop_watching: Callable[[], None] | None = None
        self._starting = threading.Lock()
        self.wanted = Wanted(look_after)

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

    def until_signalled(self, signal: Signal, seen: int, timeout_s: float | None) -> None:
        """Until the signal was given more than `seen` times, at most `timeout_s` seconds."""
        given = threading.Event()
        with signal.heard(given.set):
            if signal.count == seen:
                given.wait(timeout_s)

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

    def __init__(self, ledger: Ledger, bridge: Bridge, look_after: Callable[[WantedOf], None]) -> None:
        self._ledger = ledger
        self._bridge = bridge
        self._hub = Hub()
        self._stop_watching: Callable[[], None] | None = None
        self.wanted = Wanted(look_after)

    async def until_changed(self, payment_id: str, version: int, timeout_s: float) -> None:
        """See `Waiter.until_changed`."""
        if self._stop_watching is None:
            self._stop_watching = self._ledger.watch(self._hub.wake)
        woken = asyncio.get_running_loop().create_future()
        with self._hub.subscribed(payment_id, partial(_call_soon, woken)):
            payment = await self._bridge.result(self._ledger.get(payment_id))
            if payment.version == version:
                await _within(woken, timeout_s)
        self._hub.check_open()

    async def until_signalled(self, signal: Signal, seen: int, timeout_s: float | None) -> None:
        """Until the signal was given more than `seen` times, at most `timeout_s` seconds."""
        given = asyncio.get_running_loop().create_future()
        with signal.heard(partial(_call_soon, given)):
            if signal.count == seen:
                await _within(given, timeout_s)

    def close(self) -> None:
        """Stop watching, and end every wait."""
        self.wanted.end()
        self._hub.close()
        if self._stop_watching is not None:
            self._stop_watching()


async def _within(woken: asyncio.Future[None], timeout_s: float | None) -> None:
    """Until it is resolved, at most so many seconds."""
    if timeout_s is None:
        return await woken
    timer = woken.get_loop().call_later(timeout_s, _resolve, woken)
    try:
        await woken
    finally:
        timer.cancel()


def _resolve(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _call_soon(woken: asyncio.Future[None]) -> None:
    """Resolve the future on its own loop; a loop that is gone has nobody waiting."""
    with suppress(RuntimeError):
        woken.get_loop().call_soon_threadsafe(_resolve, woken)
