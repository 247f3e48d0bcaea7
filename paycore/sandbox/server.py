"""Runs a sandbox on a socket: in a daemon thread for tests, in the foreground for the command line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paycore.sandbox.api import Gateway, Sandbox, SandboxOptions
from paycore.sandbox.guard import Guarded
from paycore.sandbox.request_limits import Bounded
from paycore.sandbox.scenario import Scenario
from paycore.serving import HANG_UP, HttpListener, HttpServer, listen

_HOST = "127.0.0.1"
_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5.0
_GRACE_S = 0.5


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
        scenario: Scenario | None = None,
        speed: float = 1.0,
        notify_url: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._port = port
        self._state = state
        self._auto_pay_s = auto_pay_s
        self._scenario = scenario or Scenario()
        self._speed = speed
        self._notify_url = notify_url
        self._settings = settings or {}
        self._server: HttpServer | None = None
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
        listener, self._gateway = _open(
            self._sandbox,
            self._port,
            state=self._state,
            auto_pay_s=self._auto_pay_s,
            scenario=self._scenario,
            speed=self._speed,
            notify_url=self._notify_url,
            settings=self._settings,
        )
        self.url = listener.url
        ready = threading.Event()
        self._server = _server(self._gateway, ready.set)
        self._thread = threading.Thread(
            target=_run,
            args=(self._gateway, self._server, listener),
            name=f"sandbox-{self._sandbox.name}",
            daemon=True,
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
    notify_url: str | None,
    settings: Mapping[str, str],
    on_ready: Callable[[Mapping[str, str]], None],
    scenario: Scenario | None = None,
) -> None:
    """
    Serve in the foreground until SIGINT or SIGTERM, then return within 2 s with the state saved.

    `on_ready` is called once, with `url` and the gateway's settings, when requests are served. `OSError` if the port
    is taken, `ValueError` for bad settings. Call it in the main thread, the only one that receives signals.
    """
    listener, gateway = _open(
        sandbox,
        port,
        state=state,
        auto_pay_s=auto_pay_s,
        scenario=scenario or Scenario(),
        speed=speed,
        notify_url=notify_url,
        settings=settings,
    )
    _run(gateway, _server(gateway, lambda: on_ready({"url": listener.url, **gateway.settings})), listener)


def _open(sandbox: Sandbox, port: int, **options: Any) -> tuple[HttpListener, Gateway]:
    """Listen, and open the gateway at the URL of the listener; `options` are those of `SandboxOptions`."""
    listener = listen(_HOST, port)
    try:
        return listener, sandbox.open(SandboxOptions(public_url=listener.url, **options))
    except BaseException:
        listener.socket.close()
        raise


def _run(gateway: Gateway, server: HttpServer, listener: HttpListener) -> None:
    asyncio.run(_serve(gateway, server, listener))


async def _serve(gateway: Gateway, server: HttpServer, listener: HttpListener) -> None:
    try:
        await server.serve_on(listener)
    finally:
        await gateway.aclose()


def _server(gateway: Gateway, on_ready: Callable[[], None]) -> HttpServer:
    app = Bounded(
        Guarded(gateway.app, open_paths=gateway.open_paths),
        hang_up=lambda scope: scope["extensions"][HANG_UP](),
    )
    return HttpServer(app, on_ready=on_ready, grace_s=_GRACE_S)
