"""Why a provider could not be reached: host, port and cause, and nothing else of its URL."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from paycore.domain.wire import Response
from paycore.engine import transport
from paycore.engine.unreachable import cause_of, place_of
from paycore.errors import MaybeSent, NotSent
from tests.engine.test_transport import both, serving

CERTIFICATES = Path(__file__).parents[1] / "support" / "tls"
"""Two self-signed certificates with one key: an expired one, and one of another host."""

Send = Callable[[str, float], Response]


@contextmanager
def tls_server(certificate: str) -> Iterator[int]:
    """A TLS port with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / certificate, CERTIFICATES / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        try:
            connection, _ = listener.accept()
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(5)


def trusting(certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust this certificate as if an authority had signed it."""
    context = ssl.create_default_context(cafile=str(CERTIFICATES / certificate))
    monkeypatch.setattr(transport, "_tls", lambda: context)


def words_of(send: Send, url: str) -> str:
    """The error's message for an unreachable provider; nothing was sent."""
    with pytest.raises(NotSent) as caught:
        send(url, 3)
    for part in ("CANARY", "/x", "token"):
        assert part not in caught.value.message
    return caught.value.message


@both
def test_refused_connection(send: Send) -> None:
    """No server listens on the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    expected = f"the provider could not be reached at 127.0.0.1:{port}: connection refused"
    assert words_of(send, f"http://127.0.0.1:{port}/base?token=CANARY") == expected


@both
def test_name_that_is_not_found(send: Send) -> None:
    """The host name does not resolve: a misspelt base_url, or a machine without DNS."""
    words = words_of(send, "https://api.nowhere.invalid/base")
    assert words == "the provider could not be reached at api.nowhere.invalid:443: its name was not found"


@both
@pytest.mark.parametrize(
    ("certificate", "is_trusted", "problem"),
    [
        ("elsewhere.pem", False, "self-signed certificate"),
        ("expired.pem", True, "certificate has expired"),
        ("elsewhere.pem", True, "certificate is not valid for '127.0.0.1'"),
    ],
)
def test_invalid_certificate(
    send: Send, monkeypatch: pytest.MonkeyPatch, certificate: str, problem: str, *, is_trusted: bool
) -> None:
    """The problem is named: not trusted, expired, or of another host."""
    if is_trusted:
        trusting(certificate, monkeypatch)
    with tls_server(certificate) as port:
        words = words_of(send, f"https://127.0.0.1:{port}")
    assert words.startswith(
        f"the provider could not be reached at 127.0.0.1:{port}: its TLS certificate is not valid"
    )
    assert problem in words


@both
def test_server_that_speaks_no_tls(send: Send) -> None:
    """An https URL of a server that answers in plain HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    words = words_of(send, f"https://127.0.0.1:{listener.getsockname()[1]}")
    thread.join(5)
    listener.close()
    assert "no TLS connection could be made" in words


@both
def test_connection_that_takes_too_long(send: Send) -> None:
    """A host that does not answer."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
    ):
        port = full.getsockname()[1]
        fill = [socket.socket() for _ in range(3)]
        for filler in fill:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with pytest.raises(NotSent) as caught:
            send(f"http://127.0.0.1:{port}", 0.4)
        for filler in fill:
            filler.close()
    assert caught.value.message == f"the provider could not be reached at 127.0.0.1:{port}: timed out"


@both
def test_answer_that_does_not_come_or_breaks_off(send: Send) -> None:
    """The request may have arrived: the error has the place and what became of the answer."""
    with serving(lambda _: None) as url, pytest.raises(MaybeSent) as caught:
        send(url, 3)
    place = url.removeprefix("http://")
    assert caught.value.message.startswith(f"the request may have arrived at {place}, but no answer came: ")
    with serving(lambda _: time.sleep(1)) as url, pytest.raises(MaybeSent) as caught:
        send(url, 0.3)
    assert caught.value.message.endswith("but no answer came: timed out")


def test_place_is_host_and_port() -> None:
    """With the scheme's default port; IPv6 addresses in brackets."""
    assert place_of("https://api.example/v1?x=1") == "api.example:443"
    assert place_of("http://localhost:8700") == "localhost:8700"
    assert place_of("http://[::1]/") == "[::1]:80"


def test_server_that_refuses_our_certificate_is_told_from_one_without_tls() -> None:
    """By the alert it sends, which is in the error."""
    refusal = ssl.SSLError(1, "x")
    refusal.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert cause_of(refusal, {}) == (
        "it wants another client certificate than the account has (tlsv13_alert_certificate_required)"
    )
