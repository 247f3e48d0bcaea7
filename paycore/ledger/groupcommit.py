"""
One writer thread that commits what many callers submit in groups: each caller still gets its own result.

A durable commit costs one disk flush, however many units of work it holds. The thread takes whatever is
waiting, runs it in one transaction and flushes once. While it waits for the disk, the callers of the group
before go on: answered any sooner they would compete with it for the interpreter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from paycore.errors import LedgerFull, LedgerReadOnly, LedgerTooNew, LedgerUnavailable, PaycoreError
from paycore.ledger.session import AgainError, Session, Wants

T = TypeVar("T")

GROUP_MAX = 256
"""Weight of the units in one commit, about: bounds how long the first waits for the last."""

AGAIN_MAX_S = 15.0
"""How long a group is run again and again before its callers are told why it can't be."""

CONCERNS_ALL = (LedgerUnavailable, LedgerFull, LedgerReadOnly, LedgerTooNew)
"""Errors that every unit would meet, so that running each by itself is no use."""


class Unit:
    """
    One caller's work, what it is going to ask for, and where its result goes.

    `work` may run more than once before it commits: it is a function of what the database holds. `weight` is
    how many changes it makes, about.
    """

    __slots__ = ("error", "future", "result", "wants", "weight", "work")

    def __init__(self, work: Callable[[Session], Any], wants: Wants, weight: int) -> None:
        self.work = work
        self.wants = wants
        self.weight = weight
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()  # from here on it can't be cancelled
        self.result: Any = None
        self.error: Exception | None = None

    def run(self, session: Session) -> None:
        """
        Run in `session`, and keep what the caller's own part in it raises.

        Raises what the database does, and `_SpoiltError` when it failed after something was written.
        """
        writes_before, self.error = session.writes, None
        try:
            self.result = self.work(session)
        except Exception as error:
            if isinstance(error, AgainError | session.database_error):
                raise
            self.error = error
            if session.writes > writes_before:
                raise _SpoiltError from None

    def resolve(self) -> None:
        """Hand the result or the error to the caller."""
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _SpoiltError(Exception):
    """A unit failed in a way that its group can't be committed as it is."""


class GroupCommit:
    """
    Runs submitted units in groups, each group inside one `transaction()`.

    `transaction(meanwhile)` commits when its block ends and rolls back when it raises; it raises
    `LedgerError`s, and `AgainError` when nothing was committed and the group may be run once more. Before it
    waits for other processes or the disk it calls `meanwhile`, in which the callers of the group before are
    answered. `committed` is told every group's units, after their callers and outside of transactions. With
    `inline` there is no thread: each unit is committed in its caller's.
    """

    def __init__(
        self,
        transaction: Callable[[Callable[[], None]], AbstractContextManager[Session]],
        *,
        committed: Callable[[Sequence[Unit]], None],
        name: str,
        inline: bool = False,
    ) -> None:
        self._transaction = transaction
        self._committed = committed
        self._to_answer: Sequence[Unit] = ()  # committed, and their callers do not know yet
        self._to_tell: Sequence[Unit] = ()  # committed, and `committed` does not know yet
        self._queue: SimpleQueue[Unit | None] = SimpleQueue()
        self._closed = False
        self._closing = threading.RLock()  # nothing is queued behind the end, where it would wait for ever
        self._thread = None if inline else threading.Thread(target=self._run, name=name, daemon=True)
        if self._thread is not None:
            self._thread.start()

    def submit(self, work: Callable[[Session], T], wants: Wants, *, weight: int = 1) -> Future[T]:
        """Run `work` in a transaction; the future resolves once it is durable, or with its error."""
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
            group = self._take()
            units = [unit for unit in group if unit is not None]
            going_on = len(units) == len(group)
            if units:
                self._commit(units)
        self._finish()

    def _take(self) -> list[Unit | None]:
        try:
            group = [self._queue.get_nowait()]
        except Empty:
            self._finish()
            group = [self._queue.get()]
        weight = 0
        while (last := group[-1]) is not None and (weight := weight + max(1, last.weight)) < GROUP_MAX:
            try:
                group.append(self._queue.get_nowait())
            except Empty:
                break
        return group

    def _commit(self, units: Sequence[Unit]) -> None:
        """One transaction for the whole group; one each when a unit spoils it."""
        if not self._commit_together(units):
            for unit in units:
                self._commit_together([unit])
        self._finish()
        self._to_answer = self._to_tell = units

    def _answer(self) -> None:
        """Tell the callers of what is committed."""
        units, self._to_answer = self._to_answer, ()
        for unit in units:
            unit.resolve()

    def _finish(self) -> None:
        """Tell whoever does not know yet: the callers, then `committed`."""
        self._answer()
        units, self._to_tell = self._to_tell, ()
        if units:
            self._committed(units)

    def _commit_together(self, units: Sequence[Unit]) -> bool:
        """False when a group was rolled back because of one of several units."""
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
            except Exception as error:  # noqa: BLE001 - every caller must hear of it, and the thread live on
                # Perhaps one payment's rows or values only, which is no business of the others.
                if len(units) > 1 and not isinstance(error, CONCERNS_ALL):
                    return False
                _fail(units, error)
            break
        return True

    def _run_group(self, units: Sequence[Unit]) -> None:
        with self._transaction(self._answer) as session:
            session.read_ahead([unit.wants for unit in units])
            for unit in units:
                unit.run(session)
            session.flush()


def _fail(units: Sequence[Unit], error: Exception) -> None:
    if not isinstance(error, PaycoreError):
        wrapped = LedgerUnavailable(f"the ledger failed: {type(error).__name__}")
        wrapped.__cause__, error = error, wrapped
    for unit in units:
        # An error of their own for each of several, for each notes its own payment in it.
        unit.error = error if len(units) == 1 else type(error)(error.message)
