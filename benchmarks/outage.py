"""
A gateway that is away for an hour while 500 payments wait: what is logged meanwhile, and how soon all is known after.

`python -m benchmarks.outage`, on the virtual clock of `benchmarks.awaiting`: the figures are exact.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from benchmarks.awaiting import Case, Shop
from benchmarks.table import Row, render
from benchmarks.virtual import opened

PENDING = 500
AWAY_S = 3600.0
KNOWN_BAR_S = 5.0
LINES_BAR = 3.0


class _Lines(logging.Handler):
    """Counts what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, _record: logging.LogRecord) -> None:
        self.count += 1


@contextmanager
def _counted() -> Iterator[_Lines]:
    """Count the warnings of paycore inside the block; none is printed."""
    logger, lines = logging.getLogger("paycore"), _Lines()
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(lines)
    try:
        yield lines
    finally:
        logger.removeHandler(lines)
        logger.propagate = propagate
        logger.setLevel(level)


class _Away(Shop):
    """The gateway can't be reached while the payers pay."""

    requests = 0

    async def run(self) -> None:
        """See `Shop.run`."""
        await self._make(self.case.pending, lambda: 0.16)
        answer = self.world.answer
        self.world.answer = self._refuse  # type: ignore[method-assign]
        worker = asyncio.create_task(self.world.client.run_worker())
        for number in tuple(self._ids):
            self._pay_later(number)
        with _counted() as lines:
            await asyncio.sleep(AWAY_S)
        self.lines = lines.count
        self.world.answer = answer  # type: ignore[method-assign]
        self.back_ms = self.world.now_ms()
        async for _ in self.world.client.wait_many(self._ids.values(), 600):
            pass  # as each is known
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    async def _refuse(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        raise httpx2.ConnectError("refused", request=request)


def measure() -> list[Row]:
    """The rows on an outage."""
    case = Case(name="an outage", pending=PENDING)
    with tempfile.TemporaryDirectory() as name, opened(Path(name), 1) as world:
        shop = _Away(world, case)
        world.run(shop.run(), until_s=2 * AWAY_S)
        known_s = (max(shop.known_ms.values()) - shop.back_ms) / 1000
        limited = shop.stats["limited"]
    lines = shop.lines / (AWAY_S / 60)
    return [
        Row(
            what=f"gateway away for an hour, {PENDING} waiting: all known after its return",
            figure=f"{known_s:.1f} s",
            baseline=f"{limited} refused",
            ratio="",
            bar=f"{KNOWN_BAR_S:g} s",
            holds=known_s <= KNOWN_BAR_S and limited == 0,
        ),
        Row(
            what="meanwhile: log lines a minute",
            figure=f"{lines:.1f}",
            baseline=f"{shop.requests / (AWAY_S / 60):.0f} requests a minute",
            ratio="",
            bar=f"{LINES_BAR:g}",
            holds=lines <= LINES_BAR,
        ),
    ]


if __name__ == "__main__":
    print(render(measure()))
