"""Limits of a request's body: size and time. The connection of a client that exceeds one is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX = 1024 * 1024
"""Bytes. A gateway's own limit is lower, and is answered."""

BODY_S = 10.0
"""Seconds from a request's head until its body is complete."""


class Bounded:
    """
    An ASGI app that is called only when the whole body has arrived within the limits.

    The body is read before the app runs, since an app may answer without reading it. `hang_up` drops the request's
    connection.
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
    """The messages up to the end of the body, or up to a disconnect; None for a body that exceeds a limit."""
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
