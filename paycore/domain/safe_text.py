r"""
Which text may stand in a line of a log or terminal, or name something; which URLs may be shown or sent.

Control characters move a cursor or begin a new line, and formatting characters change the reading direction or are
invisible: two texts that look the same would be two things. URL parsers disagree about unusual URLs
(`https://good\@evil/`), so any that could be read in two ways is refused. No URL is fetched here.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Invisible characters that Python counts as printable."""


def printable(text: str) -> str:
    """`text` with every control and formatting character replaced by a space, so that it stays on one line."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def name_problem(text: str) -> str | None:
    """
    Why `text` can't be an id, a number or a reference, None when it can.

    It must be printable, without a space at either end, and with no other space than U+0020.
    """
    if not text.isprintable() or _UNSEEN.search(text):
        return "has characters that are not seen: control, zero-width or text direction characters, or odd spaces"
    if text != text.strip():
        return "begins or ends with a space"
    return None


# --- URLs --------------------------------------------------------------------------------------------

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

URL_LENGTH_MAX = 8192
"""Characters; the longest signed links in use have about 2,000."""

_ODD = frozenset("\"'`<>\\ ")

# The last label starts with a letter, so no form of an IP address (127.1, 0x7f000001) matches.
_HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?", re.ASCII)


def url_problem(url: str, *, takes_loopback: bool = True) -> str | None:
    """
    Why `url` must not be shown or sent, without repeating it; None when it may.

    It must be https with a host name, in printable ASCII, without user info and without characters that end a URL in
    a page, a header or a log (percent-encoded ones such as `%22` are allowed). http, or an IP address, is allowed
    for this machine only, where sandboxes run; `takes_loopback` False refuses that too.
    """
    if len(url) > URL_LENGTH_MAX:
        return f"more than {URL_LENGTH_MAX} characters"
    if has_odd_characters(url):
        return "a quote, an angle bracket, a backslash, a space, a control character or one outside ASCII"
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return "no readable host and port"
    if "@" in parts.netloc:
        return "user info before the host"
    return _place_problem(parts.scheme, host, takes_loopback=takes_loopback)


def has_odd_characters(url: str) -> bool:
    """Whether it has characters that a URL must percent-encode, or an apostrophe, which can end an HTML attribute."""
    return not (url.isascii() and url.isprintable()) or not _ODD.isdisjoint(url)


def _place_problem(scheme: str, host: str, *, takes_loopback: bool) -> str | None:
    if takes_loopback and host in LOOPBACK_HOSTS:
        return None if scheme in ("http", "https") else "a scheme other than http and https"
    if scheme != "https":
        return "a scheme other than https"
    is_name = _HOST.fullmatch(host) is not None and host not in LOOPBACK_HOSTS
    return None if is_name else "a host that is not a plain host name"
