"""`create()` against the least that survives a crash: a bare POST and two bare commits."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.table import Row
from paycore import AsyncClient, Client, Money
from tests.support.toy_http import toy_config, toy_plugins, toy_process

TURNS = 300
FIELDS = {"minor": 8800, "currency": "HKD", "channel": "web"}


def _commit(database: sqlite3.Connection, body: str) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO rows (body) VALUES (?)", (body,))
    database.execute("COMMIT")


def _database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE rows (body TEXT)")
    return database


def _bare_sync(url: str, folder: Path) -> float:
    database, times = _database(folder / "bare-sync.db"), []
    with httpx.Client(trust_env=False) as client:
        for turn in range(TURNS):
            started = time.perf_counter()
            _commit(database, "x" * 800)
            client.post(f"{url}/orders", json={"number": f"BARE{turn}", **FIELDS}).json()
            _commit(database, "x" * 800)
            times.append(time.perf_counter() - started)
    database.close()
    return statistics.median(times)


async def _bare_async(url: str, folder: Path) -> float:
    database, times = _database(folder / "bare-async.db"), []
    async with httpx.AsyncClient(trust_env=False) as client:
        for turn in range(TURNS):
            started = time.perf_counter()
            _commit(database, "x" * 800)
            (await client.post(f"{url}/orders", json={"number": f"ABARE{turn}", **FIELDS})).json()
            _commit(database, "x" * 800)
            times.append(time.perf_counter() - started)
    database.close()
    return statistics.median(times)


def _order(reference: str) -> dict[str, object]:
    return {"reference": reference, "amount": Money("88.00", "HKD"), "method": "toy", "channel": "web"}


def _paycore_sync(url: str, folder: Path) -> float:
    times = []
    with Client(toy_config(url, f"sqlite:///{folder}/sync.db"), plugins=toy_plugins()) as pay:
        for turn in range(TURNS):
            started = time.perf_counter()
            pay.create(**_order(f"s{turn}"))  # type: ignore[arg-type]
            times.append(time.perf_counter() - started)
    return statistics.median(times)


async def _paycore_async(url: str, folder: Path) -> float:
    times = []
    async with AsyncClient(toy_config(url, f"sqlite:///{folder}/async.db"), plugins=toy_plugins()) as pay:
        for turn in range(TURNS):
            started = time.perf_counter()
            await pay.create(**_order(f"a{turn}"))  # type: ignore[arg-type]
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def _row(what: str, ours_s: float, bare_s: float) -> Row:
    return Row(
        what=what,
        figure=f"{ours_s * 1000:.2f} ms",
        baseline=f"{bare_s * 1000:.2f} ms bare POST + 2 commits",
        ratio=f"{ours_s / bare_s:.2f}x",
        bar="<= 1.3x",
        holds=ours_s <= 1.3 * bare_s,
    )


def measure() -> list[Row]:
    """Medians over the same gateway in its own process."""
    with tempfile.TemporaryDirectory() as name, toy_process() as gateway:
        folder = Path(name)
        bare_sync, ours_sync = _bare_sync(gateway.url, folder), _paycore_sync(gateway.url, folder)
        bare_async = asyncio.run(_bare_async(gateway.url, folder))
        ours_async = asyncio.run(_paycore_async(gateway.url, folder))
    return [
        _row("create(), sync, p50", ours_sync, bare_sync),
        _row("create(), async, p50", ours_async, bare_async),
    ]
