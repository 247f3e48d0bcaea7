"""A worker says in the ledger that it runs, and that it has ended; nothing depends on it."""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from paycore import AsyncClient, Client
from paycore.engine import presence
from paycore.engine.config import Config
from paycore.errors import LedgerUnavailable
from paycore.ledger import open_ledger
from paycore.ledger.api import RunningWorker
from paycore.ledger.base import SqlLedger
from tests.engine.tills import Kind
from tests.support.toy_http import toy_config, toy_plugins


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A ledger, and an account at nobody: nothing is due."""
    return toy_config("http://127.0.0.1:9", f"sqlite:///{tmp_path}/paycore.db")


def seen(config: Config) -> tuple[RunningWorker, ...]:
    """The workers that another process sees."""
    with closing(open_ledger(config.ledger)) as ledger:
        return ledger.workers().result()


def until(happened: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


@contextmanager
def working(config: Config, kind: Kind) -> Iterator[None]:
    """A worker of a client of this kind runs inside the block."""
    if kind == "sync":
        with Client(config, plugins=toy_plugins()) as pay:
            thread = threading.Thread(target=pay.run_worker)
            thread.start()
            yield
        thread.join()  # the client has ended it
        return
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def main() -> None:
        async with AsyncClient(config, plugins=toy_plugins()) as pay:
            task = asyncio.create_task(pay.run_worker())
            await ended.wait()
            task.cancel()
            await asyncio.wait([task])

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def test_worker_says_that_it_runs_and_that_it_has_ended(config: Config, kind: Kind) -> None:
    """Its host, process and accounts; renewed while it runs, gone once it has ended."""
    with mock.patch.object(presence, "SAID_EVERY_S", 0.05), working(config, kind):
        until(lambda: seen(config))
        (first,) = seen(config)
        assert (first.host, first.pid, first.accounts) == (socket.gethostname(), os.getpid(), ("toy",))
        until(lambda: seen(config)[0].seen_at > first.seen_at)
        assert seen(config)[0].started_at == first.started_at
    assert seen(config) == ()


def test_ledger_that_does_not_take_it_ends_no_worker(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once a minute at most; the worker goes on, and says it as soon as the ledger takes it."""
    note, tries = SqlLedger.note_worker, list[str]()

    def failing(ledger: SqlLedger, worker_id: str, **options: object) -> object:
        tries.append(worker_id)
        if len(tries) < 4:
            raise LedgerUnavailable("away")
        return note(ledger, worker_id, **options)  # type: ignore[arg-type]

    with (
        caplog.at_level(logging.WARNING, "paycore"),
        mock.patch.object(SqlLedger, "note_worker", failing),
        mock.patch.object(presence, "SAID_EVERY_S", 0.02),
        working(config, "sync"),
    ):
        until(lambda: seen(config))
    said = [record.getMessage() for record in caplog.records]
    assert said == ["could not say that it runs: away", "the worker answers again, after 0 s"]
