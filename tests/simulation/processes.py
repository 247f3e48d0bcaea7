"""Processes and their programs: performs the engine's effects on the virtual clock, crashes and pauses between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec

from paycore.domain.events import Event
from paycore.engine.accounts import Account, Accounts
from paycore.engine.attempts import Attempts
from paycore.engine.commands import Commands
from paycore.engine.effects import Effect, InLedger, OnWire, UntilChanged, UntilWanted
from paycore.engine.plugins import Plugins
from paycore.engine.settling import Settling
from paycore.engine.waiter import Wanted
from paycore.engine.worker import Worker
from paycore.errors import LedgerUnavailable

if TYPE_CHECKING:
    from tests.simulation.world import World

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SKEW_MAX_S = 120.0
NOTICE_S = 0.05
"""How late a process hears of what another one committed."""


class Sleep(msgspec.Struct, frozen=True):
    """The simulation's own effect: nothing happens for so long."""

    seconds: float


Ended = Callable[[Any], object]


class Task:
    """One program that runs in a process."""

    def __init__(self, process: Process, name: str, program: Generator[Any, Any, Any], ended: Ended) -> None:
        self.process = process
        self.name = name
        self._program = program
        self._ended = ended

    def resume(self, value: object = None) -> None:
        """Go on with what came of the effect."""
        self._step(self._program.send, value)

    def throw(self, error: Exception) -> None:
        """Go on with what went wrong."""
        self._step(self._program.throw, error)

    def _step(self, advance: Callable[[Any], Any], value: object) -> None:
        try:
            effect = advance(value)
        except StopIteration as stop:
            self._ended(stop.value)
        except Exception as error:
            self.process.world.witness.violated("no program fails", f"{self.name}: {error!r}")
        else:
            self.process.perform(self, effect)


