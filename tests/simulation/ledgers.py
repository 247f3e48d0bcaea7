"""The real ledger on the virtual clock, and each process's own access to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from paycore.errors import LedgerUnavailable
from paycore.ledger.api import Claimed, Claiming, Lease, Report, Rescheduled
from paycore.ledger.clock import LedgerClock, to_ms
from paycore.ledger.groupcommit import Unit
from paycore.ledger.sqlite.file import Connection
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.ledger.verbs import changed_ids

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.witness import Asked

Verb = Callable[[SqliteLedger], Future[Any]]
OnChange = Callable[[Collection[str]], None]

VERBS = frozenset(
    (
        "begin change observe record_notification renew spend reschedule get find list events"
        " read_feed feed_end renew_consumer release_consumer consumers"
    ).split()
)
WRITES = frozenset("begin change observe record_notification".split())
REACHED_MAX_S = 0.02
"""How long a transaction waits for its turn."""
ANSWERED_MAX_S = 0.005
"""How long its answer takes."""
SLOW_MAX_S = 3.0
"""How long either takes when the ledger is slow."""
BEFORE_WRITE, AFTER_CHANGE = 2.0, 4.0
"""How much more often a process dies or is suspended around its writes."""
NEVER_MS = 1 << 62
ASKING: ContextVar[Process] = ContextVar("asking")
"""The process whose transaction runs."""
NOTICED_MAX_S = 0.05
"""How late a process hears of a change."""


class SimLedger(SqliteLedger):
    """
    The real ledger without waiting for the disk, which no simulated crash affects, and without threads.

    `broken` is called with violations that only the ledger can see.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], datetime], broken: Callable[[str, str], None]
    ) -> None:
        super().__init__(path, clock=clock, inline=True)
        self._broken = broken

    def _open(self, *, read_only: bool) -> Connection:
        connection = super()._open(read_only=read_only)
        connection.sqlite.execute("PRAGMA synchronous = OFF")
        return connection

    @contextmanager
    def read_by(self, clock: LedgerClock) -> Iterator[None]:
        """For one process, with its own offset of the machine's clock."""
        with mock.patch.object(self, "_clock", clock):
            yield

    def reschedule(self, due: Sequence[Rescheduled], report: Report | None = None) -> Future[None]:
        """See `Ledger.reschedule`: what is due by now stays due, since a hint came meanwhile."""
        ids = [one.payment_id for one in due]
        before = self._due_ms(ids)
        future = super().reschedule(due, report)
        now_ms, after = to_ms(self.now()), self._due_ms(ids)
        for payment_id, due_ms in before.items():
            if due_ms <= now_ms < after.get(payment_id, NEVER_MS):
                self._broken("a hint is not put off", payment_id)
        return future

    def _due_ms(self, ids: Sequence[str]) -> dict[str, int]:
        """The due times of these payments that have one."""
        sql = (
            "SELECT id, due_at FROM payments WHERE due_at NOTNULL AND id IN (SELECT value FROM json_each(?))"
        )
        return dict(self.read(lambda tx: tx.execute(sql, (json.dumps(ids),)).fetchall()).result())

    def _start_watching(self) -> None:
        """Without the thread that looks for other processes' commits: all processes share this ledger."""

    def _tell(self, units: Sequence[Unit]) -> None:
        """In a fixed order, whatever the set's."""
        self._call_watchers(sorted({payment_id for unit in units for payment_id in changed_ids(unit.result)}))


