"""Takes the notifications that a sandbox sends, as raw bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import msgspec

from paycore.domain.wire import Reply


class ReceivedNotification(msgspec.Struct, frozen=True, kw_only=True):
    """One notification as it arrived; header names in lower case."""

    body: bytes
    headers: Mapping[str, str]
    query: str


class Receiver:
    """Answers every notification with `reply`, and keeps it; `url` is where it listens."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.reply = Reply()
        self._arrived: list[ReceivedNotification] = []
        self._changed = threading.Condition()

    def add(self, received: ReceivedNotification) -> None:
        """One has arrived."""
        with self._changed:
            self._arrived.append(received)
            self._changed.notify_all()

    def first(self, count: int, timeout_s: float) -> tuple[ReceivedNotification, ...]:
        """Those that have arrived, once there are so many or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._arrived) >= count, timeout_s)
            return tuple(self._arrived)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.add(
                ReceivedNotification(
                    body=self.rfile.read(int(self.headers.get("content-length", 0))),
                    headers={name.lower(): value for name, value in self.headers.items()},
                    query=urlsplit(self.path).query,
                )
            )
            reply = receiver.reply
            self.send_response(reply.status)
            self.send_header("content-type", reply.content_type)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/notify")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        in_background(partial(_stop, server, thread))


def _stop(server: ThreadingHTTPServer, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()


def in_background(stop: Callable[[], None]) -> None:
    """Call it in a thread of its own, which the interpreter waits for at its end."""
    threading.Thread(target=stop, name="paycore-kit-stopping").start()
