"""
Waiters: woken by any change of their payment, whichever process made it.

A waiter registers first and reads the row afterwards, so no change is missed in between. It holds nothing but
its wake-up: nothing is lost when the caller goes away.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future
from functools import partial
from operator import methodcaller
from typing import Generic, TypeVar

from paycore.engine.bridge import Bridge
from paycore.engine.effects import UntilChanged
from paycore.engine.signals import Signal
from paycore.engine.timing import Deadline
from paycore.errors import LedgerUnavailable
from paycore.ledger.api import Ledger

T = TypeVar("T")
W = TypeVar("W")

LATE_S = 2.0
"""Seconds after a caller's deadline in which a read that the ledger does not answer is given up."""

AGAIN_S = 0.1
"""Seconds until a ledger that can't be reached is tried again."""


class ManyTold:
    """Which of many payments have changed; told by a hub, taken by one waiter."""

    def __init__(self) -> None:
        self.signal = Signal()
        self._changed: dict[str, None] = {}
        self._lock = threading.Lock()

    def tell(self, payment_id: str) -> None:
        """This one has changed."""
        with self._lock:
            self._changed[payment_id] = None
        self.signal.give()

    def take(self) -> Collection[str]:
        """Those that have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, {}
        return changed


class Hub(Generic[W]):
    """
    Wake-ups by payment id; called from the ledger's threads, subscribed to from any.

    Whoever waits for one payment is a `W`, which `wake` wakes; who waits for many is a `ManyTold`.
    """

    def __init__(self, wake: Callable[[W], None]) -> None:
        self._wake = wake
        self._calls: dict[str, W | ManyTold | list[W | ManyTold]] = {}
        self._lock = threading.Lock()
        self._is_over = False

    def subscribe(self, payment_id: str, waiter: W | ManyTold) -> None:
        """Wake at every change of this payment, until `unsubscribe`; and once nothing more can be heard of."""
        with self._lock:
            known = self._calls.setdefault(payment_id, waiter)
            if isinstance(known, list):
                known.append(waiter)
            elif known is not waiter:
                self._calls[payment_id] = [known, waiter]
            is_over = self._is_over
        if is_over:
            self._call(waiter, payment_id)

    def unsubscribe(self, payment_id: str, waiter: W | ManyTold) -> None:
        """Wake it no more."""
        with self._lock:
            known = self._calls[payment_id]
            if isinstance(known, list):
                known.remove(waiter)
                if known:
                    return
            del self._calls[payment_id]

    def wake(self, changed: Collection[str]) -> None:
        """Wake whoever waits for one of these payments."""
        with self._lock:
            woken = [(waiter, payment_id) for payment_id in changed for waiter in self._waiters(payment_id)]
        for waiter, payment_id in woken:
            self._call(waiter, payment_id)

    def _waiters(self, payment_id: str) -> Collection[W | ManyTold]:
        known = self._calls.get(payment_id)
        if known is None:
            return ()
        return tuple(known) if isinstance(known, list) else (known,)

    def _call(self, waiter: W | ManyTold, payment_id: str) -> None:
        if isinstance(waiter, ManyTold):
            waiter.tell(payment_id)
        else:
            self._wake(waiter)

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
        self.hub = Hub[threading.Event](methodcaller("set"))
        self._stop_watching: Callable[[], None] | None = None
        self._starting = threading.Lock()
        self.wanted = Wanted(look_after)

    def until_changed(self, wanted: UntilChanged) -> None:
        """
        Until this payment is no longer at its version, at most for its timeout.

        Raises `LedgerUnavailable` when it is closed meanwhile.
        """
        deadline, payment_id = Deadline(wanted.timeout_s), wanted.payment_id
        self.watch(deadline)
        woken, scope = threading.Event(), wanted.account and self.wanted.of(wanted.account)
        self.hub.subscribe(payment_id, woken)
        if scope:
            scope.hold(payment_id)
        try:
            if self.read(lambda ledger: ledger.get(payment_id), deadline).version == wanted.version:
                woken.wait(max(0.0, deadline.left_s))
        finally:
            if scope:
                scope.let_go(payment_id)
            self.hub.unsubscribe(payment_id, woken)
        self.hub.check_open()

    def until_signalled(self, signal: Signal, seen: int, timeout_s: float | None) -> None:
        """Until the signal was given more than `seen` times, at most `timeout_s` seconds."""
        given = threading.Event()
        with signal.heard(given.set):
            if signal.count == seen:
                given.wait(timeout_s)

    def read(self, verb: Callable[[Ledger], Future[T]], deadline: Deadline) -> T:
        """
        What the ledger answers; one that can't be reached is tried again until the deadline.

        Raises `LedgerUnavailable` then, also when an answer is still missing.
        """

        def answered() -> T:
            reading = verb(self._ledger)
            try:
                return reading.result(_patience_s(deadline))
            except TimeoutError:
                if reading.done():
                    raise
                raise _too_late() from None

        return self._patiently(answered, deadline)

    def watch(self, deadline: Deadline) -> None:
        """Hear of the ledger's changes from now on."""
        if self._stop_watching is None:
            self._patiently(self._start_watching, deadline)

    def _start_watching(self) -> None:
        with self._starting:
            if self._stop_watching is None:
                self._stop_watching = self._ledger.watch(self.hub.wake)

    def _patiently(self, work: Callable[[], T], deadline: Deadline) -> T:
        while True:
            try:
                return work()
            except LedgerUnavailable:
                if not self._ledger.is_open or deadline.left_s <= 0:
                    raise
            time.sleep(max(0.0, min(AGAIN_S, deadline.left_s)))

    def close(self) -> None:
        """Stop watching, and end every wait."""
        self.wanted.end()
        self.hub.close()
        if self._stop_watching is not None:
            self._stop_watching()


