"""What a client may take of a sandbox: so much of a body, in so much time. Whoever takes more is hung up on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX = 1024 * 1024
"""Bytes; what a gateway itself takes is less, and answered."""

BODY_S = 10.0
"""Seconds from the head of a request until its body is complete."""


class Bounded:
    """An ASGI app whose requests have bounded bodies. `hang_up` finds, in a scope, how to drop the connection."""

    def __init__(self, app: ASGIApp, *, hang_up: Callable[[Scope], Callable[[], None]]) -> None:
        self._app = app
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive)

        async def say(message: Message) -> None:
            if not body.is_too_much:
                await send(message)

        try:
            await self._app(scope, body.receive, say)
        except Exception:
            # An app that could not read its request to the end may well fail; there is nobody to tell.
            if not body.is_too_much:
                raise
        if body.is_too_much:
            self._hang_up(scope)()


class _Body:
    """One request's body on its way in."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0
        self._is_whole = False
        self._until = asyncio.get_running_loop().time() + BODY_S
        self.is_too_much = False

    async def receive(self) -> Message:
        """The next part; a client that takes too much, or too long, counts as gone."""
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            return self._gone()
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        return self._gone() if self._size > BODY_MAX else message

    def _gone(self) -> Message:
        self.is_too_much = self._is_whole = True
        return {"type": "http.disconnect"}
