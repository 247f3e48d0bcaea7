"""
What goes over the wire between the core and a provider, as plain values.

A provider describes requests and reads responses; the core does the sending. A conversation is a
`Flow`: a generator that yields `Request`, is sent the `Response`, and returns its result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Generator, Mapping
from datetime import datetime
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")

Flow = Generator["Request", "Response", T]
"""A provider's conversation for one operation; at most `FLOW_REQUESTS_MAX` requests long."""

Method = Literal["GET", "POST"]
"""The HTTP methods a provider asks by."""

FLOW_REQUESTS_MAX = 10
"""A flow that asks for more requests than this is ended as if no answer had come."""


NOTIFICATION_MAX = 64 * 1024
"""Bytes of a notification that are taken; a longer one is refused."""


CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
"""Headers a provider may name and verify, and that are never kept: they open something, and prove nothing later."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """
    One HTTP request, relative to the account's base URL.

    `path` starts with `/` and holds the query string, already encoded; the host is never the
    plugin's to choose. `body` is sent as it stands. The repr shows neither headers nor body.
    """

    method: Method
    path: str
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or self.path.startswith("//"):
            raise ValueError("a request's path starts with one '/', and never names a host")

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path.partition('?')[0]}, {len(self.body)} bytes)"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP response: `status` 100-599, `headers` with lower-case names, `body` at most 1 MiB."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """
    Raw bytes that arrived from outside: nothing in it is believed before `Provider.verify`.

    `body` is exactly what was received, at most 64 KiB; `headers` have lower-case names, and are those its
    provider names (`ProviderInfo.notification_headers`); `query` is the raw query string, empty unless the
    provider reads it (`notification_query`); `received_at` is aware UTC.
    """

    body: bytes
    headers: Mapping[str, str] = {}
    query: str = ""
    received_at: datetime

    def only(self, headers: Collection[str], *, query: bool) -> Notification:
        """This notification with no more than these headers, and without its query string unless `query`."""
        names = {name.lower() for name in headers}
        named = {name: value for name, value in self.headers.items() if name in names}
        return msgspec.structs.replace(self, headers=named, query=self.query if query else "")

    @property
    def digest(self) -> str:
        """What tells it from others, see `notification_digest`."""
        return notification_digest(self.body, self.query)

    def __repr__(self) -> str:
        return f"Notification({len(self.body)} bytes)"


def notification_digest(body: bytes, query: str) -> str:
    """
    What tells a notification, as it is kept, from others: SHA-256 in hex over body and query string.

    Headers say how it was delivered, which differs each time: a signature, its time, a proxy's marks.
    """
    said = body if not query else body + b"\0?" + query.encode()
    return hashlib.sha256(said).hexdigest()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered to a notification once it is durable: exactly the bytes the provider wants."""

    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""
