"""Faults of the connection between client and gateway, as a wrapper of the gateway's ASGI app."""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paycore.sandbox.faults import Fault, FaultBoard, FaultKind, Occasion, occasion
from paycore.serving import HANG_UP

if TYPE_CHECKING:
    from paycore.sandbox.scenario_run import ScenarioRun

_MIB = 1024 * 1024
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

_RECORDED = {"recorded": True}
CONNECTION_FAULTS = (
    FaultKind(name="lose_request", help="the connection breaks, the gateway never saw the request"),
    FaultKind(name="lose_reply", help="the gateway acts, the connection breaks before its answer"),
    FaultKind(
        name="late_request",
        help="the gateway sees the request only after `seconds`",
        options={"seconds": 1.0},
    ),
    FaultKind(
        name="delay", help="the gateway acts at once and answers after `seconds`", options={"seconds": 1.0}
    ),
    FaultKind(name="stall", help="no answer until the client leaves", options=_RECORDED),
    FaultKind(name="http_500", help="HTTP 500 with a line of text", options=_RECORDED),
    FaultKind(name="http_502", help="HTTP 502 with an HTML page", options=_RECORDED),
    FaultKind(name="http_429", help="HTTP 429 though no limit is reached", options={"recorded": False}),
    FaultKind(name="html", help="HTTP 200 with an HTML page", options=_RECORDED),
    FaultKind(name="redirect", help="HTTP 302 to `location`", options={"recorded": True, "location": "/"}),
    FaultKind(
        name="truncated_json", help="the answer's first half, with a length that fits", options=_RECORDED
    ),
    FaultKind(name="drip", help="the answer one byte each `seconds`", options={"seconds": 0.3}),
    FaultKind(
        name="gzip_bomb",
        help="`mebibytes` of zeros as a small gzip body nobody asked for",
        options={"recorded": True, "mebibytes": 64},
    ),
    FaultKind(
        name="huge_body",
        help="a body of `mebibytes`, uncompressed",
        options={"recorded": True, "mebibytes": 32},
    ),
)
"""`recorded`: whether the gateway processes the request before the fault."""

_NAMES = tuple(kind.name for kind in CONNECTION_FAULTS if kind.name not in ("delay", "late_request"))


