"""Replies that no manual describes, made of a good one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from paycore.domain.wire import Response

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
DEPTH = 100_000
"""Deeper than any parser follows."""

NO_TREE = object()
"""What a reply that is not JSON has for a tree."""

Sign = Callable[[bytes], Mapping[str, str]]
"""The headers that make a reply with this body authentic."""


def tree_in(response: Response) -> Any:
    """The JSON in the reply; `NO_TREE` where it has none."""
    try:
        return json.loads(response.body)
    except ValueError:
        return NO_TREE


def with_body(good: Response, body: bytes, sign: Sign, *, status: int | None = None) -> Response:
    """The reply with another body, authentic where it can be; its own status unless another is given."""
    signed = {name.lower(): value for name, value in sign(body).items()}
    return Response(
        status=good.status if status is None else status, headers={**good.headers, **signed}, body=body
    )


def with_tree(good: Response, tree: Any, sign: Sign, *, status: int | None = None) -> Response:
    """The reply with another JSON."""
    return with_body(good, json.dumps(tree, separators=(",", ":")).encode(), sign, status=status)


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with each of its leaves changed."""
    if isinstance(tree, dict):
        return {key: mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, list):
        return [mapped(value, change) for value in tree]
    return change(tree)


def unreadable(good: Response, sign: Sign) -> Iterator[tuple[str, Response]]:
    """
    Replies with the same status and a body in which nothing can be read, each with words for it.

    Of a reply whose body is empty nothing is read: there are none.
    """
    if not good.body:
        return
    for words, body in _unreadable_bodies(good):
        yield words, with_body(good, body, sign)


def _unreadable_bodies(good: Response) -> Iterator[tuple[str, bytes]]:
    yield "an empty body", b""
    yield "an HTML page", HTML
    yield "the first half of the reply", good.body[: len(good.body) // 2]
    yield "bytes of any value", bytes(range(256))
    tree = tree_in(good)
    if tree is NO_TREE:
        return
    yield "the reply without its last character", good.body.rstrip()[:-1]
    for text in ("null", '"paid"', "1", "{}", "[]", "[null]"):
        is_plausible = text == "[]" and isinstance(tree, list)  # a list of nothing
        if not is_plausible and json.loads(text) != tree:
            yield f"the JSON {text}", text.encode()
    yield f"JSON of {DEPTH} levels", b"[" * DEPTH + b"]" * DEPTH
    if isinstance(tree, dict):
        deep = b"[" * DEPTH + b"]" * DEPTH
        yield (
            f"JSON whose fields have {DEPTH} levels",
            b"{" + b",".join(json.dumps(key).encode() + b":" + deep for key in tree) + b"}",
        )
        yield "JSON whose fields are all null", json.dumps(dict.fromkeys(tree)).encode()
    emptied = mapped(tree, lambda _: {})
    if emptied != tree:
        yield "JSON in which every value is an object", json.dumps(emptied).encode()


def odd(good: Response, sign: Sign) -> Iterator[tuple[str, Response]]:
    """JSON like that of the reply, with values that no document allows, each with words for it."""
    tree = tree_in(good)
    if tree is NO_TREE:
        return
    plain = json.dumps(tree)
    for words, text in _odd_texts(tree):
        if text != plain:
            yield words, with_body(good, text.replace("\x7f", "\xff").encode("latin-1"), sign)


def _odd_texts(tree: Any) -> Iterator[tuple[str, str]]:
    yield (
        "JSON whose texts are not UTF-8",
        json.dumps(mapped(tree, lambda leaf: f"\x7f{leaf}" if isinstance(leaf, str) else leaf)),
    )
    for words, number in (
        ("NaN", math.nan),
        ("infinite", math.inf),
        ("negative", -7),
        ("of 400 digits", 10**400),
    ):
        yield f"JSON whose numbers are {words}", json.dumps(mapped(tree, _numbers_as(number)))
    yield (
        "JSON whose numbers are texts",
        json.dumps(mapped(tree, lambda leaf: str(leaf) if _is_number(leaf) else leaf)),
    )
    for words, text in (
        ("empty", ""),
        ("10,000 characters long", "x" * 10_000),
        ("control characters", "\0\n\u202e"),
    ):
        yield (
            f"JSON whose texts are {words}",
            json.dumps(mapped(tree, lambda leaf: text if isinstance(leaf, str) else leaf)),  # noqa: B023
        )
    yield "JSON whose values are null", json.dumps(mapped(tree, lambda _: None))
    if isinstance(tree, dict) and tree:
        whole, nulls = json.dumps(tree), json.dumps(dict.fromkeys(tree))
        yield "JSON that has each key twice", f"{whole[:-1]},{nulls[1:]}"


def _numbers_as(number: float) -> Callable[[Any], Any]:
    return lambda leaf: number if _is_number(leaf) else leaf


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
