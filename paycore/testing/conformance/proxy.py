"""What is between the core and the sandbox: it keeps what was said, breaks one request, or alters the replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paycore.sandbox.connection import CONNECTION_FAULTS, FaultyConnection
from paycore.sandbox.faults import FaultBoard

CONTROL = "/_sandbox/"
"""The paths that are the sandbox's own, and no provider's."""


class Exchange(msgspec.Struct, kw_only=True):
    """One request as it arrived, and its reply as the gateway made it; no status where the reply was not made."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    status: int | None = None
    reply_headers: Mapping[str, str] = {}
    reply: bytes = b""

    @property
    def target(self) -> str:
        """Method, path and query string."""
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def form(self) -> dict[str, str]:
        """The form in the body, or the parameters of the query string."""
        return dict(parse_qsl(self.body.decode(errors="replace") or self.query, keep_blank_values=True))


class Altered(msgspec.Struct, frozen=True):
    """A reply in the place of the gateway's; `status` None leaves that as it is."""

    body: bytes
    status: int | None = None


Alter = Callable[[Exchange], Altered | None]
"""What to send in the place of a reply; None leaves it as it is."""


class FaultProxy:
    """
    An ASGI app around the gateway's.

    `exchanges` are those since it was opened or `clear` was called. `breaking` and `altering` are for the time of a
    `with` block.
    """

    def __init__(self, app: ASGIApp, sign: Callable[[bytes], Mapping[str, str]]) -> None:
        self.exchanges: list[Exchange] = []
        self.is_broken = False
        """Whether the request that was to be broken has come."""
        self.raised: list[tuple[str, Exception]] = []
        """What the gateway raised, and for which request; the provider gets HTTP 500."""
        self._gateway = app
        self._sign = sign
        self._board = FaultBoard(CONNECTION_FAULTS)
        self._faulty = FaultyConnection(self._answered, self._board, covers="/")
        self._fault: tuple[str, int, Mapping[str, Any]] | None = None
        self._alter: Alter | None = None
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._gateway(scope, receive, send)
            return
        if self._fault is not None and self._count == self._fault[1]:
            kind, _, options = self._fault
            self.is_broken = True
            self._board.add(kind, **options)
        self._count += 1
        await self._faulty(scope, receive, send)

    @contextmanager
    def breaking(self, kind: str, place: int = 0, **options: Any) -> Iterator[None]:
        """
        The request after `place` others meets a fault of `paycore.sandbox.connection`; the rest pass.

        `is_broken` says afterwards whether there was such a request.
        """
        if kind not in self._board.kinds:
            raise ValueError(f"no fault of the connection is called {kind!r}")
        self._count, self.is_broken = 0, False
        self._fault = (kind, place, options)
        try:
            yield
        finally:
            self._fault = None
            self._board.clear()

    @contextmanager
    def altering(self, alter: Alter) -> Iterator[None]:
        """Every reply is altered on its way."""
        self._alter = alter
        try:
            yield
        finally:
            self._alter = None

    def clear(self) -> None:
        """Forget what was said so far."""
        self.exchanges.clear()

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The gateway's reply, kept, and altered where that is wanted."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        exchange = Exchange(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers={
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
            },
            body=body,
        )
        self.exchanges.append(exchange)
        start: dict[str, Any] = {}

        async def give() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                exchange.reply += message.get("body", b"")

        try:
            await self._gateway(scope, give, keep)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's gateway raises
            self.raised.append((f"{exchange.method} {exchange.path}", error))
            start = {"status": 500, "headers": (), **start}
        exchange.status = start["status"]
        exchange.reply_headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]
        }
        altered = None if self._alter is None else self._alter(exchange)
        await _send(send, exchange, altered, {} if altered is None else self._sign(altered.body))


async def _send(send: Send, exchange: Exchange, altered: Altered | None, signed: Mapping[str, str]) -> None:
    body = exchange.reply if altered is None else altered.body
    status = exchange.status if altered is None or altered.status is None else altered.status
    headers = {**exchange.reply_headers, **{name.lower(): value for name, value in signed.items()}}
    headers["content-length"] = str(len(body))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def unsigned(body: bytes) -> Mapping[str, str]:
    """The headers of a gateway that signs no replies: none."""
    del body
    return {}
