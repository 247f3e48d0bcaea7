"""What most of these APIs share: JSON or form bodies out, JSON documents in."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from paycore.plugin import NotNow, Request, Response, Unknown

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What a body of another form raises while it is read: JSON may be too deep, too."""


def with_json(
    method: Any, path: str, document: object, headers: Mapping[str, str], **options: Any
) -> Request:
    """A request with a JSON body."""
    body = json.dumps(document).encode()
    return Request(
        method=method,
        path=path,
        headers={"content-type": "application/json", **headers},
        body=body,
        **options,
    )


def with_form(method: Any, path: str, fields: Mapping[str, object], headers: Mapping[str, str]) -> Request:
    """A request with a form as its body."""
    head = {"content-type": "application/x-www-form-urlencoded", **headers}
    return Request(method=method, path=path, headers=head, body=urlencode(fields).encode())


def document(response: Response) -> dict[str, Any]:
    """The JSON object of a response, {} where there is none."""
    try:
        found = json.loads(response.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def no_answer(response: Response) -> NotNow | Unknown | None:
    """What a response means that is no answer: too many requests, or a server that failed; None for an answer."""
    if response.status == 429:
        return NotNow(
            problem="too many requests", retry_after_s=float(response.headers.get("retry-after", 1))
        )
    if response.status >= 500 or not document(response):
        return Unknown(problem=f"HTTP {response.status} without an answer")
    return None
