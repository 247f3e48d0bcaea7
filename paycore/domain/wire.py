"""
What goes over the wire between the core and a provider, as plain values.

A provider describes requests and reads responses; the core does the sending. A conversation is a
`Flow`: a generator that yields `Request`, is sent the `Response`, and returns its result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
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
"""Headers of a notification that may be verified and are never kept: they open something, and prove nothing later."""


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

    `body` is exactly what was received, at most 64 KiB; `headers` have lower-case names;
    `query` is the raw query string; `received_at` is aware UTC.
    """

    body: bytes
    headers: Mapping[str, str] = {}
    query: str = ""
    received_at: datetime

    @property
    def digest(self) -> str:
        """What tells it from others, SHA-256 in hex: body and query string, however it was delivered."""
        said = self.body if not self.query else self.body + b"\0?" + self.query.encode()
        return hashlib.sha256(said).hexdigest()

    def __repr__(self) -> str:
        return f"Notification({len(self.body)} bytes)"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered to a notification once it is durable: exactly the bytes the provider wants."""

    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""
