"""The transport: what was certainly not sent, total deadlines, size limits, and nothing in the logs."""

import asyncio
import inspect
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx2
import pytest

from paycore.domain.wire import Request, Response
from paycore.engine.timing import Deadline
from paycore.engine.transport import BODY_MAX, CERTAINLY_NOT_SENT, AsyncSender, Sender
from paycore.errors import MaybeSent, NotSent

REQUEST = Request(method="POST", path="/x?token=CANARY-URL", headers={"x-sign": "CANARY-HEADER"}, body=b"a=1")
Serve = Callable[[socket.socket], None]


def send_sync(url: str, timeout_s: float) -> Response:
    sender = Sender(url)
    try:
        return sender.send(REQUEST, Deadline(timeout_s))
    finally:
        sender.close()


def send_async(url: str, timeout_s: float) -> Response:
    async def send() -> Response:
        sender = AsyncSender(url)
        try:
            return await sender.send(REQUEST, Deadline(timeout_s))
        finally:
            await sender.aclose()

    return asyncio.run(send())


both = pytest.mark.parametrize("send", [send_sync, send_async])


@contextmanager
def serving(serve: Serve) -> Iterator[str]:
    """A server that passes each connection, its request read, to `serve`."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def run() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with closing(connection):
            read = b""
            while not read.endswith(REQUEST.body):
                read += connection.recv(65536)
            try:
                serve(connection)
            except OSError:
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join()
        listener.close()


def test_every_exception_of_httpx_is_in_the_table() -> None:
    """A new exception of httpx2 must be classified before it is used."""
    known = {
        kind
        for _, kind in inspect.getmembers(httpx2, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__.startswith("httpx2")
    }
    assert known == set(CERTAINLY_NOT_SENT)
    sure = {kind for kind, not_sent in CERTAINLY_NOT_SENT.items() if not_sent}
    assert sure == {
        httpx2.ConnectError,
        httpx2.ConnectTimeout,
        httpx2.PoolTimeout,
        httpx2.UnsupportedProtocol,
        httpx2.InvalidURL,
    }


@both
def test_refused_connection_is_not_sent(send: Any) -> None:
    """A refused connection: nothing was sent."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotSent, match="connection refused"):
            send(f"http://127.0.0.1:{taken.getsockname()[1]}", 1.0)


@both
def test_a_hang_up_after_the_request_is_maybe_sent(send: Any) -> None:
    """The connection closed after the request was read: it may have been processed."""
    with serving(lambda _: None) as url, pytest.raises(MaybeSent):
        send(url, 2.0)


def drip_head(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n" * 3:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def drip_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
    for _ in range(100):
        connection.sendall(b"x")
        time.sleep(0.1)


@both
@pytest.mark.parametrize("drip", [drip_head, drip_body])
def test_a_dripped_reply_ends_at_the_deadline(send: Any, drip: Serve) -> None:
    """The deadline is total: single bytes do not extend it."""
    with serving(drip) as url:
        started = time.monotonic()
        with pytest.raises(MaybeSent):
            send(url, 0.5)
        assert time.monotonic() - started < 2.5


@both
def test_a_redirect_is_an_answer_not_an_instruction(send: Any) -> None:
    """Redirects are not followed."""
    head = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    with serving(lambda c: c.sendall(head)) as url:
        assert send(url, 2.0).status == 302


@both
def test_an_encoding_nobody_asked_for_is_refused(send: Any) -> None:
    """Only identity is requested and accepted: nothing is decompressed."""
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"
    with serving(lambda c: c.sendall(head)) as url, pytest.raises(MaybeSent, match="encoding"):
        send(url, 2.0)


@both
def test_a_huge_reply_is_cut_off(send: Any) -> None:
    """A reply above the size limit is no answer, and is not kept."""

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        for _ in range(BODY_MAX // 65536 + 2):
            connection.sendall(b"x" * 65536)

    with serving(flood) as url, pytest.raises(MaybeSent, match="longer"):
        send(url, 5.0)


@both
def test_proxies_of_the_environment_are_not_used(send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables have no effect."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")) as url:
        assert send(url, 2.0).body == b"ok"


@both
def test_nothing_of_a_request_is_logged(send: Any, caplog: pytest.LogCaptureFixture) -> None:
    """URL, headers and body of a request are not logged, not even at DEBUG."""
    caplog.set_level(logging.DEBUG)
    with serving(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")) as url:
        send(url, 2.0)
    assert "CANARY" not in caplog.text


@both
def test_errors_carry_no_request(send: Any) -> None:
    """No error has a cause with a URL or body."""
    with serving(lambda _: None) as url, pytest.raises(MaybeSent) as error:
        send(url, 2.0)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    assert "CANARY" not in str(error.value)