class Door:
    """
    A process's ledger in one life: transactions take time, and their results may be lost.

    The process may die or be suspended before and after each. A transaction whose caller was cancelled takes
    place all the same.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process.world
        self._rng = process.rng
        self._clock = LedgerClock(process.world.machine_now)
        self._watchers: list[OnChange] = []
        self._is_closed = False
        self._life = process.life

    def __getattr__(self, name: str) -> Callable[..., Future[Any]]:
        if name not in VERBS:
            raise AttributeError(name)
        times = BEFORE_WRITE if name in WRITES else 1.0
        return lambda *args, **options: self.submit(
            lambda ledger: getattr(ledger, name)(*args, **options), times
        )

    def rest(self, account: str, retry_after_s: float | None) -> Future[None]:
        """See `Ledger.rest`."""

        def rest(ledger: SqliteLedger) -> Future[None]:
            future = ledger.rest(account, retry_after_s)
            if future.exception() is None:
                self._world.traffic.rested(account, retry_after_s)
            return future

        return self.submit(rest)

    def claim(self, claiming: Claiming) -> Future[Claimed]:
        """See `Ledger.claim`."""

        def claim(ledger: SqliteLedger) -> Future[Claimed]:
            future = ledger.claim(claiming)
            if future.exception() is None and future.result().question is not None:
                self._world.waits.passed_over(claiming, future.result())
            return future

        return self.submit(claim)

    def hold_consumer(self, name: str, **options: Any) -> Future[Lease | None]:
        """See `Ledger.hold_consumer`."""

        def hold(ledger: SqliteLedger) -> Future[Lease | None]:
            future = ledger.hold_consumer(name, **options)
            if future.exception() is None and future.result() is not None:
                self._world.deliveries.held_by(options["holder"])
            return future

        return self.submit(hold)

    def acknowledge(self, name: str, **options: Any) -> Future[datetime | None]:
        """See `Ledger.acknowledge`."""

        def acknowledge(ledger: SqliteLedger) -> Future[datetime | None]:
            future = ledger.acknowledge(name, **options)
            if future.exception() is None and future.result() is not None:
                self._world.deliveries.acknowledged_by(options["holder"])
            return future

        return self.submit(acknowledge, BEFORE_WRITE)

    def note_worker(self, *_: object, **__: object) -> Future[None]:
        """Nothing: nobody here looks at who runs."""
        noted: Future[None] = Future()
        noted.set_result(None)
        return noted

    forget_worker = note_worker

    def now(self) -> datetime:
        """The ledger's clock, as far as this process knows."""
        return self._clock.now()

    def now_for(self, begun_at: datetime) -> datetime:
        """The same, for what began then."""
        return self._clock.now_for(begun_at)

    @property
    def is_open(self) -> bool:
        """Until its process closes it."""
        return not self._is_closed

    def watch(self, on_change: OnChange) -> Callable[[], None]:
        """Changes by any process, a moment after their commit."""
        self._watchers.append(on_change)
        return lambda: self._watchers.remove(on_change)

    def close(self) -> None:
        """Take no more calls."""
        self._is_closed = True

    def notice(self, changed: Collection[str]) -> None:
        """These payments were changed by a commit."""
        for on_change in self._watchers:
            self._process.later(self._rng.uniform(0, NOTICED_MAX_S), on_change, changed)

    def submit(self, verb: Verb, times: float = 1.0) -> Future[Any]:
        """One transaction of this process, at its own time; `times`: see `Process.risk`."""
        if self._life != self._process.life or not self._process.is_alive:
            return Future()  # what a killed process left is cleared away: it asks for nothing
        asked, future = self._world.witness.ask(self._process), Future[Any]()
        self._process.risk(times)
        self._process.later(self._takes_s(REACHED_MAX_S, asked), self._commit, asked, verb, future)
        return future

    def _takes_s(self, most_s: float, asked: Asked) -> float:
        """How long something takes; a slow ledger is not the process's fault."""
        if not self._process.happens("ledger_slow"):
            return self._rng.uniform(0, most_s)
        takes_s = self._rng.uniform(0, SLOW_MAX_S)
        self._process.slow_s[asked.who] += takes_s
        return takes_s

    def _commit(self, asked: Asked, verb: Verb, future: Future[Any]) -> None:
        if self._is_closed or self._process.happens("ledger_down"):
            self._world.scheduler.log(asked.who, "ledger unavailable")
            future.set_exception(LedgerUnavailable("not now"))
            return
        asking = ASKING.set(self._process)
        with self._world.ledger.read_by(self._clock):
            done = verb(self._world.ledger)
        ASKING.reset(asking)
        error = done.exception()
        if error is None:
            self._world.witness.committed(asked, done.result())
        else:
            self._world.scheduler.log(asked.who, f"refused: {type(error).__name__}")
            self._world.witness.failed_in_ledger(asked.who, error)
        self._process.risk(AFTER_CHANGE if _has_changed(done) else 1.0)
        if self._process.happens("answer_lost"):
            self._world.scheduler.log(asked.who, "the ledger's answer is lost")
            self._world.witness.never_learns(asked.process, asked.who)
            error = LedgerUnavailable("not any more")
        self._process.later(self._takes_s(ANSWERED_MAX_S, asked), _resolve, future, done, error)


def _has_changed(done: Future[Any]) -> bool:
    return done.exception() is None and any(changed_ids(done.result()))


def _resolve(future: Future[Any], done: Future[Any], error: BaseException | None) -> None:
    """Set its result, unless it was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())
