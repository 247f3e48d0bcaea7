"""From the ledger's threads to one event loop: the results of a whole group arrive with one wake-up."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from paycore.errors import WrongLoop

T = TypeVar("T")


class Bridge:
    """
    Awaits the ledger's futures on the loop it is first used on.

    What `asyncio.wrap_future` does, but one call into the loop for all that is resolved together, and a
    cancelled caller cancels nothing: the transaction was asked for and takes place.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._binding = threading.Lock()
        self._arrived: deque[asyncio.Future[None]] = deque()
        self._is_announced = False

    def check_loop(self) -> None:
        """
        `WrongLoop` on any event loop but the first this is called on.

        Connections, waiters and the worker belong to one loop: used from another they would hang, or fail
        with a request under way.
        """
        loop = asyncio.get_running_loop()
        with self._binding:
            self._loop = self._loop or loop
        if self._loop is not loop:
            which = "has ended" if self.is_over else "is another one"
            raise WrongLoop(
                f"the event loop this AsyncClient was first used on {which};"
                " open a client of its own in each event loop"
            )

    @property
    def is_over(self) -> bool:
        """Whether the loop this belongs to has ended: nothing on it is under way any more, nor can be."""
        return self._loop is not None and self._loop.is_closed()

    async def result(self, future: Future[T]) -> T:
        """What the future comes to; a read that is there already is returned at once."""
        if not future.done():
            await self.arrived(future)
        return future.result()

    async def arrived(self, future: Future[T], timeout_s: float | None = None) -> None:
        """Until the future is done, at most so many seconds."""
        loop = asyncio.get_running_loop()
        arrival: asyncio.Future[None] = loop.create_future()
        future.add_done_callback(lambda _: self.resolve_soon(arrival))
        if timeout_s is None:
            await arrival
            return
        timer = loop.call_later(timeout_s, self.resolve_soon, arrival)
        try:
            await arrival
        finally:
            timer.cancel()

    def resolve_soon(self, arrival: asyncio.Future[None]) -> None:
        """In any thread: have the loop take everything that has arrived by then."""
        self._arrived.append(arrival)
        if not self._is_announced:
            self._is_announced = True
            with suppress(RuntimeError):  # a loop that is gone has nobody waiting
                arrival.get_loop().call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # First, so that whatever arrives from here on is announced again.
        self._is_announced = False
        while self._arrived:
            arrival = self._arrived.popleft()
            if not arrival.done():
                arrival.set_result(None)
