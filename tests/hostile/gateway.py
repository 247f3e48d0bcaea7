"""
A gateway on a socket that carries out requests, and then gives the hostile answers of a test.

Every request is carried out: a client that takes a hostile reply for "nothing happened" is wrong, and one that
sends again pays twice. Every connection has its own thread; all end with the server.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import msgspec

HOLD = None
"""A part of an answer: nothing is sent until the client closes."""

STAY = True
"""A last part of an answer: the connection serves the next request as well."""

Part = bytes | float | bool | None
"""Bytes to send, seconds to wait, `HOLD` or `STAY`."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Honest(msgspec.Struct, frozen=True, kw_only=True):
    """The answer the gateway would give."""

    body: bytes
    headers: dict[str, str] = {}


Answer = Callable[[Heard, Honest], Iterator[Part]]
"""What is sent instead of the honest answer: bytes of HTTP, head included."""


def whole(body: bytes, *, status: str = "200 OK", **headers: str) -> bytes:
    """One complete answer."""
    lines = {"content-length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body


class HostileGateway:
    """
    Serves at `url`; `carry_out` answers a request honestly.

    Requests whose path starts with `on` get `answer` instead of the honest answer, unless it is None.
    `heard` is every request so far.
    """

    def __init__(self, carry_out: Callable[[Heard], Honest]) -> None:
        self.answer: Answer | None = None
        self.on = "/"
        self.heard: list[Heard] = []
        self._carry_out = carry_out
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._connections: set[socket.socket] = set()
        self._stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="hostile-gateway", daemon=True).start()

    def answering(self, answer: Answer, on: str = "/") -> _Answering:
        """Within the block, give `answer` on this path."""
        return _Answering(self, answer, on)

    def asked(self, path: str) -> int:
        """How many requests came to this path."""
        return sum(heard.path.partition("?")[0] == path for heard in self.heard)

    def stop(self) -> None:
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            while (heard := _read(connection)) is not None:
                self.heard.append(heard)
                answer = self.answer if heard.path.startswith(self.on) else None
                honest = self._carry_out(heard)
                if answer is None:
                    connection.sendall(whole(honest.body, **honest.headers))
                    continue
                if not self._give(connection, answer(heard, honest)):
                    break
        self._connections.discard(connection)

    def _give(self, connection: socket.socket, parts: Iterator[Part]) -> bool:
        """Send an answer; return whether the connection stays."""
        for part in parts:
            match part:
                case bytes():
                    connection.sendall(part)
                case float():
                    if self._stopped.wait(part):
                        raise OSError("the test is over")
                case None:
                    while connection.recv(65536):
                        pass
                case _:
                    return True
        return False


class _Answering:
    def __init__(self, gateway: HostileGateway, answer: Answer, on: str) -> None:
        self._gateway, self._answer, self._on = gateway, answer, on

    def __enter__(self) -> None:
        self._gateway.answer, self._gateway.on = self._answer, self._on

    def __exit__(self, *_: object) -> None:
        self._gateway.answer = None


def _read(connection: socket.socket) -> Heard | None:
    """The next request, None when there is none."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(65536)
        if not more:
            return None
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Heard(method=method, path=path, headers=headers, body=body)


@contextmanager
def hostile_gateway(carry_out: Callable[[Heard], Honest]) -> Iterator[HostileGateway]:
    """One for the length of a block."""
    gateway = HostileGateway(carry_out)
    try:
        yield gateway
    finally:
        gateway.stop()


def forward(url: str) -> Callable[[Heard], Honest]:
    """Carries out requests at another gateway, over HTTP."""
    netloc = url.removeprefix("http://")

    def carry_out(heard: Heard) -> Honest:
        headers = {name: value for name, value in heard.headers.items() if name not in ("host", "connection")}
        with closing(http.client.HTTPConnection(netloc, timeout=10)) as connection:
            connection.request(heard.method, heard.path, heard.body, headers)
            reply = connection.getresponse()
            sign = reply.getheader("X-QF-SIGN")
            return Honest(body=reply.read(), headers={} if sign is None else {"x-qf-sign": sign})

    return carry_out
