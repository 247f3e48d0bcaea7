"""
Refuses requests that do not come from programs on this machine or from the sandbox's own pages.

Any web page can make a browser send requests to this machine. Headers that the browser sets, and that a page can't
change, identify them:

- `Host`: with a foreign name that resolves to 127.0.0.1 (DNS rebinding), the sandbox would have that page's origin
  and the page could read it.
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
    An ASGI app that is called only for requests from this machine, addressed to this machine.

    A page may send requests that change something only if it is the sandbox's own; where the path starts with one of
    `open_paths`, any page that this machine served may. All others are answered 403.
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
    """Whether this `Origin` is on this machine, on any port."""
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
