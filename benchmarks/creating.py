"""
`create()` against the least that survives a crash: a bare POST and two bare commits.

The two take turns, so that whatever else the machine does meanwhile slows down both.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.table import Row
from paycore import AsyncClient, Client, Money
from tests.support.toy_http import toy_config, toy_plugins, toy_process

TURNS = 500
WARM_UP = 50
FIELDS = {"reference": "bare", "minor": 8800, "currency": "HKD", "channel": "web"}
ORDER: dict[str, Any] = {"amount": Money("88.00", "HKD"), "method": "toy", "channel": "web"}


def bare_database(path: Path) -> sqlite3.Connection:
    """One table, and the ledger's durability."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE rows (body TEXT)")
    return database


def commit(database: sqlite3.Connection) -> None:
    """A transaction of one row, flushed."""
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO rows (body) VALUES (?)", ("x" * 800,))
    database.execute("COMMIT")


class _Times:
    """Seconds of each turn, bare and ours."""

    def __init__(self) -> None:
        self.bare: list[float] = []
        self.ours: list[float] = []

    def row(self, what: str) -> Row:
        """The medians, once what warms up is left out."""
        bare, ours = (statistics.median(times[WARM_UP:]) for times in (self.bare, self.ours))
        return Row(
            what=what,
            figure=f"{ours * 1000:.2f} ms",
            baseline=f"{bare * 1000:.2f} ms bare POST + 2 commits",
            ratio=f"{ours / bare:.2f}x",
            bar="<= 1.3x",
            holds=ours <= 1.3 * bare,
        )


def _sync(url: str, folder: Path) -> _Times:
    times = _Times()
    config = toy_config(url, f"sqlite:///{folder}/sync.db")
    with (
        closing(bare_database(folder / "bare-sync.db")) as database,
        httpx2.Client(trust_env=False) as http,
        Client(config, plugins=toy_plugins()) as pay,
    ):
        for turn in range(TURNS):
            started = time.perf_counter()
            commit(database)
            http.post(f"{url}/orders", json={"number": f"BARE{turn}", **FIELDS}).json()
            commit(database)
            between = time.perf_counter()
            pay.create(reference=f"order-{turn}", **ORDER)
            times.ours.append(time.perf_counter() - between)
            times.bare.append(between - started)
    return times


async def _async(url: str, folder: Path) -> _Times:
    times = _Times()
    config = toy_config(url, f"sqlite:///{folder}/async.db")
    with closing(bare_database(folder / "bare-async.db")) as database:
        async with (
            httpx2.AsyncClient(trust_env=False) as http,
            AsyncClient(config, plugins=toy_plugins()) as pay,
        ):
            for turn in range(TURNS):
                started = time.perf_counter()
                commit(database)
                (await http.post(f"{url}/orders", json={"number": f"ABARE{turn}", **FIELDS})).json()
                commit(database)
                between = time.perf_counter()
                await pay.create(reference=f"order-{turn}", **ORDER)
                times.ours.append(time.perf_counter() - between)
                times.bare.append(between - started)
    return times


def measure() -> list[Row]:
    """Sync and async, over the same gateway in its own process."""
    with tempfile.TemporaryDirectory() as name, toy_process() as gateway:
        folder = Path(name)
        return [
            _sync(gateway.url, folder).row("create(), sync, p50"),
            asyncio.run(_async(gateway.url, folder)).row("create(), async, p50"),
        ]
