"""Ledger throughput: many callers who share commits, against the same callers with one commit each."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from unittest import mock

from benchmarks.table import Row
from paycore import Payment
from paycore.domain.events import Source
from paycore.engine.bridge import Bridge
from paycore.ledger import groupcommit, open_ledger
from paycore.ledger.api import Committed, Ledger
from tests.ledger.workload import accepted, answered, begun
from tests.support.postgres import embedded_postgres

CALLERS = 64
EACH = 50
EACH_ALONE = 10
ROUNDS = 3

Drive = Callable[[Ledger, int], float]
"""Lets `CALLERS` callers make so many payments each, two transactions a payment; returns the seconds it took."""


def _begin(ledger: Ledger, reference: str) -> Future[Committed]:
    """The first transaction of `create()`."""
    return ledger.begin(*begun(reference))


def _answer(ledger: Ledger, payment: Payment) -> Future[Committed]:
    """The second one."""
    return ledger.change(payment.id, answered(accepted(payment.order_number)), Source.REPLY)


def _tasks(ledger: Ledger, each: int) -> float:
    """Callers are tasks of one event loop, as of an `AsyncClient`."""
    bridge = Bridge()

    async def call(caller: int) -> None:
        for turn in range(each):
            payment = (await bridge.result(_begin(ledger, f"{caller}-{turn}"))).payment
            await bridge.result(_answer(ledger, payment))

    async def run() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(call(caller) for caller in range(CALLERS)))
        return time.perf_counter() - started

    return asyncio.run(run())


def _threads(ledger: Ledger, each: int) -> float:
    """Callers are threads that share a `Client`."""

    def call(caller: int) -> None:
        for turn in range(each):
            payment = _begin(ledger, f"{caller}-{turn}").result().payment
            _answer(ledger, payment).result()

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def _rate(new_dsn: Callable[[], str], drive: Drive, each: int) -> float:
    """Transactions per second, the best of a few rounds: what else the machine does only ever slows it down."""
    rates = []
    for _ in range(ROUNDS):
        with closing(open_ledger(new_dsn())) as ledger:
            rates.append(2 * CALLERS * each / drive(ledger, each))
    return max(rates)


def _alone(new_dsn: Callable[[], str], drive: Drive) -> float:
    """The same callers, but a commit for each transaction."""
    with mock.patch.object(groupcommit, "GROUP_MAX", 1):
        return _rate(new_dsn, drive, EACH_ALONE)


def _files(folder: str) -> Callable[[], str]:
    names: Iterator[int] = iter(range(1_000))
    return lambda: f"sqlite:///{folder}/{next(names)}.db"


def _flush_ms(folder: str) -> float:
    """What one flush of this disk takes at the median: the least a commit can cost."""
    descriptor = os.open(Path(folder) / "flush", os.O_CREAT | os.O_RDWR)
    times = []
    for _ in range(200):
        os.write(descriptor, b"x" * 4096)
        started = time.perf_counter()
        os.fdatasync(descriptor)
        times.append(time.perf_counter() - started)
    os.close(descriptor)
    return statistics.median(times) * 1000


def _row(what: str, together: float, alone: float, times: int, *, at_least: int = 0, note: str = "") -> Row:
    bars = [f">= {at_least:,}/s"] if at_least else []
    return Row(
        what=what,
        figure=f"{together:,.0f}/s",
        baseline=f"{alone:,.0f}/s one commit each{note}",
        ratio=f"{together / alone:.1f}x",
        bar=", ".join([*bars, f">= {times}x"]),
        holds=together >= at_least and together >= times * alone,
    )


def measure() -> list[Row]:
    """SQLite FULL with tasks and with threads, then PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        new_file, note = _files(folder), f" ({_flush_ms(folder):.2f} ms a flush)"
        rows = [
            _row(
                f"ledger transactions, SQLite FULL, {CALLERS} {name}",
                _rate(new_file, drive, EACH),
                _alone(new_file, drive),
                10,
                at_least=10_000,
                note=note,
            )
            for name, drive in (("tasks", _tasks), ("threads", _threads))
        ]
    with embedded_postgres() as server:
        together = _rate(server.create_database, _tasks, EACH)
        alone = _alone(server.create_database, _tasks)
    return [*rows, _row(f"ledger transactions, PostgreSQL, {CALLERS} tasks", together, alone, 5)]
