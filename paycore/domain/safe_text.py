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
"""Characters that take no room or show nothing, and that Python counts as printable."""


def printable(text: str) -> str:
    """`text` on one line and as long as it was: what would move a cursor, turn or hide is a space."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def name_problem(text: str) -> str | None:
    """
    Why `text` can't be an id, a number or a reference, None when it can.

    It is printable and begins and ends with no space; of spaces it has the plain one only.
    """
    if not text.isprintable() or _UNSEEN.search(text):
        return "has characters that are not seen: control, zero-width or text direction characters, or odd spaces"
    if text != text.strip():
        return "begins or ends with a space"
    return None


# --- URLs --------------------------------------------------------------------------------------------

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

URL_LENGTH_MAX = 8192
"""Characters; the longest links seen, with a signature in them, have two thousand."""

_ODD = frozenset("\"'`<>\\ ")

# Its last label starts with a letter, so no spelling of an address (127.1, 0x7f000001) passes for a name.
_HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?", re.ASCII)


def url_problem(url: str, *, takes_loopback: bool = True) -> str | None:
    """
    Why `url` must not be shown or sent, in words that do not repeat it; None when it may.

    https with a host name, printable ASCII, without user info and without characters that end a URL where it stands
    in a page, a header or a log. Percent-encoded, those are taken (`%22`). http, or an address for a host, only
    for this machine, where sandboxes are; `takes_loopback` False refuses that too.
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
    """Whether it holds what no URL holds unless percent-encoded, or an apostrophe, which ends it in an attribute."""
    return not (url.isascii() and url.isprintable()) or not _ODD.isdisjoint(url)


def _place_problem(scheme: str, host: str, *, takes_loopback: bool) -> str | None:
    if takes_loopback and host in LOOPBACK_HOSTS:
        return None if scheme in ("http", "https") else "a scheme other than http and https"
    if scheme != "https":
        return "a scheme other than https"
    is_name = _HOST.fullmatch(host) is not None and host not in LOOPBACK_HOSTS
    return None if is_name else "a host that is not a plain host name"