class HttpAnswer(msgspec.Struct, kw_only=True):
    """A complete HTTP answer that is not sent yet."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = []
    body: bytes = b""


class FaultyConnection:
    """
    Applies the faults of `board` to requests whose path starts with `covers`; all others pass unchanged.

    `scenario` tells what a request is about, for faults that are for some orders only.
    """

    def __init__(
        self, app: ASGIApp, board: FaultBoard, *, covers: str, scenario: ScenarioRun | None = None
    ) -> None:
        self._app = app
        self._board = board
        self._covers = covers
        self._scenario = scenario

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._covers):
            await self._app(scope, receive, send)
            return
        if self._scenario is None or not self._scenario.is_watching:
            await self._serve(scope, receive, send, None)
            return
        body, receive = await _read(receive)
        query = scope["query_string"].decode("latin-1")
        about = self._scenario.occasion_of(scope["method"], f"{scope['path']}?{query}", body)
        with occasion(about.orders, asks=about.asks) as about:
            await self._serve(scope, receive, send, about)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, about: Occasion | None) -> None:
        """`about`: what the request is about; `None` where no fault depends on that."""
        path: str = scope["path"]
        late = self._board.take("late_request", path=path)
        slow = self._board.take("delay", path=path)
        fault = self._board.take(*_NAMES, path=path)
        if late is None and slow is None and fault is None and about is None:
            await self._app(scope, receive, send)
            return
        if late is not None:
            await asyncio.sleep(late.number("seconds"))
        known = set() if about is None else set(about.orders)
        answer = await self._answer(scope, receive, fault)
        if about is not None and about.orders != known:
            # The request has made an order, and only now it is known what becomes of that.
            slow = slow or self._board.take("delay", path=path)
            fault = fault or self._board.take(*_NAMES, path=path)
        if slow is not None:
            await asyncio.sleep(slow.number("seconds"))
        if fault is None:
            await _send(send, answer)
        else:
            await _BREAK[fault.kind](
                _Break(fault=fault, answer=answer, scope=scope, receive=receive, send=send)
            )

    async def _answer(self, scope: Scope, receive: Receive, fault: Fault | None) -> HttpAnswer:
        """The gateway's answer; an empty one when the fault keeps the request from the gateway."""
        answer = HttpAnswer()
        if fault is not None and (fault.kind == "lose_request" or not fault.options.get("recorded", True)):
            return answer

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = list(message["headers"])
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")

        await self._app(scope, receive, hold)
        return answer


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The body, and what receives it once more."""
    messages: list[Message] = []
    while not messages or messages[-1].get("more_body", False):
        messages.append(await receive())
    body = b"".join(message.get("body", b"") for message in messages)

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return body, again


class _Break(msgspec.Struct, frozen=True, kw_only=True):
    fault: Fault
    answer: HttpAnswer
    scope: MutableMapping[str, Any]
    receive: Callable[[], Awaitable[Message]]
    send: Callable[[Message], Awaitable[None]]


async def _send(send: Send, answer: HttpAnswer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


def _answer_with(
    broken: _Break, *, status: int, body: bytes, kind: bytes, extra: tuple[tuple[bytes, bytes], ...] = ()
) -> Awaitable[None]:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *extra]
    return _send(broken.send, HttpAnswer(status=status, headers=headers, body=body))


async def _hang_up(broken: _Break) -> None:
    hang_up = broken.scope.get("extensions", {}).get(HANG_UP)
    if hang_up is None:
        # Another server, for instance an in-process client: an exception is the nearest equivalent.
        raise ConnectionAbortedError(f"fault {broken.fault.kind}")
    hang_up()
    await _until_gone(broken)


async def _until_gone(broken: _Break) -> None:
    while (await broken.receive())["type"] != "http.disconnect":
        pass


async def _http_500(broken: _Break) -> None:
    await _answer_with(broken, status=500, body=b"Internal Server Error", kind=b"text/plain")


async def _http_502(broken: _Break) -> None:
    await _answer_with(broken, status=502, body=_HTML, kind=b"text/html")


async def _http_429(broken: _Break) -> None:
    await _answer_with(broken, status=429, body=b"Too Many Requests", kind=b"text/plain")


async def _html(broken: _Break) -> None:
    await _answer_with(broken, status=200, body=_HTML, kind=b"text/html")


async def _redirect(broken: _Break) -> None:
    location = broken.fault.text("location").encode("latin-1", "replace")
    await _answer_with(broken, status=302, body=b"", kind=b"text/plain", extra=((b"location", location),))


async def _truncated(broken: _Break) -> None:
    half = broken.answer.body[: len(broken.answer.body) // 2]
    headers = [(name, value) for name, value in broken.answer.headers if name.lower() != b"content-length"]
    headers.append((b"content-length", b"%d" % len(half)))
    await _send(broken.send, HttpAnswer(status=broken.answer.status, headers=headers, body=half))


async def _drip(broken: _Break) -> None:
    answer = broken.answer
    await broken.send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    for index in range(len(answer.body)):
        await asyncio.sleep(broken.fault.number("seconds"))
        await broken.send(
            {"type": "http.response.body", "body": answer.body[index : index + 1], "more_body": True}
        )
    await broken.send({"type": "http.response.body", "body": b""})


async def _gzip_bomb(broken: _Break) -> None:
    body = await asyncio.to_thread(_zeros_gzipped, int(broken.fault.number("mebibytes")))
    await _answer_with(
        broken, status=200, body=body, kind=b"application/json", extra=((b"content-encoding", b"gzip"),)
    )


@functools.lru_cache(maxsize=1)
def _zeros_gzipped(mebibytes: int) -> bytes:
    # A single gzip member, since some decoders stop after the first.
    packer = zlib.compressobj(wbits=31)
    chunk = bytes(_MIB)
    return b"".join([*(packer.compress(chunk) for _ in range(mebibytes)), packer.flush()])


async def _huge_body(broken: _Break) -> None:
    mebibytes = int(broken.fault.number("mebibytes"))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % (mebibytes * _MIB))]
    await broken.send({"type": "http.response.start", "status": 200, "headers": headers})
    chunk = b" " * _MIB
    for _ in range(mebibytes):
        await broken.send({"type": "http.response.body", "body": chunk, "more_body": True})
    await broken.send({"type": "http.response.body", "body": b""})


_BREAK: dict[str, Callable[[_Break], Awaitable[None]]] = {
    "lose_request": _hang_up,
    "lose_reply": _hang_up,
    "stall": _until_gone,
    "http_500": _http_500,
    "http_502": _http_502,
    "http_429": _http_429,
    "html": _html,
    "redirect": _redirect,
    "truncated_json": _truncated,
    "drip": _drip,
    "gzip_bomb": _gzip_bomb,
    "huge_body": _huge_body,
}
