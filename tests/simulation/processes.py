"""Processes: each a real client on its own event loop, killed, stopped and started at any moment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from paycore.domain.events import Event
from paycore.engine.async_client import AsyncClient
from tests.simulation.ledgers import Door
from tests.simulation.loop import VirtualLoop

if TYPE_CHECKING:
    from tests.simulation.world import World

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SKEW_MAX_S = 120.0


def here() -> Process:
    """The process whose event loop is running."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ProcessLoop), "nothing of the simulation is running"
    return loop.process


class ProcessLoop(VirtualLoop):
    """A loop that knows its process."""

    def __init__(self, process: Process) -> None:
        super().__init__(
            process.world.scheduler, stands_still_s=lambda: process.stands_still_s, ended=process.look_at
        )
        self.process = process


class Process:
    """
    One process with its own client and clock offset.

    `boot` starts its programs at every start. What a killed process was doing is never continued.
    """

    def __init__(self, world: World, name: str, boot: Callable[[Process], object]) -> None:
        self.world = world
        self.name = name
        self.is_alive = False
        self.is_stopping = False
        self.life = 0
        self.rng = world.rng(f"process {name}")
        self.stood_still_s = 0.0
        self.slow_s: dict[str, float] = defaultdict(float)
        """How long each program has waited for a slow ledger."""
        self._boot = boot
        self._skew = timedelta(seconds=self.rng.uniform(-SKEW_MAX_S, SKEW_MAX_S))
        self._still_until_s = 0.0
        self._loops: list[ProcessLoop] = []
        self._programs: list[asyncio.Task[Any]] = []

    # --- life ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a new life, without anything of the one before."""
        self.life, self.is_alive, self.is_stopping = self.life + 1, True, False
        self._still_until_s = 0.0
        self.door, self.loop = Door(self), ProcessLoop(self)  # type: ignore[abstract]
        self._loops.append(self.loop)
        self._programs = []
        self.world.scheduler.log(self.name, "starts")
        self.loop.call_soon(self._open)

    def _open(self) -> None:
        self.client = AsyncClient(self.world.config, plugins=self.world.plugins)
        self._boot(self)

    def crash(self) -> None:
        """Kill it without clean-up; it starts again after a while."""
        self.world.scheduler.log(self.name, "CRASH")
        self._end()

    def kill(self) -> None:
        """Crash it, if it runs."""
        if self.is_alive:
            self.crash()

    def stop(self) -> None:
        """Stop it orderly, as for a deployment: callers are cancelled, the client closes; then it starts again."""
        if self.is_alive and not self.is_stopping:
            self.world.scheduler.log(self.name, "stops")
            self.is_stopping = True
            self._stopping = self.loop.create_task(self._shut_down(), name="stop")

    async def _shut_down(self) -> None:
        for program in self._programs:
            program.cancel()
        await asyncio.gather(*self._programs, return_exceptions=True)
        await self.client.shutdown()
        self.world.scheduler.log(self.name, "has stopped")
        self._end()

    def _end(self) -> None:
        self.is_alive = self.is_stopping = False
        self.loop.die()
        self.world.scheduler.after(self.rng.uniform(0.5, 40), self.restart)

    def restart(self) -> None:
        """Start it unless it is running."""
        if not self.is_alive:
            self.start()

    def bury(self) -> None:
        """After the run was judged."""
        self.is_alive = False
        for loop in self._loops:
            loop.bury()

    # --- what can happen at any step -------------------------------------------------------------------

    def risk(self, times: float = 1.0) -> None:
        """
        A place where the process may die or be suspended.

        `times`: how much more likely than elsewhere.
        """
        if self.happens("crash", times) and self.is_alive:
            self.crash()
        elif self.happens("pause", times):
            now_s = self.world.scheduler.monotonic()
            until_s = round(now_s + self.rng.uniform(0.5, self.rng.choice((5, 90))), 3)
            self.stood_still_s += until_s - max(now_s, self._still_until_s)
            self._still_until_s = until_s
            self.world.scheduler.log(self.name, f"pauses until {until_s:.3f}")

    def happens(self, fault: str, times: float = 1.0) -> bool:
        """Whether this fault happens now."""
        return self.rng.random() < self.world.weather.chance(fault) * times

    @property
    def stands_still_s(self) -> float:
        """For how many seconds from now it is suspended; 0 or less if it is not."""
        return self._still_until_s - self.world.scheduler.monotonic()

    # --- time and ids --------------------------------------------------------------------------------

    def own_now(self) -> datetime:
        """The time of this machine's clock."""
        return self.world.machine_now() + self._skew

    def new_id(self) -> str:
        """An id as the engine makes them, of the machine's time and random bits."""
        ms = round(self.own_now().timestamp() * 1000)
        value = ms << 80 | self.rng.getrandbits(80)
        return "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))

    # --- programs ------------------------------------------------------------------------------------

    def who(self) -> str:
        """The running program of this process, for the log."""
        task = asyncio.current_task()
        return self.name if task is None else f"{self.name}/{task.get_name()}"

    def spawn(self, name: str, program: Coroutine[Any, Any, object]) -> None:
        """Run a program in this process; from within its loop."""
        self._programs.append(self.loop.create_task(program, name=name))

    def lost_s(self, *programs: str) -> float:
        """The time these programs and the process lost by suspensions."""
        return self.stood_still_s + sum(self.slow_s.get(program, 0.0) for program in programs)

    def look_at(self, task: asyncio.Task[Any]) -> None:
        """A program has ended; unexpected errors are violations. One that was cancelled is cut off."""
        if task.cancelled():
            self.world.witness.never_learns(self, f"{self.name}/{task.get_name()}")
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.world.witness.violated("no program fails", f"{self.name}/{task.get_name()}: {error!r}")

    def notice(self, changed: Collection[str]) -> None:
        """These payments were changed by a commit."""
        if self.is_alive:
            self.door.notice(changed)

    def later(self, delay_s: float, call: Callable[..., object], *arguments: object) -> None:
        """Call after `delay_s`, later if the process is suspended then, never if it has died."""
        self.world.scheduler.after(delay_s, self._call, self.life, call, arguments)

    def _call(self, life: int, call: Callable[..., object], arguments: tuple[object, ...]) -> None:
        if life != self.life or not self.is_alive:
            return
        still_s = self.stands_still_s
        if still_s > 0:
            self.world.scheduler.after(still_s, self._call, life, call, arguments)
        else:
            call(*arguments)


class Observer:
    """A plugin that receives committed events in every process."""

    def paycore_after_commit(self, event: Event) -> None:
        """See the hook."""
        process = here()
        process.world.witness.heard(process, event)
