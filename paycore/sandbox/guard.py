"""
Who may talk to a sandbox: programs of this machine, and its own pages. No page of somebody else's in a browser here.

A browser sends what any page tells it to. What it adds by itself, and no page can change, gives such requests away:

- `Host` names who was asked. A foreign name that resolves to 127.0.0.1 (DNS rebinding) would make the sandbox
  that page's own origin, with everything to be read in it.
- `Origin` and `Sec-Fetch-Site` name the page that sends a form or calls `fetch`. Programs send neither.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"(?:([a-z0-9.-]+)|\[([0-9a-f:.]+)\])(?::\d{1,5})?", re.ASCII)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guarded:
    """
    An ASGI app that hears only of requests from this machine, to a name of this machine.

    One that changes something and comes from a page comes from the sandbox's own page; from any page that was served
    by this machine where the path starts with one of `open_paths`. Everybody else is answered 403.
    """

    def __init__(self, app: ASGIApp, *, open_paths: Sequence[str]) -> None:
        self._app = app
        self._open_paths = tuple(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            body = msgspec.json.encode({"error": problem, "hint": "use http://127.0.0.1 on this machine"})
            await Response(body, status_code=403, media_type="application/json")(scope, receive, send)

    def _problem(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        peer, _ = scope.get("client") or ("", 0)
        if not is_loopback(peer):
            return "the sandbox is for this machine only"
        host = headers.get("host", "")
        if not _names_this_machine(host):
            return "the sandbox is asked for by a name of this machine only"
        if scope["method"] in _READS or self._may_change(scope["path"], headers, host):
            return None
        return "no page of another origin acts here"

    def _may_change(self, path: str, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if path.startswith(self._open_paths):
            return origin is None or is_of_this_machine(origin)
        if origin is not None:
            return origin == f"http://{host.lower()}"
        return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def is_of_this_machine(origin: str) -> bool:
    """Whether an `Origin` header names a page that this machine served, on any port."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and _names_this_machine(parts.netloc)


def is_loopback(host: str) -> bool:
    """Whether it is `localhost` or an address of the loopback interface."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_this_machine(host_and_port: str) -> bool:
    found = _HOST.fullmatch(host_and_port.lower())
    return found is not None and is_loopback(found[1] or found[2])
