"""
A shop and its gateway on a virtual clock: real client, worker, plugin, ledger and sandbox, no sockets and threads.

Nothing waits for real, so that hours take minutes; the same seed gives the same figures. What the gateway and the
measuring cost is not counted as paycore's.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2

from paycore.engine import core, timing, transport
from paycore.engine.async_client import AsyncClient
from paycore.engine.config import AccountConfig, Config
from paycore.ledger.groupcommit import Unit
from paycore.ledger.sqlite.file import Connection
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.ledger.verbs import changed_ids
from paycore.sandbox import virtual_clock
from paycore.sandbox.api import SandboxOptions
from paycore.sandbox.posts import Post, PostResult
from qfpay_alipay.sandbox import gateway as gateway_module
from qfpay_alipay.sandbox.gateway import QFPayGateway
from tests.simulation import loop as loop_module
from tests.simulation.loop import VirtualLoop
from tests.simulation.scheduler import Scheduler

ROUND_TRIP_S = 0.1


class Stopped(Exception):
    """A program of the world failed."""


class World:
    """One shop: its client, its gateway, and the time. Open it with `opened`."""

    def __init__(self, folder: Path, seed: int, settings: dict[str, str]) -> None:
        self.scheduler = Scheduler()
        self.rng = random.Random(seed)
        self.loop = VirtualLoop(  # type: ignore[abstract]
            self.scheduler, stands_still_s=lambda: 0.0, ended=self._look_at
        )
        self.failure: BaseException | None = None
        self.foreign_cpu_s = 0.0
        self.posts: list[tuple[Post, Callable[[PostResult], None]]] = []
        self.on_post: Callable[[Post, Callable[[PostResult], None]], None] = lambda _post, _done: None
        self._folder = folder
        self._settings = settings

    # --- time ------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Milliseconds since the start."""
        return self.scheduler.elapsed_ms

    def run(self, program: Coroutine[Any, Any, Any], until_s: float) -> None:
        """Run it to its end, at most until then."""
        task = self.loop.create_task(program)
        self.scheduler.run(until_s, lambda: task.done() or self.failure is not None)
        if self.failure is not None:
            raise Stopped from self.failure
        if not task.done():
            raise TimeoutError(f"not over after {until_s} s")
        task.result()

    def _look_at(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()

    @contextmanager
    def foreign(self) -> Iterator[None]:
        """What is done inside the block is not paycore's work."""
        began = time.process_time()
        try:
            yield
        finally:
            self.foreign_cpu_s += time.process_time() - began

    # --- in the place of what is outside ---------------------------------------------------------------

    def monotonic(self) -> float:
        """In the place of `time.monotonic`, for the sandbox's clock."""
        return self.scheduler.monotonic()

    def time_ns(self) -> int:
        """In the place of `time.time_ns`, for the sandbox's clock."""
        return round(self.scheduler.now().timestamp() * 1000) * 1_000_000

    def new_id(self) -> str:
        """An id as the engine makes them."""
        return f"{self.time_ns() // 1_000_000:012X}{self.rng.getrandbits(56):014X}"

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        """The gateway's answer, half a round trip after it was asked, another half before it arrives."""
        await asyncio.sleep(ROUND_TRIP_S / 2)
        with self.foreign():
            response = await _call(self.gateway.app, request)
        await asyncio.sleep(ROUND_TRIP_S / 2)
        return response

    def open_ledger(self, _dsn: str) -> SqliteLedger:
        """In the place of what opens it by its DSN."""
        return self.ledger

    def open(self) -> None:
        """Gateway, ledger and client."""
        self.gateway = QFPayGateway(
            SandboxOptions(public_url="http://127.0.0.1:8700", settings=self._settings)
        )
        self.ledger = _Ledger(self._folder / "ledger.db", clock=self.scheduler.now)
        account = AccountConfig(
            name="shop",
            provider="qfpay-alipay",
            mode="sandbox",
            timeout_s=20.0,
            base_url="http://127.0.0.1:8700",
            settings={"region": "hk", **self.gateway.settings},
        )
        self.client = AsyncClient(
            Config(
                path=self._folder / "paycore.toml",
                ledger="virtual",
                default_account="shop",
                accounts={"shop": account},
            )
        )


@contextmanager
def opened(folder: Path, seed: int, **settings: str) -> Iterator[World]:
    """A world in which the engine and the sandbox have its clock, its network and its ids."""
    world = World(folder, seed, settings)
    logger = logging.getLogger("paycore")
    with ExitStack() as stack:
        for patch in (
            mock.patch.object(timing, "time", world.scheduler),
            mock.patch.object(virtual_clock, "time", world),
            mock.patch.object(gateway_module, "PostQueue", partial(_Posts, world)),
            mock.patch.object(transport, "AsyncTransport", partial(_Cable, world)),
            mock.patch.object(core, "open_ledger", world.open_ledger),
            mock.patch.object(core, "new_id", world.new_id),
            mock.patch.object(loop_module, "HANDLES_MAX", 1_000_000),
            mock.patch.object(logger, "level", logging.ERROR),
        ):
            stack.enter_context(patch)
        world.open()
        try:
            yield world
        finally:
            world.loop.bury()
            world.ledger.close()


class _Ledger(SqliteLedger):
    """The real ledger in the caller's thread; no simulated crash affects the disk, so nothing waits for it."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        super().__init__(path, clock=clock, inline=True)

    def _open(self, *, read_only: bool) -> Connection:
        connection = super()._open(read_only=read_only)
        connection.sqlite.execute("PRAGMA synchronous = OFF")
        return connection

    def _start_watching(self) -> None:
        """There is no other process."""

    def _tell(self, units: Sequence[Unit]) -> None:
        """In a fixed order."""
        self._call_watchers(sorted({payment_id for unit in units for payment_id in changed_ids(unit.result)}))


class _Cable(httpx2.AsyncBaseTransport):
    """In the place of the network."""

    def __init__(self, world: World, _connections: object) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        return await self._world.answer(request)


class _Posts:
    """In the place of what sends the gateway's notifications."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, post: Post, done: Callable[[PostResult], None]) -> None:
        """Hand it to the world."""
        self._world.on_post(post, done)

    def close(self) -> None:
        """Nothing is left to close."""


class _Body(httpx2.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> Any:
        yield self._body


async def _call(app: Any, request: httpx2.Request) -> httpx2.Response:
    """What an ASGI app answers."""
    start: dict[str, Any] = {}
    body = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.content, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8700),
    }
    await app(scope, receive, send)
    return httpx2.Response(start["status"], headers=start["headers"], stream=_Body(bytes(body)))
