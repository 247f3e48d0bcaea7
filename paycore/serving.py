"""
Serves an ASGI app on a socket of its own until a signal: uvicorn's server, with its gaps closed.

A connection that does not send the whole head of a request in time is dropped, and stopping waits for nobody longer
than it was told to. Needs uvicorn.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

HANG_UP = "paycore.hang_up"
"""Key in `scope["extensions"]` of a function that drops the connection."""

HEAD_S = 10.0
"""Seconds in which a connection must send the whole head of each request."""

BACKLOG = 2048

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class HttpListener(NamedTuple):
    """A socket that listens, and the URL it is reached by."""

    socket: socket.socket
    url: str


def listen(host: str, port: int) -> HttpListener:
    """Listen on an address or a name of this machine, with port 0 on a free one; `OSError` if that can't be."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    # asyncio sets TCP_NODELAY only if the protocol is given; without it, answers take 40 ms.
    listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    try:
        # A restart on the same port must not wait for the old connections to leave TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    name = f"[{host}]" if ":" in host else host
    return HttpListener(listener, f"http://{name}:{listener.getsockname()[1]}")


class HttpServer(uvicorn.Server):
    """
    Serves one app; `serve_on` ends after `should_exit`, and after SIGINT or SIGTERM unless `ends_by_signals` is false.

    `on_ready` is called once requests are served. Requests in progress then have `grace_s` seconds to end, and are
    dropped afterwards; it ends about a second later at most.
    """

    def __init__(
        self, app: ASGIApp, *, on_ready: Callable[[], None], grace_s: float, ends_by_signals: bool = True
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_ready = on_ready
        self._grace_s = grace_s
        self._ends_by_signals = ends_by_signals

    async def serve_on(self, listener: HttpListener) -> None:
        await self.serve(sockets=[listener.socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, let requests in progress end, then drop those that do not."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        tasks = self.server_state.tasks
        if tasks:
            await asyncio.wait(list(tasks), timeout=self._grace_s)
        for task in list(tasks):
            task.cancel()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As in uvicorn, but the signal is not raised again: being stopped is no failure."""
        if not self._ends_by_signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True


class _Protocol(H11Protocol):
    """HTTP/1.1 that lets the app drop the connection, which ASGI can't, and drops one whose head is incomplete."""

    _head_due: asyncio.TimerHandle | None = None
    _is_serving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_due = self.loop.call_later(HEAD_S, transport.abort)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self._head_arrived()
            scope["extensions"] = {**scope.get("extensions", {}), HANG_UP: transport.abort}
            try:
                await inner(scope, receive, send)
            except asyncio.CancelledError:
                # The server stops. After two loop iterations uvicorn has noticed that the connection is lost, and
                # does not try to answer on it.
                transport.abort()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            finally:
                self._is_serving = False

        self.app = app

    def data_received(self, data: bytes) -> None:
        if self._head_due is None and not self._is_serving:
            self._head_due = self.loop.call_later(HEAD_S, self.transport.abort)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def _head_arrived(self) -> None:
        self._is_serving = True
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
