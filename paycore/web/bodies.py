"""The bodies of requests, read within limits while they stream in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import Receive

HELD_MAX = 64 * 1024 * 1024
"""Bytes that all incomplete bodies may hold together."""


_DIGITS_MAX = 20
"""Of a longer length its first digits are enough: it is too large either way."""


class BodyTooLarge(Exception):
    """The body is longer than it may be, or says that it will be."""


class BodyTooSlow(Exception):
    """The body was not complete in time, or had to make room for others."""


class SenderGone(Exception):
    """The connection ended before the body was complete."""


class Bodies:
    """
    Reads bodies of at most `bytes_max` bytes, each within `body_s` seconds.

    Incomplete ones hold at most `HELD_MAX` bytes together; beyond that the oldest is given up. So whoever sends slowly
    makes room for those who do not.
    """

    def __init__(self, bytes_max: int, body_s: float) -> None:
        self._bytes_max = bytes_max
        self._body_s = body_s
        self._held = 0
        self._reading: dict[asyncio.Timeout, int] = {}  # the bytes of each incomplete body, the oldest first

    async def read(self, headers: Sequence[tuple[bytes, bytes]], receive: Receive) -> bytes:
        """The whole body. Raises `BodyTooLarge` as soon as it is that, `BodyTooSlow` and `SenderGone`."""
        if _announced(headers) > self._bytes_max:
            raise BodyTooLarge
        try:
            async with asyncio.timeout(self._body_s) as limit:
                try:
                    return await self._read(receive, limit)
                finally:
                    self._let_go(limit)
        except TimeoutError:
            raise BodyTooSlow from None

    async def _read(self, receive: Receive, limit: asyncio.Timeout) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise SenderGone
            chunk: bytes = message.get("body", b"")
            if len(body) + len(chunk) > self._bytes_max:
                raise BodyTooLarge
            if not message.get("more_body", False):
                return bytes(body + chunk) if body else chunk
            body += chunk
            self._hold(limit, len(chunk))

    def _hold(self, limit: asyncio.Timeout, more: int) -> None:
        self._reading[limit] = self._reading.get(limit, 0) + more
        self._held += more
        while self._held > HELD_MAX:
            oldest = next(iter(self._reading))
            self._let_go(oldest)
            if not oldest.expired():
                oldest.reschedule(asyncio.get_running_loop().time())

    def _let_go(self, limit: asyncio.Timeout) -> None:
        self._held -= self._reading.pop(limit, 0)


def _announced(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """The length in bytes that the head gives, 0 where it gives none that can be read."""
    for name, value in headers:
        if name == b"content-length":
            return int(value[:_DIGITS_MAX]) if value.isdigit() else 0
    return 0
