"""The event loop of one simulated process: asyncio on the virtual clock, without sockets and threads."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, TypeVar

from tests.simulation.scheduler import Scheduler

T = TypeVar("T")

HANDLES_MAX = 5_000
"""Callbacks in one moment; more mean a busy loop."""


class SpinningError(Exception):
    """A program runs for ever without time passing."""


class ProgramTask(asyncio.Task[Any]):
    """A task whose name no other one of its loop has, also when it is named once it was made."""

    def set_name(self, value: object) -> None:
        """See asyncio."""
        loop = self.get_loop()
        assert isinstance(loop, VirtualLoop)
        super().set_name(loop._own_name(str(value)))


class VirtualLoop(asyncio.AbstractEventLoop):
    """
    Runs what is ready until nothing is; time passes in the scheduler only.

    `stands_still_s` says for how many seconds from now the process is suspended: nothing runs before that.
    `died` ends the loop as a kill does: whatever waits is never continued, not even for clean-up.
    Of several tasks with one name the later ones get a number, so that each program has a name of its own.
    `ended` is called with every task that has ended.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        stands_still_s: Callable[[], float],
        ended: Callable[[asyncio.Task[Any]], object],
    ) -> None:
        self.has_died = False
        self._scheduler = scheduler
        self._stands_still_s = stands_still_s
        self._ended = ended
        self._ready: deque[asyncio.Handle] = deque()
        self._is_called = False
        self._named: Counter[str] = Counter()
        self._tasks: list[tuple[asyncio.Task[Any], Context, Coroutine[Any, Any, Any]]] = []

    # --- what asyncio asks of a loop -----------------------------------------------------------------

    def time(self) -> float:
        return self._scheduler.monotonic()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.has_died

    def is_closed(self) -> bool:
        return self.has_died

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        context = context or copy_context()
        # asyncio would count all tasks of the interpreter, and so tell one run from the next.
        name = name or f"task-{len(self._tasks)}"
        task = ProgramTask(coro, loop=self, name=self._own_name(name), context=context)
        task.add_done_callback(self._ended)
        # Held until the end, so that no clean-up runs when the process is killed.
        self._tasks.append((task, context, coro))
        return task

    def _own_name(self, name: str) -> str:
        self._named[name] += 1
        return name if self._named[name] == 1 else f"{name}-{self._named[name]}"

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._add(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._scheduler.after(when - self.time(), self._add, handle)
        return handle

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run it now: there are no threads."""
        future: asyncio.Future[T] = self.create_future()
        future.set_result(func(*args))
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A callback raised: a bug in asyncio's user or in the simulation."""
        raise RuntimeError(context["message"]) from context.get("exception")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Its call stays in the scheduler's queue without effect."""

    # --- running, dying ------------------------------------------------------------------------------

    def _add(self, handle: asyncio.Handle) -> None:
        if self.has_died or handle.cancelled():
            return
        self._ready.append(handle)
        if not self._is_called:
            self._is_called = True
            self._scheduler.after(0.0, self._turn)

    def _turn(self) -> None:
        if self.has_died:
            return
        if self._stands_still_s() <= 0:
            events._set_running_loop(self)
            try:
                self._run_ready()
            finally:
                events._set_running_loop(None)
        self._is_called = bool(self._ready)
        if self._is_called:
            self._scheduler.after(self._stands_still_s(), self._turn)

    def _run_ready(self) -> None:
        """Until nothing is ready, or the process dies or is suspended."""
        for _ in range(HANDLES_MAX):
            if not self._ready or self._stands_still_s() > 0:
                return
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()
        raise SpinningError(f"{HANDLES_MAX} callbacks in one moment")

    def die(self) -> None:
        """Nothing that waits here is continued."""
        self.has_died = True
        self._ready.clear()

    def bury(self) -> None:
        """After the run was judged: end the tasks that were never continued, in a fixed order."""
        self.die()
        for task, context, coro in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with suppress(RuntimeError):  # what it waits for at its end needs a loop, and there is none
                    context.run(coro.close)
