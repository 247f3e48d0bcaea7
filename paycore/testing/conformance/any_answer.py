"""Answers that no manual documents, each in the place of a gateway's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from paycore.domain.wire import Response
from paycore.testing.conformance.recorded_flow import RecordedFlow

_HTML = b"<html><body>502 Bad Gateway</body></html>"

_BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b'"text"',
    b"0",
    b"[{}]",
    _HTML,
    b"[" * 20_000,
    b'{"a":' * 20_000,
    b"\xff\xfe\x00{",
    b"NaN",
    b"1" * 5_000,
    b"a=b&a=c",
)
_STATUSES = (200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503)


def hostile_answers(recorded: RecordedFlow, *, is_thorough: bool) -> Iterator[tuple[int, Response]]:
    """
    A place among the flow's responses, and what to answer there.

    Thoroughly: with every value of a JSON document replaced by others too, one at a time.
    """
    for place, response in enumerate(recorded.responses):
        own = (response.body, response.body[: len(response.body) // 2])
        answers = [
            *((status, body) for status in _STATUSES for body in (b"", b"{}", _HTML, *own)),
            *((status, body) for status in (response.status, 400, 500) for body in _BODIES),
            *((response.status, body) for body in (_disfigured(response.body) if is_thorough else ())),
        ]
        for status, body in answers:
            yield place, Response(status=status, headers=response.headers, body=body)
        yield place, Response(status=response.status, body=response.body)


_OTHERS: tuple[Any, ...] = (None, [], {}, "", "x" * 300, "\ud800", -1, 10**30, 1.5, True)


def _disfigured(body: bytes) -> Iterator[bytes]:
    """A JSON document with one of its values replaced by one of another type, or left out."""
    try:
        document = json.loads(body)
    except ValueError:
        return
    paths = list(_paths(document))[:60]
    for path in paths:
        for other in _OTHERS:
            yield json.dumps(_changed(document, path, other)).encode()
        yield json.dumps(_without(document, path)).encode()


def _paths(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items: Iterable[tuple[Any, Any]] = document.items() if isinstance(document, dict) else ()
    items = enumerate(document[:2]) if isinstance(document, list) else items
    for key, value in items:
        yield from _paths(value, (*path, key))


def _changed(document: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copied = document.copy()
    copied[path[0]] = _changed(document[path[0]], path[1:], other)
    return copied


def _without(document: Any, path: tuple[Any, ...]) -> Any:
    copied = document.copy()
    if len(path) == 1:
        del copied[path[0]]
    else:
        copied[path[0]] = _without(document[path[0]], path[1:])
    return copied
