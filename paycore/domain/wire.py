"""
HTTP requests, responses and notifications, as plain values.

A provider builds requests and reads responses; the core sends them. One conversation is a `Flow`: a generator that
yields each `Request`, receives its `Response` and returns a result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Generator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

T = TypeVar("T")

Flow = Generator["Request", "Response", T]
"""A provider's conversation for one operation; at most `FLOW_REQUESTS_MAX` requests."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
"""The HTTP methods a provider may use."""

FLOW_REQUESTS_MAX = 10
"""A flow that yields more requests than this is ended as if no answer had come."""


NOTIFICATION_MAX = 1024 * 1024
"""Largest notification in bytes; a longer one is refused."""


CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
"""Headers a provider may verify that are never stored: they are credentials, and no evidence later."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """
    One HTTP request to one of the provider's hosts.

    `path` starts with `/` and includes the encoded query string. `host` is a name from `ProviderInfo.hosts`; the
    empty one is the account's base URL. `body` is sent unchanged. `safe`: the request can't move money, so a flow
    that ends after safe requests only has moved none; None means that a GET is safe and nothing else. The repr shows
    neither headers nor body.
    """

    method: Method
    path: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    host: str = ""
    safe: bool | None = None

    @property
    def is_safe(self) -> bool:
        """Whether it can't move money."""
        return self.method == "GET" if self.safe is None else self.safe

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
    A received notification: nothing in it is trusted before `Provider.verify`.

    `body` is exactly what was received, at most 1 MiB; `headers` have lower-case names, and are those in
    `ProviderInfo.notification_headers`; `query` is the raw query string, empty unless the provider reads it
    (`notification_query`); `received_at` is aware UTC. `session` is the value of the account's session, None for a
    provider without one.
    """

    body: bytes
    headers: Mapping[str, str] = {}
    query: str = ""
    received_at: datetime
    session: Any = None

    def only(self, headers: Collection[str], *, query: bool) -> Notification:
        """This notification with these headers only, and with its query string only if `query`."""
        names = {name.lower() for name in headers}
        named = {name: value for name, value in self.headers.items() if name in names}
        return msgspec.structs.replace(self, headers=named, query=self.query if query else "")

    @property
    def digest(self) -> str:
        """Identifies the notification, see `notification_digest`."""
        return notification_digest(self.body, self.query)

    def __repr__(self) -> str:
        return f"Notification({len(self.body)} bytes)"


def notification_digest(body: bytes, query: str) -> str:
    """
    Identifies a notification: SHA-256 in hex over body and query string.

    Headers are not included, since they differ between deliveries: a signature, its time, what proxies add.
    """
    said = body if not query else body + b"\0?" + query.encode()
    return hashlib.sha256(said).hexdigest()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP answer to a notification, sent once it is stored: exactly what the provider expects."""

    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""
