"""
A scripted gateway: an HTTP server on a free port of this machine that answers as its script says.

A script is a subclass with `answer`. What was asked is kept; requests and replies can get lost.
"""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """One request: `path` without its query string, header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON body."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def form(self) -> dict[str, str]:
        """The form body."""
        return dict(parse_qsl(self.body.decode()))


class Gateway:
    """A gateway at `url`, which is known while it is served; `asked` is every request that arrived, in order."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self._first_answers: dict[str, tuple[int, object]] = {}
        self._lost_requests: list[str] = []
        self._lost_replies: list[str] = []

    def answer(self, asked: Asked) -> tuple[int, object]:
        """Status and JSON document for one request."""
        raise NotImplementedError

    def once(self, key: str, make: Callable[[], tuple[int, object]]) -> tuple[int, object]:
        """What `make` answers; with a key that was used before, what it answered then."""
        if key not in self._first_answers:
            self._first_answers[key] = make()
        return self._first_answers[key]

    def forget(self, key: str) -> None:
        """What is asked with this key is done when it comes again."""
        self._first_answers.pop(key, None)

    def lose_request(self, ending: str) -> None:
        """The next request to a path that ends like this vanishes unhandled."""
        self._lost_requests.append(ending)

    def lose_reply(self, ending: str) -> None:
        """The next request to a path that ends like this is handled, and its reply is lost."""
        self._lost_replies.append(ending)

    def calls(self, method: str, ending: str) -> list[Asked]:
        """The requests by this method to paths that end like this."""
        return [asked for asked in self.asked if asked.method == method and asked.path.endswith(ending)]

    def handle(self, asked: Asked) -> tuple[int, object] | None:
        """What to reply, None for nothing."""
        self.asked.append(asked)
        if _took(self._lost_requests, asked.path):
            return None
        answered = self.answer(asked)
        return None if _took(self._lost_replies, asked.path) else answered


def _took(endings: list[str], path: str) -> bool:
    """Whether one of these matches, which is then taken off."""
    for ending in endings:
        if path.endswith(ending):
            endings.remove(ending)
            return True
    return False


@contextlib.contextmanager
def served(gateway: Gateway, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """Serve a gateway from threads of this process."""
    server = _Server(("127.0.0.1", 0), _handler(gateway))
    server.tls = tls
    gateway.url = f"http{'' if tls is None else 's'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client's kept-alive connection must not hold up the end of a test
    tls: ssl.SSLContext | None = None

    def get_request(self) -> Any:
        """A connection, whose handshake takes place with its first read, in its own thread."""
        connection, address = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or shows no certificate, is expected."""


def _handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers.get("content-length", 0))),
            )
            with lock:
                answered = gateway.handle(asked)
            if answered is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, document = answered
            body = json.dumps(document).encode()
            self.send_response(status)
            if status == 429:
                self.send_header("retry-after", "0.1")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the names http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler
