"""The transport with misbehaving servers: every call ends in time, within bounds, and reports whether it was sent."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpcore2
import httpx2
import pytest

from paycore.domain.wire import Request, Response
from paycore.engine import transport
from paycore.engine.connections import DeadlineStream, until
from paycore.engine.timing import Deadline
from paycore.engine.transport import AsyncSender, Sender
from paycore.errors import MaybeSent, NotSent
from tests.engine.test_transport import REQUEST, Serve, both, serving

Send = Callable[[str, float], Response]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def quick_drip_body(connection: socket.socket) -> None:
    """Single bytes in quick succession, without a pause that reaches a timeout."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        connection.sendall(b"x")


def quick_drip_head(connection: socket.socket) -> None:
    """The same with header lines."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        connection.sendall(b"a: b\r\n")
        time.sleep(0.0005)


@both
@pytest.mark.parametrize("drip", [quick_drip_body, quick_drip_head])
def test_a_quickly_dripped_reply_ends_at_the_deadline(send: Send, drip: Serve) -> None:
    """Bytes that are always available do not extend a call past its deadline."""
    with serving(drip) as url:
        begun = time.monotonic()
        with pytest.raises(MaybeSent):
            send(url, 0.4)
        assert time.monotonic() - begun < 1.5


class Endless(httpcore2.NetworkStream):
    """A stream that always has one more byte, and accepts all writes."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return b"x"

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Accept it."""


def test_no_read_or_write_begins_after_the_deadline() -> None:
    """However fast a server answers: nothing is read or written past the deadline."""
    stream = DeadlineStream(Endless())
    with until(Deadline(10)):
        assert stream.read(1) == b"x"
    with until(Deadline(0)):
        with pytest.raises(httpcore2.ReadTimeout):
            stream.read(1)
        with pytest.raises(httpcore2.WriteTimeout):
            stream.write(b"x")


@both
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-header: " + b"y" * 200_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\x16\x03\x01",
        b"",
    ],
    ids=["truncated", "bad chunk", "huge header", "not HTTP", "bad status", "TLS", "nothing"],
)
def test_a_reply_that_is_none_is_maybe_sent(send: Send, reply: bytes) -> None:
    """The request was read: whatever the reply, it may have been processed."""
    with serving(lambda connection: connection.sendall(reply)) as url, pytest.raises(MaybeSent):
        send(url, 2.0)


@both
def test_an_early_answer_is_not_the_reply(send: Send) -> None:
    """A 100 Continue is followed by the reply; it is not the reply itself."""
    with serving(lambda connection: connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as url:
        reply = send(url, 2.0)
    assert (reply.status, reply.body) == (200, b"ok")


@both
def test_a_connection_that_is_not_accepted_is_not_sent(send: Send) -> None:
    """With a full backlog connecting takes at most half of the time, and nothing was sent."""
    with (
        closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full,
        closing(socket.socket()) as first,
    ):
        first.connect(full.getsockname())
        with closing(socket.socket()) as second:
            second.setblocking(False)
            second.connect_ex(full.getsockname())
            begun = time.monotonic()
            with pytest.raises(NotSent, match=r"could not be reached at 127\.0\.0\.1:[0-9]+: timed out"):
                send(f"http://127.0.0.1:{full.getsockname()[1]}", 1.0)
            assert time.monotonic() - begun < 0.95


@both
def test_past_its_deadline_nothing_is_sent(send: Send) -> None:
    """A call that begins past its deadline never reaches the server."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        with pytest.raises(NotSent, match="time had passed"):
            send(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.0)
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_connection_made_too_late_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name look-up has no timeout: if it took all the time, nothing is sent."""
    create = socket.create_connection

    def slow(*args: object, **kwargs: object) -> socket.socket:
        time.sleep(0.3)
        return create(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", slow)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        sender = Sender(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with closing(sender), pytest.raises(NotSent):
            sender.send(REQUEST, Deadline(0.2))
        connection, _ = listener.accept()
        with closing(connection):
            connection.settimeout(1.0)
            assert connection.recv(1) == b""


@both
def test_failed_tls_handshake_is_not_sent(send: Send) -> None:
    """The handshake fails before the request is written."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, pytest.raises(NotSent):
        send(f"https://127.0.0.1:{listener.getsockname()[1]}", 0.5)


