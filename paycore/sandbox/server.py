"""Runs sandboxes on sockets: one in a daemon thread for tests, any number in the foreground for the command line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

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
        listener = listen(_HOST, self._port)
        self._gateway = _gateway_at(
            listener,
            self._sandbox,
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


class ServedSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """
    One of the sandboxes of a process, and its port.

    The other fields are those of `SandboxOptions`; `public_url` follows from the port.
    """

    sandbox: Any
    port: int = 0
    state: Path | None = None
    auto_pay_s: float | None = None
    scenario: Scenario = Scenario()
    speed: float = 1.0
    notify_url: str | None = None
    settings: Mapping[str, str] = {}


class SandboxNotOpened(Exception):
    """
    A sandbox can't be served: its `port` can't be had; or, with no `port`, settings or the state file are no good.

    `reason` is `OSError` for the port and for the file, `ValueError` for what is in them.
    """

    def __init__(self, sandbox: str, reason: OSError | ValueError, *, port: int | None = None) -> None:
        super().__init__(f"{sandbox}: {reason}")
        self.sandbox = sandbox
        self.reason = reason
        self.port = port


def serve_forever(
    sandbox: Sandbox, *, on_ready: Callable[[Mapping[str, str]], None], port: int, **options: Any
) -> None:
    """
    Serve in the foreground until SIGINT or SIGTERM, then return within 2 s with the state saved.

    `options` are those of `ServedSandbox`. `on_ready` is called once, with `url` and the gateway's settings, when
    requests are served. `OSError` if the port is taken, `ValueError` for bad settings. Call it in the main thread, the
    only one that receives signals.
    """
    served = ServedSandbox(sandbox=sandbox, port=port, **options)
    try:
        serve_all([served], on_ready=lambda ready: on_ready(ready[0]))
    except SandboxNotOpened as error:
        raise error.reason from None


def serve_all(
    served: Sequence[ServedSandbox], *, on_ready: Callable[[Sequence[Mapping[str, str]]], None]
) -> None:
    """
    As `serve_forever`, for several sandboxes that end together; `on_ready` has what each says, in their order.

    `SandboxNotOpened` where one can't be; none is served then.
    """
    asyncio.run(_serve_all(served, on_ready))


async def _serve_all(
    served: Sequence[ServedSandbox], on_ready: Callable[[Sequence[Mapping[str, str]]], None]
) -> None:
    opened: list[tuple[HttpListener, Gateway]] = []
    try:
        opened.extend(map(_opened, served))
    except BaseException:
        for listener, gateway in opened:
            listener.socket.close()
            await gateway.aclose()
        raise
    group = _Group(opened)
    # What is raised, also by `on_ready`, ends all; each is closed before it is raised again.
    ends = await asyncio.gather(group.announce(on_ready), *group.serving(), return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end


class _Group:
    """Servers that start and end together; the first is ended by signals, and with it the others."""

    def __init__(self, opened: Sequence[tuple[HttpListener, Gateway]]) -> None:
        self._opened = opened
        self._starting = len(opened)
        self._is_over = False
        self._changed = asyncio.Event()
        self._servers = [
            _server(gateway, self._started, ends_by_signals=place == 0)
            for place, (_, gateway) in enumerate(opened)
        ]

    async def announce(self, on_ready: Callable[[Sequence[Mapping[str, str]]], None]) -> None:
        """Call `on_ready` once all have started, if none has ended by then."""
        await self._changed.wait()
        try:
            if not self._is_over:
                on_ready([{"url": listener.url, **gateway.settings} for listener, gateway in self._opened])
        except BaseException:
            self._end()
            raise

    def serving(self) -> list[Coroutine[Any, Any, None]]:
        """What serves each."""
        return [self._serve(server, *one) for server, one in zip(self._servers, self._opened, strict=True)]

    async def _serve(self, server: HttpServer, listener: HttpListener, gateway: Gateway) -> None:
        try:
            await _serve(gateway, server, listener)
        finally:
            self._end()

    def _started(self) -> None:
        self._starting -= 1
        if self._starting == 0:
            self._changed.set()

    def _end(self) -> None:
        self._is_over = True
        self._changed.set()
        for server in self._servers:
            server.should_exit = True


def _opened(served: ServedSandbox) -> tuple[HttpListener, Gateway]:
    options = msgspec.structs.asdict(served)
    sandbox, port = options.pop("sandbox"), options.pop("port")
    try:
        listener = listen(_HOST, port)
    except OSError as error:
        raise SandboxNotOpened(sandbox.name, error, port=port) from error
    try:
        return listener, _gateway_at(listener, sandbox, **options)
    except (OSError, ValueError) as error:
        raise SandboxNotOpened(sandbox.name, error) from error


def _gateway_at(listener: HttpListener, sandbox: Sandbox, **options: Any) -> Gateway:
    """Open the gateway at the URL of the listener, or close that; `options` are those of `SandboxOptions`."""
    try:
        return sandbox.open(SandboxOptions(public_url=listener.url, **options))
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


def _server(gateway: Gateway, on_ready: Callable[[], None], *, ends_by_signals: bool = True) -> HttpServer:
    app = Bounded(
        Guarded(gateway.app, open_paths=gateway.open_paths),
        hang_up=lambda scope: scope["extensions"][HANG_UP](),
    )
    return HttpServer(app, on_ready=on_ready, grace_s=_GRACE_S, ends_by_signals=ends_by_signals)
