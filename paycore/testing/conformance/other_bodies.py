"""What is sent in the place of a genuine notification: the same in other bytes, garbage, and other words."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from paycore.domain.wire import NOTIFICATION_MAX


def rewritten(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The same JSON or form in other bytes, with how it is written; nothing of any other body."""
    document = _document(body)
    if isinstance(document, dict | list):
        yield "written compactly", json.dumps(document, separators=(",", ":")).encode()
        yield "written with spaces", json.dumps(document).encode()
        yield "written over several lines", json.dumps(document, indent=2).encode()
        yield "with its keys sorted", json.dumps(document, sort_keys=True).encode()
        yield "without escapes", json.dumps(document, ensure_ascii=False).encode()
    if isinstance(document, dict):
        turned = dict(reversed(document.items()))
        yield "with its keys in another order", json.dumps(turned, separators=(",", ":")).encode()
    elif document is None and b"=" in body:
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        yield "with its fields in another order", urlencode(pairs[::-1]).encode()
        yield "encoded with %20", urlencode(pairs, quote_via=quote).encode()
        yield (
            "encoded more than is needed",
            "&".join(
                f"{name}=" + "".join(f"%{byte:02x}" for byte in value.encode()) for name, value in pairs
            ).encode(),
        )


def garbage(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Bodies that no company sends, with what they are."""
    rng = random.Random(7)  # noqa: S311 - the same bytes at every run
    yield "an empty body", b""
    yield "a megabyte", b"a" * NOTIFICATION_MAX
    yield "random bytes", rng.randbytes(4096)
    yield "a zero byte", b"\0"
    yield "bytes that are no UTF-8", b'{"id": "\xff\xfe\xc3\x28"}'
    yield "the notification in UTF-16", body.decode(errors="replace").encode("utf-16")
    yield "deep lists", b"[" * 100_000
    yield "deep objects", b'{"a":' * 50_000
    for text in ("null", "[]", "{}", '"text"', "0", "NaN", "-1e999", "[null]", "[{}]", '[["id"]]', "true"):
        yield f"the JSON {text}", text.encode()
    yield "a huge number", b'{"amount": ' + b"9" * 5000 + b"}"
    yield "a form of names without values", b"&=&a&=b&%&%zz&id"


def with_leaves_replaced(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The notification with one field missing, or of another type."""
    document = _document(body)
    others: tuple[Any, ...] = (None, [], {}, "", "zz", -1, 1e300, True, [{}], "9" * 400)
    for path, _ in _leaves(document):
        where = ".".join(map(str, path))
        yield (
            f"a notification without {where}",
            json.dumps(_replaced(document, path, ..., is_gone=True)).encode(),
        )
        for other in others:
            changed = _replaced(document, path, other)
            yield f"a notification whose {where} is {str(other)[:8]!r}", json.dumps(changed).encode()


def with_words_replaced(body: bytes, kept: set[str], other: bytes | None = None) -> bytes:
    """The notification with every word replaced, or those that are others in `other`; those in `kept` stay."""
    document = _document(body)
    if not isinstance(document, dict | list):
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        there = (
            None if other is None else dict(parse_qsl(other.decode(errors="replace"), keep_blank_values=True))
        )
        words = [
            (name, "zz_unknown")
            if _is_word(name, value, kept) and (there is None or there.get(name) != value)
            else (name, value)
            for name, value in pairs
        ]
        return body if words == pairs else urlencode(words).encode()
    changed = document
    same = set() if other is None else {(path, repr(value)) for path, value in _leaves(_document(other))}
    for path, value in _leaves(document):
        name = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
        if (path, repr(value)) in same:
            continue
        if isinstance(value, bool):
            changed = _replaced(changed, path, None)
        elif _is_word(name, value, kept):
            changed = _replaced(changed, path, "zz_unknown")
    return body if changed == document else json.dumps(changed).encode()


_STATES = re.compile(r"stat(e|us)|type|kind|event|code|result|respcd|reason|action", re.IGNORECASE)


def _is_word(name: str, value: Any, kept: set[str]) -> bool:
    if not isinstance(value, str) or value.lower() in kept:
        return False
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z_. -]*", value) or (_STATES.search(name) and len(value) <= 40))


def other_values(value: str) -> Iterator[tuple[str, str]]:
    """Values of a header in the place of a genuine one, with what they are."""
    turned = "".join(chr(ord(char) ^ 1) if char.isalnum() else char for char in value)
    yield "empty", ""
    yield "cut in half", value[: len(value) // 2]
    yield "another of the same length", turned
    yield "the same twice", f"{value},{value}"
    yield "not ASCII", f"{value[:-1]}\N{LATIN SMALL LETTER E WITH ACUTE}"
    yield "very long", "a" * 20_000
    yield "a space", " "
    yield "all zeros", "0" * len(value)


def shows_time(values: Iterable[str], now: datetime) -> bool:
    """Whether one of the headers has a time of about now."""
    for value in values:
        for digits in re.findall(r"(?<![0-9A-Za-z])\d{10}(?:\d{3})?(?![0-9A-Za-z])", value):
            seconds = int(digits) / (1000 if len(digits) == 13 else 1)
            if abs(seconds - now.timestamp()) < 3600:
                return True
        for text in re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?", value):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                continue
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            if abs(moment - now) < timedelta(hours=1):
                return True
    return False


# --- JSON ------------------------------------------------------------------------------------------------------

_Path = tuple[str | int, ...]


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _leaves(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Every value that is no object or list, and where it is."""
    steps: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, inner in steps:
        yield from _leaves(inner, (*path, step))
    if not isinstance(value, dict | list) and path:
        yield path, value


def _replaced(value: Any, path: _Path, other: Any, *, is_gone: bool = False) -> Any:
    """A copy with another value there, or without it."""
    step, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[step] = _replaced(copy[step], tuple(rest), other, is_gone=is_gone)
    elif is_gone:
        del copy[step]
    else:
        copy[step] = other
    return copy
