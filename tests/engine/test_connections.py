"""Connections to a provider: kept, used again, limited, and each answer is that of its own request."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from typing import Any

import pytest

from paycore.domain.wire import Request, Response
from paycore.engine import connections, transport
from paycore.engine.connections import READ_AHEAD_MAX, AsyncStream
from paycore.engine.timing import Deadline
from paycore.engine.transport import AsyncSender, Sender
from paycore.errors import MaybeSent, NotSent

Answer = Response | NotSent | MaybeSent


class Echo:
    """Answers each request with its own body, on as many connections as are made; `pause_s` before each answer."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.pause_s = 0.0
        self.opened: list[socket.socket] = []
        self.served: list[int] = []
        """For each request in turn, the number of its connection."""
        self.after = b""
        """Sent after each answer, unasked."""

    def run(self) -> None:
        """Accept until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.opened.append(connection)
                threading.Thread(
                    target=self._serve, args=(connection, len(self.opened) - 1), daemon=True
                ).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError), closing(connection), connection.makefile("rb") as lines:
            while head := lines.readline():
                length = 0
                while (line := lines.readline().strip().lower()) != b"":
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                body = lines.read(length)
                assert head.startswith(b"POST")
                self.served.append(number)
                time.sleep(self.pause_s)
                answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
                connection.sendall(answer + self.after)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as listener:
        server = Echo(listener)
        threading.Thread(target=server.run, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def request(body: str) -> Request:
    return Request(method="POST", path="/", body=body.encode())


class Sync:
    """A `Sender` whose requests are sent from threads."""

    def __init__(self, url: str) -> None:
        self._sender = Sender(url)

    def together(self, bodies: list[str], timeout_s: float = 5.0) -> list[Answer]:
        """The answers to requests sent at once, in their order."""
        with ThreadPoolExecutor(len(bodies)) as threads:
            return list(threads.map(lambda body: self._send(body, timeout_s), bodies))

    def _send(self, body: str, timeout_s: float) -> Answer:
        try:
            return self._sender.send(request(body), Deadline(timeout_s))
        except (NotSent, MaybeSent) as error:
            return error

    def close(self) -> None:
        self._sender.close()


class Async:
    """An `AsyncSender` whose requests are sent by tasks of a loop of its own."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._sender = AsyncSender(url)

    def together(self, bodies: list[str], timeout_s: float = 5.0) -> list[Answer]:
        """As for `Sync`."""

        async def run() -> list[Answer]:
            return await asyncio.gather(*(self._send(body, timeout_s) for body in bodies))

        return self._runner.run(run())

    async def _send(self, body: str, timeout_s: float) -> Answer:
        try:
            return await self._sender.send(request(body), Deadline(timeout_s))
        except (NotSent, MaybeSent) as error:
            return error

    def close(self) -> None:
        self._runner.run(self._sender.aclose())
        self._runner.close()


Open = Callable[[], Sync | Async]


@pytest.fixture(params=[Sync, Async])
def open_(request: pytest.FixtureRequest, echo: Echo) -> Open:
    """Makes a sender to the server of the test."""
    return lambda: request.param(echo.url)


def bodies_of(answers: list[Answer]) -> list[str]:
    assert all(isinstance(answer, Response) for answer in answers), answers
    return [answer.body.decode() for answer in answers if isinstance(answer, Response)]


def test_requests_one_after_the_other_share_a_connection(open_: Open, echo: Echo) -> None:
    """A connection is kept and used again."""
    with closing(open_()) as sender:
        for turn in range(5):
            assert bodies_of(sender.together([f"{turn}"])) == [f"{turn}"]
    assert echo.served == [0] * 5


def test_the_connection_used_last_is_used_next(open_: Open, echo: Echo) -> None:
    """So that those that are no longer needed become idle, and are closed."""
    with closing(open_()) as sender:
        echo.pause_s = 0.1
        assert bodies_of(sender.together(["a", "b", "c"])) == ["a", "b", "c"]
        echo.pause_s = 0.0
        for _ in range(6):
            sender.together(["d"])
    assert sorted(echo.served[:3]) == [0, 1, 2]
    assert len(set(echo.served[3:])) == 1


def test_connections_idle_for_too_long_are_closed(
    open_: Open, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next request, whichever connection that is sent on."""
    monkeypatch.setattr(connections, "KEEP_S", 0.3)
    with closing(open_()) as sender:
        echo.pause_s = 0.1
        sender.together(["a", "b", "c"])
        echo.pause_s = 0.0
        until = time.monotonic() + 5
        while sum(is_open(connection) for connection in echo.opened) > 1 and time.monotonic() < until:
            sender.together(["d"])
            time.sleep(0.05)
        assert sum(is_open(connection) for connection in echo.opened) == 1


def is_open(connection: socket.socket) -> bool:
    return connection.fileno() != -1


def test_a_connection_the_server_closed_is_not_used_again(open_: Open, echo: Echo) -> None:
    """The next request is sent on a new one, and is answered."""
    with closing(open_()) as sender:
        sender.together(["a"])
        echo.opened[0].shutdown(socket.SHUT_RDWR)
        time.sleep(0.05)
        assert bodies_of(sender.together(["b"])) == ["b"]
    assert echo.served == [0, 1]


def test_a_connection_with_bytes_nobody_asked_for_is_not_used_again(open_: Open, echo: Echo) -> None:
    """They are never taken for an answer to the next request."""
    with closing(open_()) as sender:
        sender.together(["a"])
        echo.opened[0].sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")
        time.sleep(0.05)
        assert bodies_of(sender.together(["b"])) == ["b"]
    assert echo.served == [0, 1]


def test_each_request_gets_its_own_answer(open_: Open, echo: Echo) -> None:
    """However many are under way, on however many connections."""
    echo.pause_s = 0.001
    with closing(open_()) as sender:
        for turn in range(5):
            bodies = [f"{turn}-{number}" for number in range(40)]
            assert bodies_of(sender.together(bodies, 30.0)) == bodies
    assert 1 < len(set(echo.served)) <= 40


@pytest.fixture
def two_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 2)


@pytest.mark.usefixtures("two_at_most")
def test_more_requests_than_connections_wait_their_turn(open_: Open, echo: Echo) -> None:
    """None is lost, and no more connections are opened."""
    echo.pause_s = 0.01
    with closing(open_()) as sender:
        bodies = [f"{number}" for number in range(20)]
        assert bodies_of(sender.together(bodies)) == bodies
    assert len(echo.opened) == 2


@pytest.mark.usefixtures("two_at_most")
def test_a_request_for_which_no_connection_becomes_free_is_not_sent(open_: Open, echo: Echo) -> None:
    """It waits for half of its time, so that half is left for the answer."""
    echo.pause_s = 1.0
    with closing(open_()) as sender:
        begun = time.monotonic()
        answers = sender.together(["a", "b", "c"], 1.5)
        assert time.monotonic() - begun < 1.4
    refused = [answer for answer in answers if isinstance(answer, NotSent)]
    assert [error.message.rpartition(": ")[2] for error in refused] == ["all connections are in use"]
    assert len(echo.served) == 2


@pytest.mark.usefixtures("two_at_most")
def test_requests_that_fail_leave_their_places_to_others(open_: Open, echo: Echo) -> None:
    """Whether the answer came too late or the connection could not be made."""
    with closing(open_()) as sender:
        echo.pause_s = 0.5
        late = sender.together(["a", "b"], 0.2) + sender.together(["c", "d"], 0.2)
        assert [type(answer) for answer in late] == [MaybeSent] * 4
        echo.pause_s = 0.0
        assert bodies_of(sender.together(["e", "f"])) == ["e", "f"]
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = Sync(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with closing(nobody):
            for _ in range(5):
                (answer,) = nobody.together(["a"], 1.0)
                assert isinstance(answer, NotSent)
                assert answer.message.endswith("connection refused")


def test_cancelled_requests_leave_their_places_to_others(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while they wait for a place, connect or are answered: whatever the moment, the next one is served."""
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 1)

    async def run() -> None:
        async with aclosing(AsyncSender(echo.url)) as sender:
            for turn in range(40):
                echo.pause_s = 0.02
                tasks = [asyncio.create_task(sender.send(request(body), Deadline(5))) for body in ("a", "b")]
                for _ in range(turn % 20):
                    await asyncio.sleep(0)
                await asyncio.sleep(0.002 * (turn // 20))
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                echo.pause_s = 0.0
                assert (await sender.send(request("c"), Deadline(5))).body == b"c"

    asyncio.run(run())


def test_closing_ends_what_is_under_way(open_: Open, echo: Echo) -> None:
    """The server sees every connection end: idle ones, and those of requests that are not answered yet."""
    sender = open_()
    sender.together(["a", "b"])
    sender.close()
    until = time.monotonic() + 5
    while any(is_open(connection) for connection in echo.opened) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(is_open(connection) for connection in echo.opened)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", [Sender, AsyncSender])
def test_tls_is_set_up_for_https_only(kind: Any, scheme: str) -> None:
    """Reading whom to trust takes longer than a payment, and plain HTTP trusts nobody."""
    transport._tls.cache_clear()
    kind(f"{scheme}://127.0.0.1:1")
    assert transport._tls.cache_info().currsize == (scheme == "https")


@pytest.mark.parametrize("kind", [Sync, Async])
def test_a_path_that_reads_like_another_host_goes_nowhere_else(kind: Any, echo: Echo) -> None:
    """Connections lead to the base URL's host, whatever the rest of a URL makes of it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        path = f"@127.0.0.1:{other.getsockname()[1]}/"

        def misled(body: str) -> Request:
            return Request(method="POST", path=path, body=body.encode())

        with closing(kind(echo.url)) as sender, pytest.MonkeyPatch.context() as patch:
            patch.setitem(globals(), "request", misled)
            (answer,) = sender.together(["a"], 1.0)
        assert isinstance(answer, NotSent | MaybeSent)
        other.settimeout(0.05)
        with pytest.raises(TimeoutError):
            other.accept()
    assert echo.served == []


@pytest.mark.parametrize("kind", [Sync, Async])
def test_all_addresses_of_a_host_are_tried(kind: Any, echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first does not answer, the second does; where none does, the cause is in words."""
    port = int(echo.url.rpartition(":")[2])
    addresses = ["127.0.0.2", "127.0.0.1"]

    def look_up(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with closing(kind(f"http://pay.example:{port}")) as sender:
        assert bodies_of(sender.together(["a"])) == ["a"]
    addresses[1] = "127.0.0.3"
    with closing(kind(f"http://pay.example:{port}")) as sender:
        (answer,) = sender.together(["a"])
    assert isinstance(answer, NotSent)
    assert answer.message.endswith(": connection refused")


def test_an_address_that_does_not_answer_does_not_hold_up_the_next(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an event loop: a host whose IPv6 leads nowhere is reached by IPv4 all the same."""
    port = int(echo.url.rpartition(":")[2])

    def look_up(*_: Any, **__: Any) -> list[Any]:
        places = [("127.0.0.2", port), ("127.0.0.1", port)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    with (
        closing(socket.create_server(("127.0.0.2", port), backlog=0)) as full,
        closing(socket.create_connection(full.getsockname())),
        closing(socket.socket()) as waiting,
    ):
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        with closing(Async(f"http://pay.example:{port}")) as sender:
            assert bodies_of(sender.together(["a"], 3.0)) == ["a"]


class Flow(asyncio.Transport):
    """Notes what is asked of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def pause_reading(self) -> None:
        """See `asyncio.Transport`."""
        self.asked.append("pause")

    def resume_reading(self) -> None:
        """See `asyncio.Transport`."""
        self.asked.append("resume")


def test_the_loop_runs_between_the_parts_of_a_long_reply() -> None:
    """However much has arrived: otherwise no deadline could end a reply of a million chunks."""

    async def run() -> None:
        stream, turns = AsyncStream(), list[int]()
        stream.connection_made(Flow())
        stream.data_received(b"x" * 3 * READ_AHEAD_MAX)
        stream.eof_received()
        for turn in range(4):
            asyncio.get_running_loop().call_soon(turns.append, turn)
            assert len(await stream.read(READ_AHEAD_MAX)) == (READ_AHEAD_MAX if turn < 3 else 0)
            assert turns == list(range(turn + 1))

    asyncio.run(run())


def test_a_server_that_sends_faster_than_is_read_is_held_up() -> None:
    """No more is taken before what has arrived is read."""

    async def run() -> None:
        stream, flow = AsyncStream(), Flow()
        stream.connection_made(flow)
        stream.data_received(b"x" * READ_AHEAD_MAX)
        assert flow.asked == []
        stream.data_received(b"x" * 2 * READ_AHEAD_MAX)
        assert flow.asked == ["pause"]
        await stream.read(READ_AHEAD_MAX)
        assert flow.asked == ["pause"]
        await stream.read(READ_AHEAD_MAX)
        assert flow.asked == ["pause", "resume"]

    asyncio.run(run())
