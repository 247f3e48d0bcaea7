"""The virtual event loop: asyncio's semantics on the scheduler's clock, and processes that die or are suspended."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.simulation.loop import SpinningError, VirtualLoop
from tests.simulation.scheduler import Scheduler


class Bench:
    """One loop on one scheduler, and the notes of its programs."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.still_until_s = 0.0
        self.notes: list[tuple[float, str]] = []
        self.loop = VirtualLoop(  # type: ignore[abstract]
            self.scheduler,
            stands_still_s=lambda: self.still_until_s - self.scheduler.monotonic(),
            ended=lambda task: task.cancelled() or task.exception(),
        )

    def note(self, what: str) -> None:
        self.notes.append((self.scheduler.monotonic(), what))

    def run(self, until_s: float, *programs: Coroutine[Any, Any, Any]) -> None:
        self.tasks = [self.loop.create_task(program) for program in programs]
        self.scheduler.run(until_s, lambda: False)

    async def sleep(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            self.note("woke")
        finally:
            self.note("cleaned up")


def test_time_passes_in_the_scheduler_only() -> None:
    """A timeout ends at its time, and an hour takes no real time."""
    bench = Bench()

    async def program() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.sleep(3600)
        bench.note("timed out")
        await asyncio.sleep(3600)
        bench.note("woke")

    bench.run(10_000, program())
    assert bench.notes == [(2.5, "timed out"), (3602.5, "woke")]


def test_killed_program_is_never_continued() -> None:
    """A killed process runs no `finally` before the run is over."""
    bench = Bench()
    bench.scheduler.after(1, bench.loop.die)
    bench.run(100, bench.sleep(5))
    assert bench.notes == []
    bench.loop.bury()
    assert bench.notes == [(100.0, "cleaned up")]


def test_program_killed_by_another_of_its_process_stops_there() -> None:
    """What was ready at the same moment does not run."""
    bench = Bench()

    async def kill() -> None:
        bench.note("kills")
        bench.loop.die()

    bench.run(10, kill(), bench.sleep(0))
    assert bench.notes == [(0.0, "kills")]
    bench.loop.bury()


def test_suspended_process_goes_on_where_it_was() -> None:
    """What came due meanwhile runs afterwards, in its order."""
    bench = Bench()

    async def program(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        bench.note(name)

    bench.scheduler.after(0.5, setattr, bench, "still_until_s", 60.0)
    bench.run(100, program("second", 2), program("first", 1), program("later", 70))
    assert bench.notes == [(60.0, "first"), (60.0, "second"), (70.0, "later")]


def test_program_that_never_waits_is_noticed() -> None:
    """A busy loop is an error."""
    bench = Bench()

    async def spin() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with pytest.raises(SpinningError):
        bench.run(1, spin())
    bench.loop.bury()
