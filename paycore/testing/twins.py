"""One interface to `Client` and `AsyncClient`, so that both run the same tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from paycore.engine.async_client import AsyncClient
from paycore.engine.client import Client
from paycore.engine.config import Config
from paycore.engine.plugins import Plugins
from paycore.ledger.base import SqlLedger


class SyncTwin:
    """A `Client` as it is."""

    def __init__(self, config: Config, plugins: Plugins | None, ledger: SqlLedger | None = None) -> None:
        self._client = Client(config, plugins=plugins, ledger=ledger)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sleep(self, seconds: float) -> None:
        """Let the client's worker run for this long."""
        time.sleep(seconds)


class AsyncTwin:
    """An `AsyncClient` whose verbs run to their end on its own loop."""

    def __init__(self, config: Config, plugins: Plugins | None, ledger: SqlLedger | None = None) -> None:
        self._loop = asyncio.Runner()
        self._client = self._loop.run(self._open(config, plugins, ledger))

    async def _open(self, config: Config, plugins: Plugins | None, ledger: SqlLedger | None) -> AsyncClient:
        return AsyncClient(config, plugins=plugins, ledger=ledger)

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._client, name)
        return lambda *args, **kwargs: self._loop.run(_finished(verb(*args, **kwargs)))

    def sleep(self, seconds: float) -> None:
        """Let the client's worker run for this long."""
        self._loop.run(asyncio.sleep(seconds))

    def shutdown(self) -> None:
        """Close the client and its loop."""
        self._loop.run(self._client.shutdown())
        self._loop.close()


async def _finished(begun: Any) -> Any:
    """What was awaited, or all that is iterated over."""
    return [item async for item in begun] if hasattr(begun, "__aiter__") else await begun


TWINS: Mapping[str, type[SyncTwin | AsyncTwin]] = {"sync": SyncTwin, "async": AsyncTwin}
