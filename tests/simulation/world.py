"""One run of one seed: everything wired together, run until nothing is left to do, then audited."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import msgspec

from paycore.domain.provider import Secret
from paycore.engine import transport
from paycore.engine.accounts import Account
from paycore.errors import PaycoreError
from paycore.ledger.groupcommit import Unit
from paycore.ledger.sqlite import SqliteLedger
from paycore.ledger.verbs import changed_ids
from paycore.testing.toy import ToyProvider, ToySettings
from tests.simulation.applications import Caller, tend
from tests.simulation.audit import audit
from tests.simulation.gateway import SimGateway, TwoStepProvider
from tests.simulation.outside import Outside
from tests.simulation.plan import CALM, DECLARED, FAULTS_END_S, Plan, draw_plan
from tests.simulation.processes import Process
from tests.simulation.scheduler import Scheduler
from tests.simulation.wire import Wire
from tests.simulation.witness import Witness

END_S = 60 * 3600.0
LOOK_EVERY_S = 600.0
CALLS_MAX = 30_000
"""Many times what a run takes; more means that something goes on for ever."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one seed: violations (none is good), and the log by which runs are compared."""

    seed: int
    violations: tuple[str, ...]
    events: int
    elapsed_s: float
    digest: str
    lines: tuple[str, ...]


class SimLedger(SqliteLedger):
    """The real ledger; it does not wait for the disk, which no simulated crash touches, and starts no threads."""

    def _open(self, *, read_only: bool) -> sqlite3.Connection:
        connection = super()._open(read_only=read_only)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    def watch(self, on_change: Callable[[Collection[str]], None]) -> Callable[[], None]:
        """Without the thread that looks for other processes' commits: all processes share this ledger."""
        self._watchers.append(on_change)
        return lambda: self._watchers.remove(on_change)

    def _tell(self, units: Sequence[Unit]) -> None:
        changed = {payment_id for unit in units for payment_id in changed_ids(unit.result)}
        self._call_watchers(sorted(changed))


class World:
    """Everything there is in one run."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        self.plan: Plan = draw_plan(seed)
        self.weather = self.plan.weather
        self.scheduler = Scheduler()
        self.witness = Witness(self)
        self.account = _account(self.plan)
        self.ledger = SimLedger(folder / "ledger.db", clock=self.scheduler.now, inline=True)
        self.gateway = SimGateway(self)
        self.wire = Wire(self)
        self.outside = Outside(self)
        self.web = Process(self, "web", lambda _: None)
        self.callers = self._make_callers()
        self.processes = [
            self.web,
            *(Process(self, f"app{n}", self._boot_application) for n in range(self.plan.applications)),
            *(
                Process(self, f"worker{n}", lambda p: p.spawn("tend", tend(p)))
                for n in range(self.plan.workers)
            ),
        ]
        self.ledger.watch(self._notice)

    def rng(self, purpose: str) -> Random:
        """Chance for one purpose, so that one actor's luck does not hang on another's."""
        return Random(f"{self._seed} {purpose}")

    @property
    def is_busy(self) -> bool:
        """Whether faults may still happen, or callers still ask."""
        is_faulty = self.scheduler.monotonic() < FAULTS_END_S
        return is_faulty or not all(caller.is_finished for caller in self.callers)

    def run(self) -> Run:
        """Faults first; then calm, until nothing is left to do; then the audit."""
        for process in self.processes:
            process.start()
        self.outside.start()
        self.scheduler.run(FAULTS_END_S, self._has_failed)
        self.weather = CALM
        for process in self.processes:
            process.restart()
        self._is_quiet = False
        self._look_for_quiet()
        self.scheduler.run(END_S, lambda: self._is_quiet or self._has_failed())
        if not self._has_failed():
            audit(self)
        return Run(
            seed=self._seed,
            violations=tuple(self.witness.violations),
            events=self.scheduler.calls_made,
            elapsed_s=self.scheduler.monotonic(),
            digest=self.scheduler.digest,
            lines=tuple(self.scheduler.lines),
        )

    def _has_failed(self) -> bool:
        if self.scheduler.calls_made > CALLS_MAX and not self.witness.violations:
            self.witness.violated("everything ends", f"more than {CALLS_MAX} events")
        return bool(self.witness.violations)

    def _look_for_quiet(self) -> None:
        self._is_quiet = not self.is_busy and self.ledger.next_due().result() is None
        self.scheduler.after(LOOK_EVERY_S, self._look_for_quiet)

    def _make_callers(self) -> list[Caller]:
        return [
            Caller(self, purchase, plan, f"{purchase.reference}/{n}")
            for purchase in self.plan.purchases
            for n, plan in enumerate(purchase.callers)
        ]

    def _boot_application(self, process: Process) -> None:
        process.spawn("worker", process.worker.run(lambda: process.wanted.ids))
        for caller in self.callers:
            if not caller.is_finished and process.name == f"app{caller.plan.application}":
                process.spawn(caller.name, caller.script(process))

    def _notice(self, changed: Collection[str]) -> None:
        for process in self.processes:
            process.notice(changed)


def _account(plan: Plan) -> Account:
    settings = ToySettings(
        key=(Secret("toy"),),
        create_resend=DECLARED[plan.duplicates],
        proof_s=plan.proof_s,
        notifications_trusted=plan.notifications_trusted,
    )
    provider = TwoStepProvider(settings) if plan.two_steps else ToyProvider(settings)
    return Account(
        name="main",
        provider=provider,
        provider_name="toy",
        capabilities=provider.capabilities,
        base_url="http://toy.example",
        timeout_s=plan.timeout_s,
    )


class _Listener(logging.Handler):
    """Programs that catch everything, so as to live on, log what they caught: it is a finding all the same."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, PaycoreError):
            self._world.witness.violated("no program fails", f"{record.getMessage()}: {error!r}")


@contextmanager
def _listening(world: World) -> Iterator[None]:
    logger, listener = logging.getLogger("paycore"), _Listener(world)
    with mock.patch.multiple(logger, propagate=False, handlers=[listener]):
        yield


def run_seed(seed: int) -> Run:
    """One run; the same seed gives the same log."""
    with tempfile.TemporaryDirectory() as folder:
        world: Any = World(seed, Path(folder))
        try:
            with mock.patch.object(transport, "time", world.scheduler), _listening(world):
                run: Run = world.run()
                return run
        finally:
            world.ledger.close()
