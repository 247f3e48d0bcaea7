"""
One writer thread that commits what many callers submit in groups: each caller still gets its own result.

A durable commit costs one disk flush, however many units of work it holds. The thread takes whatever is
waiting, runs it in one transaction and flushes once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from paycore.errors import LedgerUnavailable

T = TypeVar("T")
Tx = TypeVar("Tx")

GROUP_MAX = 256
"""Units in one commit at most: bounds how long the first waits for the last."""


class Unit(Generic[Tx]):
    """One caller's work and where its result goes. `work` may run more than once before it commits."""

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Callable[[Tx], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        """Hand the result or the error to the caller."""
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)

    def fail(self, error: BaseException) -> None:
        """Hand this error to the caller."""
        self.error = error
        self.resolve()


class GroupCommit(Generic[Tx]):
    """
    Runs submitted units through `commit`, which is given a group and must resolve every unit in it.

    With `inline` there is no thread: each unit is committed in the caller's, on its own.
    """

    def __init__(
        self, commit: Callable[[Sequence[Unit[Tx]]], None], *, name: str, inline: bool = False
    ) -> None:
        self._commit = commit
        self._queue: SimpleQueue[Unit[Tx] | None] = SimpleQueue()
        self._closed = False
        self._thread = None if inline else threading.Thread(target=self._run, name=name, daemon=True)
        if self._thread is not None:
            self._thread.start()

    def submit(self, work: Callable[[Tx], T]) -> Future[T]:
        """Run `work` in a transaction; the future resolves once it is durable, or with its error."""
        unit = Unit(work)
        if self._closed:
            unit.fail(LedgerUnavailable("the ledger is closed"))
        elif self._thread is None:
            self._commit([unit])
        else:
            self._queue.put(unit)
        return unit.future

    def close(self) -> None:
        """Commit what was submitted, then stop."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while True:
            group = self._take()
            units = [unit for unit in group if unit is not None]
            if units:
                self._commit_all(units)
            if len(units) < len(group):
                return

    def _take(self) -> list[Unit[Tx] | None]:
        group = [self._queue.get()]
        while len(group) < GROUP_MAX and group[-1] is not None:
            try:
                group.append(self._queue.get_nowait())
            except Empty:
                break
        return group

    def _commit_all(self, units: Sequence[Unit[Tx]]) -> None:
        try:
            self._commit(units)
        except BaseException as error:  # noqa: BLE001 - every caller must hear of it, and the thread live on
            for unit in units:
                if not unit.future.done():
                    unit.fail(error)
