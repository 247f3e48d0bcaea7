"""The requests of a session, and what their answers come to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeVar, cast
from urllib.parse import quote

import msgspec

from paycore.plugin import Attempt, Failure, Flow, NotNow, Rejected, Request, Response, Unknown
from paypal_orders import messages

AnswerT = TypeVar("AnswerT")

RATE_LIMITED_S = 30.0
"""How long to wait after HTTP 429 without `Retry-After`, as PayPal's sample does. Source: SOURCES.md §13."""

DEFINITE = frozenset({400, 401, 403, 404, 405, 406, 415, 422})
"""HTTP statuses by which PayPal says that this request did nothing. Source: SOURCES.md §13."""

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding JSON raises, however it was made."""

_EMPTY: Mapping[type, object] = {
    messages.Nothing: messages.Nothing(),
    messages.Voided: messages.Voided("VOIDED"),
}

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

_WHO: Mapping[str, Literal["payer", "caller", "operator"]] = {
    **dict.fromkeys(messages.AGAIN, "payer"),
    **dict.fromkeys(messages.FINAL | messages.CALLER | messages.GONE | messages.HAPPENED, "caller"),
    **dict.fromkeys(messages.OPERATOR, "operator"),
}


def quoted(made: str | None) -> str:
    """An id in a path."""
    return quote(made or "", safe="")


def get(path: str, attempt: Attempt, shape: type[AnswerT]) -> Flow[AnswerT | Rejected | NotNow | Unknown]:
    """Read something; `shape` is what a good answer holds."""
    response = yield Request(method="GET", path=path, headers=_headers(attempt))
    return answer(response, shape)


def send(
    path: str,
    body: object,
    key: str,
    attempt: Attempt,
    shape: type[AnswerT],
    *,
    method: Literal["POST", "PATCH"] = "POST",
    safe: bool | None = None,
) -> Flow[AnswerT | Rejected | NotNow | Unknown]:
    """
    Ask for something to be done, by a `PayPal-Request-Id` where `key` is one: it is done once.

    Source: SOURCES.md §3.
    """
    headers = {**_headers(attempt), "content-type": "application/json", "prefer": "return=representation"}
    if key:
        headers["paypal-request-id"] = key
    content = msgspec.json.encode(body)
    response = yield Request(method=method, path=path, headers=headers, body=content, safe=safe)
    return answer(response, shape)


def _headers(attempt: Attempt) -> dict[str, str]:
    return {"authorization": f"Bearer {attempt.session.reveal()}", "accept": "application/json"}


def answer(response: Response, shape: type[AnswerT]) -> AnswerT | Rejected | NotNow | Unknown:
    """What a response comes to: `shape`, which HTTP 204 is for some, or a refusal."""
    if response.status == 204 and shape in _EMPTY:
        return cast("AnswerT", _EMPTY[shape])
    if response.status not in (200, 201) or shape is messages.Nothing:
        return _refusal(response)
    try:
        return msgspec.json.decode(response.body, type=shape)
    except UNREADABLE as problem:
        return Unknown(problem=f"HTTP {response.status} with an unreadable body: {type(problem).__name__}")


def _refusal(response: Response) -> Rejected | NotNow | Unknown:
    """
    What a refusal comes to: definite only by a status and a code that are documented.

    A code of `RUNNING` is `Unknown`, for an earlier request may still move money; one of `HAPPENED` is a duplicate.
    """
    try:
        error = msgspec.json.decode(response.body, type=messages.Error)
    except UNREADABLE:
        error = messages.Error()
    code = error.code
    said = f"HTTP {response.status} {code} (debug id {error.debug_id or 'none'})"
    if response.status == 429:
        wait = response.headers.get("retry-after", "")
        return NotNow(problem=said, retry_after_s=float(wait) if _SECONDS.fullmatch(wait) else RATE_LIMITED_S)
    if response.status == 401:
        return NotNow(problem=said, is_session_refused=True)
    if response.status == 422 and code in messages.LATER:
        return NotNow(problem=said, retry_after_s=messages.LATER[code])
    who = _WHO.get(code) or _WHO.get(error.name)
    is_odd = code in messages.RUNNING or (code in messages.GONE and response.status != 404)
    if response.status not in DEFINITE or is_odd or who is None:
        return Unknown(problem=said)
    words = next((one.description for one in error.details if one.description), error.message)
    failure = Failure(code=code, message=f"{words or error.error_description} ({said})", who_acts=who)
    return Rejected(failure=failure, is_duplicate=code in messages.HAPPENED)
