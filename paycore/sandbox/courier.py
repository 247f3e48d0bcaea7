"""Sends what a gateway sends by itself: one POST at a time per worker, off the server's thread."""

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


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """One POST to make."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: `status` is `None` and `error` says why when no answer came. `body` is its first 4 KiB."""

    status: int | None
    body: bytes = b""
    error: str = ""


class Courier:
    """
    Hands parcels to daemon threads. No redirects, no proxies from the environment, 10 s per socket operation.

    http and https only; anything else is an error on the receipt.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Parcel, Callable[[Receipt], None]] | None] = (
            queue.SimpleQueue()
        )
        self._opener = _plain_opener()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def send(self, parcel: Parcel, done: Callable[[Receipt], None]) -> None:
        """Queue the parcel; `done` is called from a worker thread with what came of it."""
        with self._lock:
            if len(self._threads) < _WORKERS:
                thread = threading.Thread(target=self._work, name="sandbox-courier", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._waiting.put((parcel, done))

    def close(self) -> None:
        """Let the workers go; a delivery under way ends by itself."""
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            parcel, done = item
            done(self._deliver(parcel))

    def _deliver(self, parcel: Parcel) -> Receipt:
        try:
            request = urllib.request.Request(  # noqa: S310 -- the opener knows http and https alone
                parcel.url, data=parcel.body, headers=dict(parcel.headers), method="POST"
            )
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return Receipt(status=answer.status, body=answer.read(_READ_MAX))
        except urllib.error.HTTPError as error:
            with error:
                return Receipt(status=error.code, body=error.read(_READ_MAX))
        except (OSError, ValueError, http.client.HTTPException) as error:
            return Receipt(status=None, error=f"{type(error).__name__}: {error}")


def _plain_opener() -> urllib.request.OpenerDirector:
    # build_opener would add redirects, file:, ftp:, data: and the proxies of the environment.
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
