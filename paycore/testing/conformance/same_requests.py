"""Whether requests are the same: in every byte, or but for what the attempt brings to one that is sent again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from paycore.domain.wire import Request
from paycore.testing.conformance.check import require
from paycore.testing.conformance.recorded_flow import RecordedFlow

_KEYS = re.compile(r"idempot|paypal-request-id", re.IGNORECASE)
"""Names of headers and fields by which companies know a repeat."""

TIME_DIGITS = 4
"""The shortest time of day has so many."""

_SIGNATURE = re.compile(r"[0-9a-fA-F]{32,}|[A-Za-z0-9+/_=-]{22,}")

NEAR_S = 2.0
"""How far a rendering of a time may be from it."""


def require_same(recorded: RecordedFlow, requests: Sequence[Request], how: str) -> None:
    """`Failed` where these requests are not those of the recorded flow."""
    for place, (one, other) in enumerate(zip(recorded.requests, requests, strict=False)):
        require(
            one == other,
            f"{recorded.title}: request {place + 1} differs when {how}: {_first_difference(one, other)}",
            "make a request of the flow's arguments only: no clock, no random value, nothing kept on the provider,"
            " and no order of a set",
        )
    require(
        len(requests) == len(recorded.requests),
        f"{recorded.title} sent {len(requests)} requests where it sent {len(recorded.requests)}, {how}",
        "make requests of the flow's arguments and responses only",
    )


def _first_difference(one: Request, other: Request) -> str:
    for name in ("method", "host", "path", "headers", "safe"):
        if getattr(one, name) != getattr(other, name):
            return f"its {name}"
    place = next(
        (place for place, pair in enumerate(zip(one.body, other.body, strict=False)) if pair[0] != pair[1]),
        min(len(one.body), len(other.body)),
    )
    return f"byte {place} of its body, {shown_start(one.body[place : place + 24])}"


def shown_start(body: bytes) -> str:
    """The start of a body, for a problem."""
    return f"{body[:40]!r}{'...' if len(body) > 40 else ''}"


def require_same_but_for_the_attempt(title: str, one: Request, other: Request, sent_at: datetime) -> None:
    """
    `Failed` for what differs between two sends of a flow and is neither the time, a nonce nor a signature.

    `sent_at` is the time of the other's attempt.
    """
    advice = (
        "take the number, the key of a repeat and every fact from `order`, and only a signature's time and nonce from"
        " `order.attempt`"
    )
    what = f"{title}, sent again,"
    require((one.method, one.host) == (other.method, other.host), f"{what} goes elsewhere", advice)
    require(one.path.partition("?")[0] == other.path.partition("?")[0], f"{what} has another path", advice)
    mine, its = dict(values_of(one)), dict(values_of(other))
    require(mine.keys() == its.keys(), f"{what} has other headers or fields", advice)
    for name, value in mine.items():
        if value == its[name]:
            continue
        require(
            not _KEYS.search(name),
            f"{what} has another {name}: the company takes it for a new request",
            advice,
        )
        at = _time_in(its[name])
        require(
            at is None or abs((at - sent_at).total_seconds()) <= NEAR_S or name.startswith("header "),
            f"{what} has another time in {name}, {its[name]}, and it is not the attempt's own",
            "make what is part of the order, such as when it expires, of `order.begun_at`: it is the same each time",
        )
        require(
            _is_of_an_attempt(value) and _is_of_an_attempt(its[name]),
            f"{what} has another value in {name}",
            advice,
        )


def _is_of_an_attempt(value: str) -> bool:
    """Whether it can be a time, a nonce or a signature: digits enough, or long and without a meaning."""
    return bool(_SIGNATURE.search(value)) or sum(map(str.isdigit, value)) >= TIME_DIGITS


def _time_in(value: str) -> datetime | None:
    """The time that this is, as seconds or milliseconds since the epoch or with its zone; None for anything else."""
    text = value.strip('"')
    try:
        if text.isdecimal() and len(text) in (10, 13):
            return datetime.fromtimestamp(int(text[:10]), UTC)
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else at


def values_of(request: Request) -> Iterator[tuple[str, str]]:
    """Headers, query and body by name, as far as they can be told apart."""
    for name, value in request.headers.items():
        yield f"header {name.lower()}", value
    for name, value in parse_qsl(request.path.partition("?")[2], keep_blank_values=True):
        yield f"parameter {name}", value
    try:
        document = json.loads(request.body or b"null")
    except ValueError:
        fields = parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True)
        if not fields:
            yield "body", request.body.decode(errors="replace")
        for name, value in fields:
            yield f"field {name}", value
    else:
        yield from _leaves(document, "field ")


def _leaves(document: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _leaves(value, f"{name}.{key}" if not name.endswith(" ") else f"{name}{key}")
    elif isinstance(document, list):
        for place, value in enumerate(document):
            yield from _leaves(value, f"{name}[{place}]")
    else:
        yield name, json.dumps(document)