class Once:
    """A wake-up that works once: by the first of a change and a time-out."""

    def __init__(self, task: Task, value: Callable[[], object]) -> None:
        self._task: Task | None = task
        self._value = value

    def __call__(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.resume(self._value())


class Process:
    """
    One process: its own commands and worker, its own idea of the time, killed and started at any moment.

    `boot` starts its programs, at every start anew. What a killed process was doing is simply never gone on with.
    """

    def __init__(self, world: World, name: str, boot: Callable[[Process], object]) -> None:
        self.world = world
        self.name = name
        self.is_alive = False
        self.life = 0
        self._boot = boot
        self._rng = world.rng(f"process {name}")
        self._skew = timedelta(seconds=self._rng.uniform(-SKEW_MAX_S, SKEW_MAX_S))
        self._paused_until_s = 0.0
        self._abandoned: list[Task] = []

    def start(self) -> None:
        """A new life, with nothing left of the one before."""
        self.life, self.is_alive = self.life + 1, True
        self._paused_until_s = 0.0
        self._waiting: dict[str, list[Once]] = {}
        self._idle: list[Once] = []
        self._was_wanted = False
        self.accounts = cast("Accounts", _Accounts(self.world.account))
        now = self.engine_now
        self.attempts = Attempts(cast("Plugins", _Observer(self)), now=now, new_id=self.new_id)
        self.settling = Settling(self.attempts)
        self.commands = Commands(self.accounts, self.attempts, self.settling)
        self.worker = Worker(self.settling, self.accounts, now=now)
        self.wanted = Wanted(self._wake_idle)
        self.world.scheduler.log(self.name, "starts")
        self._boot(self)

    def crash(self) -> None:
        """Killed: no clean-up, no goodbye; up again after a while."""
        self.world.scheduler.log(self.name, "CRASH")
        self.is_alive = False
        self.world.scheduler.after(self._rng.uniform(0.5, 40), self.restart)

    def restart(self) -> None:
        """Start, unless it is up already."""
        if not self.is_alive:
            self.start()

    def engine_now(self) -> datetime:
        """What the engine goes by: the clock of the ledger, which all processes share."""
        return self.world.ledger.now()

    def own_now(self) -> datetime:
        """What this machine's clock shows."""
        return self.world.scheduler.now() + self._skew

    def new_id(self) -> str:
        """An id as the engine makes them: the time of this machine, and something random."""
        ms = round(self.own_now().timestamp() * 1000)
        value = ms << 80 | self._rng.getrandbits(80)
        return "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))

    def spawn(self, name: str, program: Generator[Any, Any, Any], ended: Ended = lambda _: None) -> None:
        """Run a program in this process."""
        task = Task(self, f"{self.name}/{name}", program, ended)
        self._abandoned.append(task)  # held for ever, so that no clean-up runs when the process is killed
        self.later(0.0, task.resume)

    def later(self, delay_s: float, call: Callable[..., object], *arguments: object) -> None:
        """Call after `delay_s`, later when the process is paused then, never when it has died."""
        self.world.scheduler.after(delay_s, self._call, self.life, call, arguments)

    def _call(self, life: int, call: Callable[..., object], arguments: tuple[object, ...]) -> None:
        if life != self.life or not self.is_alive:
            return
        pause_s = self._paused_until_s - self.world.scheduler.monotonic()
        if pause_s > 0:
            self.world.scheduler.after(pause_s, self._call, life, call, arguments)
        else:
            call(*arguments)

    # --- effects -------------------------------------------------------------------------------------

    def perform(self, task: Task, effect: Effect | Sleep) -> None:
        """Do what the program asks, a moment later; or die or doze off instead."""
        if self._happens(self.world.weather.crash / 2):
            self.crash()
            return
        self._doze()
        moment_s = self._rng.uniform(0, 0.02)
        match effect:
            case InLedger(verb):
                self.later(moment_s, self._commit, task, verb)
            case OnWire():
                self.later(moment_s, self.world.wire.send, task, effect)
            case UntilChanged(payment_id, version, timeout_s):
                self.later(moment_s, self._until_changed, task, payment_id, version, timeout_s)
            case UntilWanted(timeout_s):
                self._until_wanted(Once(task, lambda: True), timeout_s)
            case Sleep(seconds):
                self.later(seconds, task.resume)

    def _happens(self, likelihood: float) -> bool:
        return self._rng.random() < likelihood

    def _doze(self) -> None:
        """Sometimes the whole process stands still: suspended, swapped out, or collecting garbage."""
        if self._happens(self.world.weather.pause / 2):
            self._paused_until_s = self.world.scheduler.monotonic() + self._rng.uniform(0.5, 90)
            self.world.scheduler.log(self.name, f"pauses until {self._paused_until_s:.3f}")

    def _commit(self, task: Task, verb: Callable[[Any], Any]) -> None:
        if self._happens(self.world.weather.ledger_down):
            self.world.scheduler.log(task.name, "ledger unavailable")
            task.throw(LedgerUnavailable("not now"))
            return
        future = verb(self.world.ledger)
        error = future.exception()
        if error is not None:
            self.world.scheduler.log(task.name, f"refused: {type(error).__name__}")
            self.world.witness.failed_in_ledger(task.name, error)
            task.throw(error)
            return
        self.world.witness.committed(self, task.name, future.result())
        if self._happens(self.world.weather.crash / 2):
            self.crash()
            return
        self._doze()
        self.later(self._rng.uniform(0, 0.005), task.resume, future.result())

    def _until_changed(self, task: Task, payment_id: str, version: int, timeout_s: float) -> None:
        once = Once(task, lambda: None)
        if self.world.ledger.get(payment_id).result().version == version:
            self._waiting.setdefault(payment_id, []).append(once)
            self.later(timeout_s, once)
        else:
            self.later(0.0, once)

    def notice(self, changed: Collection[str]) -> None:
        """Somebody committed changes of these payments."""
        if not self.is_alive:
            return
        for payment_id in changed:
            for once in self._waiting.pop(payment_id, ()):
                self.later(self._rng.uniform(0, NOTICE_S), once)

    def _until_wanted(self, once: Once, timeout_s: float | None) -> None:
        if self._was_wanted:
            self._was_wanted = False
            self.later(0.0, once)
            return
        self._idle.append(once)
        if timeout_s is not None:
            self.later(timeout_s, once)

    def _wake_idle(self) -> None:
        idle, self._idle = self._idle, []
        self._was_wanted = not idle
        for once in idle:
            self.later(0.0, once)


class _Accounts:
    """One account, whatever is asked for."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def get(self, _name: str | None = None) -> Account:
        return self._account

    def __contains__(self, name: str) -> bool:
        return name == self._account.name


class _Observer:
    """Stands where plugins hear of committed events."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def after_commit(self, event: Event) -> None:
        self._process.world.witness.heard(self._process, event)
