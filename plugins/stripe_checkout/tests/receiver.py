"""A merchant's webhook endpoint: keeps what arrives, answers what it is told to."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Arrived(NamedTuple):
    headers: dict[str, str]
    body: bytes


class Receiver:
    """`statuses` are the answers to the next requests, 200 once there are none left."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.statuses: list[int] = []
        self.url = ""
        self._changed = threading.Condition()

    def wait_for(self, count: int) -> list[Arrived]:
        """The first `count` that arrived; AssertionError after ten seconds."""
        with self._changed:
            is_there = self._changed.wait_for(lambda: len(self.arrived) >= count, timeout=10)
        assert is_there, f"{len(self.arrived)} of {count} arrived"
        return self.arrived[:count]

    def take(self, headers: dict[str, str], body: bytes) -> int:
        with self._changed:
            self.arrived.append(Arrived(headers, body))
            self._changed.notify_all()
            return self.statuses.pop(0) if self.statuses else 200


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/stripe"
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()
