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
    """
    An ASGI app that hears of a request once its body is there, whole and within bounds.

    Read before the app: one that answers without looking would leave the rest to come for ever. `hang_up`
    drops a request's connection.
    """

    def __init__(self, app: ASGIApp, *, hang_up: Callable[[Scope], None]) -> None:
        self._app = app
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages = await _whole_body(receive)
        if messages is None:
            self._hang_up(scope)
            while (await receive())["type"] != "http.disconnect":
                pass
            return

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replay, send)


async def _whole_body(receive: Receive) -> list[Message] | None:
    """The messages of a body, or of a client that left; None when it takes too much or too long."""
    messages: list[Message] = []
    size, is_whole = 0, False
    try:
        async with asyncio.timeout(BODY_S):
            while not is_whole:
                message = await receive()
                messages.append(message)
                size += len(message.get("body", b""))
                is_whole = not message.get("more_body", False)
                if size > BODY_MAX:
                    return None
    except TimeoutError:
        return None
    return messages
