"""Sends a gateway's notifications, in worker threads."""

from __future__ import annotations

import http.client
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import msgspec

_WORKERS = 4
_TIMEOUT_S = 10.0
_READ_MAX = 4096


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One POST request."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class PostResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a `Post`: without one, `status` is `None` and `error` says why. `body` has its first 4 KiB."""

    status: int | None
    body: bytes = b""
    error: str = ""


class PostQueue:
    """
    Sends posts in daemon threads: no redirects, no proxies from the environment, 10 s per socket operation.

    http and https only; anything else is an `error` in the result.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Post, Callable[[PostResult], None]] | None] = (
            queue.SimpleQueue()
        )
        self._opener = _plain_opener()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def send(self, post: Post, done: Callable[[PostResult], None]) -> None:
        """Queue `post`; `done` is called with the result in a worker thread."""
        with self._lock:
            if len(self._threads) < _WORKERS:
                thread = threading.Thread(target=self._work, name="sandbox-posts", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._waiting.put((post, done))

    def close(self) -> None:
        """Stop the workers; a request in progress is completed."""
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            post, done = item
            done(self._deliver(post))

    def _deliver(self, post: Post) -> PostResult:
        try:
            request = urllib.request.Request(  # noqa: S310 -- the opener has http and https only
                post.url, data=post.body, headers=dict(post.headers), method="POST"
            )
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return PostResult(status=answer.status, body=answer.read(_READ_MAX))
        except urllib.error.HTTPError as error:
            with error:
                return PostResult(status=error.code, body=error.read(_READ_MAX))
        except (OSError, ValueError, http.client.HTTPException) as error:
            return PostResult(status=None, error=f"{type(error).__name__}: {error}")


def _plain_opener() -> urllib.request.OpenerDirector:
    # `build_opener` would add redirects, file:, ftp:, data: and proxies from the environment.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
