"""Which URLs may be shown to a payer or handed to QFPay. None is ever fetched."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

# Its last label starts with a letter, so no spelling of an address (127.1, 0x7f000001) passes for a name.
_HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?\.?", re.ASCII)


def url_problem(url: str) -> str | None:
    """
    Why `url` must not be shown or sent, in words that do not repeat it; None when it may.

    https with a host name, printable ASCII, no backslash and no user info, which readers of URLs take
    differently. http, or an address for a host, only for this machine: the sandbox is there.
    """
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return "a backslash, a space, a control character or one outside ASCII"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "no readable host and port"
    if "@" in parts.netloc:
        return "user info before the host"
    if host in LOOPBACK_HOSTS:
        return None if parts.scheme in ("http", "https") else "a scheme other than http and https"
    if parts.scheme != "https":
        return "a scheme other than https"
    return None if _HOST.fullmatch(host) else "a host that is not a plain host name"


def is_loopback(url: str) -> bool:
    """Whether a URL without `url_problem` names this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS
