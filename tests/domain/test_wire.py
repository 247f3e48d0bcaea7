"""What is kept of a notification, and what is shown of a request."""

import hashlib
from datetime import UTC, datetime
from typing import get_args

import pytest

from paycore.domain.wire import CREDENTIAL_HEADERS, Method, Notification, Request, notification_digest

ARRIVED = Notification(
    body=b"paid",
    headers={"x-sign": "abc", "x-forwarded-for": "10.0.0.1"},
    query="a=b&c=d",
    received_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def test_only_what_the_provider_names_is_kept() -> None:
    """Declared headers in any case; the query string only where the provider reads it."""
    kept = ARRIVED.only({"X-Sign", "x-missing"}, query=True)
    assert (kept.headers, kept.query) == ({"x-sign": "abc"}, "a=b&c=d")
    assert (kept.body, kept.received_at) == (ARRIVED.body, ARRIVED.received_at)
    assert ARRIVED.only(set(), query=False) == Notification(body=b"paid", received_at=ARRIVED.received_at)


def test_digest_is_of_body_and_query_and_never_changes() -> None:
    """Stored digests identify replays in existing ledgers, so it never changes."""
    assert notification_digest(b"paid", "") == hashlib.sha256(b"paid").hexdigest()
    assert notification_digest(b"paid", "a=b") == hashlib.sha256(b"paid\0?a=b").hexdigest()
    assert ARRIVED.digest == notification_digest(b"paid", "a=b&c=d")
    assert ARRIVED.digest == ARRIVED.only({"x-sign"}, query=True).digest
    assert ARRIVED.digest != ARRIVED.only({"x-sign"}, query=False).digest


def test_credential_headers_are_never_kept() -> None:
    """Credential headers are never kept, even if a provider declares them."""
    assert {"authorization", "proxy-authorization", "cookie"} == CREDENTIAL_HEADERS


@pytest.mark.parametrize("path", ["/trade?a=hunter2", "/trade?a=hunter2?b=hunter2"])
def test_request_shows_its_path_without_the_query(path: str) -> None:
    """A GET has its fields and signature in the query."""
    request = Request(method="POST", path=path, headers={"key": "hunter2"}, body=b"hunter2")
    assert repr(request) == "Request(POST /trade, 7 bytes)"


@pytest.mark.parametrize("method", get_args(Method))
def test_only_a_get_is_safe_unless_its_provider_says_otherwise(method: Method) -> None:
    """What can't move money is declared; a GET that moves money can be, too."""
    assert Request(method=method, path="/").is_safe is (method == "GET")
    assert Request(method=method, path="/", safe=True).is_safe is True
    assert Request(method=method, path="/", safe=False).is_safe is False


def test_methods_are_those_that_apis_use() -> None:
    """Cancelling by DELETE included."""
    assert get_args(Method) == ("GET", "POST", "PUT", "PATCH", "DELETE")
