"""Runs a sandbox on a socket: in a daemon thread for tests, in the foreground for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from paycore.sandbox.api import Gateway, Sandbox, SandboxOptions
from paycore.sandbox.connection import HANG_UP
from paycore.sandbox.guard import Guarded
from paycore.sandbox.request_limits import Bounded

HEAD_S = 10.0
"""Seconds in which a connection must send the whole head of each request."""

_HOST = "127.0.0.1"
_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5.0
_GRACE_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SandboxServer:
    """
    A sandbox on 127.0.0.1 in a daemon thread, as a context manager.

    `port` 0 uses a free one. The other arguments are those of `SandboxOptions`. `url`, `settings` and `gateway` are
    available inside the `with` block. Entering raises `OSError` if the port is taken, `ValueError` for bad settings.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        port: int = 0,
        state: Path | None = None,
        auto_pay_s: float | None = None,
        speed: float = 1.0,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._port = port
        self._state = state
        self._auto_pay_s = auto_pay_s
        self._speed = speed
        self._settings = settings or {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._gateway: Gateway | None = None
        self.url = ""

    @property
    def gateway(self) -> Gateway:
        if self._gateway is None:
            raise RuntimeError("the sandbox server is not running; use it in a `with` block")
        return self._gateway

    @property
    def settings(self) -> Mapping[str, str]:
        return self.gateway.settings

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        listener, self.url, self._gateway = _open(
            self._sandbox,
            self._port,
            state=self._state,
            auto_pay_s=self._auto_pay_s,
            speed=self._speed,
            settings=self._settings,
        )
        ready = threading.Event()
        self._server = _Server(self._gateway, ready.set)
        self._thread = threading.Thread(
            target=self._server.run_on, args=(listener,), name=f"sandbox-{self._sandbox.name}", daemon=True
        )
        self._thread.start()
        if not ready.wait(_START_TIMEOUT_S):
            raise RuntimeError(f"sandbox {self._sandbox.name} did not start within {_START_TIMEOUT_S:.0f} s")

    def stop(self) -> None:
        """Stop listening, end requests in progress and close the gateway. Safe to call twice."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT_S)
        self._server = self._thread = None


def serve_forever(
    sandbox: Sandbox,
    *,
    port: int,
    state: Path | None,
    auto_pay_s: float | None,
    speed: float,
    settings: Mapping[str, str],
    on_ready: Callable[[Mapping[str, str]], None],
) -> None:
    """
    Serve in the foreground until SIGINT or SIGTERM, then return within 2 s with the state saved.

    `on_ready` is called once, with `url` and the gateway's settings, when requests are served. `OSError` if the port
    is taken, `ValueError` for bad settings. Call it in the main thread, the only one that receives signals.
    """
    listener, url, gateway = _open(
        sandbox, port, state=state, auto_pay_s=auto_pay_s, speed=speed, settings=settings
    )
    _Server(gateway, lambda: on_ready({"url": url, **gateway.settings})).run_on(listener)


def _open(sandbox: Sandbox, port: int, **options: Any) -> tuple[socket.socket, str, Gateway]:
    """Listen, and open the gateway at the URL of the listener; `options` are those of `SandboxOptions`."""
    listener = _listen(port)
    url = f"http://{_HOST}:{listener.getsockname()[1]}"
    try:
        return listener, url, sandbox.open(SandboxOptions(public_url=url, **options))
    except BaseException:
        listener.close()
        raise


def _listen(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only if the protocol is given; without it, answers take 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A restart on the same port must not wait for the old connections to leave TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


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


class _Server(uvicorn.Server):
    def __init__(self, gateway: Gateway, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                Bounded(
                    Guarded(gateway.app, open_paths=gateway.open_paths),
                    hang_up=lambda scope: scope["extensions"][HANG_UP](),
                ),
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
        )
        self._gateway = gateway
        self._on_ready = on_ready

    def run_on(self, listener: socket.socket) -> None:
        asyncio.run(self._serve_and_close(listener))

    async def _serve_and_close(self, listener: socket.socket) -> None:
        try:
            await self.serve(sockets=[listener])
        finally:
            await self._gateway.aclose()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests in progress end, then drop the connections that a fault keeps waiting."""
        tasks = self.server_state.tasks
        if tasks:
            await asyncio.wait(list(tasks), timeout=_GRACE_S)
        for task in list(tasks):
            task.cancel()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As in uvicorn, but the signal is not raised again: stopping a sandbox is no failure."""
        if threading.current_thread() is not threading.main_thread():
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
