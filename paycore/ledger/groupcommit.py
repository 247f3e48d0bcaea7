"""
One writer thread that commits what many callers submit in groups: each caller still gets its own result.

A durable commit costs one disk flush, however many units of work it holds. The thread takes whatever is
waiting, runs it in one transaction and flushes once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from paycore.errors import LedgerError, LedgerUnavailable

T = TypeVar("T")

GROUP_MAX = 256
"""Units in one commit at most: bounds how long the first waits for the last."""


class Writable(Protocol):
    """A transaction that counts the statements that wrote."""

    writes: int


Tx = TypeVar("Tx", bound=Writable)


class Unit(Generic[Tx]):
    """
    One caller's work and where its result goes.

    `work` may run more than once before it commits: it is a function of what the database holds.
    """

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Callable[[Tx], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: Exception | None = None

    def run(self, tx: Tx) -> None:
        """Run in `tx`; `_SpoiltError` when it failed after it had written."""
        writes_before, self.error = tx.writes, None
        try:
            self.result = self.work(tx)
        except Exception as error:  # noqa: BLE001 - it is the caller's own, and handed to the caller
            self.error = error
            if tx.writes > writes_before:
                raise _SpoiltError from None

    def resolve(self) -> None:
        """Hand the result or the error to the caller."""
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _SpoiltError(Exception):
    """A unit failed after it had written, so its group can't be committed as it is."""


class GroupCommit(Generic[Tx]):
    """
    Runs submitted units in groups, each group inside one `transaction()`.

    `transaction` commits when its block ends and rolls back when it raises; it raises `LedgerError`s only.
    `typed` turns a database error that a unit met into one. `committed` is told every group's units, after
    the commit and after their callers. With `inline` there is no thread: each unit is committed in its
    caller's.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Tx]],
        *,
        typed: Callable[[Exception], Exception],
        committed: Callable[[Sequence[Unit[Tx]]], None],
        name: str,
        inline: bool = False,
    ) -> None:
        self._transaction = transaction
        self._typed = typed
        self._committed = committed
        self._queue: SimpleQueue[Unit[Tx] | None] = SimpleQueue()
        self._closed = False
        self._thread = None if inline else threading.Thread(target=self._run, name=name, daemon=True)
        if self._thread is not None:
            self._thread.start()

    def submit(self, work: Callable[[Tx], T]) -> Future[T]:
        """Run `work` in a transaction; the future resolves once it is durable, or with its error."""
        unit = Unit(work)
        if self._closed:
            unit.future.set_exception(LedgerUnavailable("the ledger is closed"))
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
        going_on = True
        while going_on:
            group = self._take()
            units = [unit for unit in group if unit is not None]
            going_on = len(units) == len(group)
            if units:
                self._commit(units)

    def _take(self) -> list[Unit[Tx] | None]:
        group = [self._queue.get()]
        while len(group) < GROUP_MAX and group[-1] is not None:
            try:
                group.append(self._queue.get_nowait())
            except Empty:
                break
        return group

    def _commit(self, units: Sequence[Unit[Tx]]) -> None:
        """One transaction for the whole group; one each when a unit fails after it wrote."""
        if not self._commit_together(units):
            for unit in units:
                self._commit_together([unit])
        for unit in units:
            if unit.error is not None:
                unit.error = self._typed(unit.error)
            unit.resolve()
        self._committed(units)

    def _commit_together(self, units: Sequence[Unit[Tx]]) -> bool:
        """False when a group was rolled back because of one of several units."""
        try:
            with self._transaction() as tx:
                for unit in units:
                    unit.run(tx)
        except _SpoiltError:
            return len(units) == 1
        except LedgerError as error:
            for unit in units:
                unit.error = error
        except Exception as error:  # noqa: BLE001 - every caller must hear of it, and the thread live on
            for unit in units:
                unit.error = LedgerUnavailable(f"the ledger failed: {type(error).__name__}: {error}")
        return True