class AsyncWaiter:
    """Waiting on one event loop. Starts to watch the ledger with the first wait."""

    def __init__(self, ledger: Ledger, bridge: Bridge, look_after: Callable[[WantedOf], None]) -> None:
        self._ledger = ledger
        self._bridge = bridge
        self.hub = Hub[asyncio.Future[None]](bridge.resolve_soon)
        self._stop_watching: Callable[[], None] | None = None
        self._starting = asyncio.Lock()
        self.wanted = Wanted(look_after)

    async def until_changed(self, wanted: UntilChanged) -> None:
        """See `Waiter.until_changed`."""
        deadline, payment_id = Deadline(wanted.timeout_s), wanted.payment_id
        if self._stop_watching is None:
            await self.watch(deadline)
        loop = asyncio.get_running_loop()
        woken, scope = loop.create_future(), wanted.account and self.wanted.of(wanted.account)
        self.hub.subscribe(payment_id, woken)
        if scope:
            scope.hold(payment_id)
        try:
            if (await self.read(lambda ledger: ledger.get(payment_id), deadline)).version == wanted.version:
                timer = loop.call_later(max(0.0, deadline.left_s), _resolve, woken)
                try:
                    await woken
                finally:
                    timer.cancel()
        finally:
            if scope:
                scope.let_go(payment_id)
            self.hub.unsubscribe(payment_id, woken)
        self.hub.check_open()

    async def until_signalled(self, signal: Signal, seen: int, timeout_s: float | None) -> None:
        """See `Waiter.until_signalled`."""
        loop = asyncio.get_running_loop()
        given = loop.create_future()
        with signal.heard(partial(self._bridge.resolve_soon, given)):
            if signal.count != seen:
                return
            timer = None if timeout_s is None else loop.call_later(timeout_s, _resolve, given)
            try:
                await given
            finally:
                if timer is not None:
                    timer.cancel()

    async def read(self, verb: Callable[[Ledger], Future[T]], deadline: Deadline) -> T:
        """See `Waiter.read`."""
        while True:
            try:
                reading = verb(self._ledger)
                if not reading.done():
                    await self._bridge.arrived(reading, _patience_s(deadline))
                if not reading.done():
                    raise _too_late()
                return reading.result()
            except LedgerUnavailable:
                if not self._ledger.is_open or deadline.left_s <= 0:
                    raise
            await asyncio.sleep(max(0.0, min(AGAIN_S, deadline.left_s)))

    async def watch(self, deadline: Deadline) -> None:
        """See `Waiter.watch`; the loop does not wait for the database."""
        while self._stop_watching is None:
            async with self._starting:
                try:
                    if self._stop_watching is None:
                        self._stop_watching = await asyncio.to_thread(self._ledger.watch, self.hub.wake)
                except LedgerUnavailable:
                    if not self._ledger.is_open or deadline.left_s <= 0:
                        raise
            if self._stop_watching is None:
                await asyncio.sleep(max(0.0, min(AGAIN_S, deadline.left_s)))

    def close(self) -> None:
        """Stop watching, and end every wait."""
        self.wanted.end()
        self.hub.close()
        if self._stop_watching is not None:
            self._stop_watching()


def _patience_s(deadline: Deadline) -> float:
    return max(0.0, deadline.left_s) + LATE_S


def _too_late() -> LedgerUnavailable:
    error = LedgerUnavailable("the ledger has not answered in time; wait again once it does")
    error.money_moved = "no"  # it was only read
    return error


def _resolve(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
