"""
One writer thread commits the work of many callers in groups; each caller gets its own result.

A durable commit costs one disk flush, however many units it contains. The thread takes whatever is queued, runs
it in one transaction and flushes once. Callers of the previous group are answered while the thread waits for
the disk: earlier, they would compete with it for the interpreter.

A caller who is alone does not commit in its own thread. That would save a tenth of what a commit takes, nothing
once two callers are there, and an event loop could not do it at all; but Ctrl-C would end a commit half way, and a
signal's handler that calls paycore would wait for the very commit it interrupted.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from itertools import count
from operator import attrgetter
from typing import Any, TypeVar

from paycore.errors import LedgerFull, LedgerReadOnly, LedgerTooNew, LedgerUnavailable, PaycoreError
from paycore.ledger.group import Group, Wants
from paycore.ledger.transaction import AgainError

T = TypeVar("T")

GROUP_MAX = 256
"""The approximate weight of the units in one commit; limits how long the first waits for the last."""

AGAIN_MAX_S = 15.0
"""How long a group is retried before its callers get the error."""

CONCERNS_ALL = (LedgerUnavailable, LedgerFull, LedgerReadOnly, LedgerTooNew)
"""Errors that affect every unit, so that running each by itself would not help."""


class Unit:
    """
    One caller's work, what it reads, and where its result goes.

    `work` may run more than once before it commits, and depends on the database alone. `weight` is the
    approximate number of changes it makes.
    """

    __slots__ = ("error", "future", "result", "wants", "weight", "work")

    def __init__(self, work: Callable[[Group], Any], wants: Wants, weight: int) -> None:
        self.work = work
        self.wants = wants
        self.weight = weight
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()  # from here on it can't be cancelled
        self.result: Any = None
        self.error: Exception | None = None

    def resolve(self) -> None:
        """Hand the result or the error to the caller."""
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _SpoiltError(Exception):
    """A unit failed after it wrote, so its group can't be committed."""


class GroupCommit:
    """
    Runs submitted units in groups, each group inside one `transaction()`.

    `transaction(meanwhile)` commits when its block ends and rolls back when it raises. It raises
    `LedgerError`s, and `AgainError` when nothing was committed and the group may be retried. Before it waits
    for other processes it calls `meanwhile`, which answers the callers of the previous group.
    `committed`, once it is set, is called with each group's units, after their callers were answered and
    outside of transactions. With `inline` there is no thread: each unit is committed in the thread of its caller.
    """

    def __init__(
        self,
        transaction: Callable[[Callable[[], None]], AbstractContextManager[Group]],
        *,
        name: str,
        inline: bool = False,
    ) -> None:
        self._transaction = transaction
        self.committed: Callable[[Sequence[Unit]], None] | None = None
        self._to_answer: Sequence[Unit] = ()  # committed, callers not answered yet
        self._to_tell: Sequence[Unit] = ()  # committed, `committed` not called yet
        self._queue: queue.SimpleQueue[Unit | None] = (
            queue.SimpleQueue()
        )  # by module, for gevent: see `engine.shared`
        self._closed = False
        self._closing = threading.RLock()  # nothing may be queued after the end: it would wait for ever
        self._thread = None if inline else threading.Thread(target=self._run, name=name, daemon=True)
        if self._thread is not None:
            self._thread.start()

    def submit(self, work: Callable[[Group], T], wants: Wants, *, weight: int = 1) -> Future[T]:
        """Run `work` in a transaction; the future is done once that is durable, or failed."""
        unit = Unit(work, wants, weight)
        with self._closing:
            if self._closed:
                unit.future.set_exception(LedgerUnavailable("the ledger is closed"))
            elif self._thread is None:
                self._commit([unit])
                self._finish()
            else:
                self._queue.put(unit)
        return unit.future

    def close(self) -> None:
        """Commit what was submitted, then stop."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        going_on = True
        while going_on:
            taken = self._take()
            units = [unit for unit in taken if unit is not None]
            going_on = len(units) == len(taken)
            if units:
                self._commit(units)
        self._finish()

    def _take(self) -> list[Unit | None]:
        try:
            taken = [self._queue.get_nowait()]
        except queue.Empty:
            self._finish()
            taken = [self._queue.get()]
        weight = 0
        while (last := taken[-1]) is not None and (weight := weight + max(1, last.weight)) < GROUP_MAX:
            try:
                taken.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return taken

    def _commit(self, units: Sequence[Unit]) -> None:
        """Commit the group in one transaction, or each unit in its own when one of them fails the group."""
        if not self._commit_together(units):
            for unit in units:
                self._commit_together([unit])
        self._finish()
        self._to_answer = self._to_tell = units

    def _answer(self) -> None:
        """Answer the callers of what is committed."""
        units, self._to_answer = self._to_answer, ()
        for unit in units:
            unit.resolve()

    def _finish(self) -> None:
        """Answer the callers, then call `committed`."""
        self._answer()
        units, self._to_tell = self._to_tell, ()
        if units and self.committed is not None:
            self.committed(units)

    def _commit_together(self, units: Sequence[Unit]) -> bool:
        """False when the group was rolled back because of one of several units."""
        give_up_at = time.monotonic() + AGAIN_MAX_S
        for times in count(1):
            try:
                self._run_group(units)
            except AgainError as again:
                if time.monotonic() < give_up_at and times != again.times_max:
                    continue
                if again.times_max is not None and len(units) > 1:
                    return False
                _fail(units, again.error)
            except _SpoiltError:
                return len(units) == 1
            except Exception as error:  # noqa: BLE001 - every caller gets the error, and the thread goes on
                # The cause may be one payment's rows or values, which must not affect the others.
                if len(units) > 1 and not isinstance(error, CONCERNS_ALL):
                    return False
                _fail(units, error)
            break
        return True

    def _run_group(self, units: Sequence[Unit]) -> None:
        """
        Run the units in one transaction, and store the error that a caller's own code raises in its unit.

        Raises the database's errors, and `_SpoiltError` when a unit failed after something was written.
        """
        with self._transaction(self._answer) as group:
            group.read_ahead(list(map(attrgetter("wants"), units)))
            for unit in units:
                writes_before, unit.error = group.writes, None
                try:
                    unit.result = unit.work(group)
                except Exception as error:
                    if isinstance(error, AgainError | group.database_error):
                        raise
                    unit.error = error
                    if group.writes > writes_before:
                        raise _SpoiltError from None
            group.flush()
            self._answer()  # their work overlaps with the wait for the disk


def _fail(units: Sequence[Unit], error: Exception) -> None:
    if not isinstance(error, PaycoreError):
        wrapped = LedgerUnavailable(f"the ledger failed: {type(error).__name__}")
        wrapped.__cause__, error = error, wrapped
    for unit in units:
        # One error object each: the payment's id is added to it later.
        unit.error = error if len(units) == 1 else type(error)(error.message)
