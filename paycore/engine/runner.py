"""The twins that perform a program's effects, sync and async: the thinnest layer there is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent import futures
from concurrent.futures import Future
from typing import TypeVar

from paycore.engine.bridge import Bridge
from paycore.engine.effects import (
    Effect,
    InLedger,
    OnWire,
    Pause,
    Program,
    UntilChanged,
    UntilReady,
    UntilSignalled,
)
from paycore.engine.timing import Deadline
from paycore.engine.transport import AsyncSender, Sender
from paycore.engine.waiter import AsyncWaiter, Waiter
from paycore.errors import NotSent
from paycore.ledger.api import Ledger

T = TypeVar("T")


def _check_recordable(ledger: Ledger) -> None:
    """
    `NotSent` where what comes of a request could not be recorded.

    So it is in a child that was forked in the middle of a call: by the thread that calls, or among greenlets, which all
    go on there. Its parent sends the same request.
    """
    if not ledger.is_open:
        raise NotSent("the client was closed, or the process forked, before anything was sent")


class Runner:
    """Runs programs in the calling thread."""

    def __init__(self, ledger: Ledger, waiter: Waiter) -> None:
        self._ledger = ledger
        self._waiter = waiter
        self._senders: dict[tuple[str, str], Sender] = {}

    def run(self, program: Program[T]) -> T:
        """What the program returns; raises what it raises."""
        resume, value = program.send, None
        while True:
            try:
                effect = resume(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                resume, value = program.send, self._perform(effect)
            except Exception as error:  # noqa: BLE001 - the program decides what an error means
                resume, value = program.throw, error
            except BaseException:
                program.close()  # others may wait for what it was about to do
                raise

    def _perform(self, effect: Effect) -> object:
        match effect:
            case InLedger(verb, deadline):
                return verb(self._ledger).result() if deadline is None else self._waiter.read(verb, deadline)
            case OnWire(account, base_url, request, deadline, tls):
                _check_recordable(self._ledger)
                place = (account, base_url)
                sender = self._senders.get(place) or self._senders.setdefault(place, Sender(base_url, tls))
                return sender.send(request, deadline)
            case UntilChanged():
                self._waiter.until_changed(effect)
                return None
            case UntilReady(ready, timeout_s):
                futures.wait((ready,), timeout_s)
                return None
            case UntilSignalled(signal, seen, timeout_s):
                self._waiter.until_signalled(signal, seen, timeout_s)
                return None
            case Pause(seconds):
                time.sleep(seconds)
                return None

    def close(self) -> None:
        """Close the connections."""
        for sender in self._senders.values():
            sender.close()


class AsyncRunner:
    """Runs programs on one event loop."""

    def __init__(self, ledger: Ledger, waiter: AsyncWaiter, bridge: Bridge) -> None:
        self._ledger = ledger
        self._waiter = waiter
        self._bridge = bridge
        self._senders: dict[tuple[str, str], AsyncSender] = {}

    async def run(self, program: Program[T]) -> T:
        """What the program returns; raises what it raises, and `WrongLoop` before anything is done."""
        self._bridge.check_loop()
        resume, value = program.send, None
        while True:
            try:
                effect = resume(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                resume, value = program.send, await self._perform(effect)
            except Exception as error:  # noqa: BLE001 - the program decides what an error means
                resume, value = program.throw, error
            except BaseException:  # such as being cancelled
                program.close()
                raise

    def _perform(self, effect: Effect) -> Awaitable[object]:
        """What is awaited; not awaited here, since each of thousands who wait would hold one frame more."""
        match effect:
            case InLedger(verb, deadline):
                return self._read_or_write(verb, deadline)
            case OnWire(account, base_url, request, deadline, tls):
                _check_recordable(self._ledger)
                place = (account, base_url)
                sender = self._senders.get(place) or self._senders.setdefault(
                    place, AsyncSender(base_url, tls)
                )
                return sender.send(request, deadline)
            case UntilChanged():
                return self._waiter.until_changed(effect)
            case UntilReady(ready, timeout_s):
                return asyncio.wait((asyncio.wrap_future(ready),), timeout=timeout_s)
            case UntilSignalled(signal, seen, timeout_s):
                return self._waiter.until_signalled(signal, seen, timeout_s)
            case Pause(seconds):
                return asyncio.sleep(seconds)

    def _read_or_write(self, verb: Callable[[Ledger], Future[T]], deadline: Deadline | None) -> Awaitable[T]:
        if deadline is None:
            return self._bridge.result(verb(self._ledger))
        return self._waiter.read(verb, deadline)

    async def aclose(self) -> None:
        """Close the connections."""
        for sender in self._senders.values():
            await sender.aclose()
