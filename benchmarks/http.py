"""
What the HTTP client costs a `create()`, in CPU time of the whole process, and what others would cost.

    python -m benchmarks.http         every client at 1, 8, 64 and 256 in flight, sync at 1, 8 and 64 threads

The baseline is a POST by aiohttp, the quickest client there is, and two bare commits. The clients take turns, so that
whatever else the machine does meanwhile slows down all of them, and the best of a few rounds counts.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import httpx
import httpx2
import httpx_aiohttp

from benchmarks.creating import FIELDS, ORDER, bare_database, commit
from benchmarks.table import Row
from paycore import AsyncClient, Client
from paycore.domain.wire import Request, Response
from paycore.engine import runner
from paycore.engine.transport import AsyncSender, Sender
from tests.support.toy_http import ToyRemote, toy_config, toy_plugins, toy_process

IN_FLIGHT = {1: 150, 8: 300, 64: 600, 256: 800}
"""How many payments are made with so many in flight."""

BARS = {1: 3.0, 8: 4.0, 64: 6.0}
ROUNDS = 3

Call = Callable[[str], Awaitable[object]]


# --- clients that are not paycore's ------------------------------------------------------------------


class Foreign(AsyncSender):
    """Sends by a transport as it comes, of `library`: httpx or httpx2, which have the same API."""

    library: Any
    options: Mapping[str, Any] = {"limits": httpx.Limits(max_connections=100, max_keepalive_connections=100)}
    kind: str = "AsyncHTTPTransport"

    def __init__(self, base_url: str, tls: object = None) -> None:
        self._base_url = base_url
        transport = getattr(self.library, self.kind)
        self._transport = transport(trust_env=False, **self.options)

    async def _exchange(self, request: Request, left_s: float) -> Response:
        built = _build(self._request_library, self._base_url, request, left_s)
        reply = await self._transport.handle_async_request(built)
        body = b"".join([chunk async for chunk in reply.aiter_raw()])
        return Response(status=reply.status_code, headers=dict(reply.headers), body=body)

    @property
    def _request_library(self) -> Any:
        return self.library


class ByHttpx(Foreign):
    """httpx as it comes."""

    library = httpx


class ByHttpx2(Foreign):
    """httpx2 as it comes."""

    library = httpx2
    options: Mapping[str, Any] = {"limits": httpx2.Limits(max_connections=100, max_keepalive_connections=100)}


class ByHttpxAiohttp(Foreign):
    """httpx's API over aiohttp's connections."""

    library = httpx_aiohttp
    kind = "AiohttpTransport"

    @property
    def _request_library(self) -> Any:
        return httpx


class ByAiohttp(AsyncSender):
    """aiohttp itself."""

    def __init__(self, base_url: str, tls: object = None) -> None:
        self._base_url = base_url
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)

    async def _exchange(self, request: Request, left_s: float) -> Response:
        async with self._session.request(
            request.method,
            self._base_url + request.path,
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
        ) as reply:
            return Response(status=reply.status, headers=dict(reply.headers), body=await reply.read())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


class SyncForeign(Sender):
    """As `Foreign`, from threads."""

    library: Any

    def __init__(self, base_url: str, tls: object = None) -> None:
        self._base_url = base_url
        limits = self.library.Limits(max_connections=100, max_keepalive_connections=100)
        self._transport = self.library.HTTPTransport(trust_env=False, limits=limits)

    def _exchange(self, request: Request, left_s: float) -> Response:
        built = _build(self.library, self._base_url, request, left_s)
        reply = self._transport.handle_request(built)
        body = b"".join(reply.iter_raw())
        return Response(status=reply.status_code, headers=dict(reply.headers), body=body)


class SyncByHttpx(SyncForeign):
    """httpx as it comes."""

    library = httpx


class SyncByHttpx2(SyncForeign):
    """httpx2 as it comes."""

    library = httpx2


def _build(library: Any, base_url: str, request: Request, left_s: float) -> Any:
    return library.Request(
        request.method,
        base_url + request.path,
        content=request.body,
        headers=dict(request.headers),
        extensions={"timeout": library.Timeout(left_s).as_dict()},
    )


ASYNC: Mapping[str, type[AsyncSender]] = {
    "paycore (httpx2, connections of its own)": AsyncSender,
    "httpx2 as it comes": ByHttpx2,
    "httpx as it comes": ByHttpx,
    "httpx-aiohttp": ByHttpxAiohttp,
    "aiohttp itself": ByAiohttp,
}
SYNC: Mapping[str, type[Sender]] = {
    "paycore, sync": Sender,
    "httpx2 as it comes, sync": SyncByHttpx2,
    "httpx as it comes, sync": SyncByHttpx,
}


# --- measuring ---------------------------------------------------------------------------------------


class Bench:
    """One gateway in its own process, and databases that nobody has used before."""

    def __init__(self, gateway: ToyRemote, folder: Path) -> None:
        self._url = gateway.url
        self._folder = folder
        self._names: Iterator[int] = count()

    def bare(self, in_flight: int) -> float:
        """CPU milliseconds of a POST by aiohttp and two commits."""

        async def run() -> float:
            name = f"BARE{next(self._names)}"
            with closing(bare_database(self._folder / f"{name}.db")) as rows:
                async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

                    async def call(turn: str) -> None:
                        commit(rows)
                        order = {**FIELDS, "number": f"{name}{turn}"}
                        async with http.post(f"{self._url}/orders", json=order) as reply:
                            await reply.json()
                        commit(rows)

                    return await _cpu_ms(in_flight, call)

        return asyncio.run(run())

    def ours(self, in_flight: int, sender: type[AsyncSender] = AsyncSender) -> float:
        """CPU milliseconds of a create by an `AsyncClient` that sends by `sender`."""

        async def run() -> float:
            config = toy_config(self._url, self._ledger(), timeout_s=60)
            async with AsyncClient(config, plugins=toy_plugins()) as pay:
                return await _cpu_ms(in_flight, lambda turn: pay.create(reference=turn, **ORDER))

        with mock.patch.object(runner, "AsyncSender", sender):
            return asyncio.run(run())

    def ours_sync(self, threads: int, sender: type[Sender] = Sender) -> float:
        """CPU milliseconds of a create by a `Client`, called from so many threads."""
        config = toy_config(self._url, self._ledger(), timeout_s=60)
        with (
            mock.patch.object(runner, "Sender", sender),
            Client(config, plugins=toy_plugins()) as pay,
        ):
            return _cpu_ms_of_threads(threads, lambda turn: pay.create(reference=turn, **ORDER))

    def _ledger(self) -> str:
        return f"sqlite:///{self._folder}/{next(self._names)}.db"


async def _cpu_ms(in_flight: int, call: Call) -> float:
    """CPU milliseconds of a call, with so many in flight; the connections are open already."""

    async def drive(turns: Iterator[str]) -> None:
        for turn in turns:
            await call(turn)

    async def together(turns: Iterator[str]) -> None:
        await asyncio.gather(*(drive(turns) for _ in range(in_flight)))

    calls = IN_FLIGHT[in_flight]
    await together(f"warm-{turn}" for turn in range(2 * in_flight))
    started = time.process_time()
    await together(f"order-{turn}" for turn in range(calls))
    return (time.process_time() - started) / calls * 1000


def _cpu_ms_of_threads(threads: int, call: Callable[[str], object]) -> float:
    def drive(kind: str, thread: int, calls: int) -> None:
        for turn in range(calls):
            call(f"{kind}-{thread}-{turn}")

    def together(kind: str, calls: int) -> None:
        running = [threading.Thread(target=drive, args=(kind, thread, calls)) for thread in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    each = IN_FLIGHT[threads] // threads
    together("warm", 2)
    started = time.process_time()
    together("order", each)
    return (time.process_time() - started) / (each * threads) * 1000


def _best(measured: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The least of a few rounds for each, in turns."""
    rounds = [{name: measure() for name, measure in measured.items()} for _ in range(ROUNDS)]
    return {name: min(each[name] for each in rounds) for name in measured}


