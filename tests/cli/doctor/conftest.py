"""Hosts that answer as a test wants, and a `paycore.toml` that leads to them."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import certifi
import pytest

from paycore.engine import transport

PEM = Path(__file__).parents[2] / "support" / "tls"
"""`authority.pem` signed `server.pem`, which has its key; `key.pem` is that of the others."""

HostAt = Callable[..., str]


@pytest.fixture
def host_at() -> Iterator[HostAt]:
    """
    Start a host that answers every request in the same way; its URL.

    `date` is that header, `body` what it answers; `certificate` has it speak TLS.
    """
    with ExitStack() as stack:

        def start(*, date: str = "", body: bytes = b"{}", status: int = 200, certificate: str = "") -> str:
            server = _Http(("127.0.0.1", 0), _handler(date, status, body))
            if certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                key = None if certificate == "server.pem" else PEM / "key.pem"
                context.load_cert_chain(PEM / certificate, key)
                server.socket = context.wrap_socket(
                    server.socket, server_side=True, do_handshake_on_connect=False
                )
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"

        yield start


class _Http(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no failure."""


def _handler(date: str, status: int, body: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response_only(status)
            if date:
                self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the name http.server looks for

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    return Handler


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Have clients trust this certificate, in place of the authorities."""

    def trust(certificate: str) -> None:
        monkeypatch.setattr(certifi, "where", lambda: str(PEM / certificate))
        transport._tls.cache_clear()

    yield trust
    transport._tls.cache_clear()


def line(document: Any, check: str, about: str | None = None) -> Any:
    """The only line of this check."""
    (found,) = (one for one in document["checks"] if one["check"] == check and about in (None, one["about"]))
    return found