@pytest.mark.parametrize("variable", ["SSLKEYLOGFILE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
@both
def test_tls_takes_nothing_from_the_environment(
    send: Send, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables can neither have TLS keys logged nor change the trusted certificates."""
    monkeypatch.setenv(variable, str(tmp_path / "named"))
    transport._tls.cache_clear()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, pytest.raises(NotSent):
        send(f"https://127.0.0.1:{listener.getsockname()[1]}", 0.2)
    assert not (tmp_path / "named").exists()
    context = transport._tls()
    assert getattr(context, "keylog_filename", "") is None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] > 50


@both
def test_request_leaves_as_it_was_made(send: Send, tmp_path: Path) -> None:
    """Path, headers and body are unchanged; identity encoding only; no credentials from .netrc."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    seen: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                while not b"".join(seen).endswith(REQUEST.body):
                    seen.append(connection.recv(65536))
                connection.sendall(OK)

        thread = threading.Thread(target=serve)
        thread.start()
        send(url, 2.0)
        thread.join()
    head, _, body = b"".join(seen).partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /x?token=canary-url http/1.1"
    assert b"accept-encoding: identity" in lines
    assert b"x-sign: canary-header" in lines
    assert not [line for line in lines if line.startswith((b"authorization", b"cookie"))]
    assert body == b"a=1"


@both
@pytest.mark.parametrize(
    "request_", [{"headers": {"x-sign": "sch\u00f6n"}}, {"headers": {"a b": "c"}}, {"path": "/\x00"}]
)
def test_a_request_that_can_not_be_written_is_not_sent(
    send: Send, request_: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin's invalid request is never sent, and is a typed error."""
    broken = Request(**{"method": "POST", "path": "/", **request_})  # type: ignore[arg-type]
    monkeypatch.setattr("tests.engine.test_transport.REQUEST", broken)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, pytest.raises((NotSent, MaybeSent)):
        send(f"http://127.0.0.1:{listener.getsockname()[1]}", 1.0)


def test_an_exception_nobody_has_judged_yet_is_maybe_sent() -> None:
    """An unlisted subclass of an httpx2 exception never counts as not sent."""

    class NewError(httpx2.ConnectError):
        """Not in the table."""

    with pytest.raises(MaybeSent, match="NewError"):
        raise transport._judge(NewError("later"), "https://api.example")


@both
@pytest.mark.parametrize(
    "location", ["javascript:alert(1)", "data:,x", "mailto:x", "http://xn--a/", "//[::1", "/\x7f", ""]
)
def test_a_redirect_to_nowhere_is_an_answer_all_the_same(send: Send, location: str) -> None:
    """An invalid redirect target does not matter: the request was answered, so it is never "not sent"."""
    head = f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
    with serving(lambda connection: connection.sendall(head)) as url:
        assert send(url, 2.0).status == 302


@contextmanager
def kept_alive(first: bytes, second: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers two requests on one connection; what it was sent."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        seen: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                for reply in (first, second):
                    seen.append(b"")
                    while not seen[-1].endswith(REQUEST.body):
                        seen[-1] += connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        thread.join(5)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_second_answer_is_not_the_next_requests(kind: str) -> None:
    """A surplus answer is never taken for the answer to the next request."""
    with kept_alive(OK + OK.replace(b"ok", b"no"), OK) as (url, _):
        first, second = send_twice(kind, url)
    assert isinstance(first, Response)
    assert first.body == b"ok"
    assert isinstance(second, MaybeSent)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_cookies_are_not_kept(kind: str) -> None:
    """What one reply sets is not sent with the next request."""
    with kept_alive(OK.replace(b"\r\n", b"\r\nset-cookie: a=b\r\n", 1), OK) as (url, seen):
        first, second = send_twice(kind, url)
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert b"cookie" not in seen[1].lower()


def send_twice(kind: str, url: str) -> list[Response | Exception]:
    """The results of two requests of one sender."""
    if kind == "sync":
        with closing(Sender(url)) as sender:
            return [outcome_of(sender.send) for _ in range(2)]

    async def twice() -> list[Response | Exception]:
        asynchronous = AsyncSender(url)
        outcomes: list[Response | Exception] = []
        for _ in range(2):
            try:
                outcomes.append(await asynchronous.send(REQUEST, Deadline(2)))
            except MaybeSent as error:
                outcomes.append(error)
        await asynchronous.aclose()
        return outcomes

    return asyncio.run(twice())


def outcome_of(send: Callable[[Request, Deadline], Response]) -> Response | Exception:
    """The reply, or the error."""
    try:
        return send(REQUEST, Deadline(2))
    except MaybeSent as error:
        return error