def measure() -> list[Row]:
    """`create()` as it is, against the baseline."""
    rows = []
    with tempfile.TemporaryDirectory() as name, toy_process() as gateway:
        bench = Bench(gateway, Path(name))
        for in_flight, bar in BARS.items():
            best = _best({"bare": partial(bench.bare, in_flight), "ours": partial(bench.ours, in_flight)})
            ratio = best["ours"] / best["bare"]
            rows.append(
                Row(
                    what=f"create(), async, CPU, {in_flight} in flight",
                    figure=f"{best['ours']:.2f} ms",
                    baseline=f"{best['bare']:.2f} ms aiohttp POST + 2 commits",
                    ratio=f"{ratio:.1f}x",
                    bar=f"<= {bar:g}x",
                    holds=ratio <= bar,
                )
            )
    return rows


def compare() -> Iterator[str]:
    """Every client, at every number in flight."""
    with tempfile.TemporaryDirectory() as name, toy_process() as gateway:
        bench = Bench(gateway, Path(name))
        for in_flight in IN_FLIGHT:
            clients = {name: partial(bench.ours, in_flight, sender) for name, sender in ASYNC.items()}
            if in_flight < 100:
                clients |= {
                    name: partial(bench.ours_sync, in_flight, sender) for name, sender in SYNC.items()
                }
            best = _best({"aiohttp POST + 2 commits": partial(bench.bare, in_flight), **clients})
            bare = best["aiohttp POST + 2 commits"]
            for client, cpu_ms in best.items():
                yield f"{in_flight:4}  {client:42} {cpu_ms:6.2f} ms  {cpu_ms / bare:5.1f}x"


if __name__ == "__main__":
    for line in compare():
        print(line, flush=True)
