"""What a sender can take up: bytes, time, and the turn of others."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
from starlette.types import Message

from paycore import Status
from paycore.ledger.base import SqlLedger
from paycore.testing.toy import SIGNATURE_HEADER, sign
from paycore.web import bodies, notifications
from tests.web.conftest import Shop

MIB = 1024 * 1024


def connect(shop: Shop, head: str) -> socket.socket:
    """A connection on which this much of a request was sent."""
    port = int(shop.url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(f"POST /toy HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
    return connection


def status_of(connection: socket.socket) -> int:
    """The status of the answer; 0 where the connection ends without one."""
    said = b""
    while b"\r\n" not in said:
        some = connection.recv(4096)
        if not some:
            return 0
        said += some
    return int(said.split(b" ")[1])


def padded(shop: Shop, length: int) -> tuple[Any, bytes, dict[str, str]]:
    """A genuine notification of this many bytes."""
    payment, body, _ = shop.paid()
    body = body.ljust(length)
    return payment, body, {SIGNATURE_HEADER: sign(body, "toy")}


def stray(nth: int) -> tuple[bytes, dict[str, str]]:
    """A genuine notification of an order that is not here."""
    fields = {"number": f"NOBODYS-{nth}", "kind": "payment", "id": "T1", "status": "paid"}
    body = json.dumps({**fields, "minor": 8800, "currency": "HKD"}).encode()
    return body, {SIGNATURE_HEADER: sign(body, "toy")}


# --- bytes -------------------------------------------------------------------------------------------


def test_longest_body_is_taken(shop: Shop) -> None:
    """1 MiB, as `receive` takes it."""
    shop.serve()
    payment, body, headers = padded(shop, MIB)
    assert shop.post(body, headers).status_code == 200
    assert shop.pay.get(payment.id).status is Status.PAID


def test_body_one_byte_too_long_413(shop: Shop) -> None:
    """Refused by size, however it is sent; nothing changed."""
    shop.serve()
    payment, body, headers = padded(shop, MIB + 1)
    assert shop.post(body, headers).status_code == 413
    assert shop.post(iter([body[:MIB], body[MIB:]]), headers).status_code == 413
    assert shop.pay.get(payment.id) == payment


def test_announced_length_is_refused_before_the_body(shop: Shop) -> None:
    """The head is enough."""
    shop.serve()
    with closing(connect(shop, f"Content-Length: {MIB + 1}")) as connection:
        assert status_of(connection) == 413


@pytest.mark.parametrize(
    ("length", "status"), [(b"9" * 5000, 413), (b"0" * 30 + b"2", 400), (b"+2", 400), (b"", 400)]
)
def test_lengths_that_servers_let_through(shop: Shop, length: bytes, status: int) -> None:
    """A server may check less than uvicorn does: the length is a hint, and what arrives is counted."""
    app, sent = notifications(shop.pay), []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-length", length)]
    scope = {"type": "http", "method": "POST", "path": "/toy", "query_string": b"", "headers": headers}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == status


def test_body_without_end_is_refused_while_it_streams_in(shop: Shop) -> None:
    """The answer comes after about a MiB, and the rest is not read."""
    shop.serve()
    with closing(connect(shop, "Transfer-Encoding: chunked")) as connection:
        sent = 0
        try:
            while sent < 64 * MIB:
                connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                sent += 0x10000
        except OSError:
            pass
        assert sent < 16 * MIB  # what sockets hold, and no more


# --- time --------------------------------------------------------------------------------------------


def test_body_that_does_not_come_408(shop: Shop) -> None:
    """A body has so many seconds in all; single bytes do not extend them."""
    shop.serve(body_s=0.5)
    with closing(connect(shop, "Content-Length: 100000")) as connection:
        connection.settimeout(0.05)
        for _ in range(100):
            connection.sendall(b" ")
            try:
                assert status_of(connection) == 408
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("no answer, though a byte came every 50 ms")


def test_sender_that_leaves_is_forgotten(shop: Shop) -> None:
    """Half a body and a closed connection: nothing is recorded, and the next one is served."""
    shop.serve()
    payment, body, headers = shop.paid()
    for _ in range(5):
        connect(shop, "Content-Length: 100").close()
    assert shop.post(body, headers).status_code == 200
    assert shop.pay.get(payment.id).status is Status.PAID


def test_slow_bodies_make_room_for_others(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together incomplete bodies hold so many bytes; beyond that the oldest is given up, not the newest."""
    monkeypatch.setattr(bodies, "HELD_MAX", 150_000)
    shop.serve(body_s=60.0)
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connect(shop, "Content-Length: 900000"))) for _ in range(3)]
        for connection in slow:
            connection.sendall(b" " * 60_000)
            time.sleep(0.2)
        assert status_of(slow[0]) == 408
        payment, body, headers = padded(shop, 100_000)
        assert shop.post(body, headers).status_code == 200
        assert shop.pay.get(payment.id).status is Status.PAID


class Slow:
    """A ledger that records notifications when it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        record = SqlLedger.record_notification
        self.go = threading.Event()
        self.asked = 0
        self.at_once = 0
        self.most = 0
        lock = threading.Lock()

        def recorded(ledger: SqlLedger, *told: Any, **options: Any) -> Future[Any]:
            with lock:
                self.asked += 1
                self.at_once += 1
                self.most = max(self.most, self.at_once)
            answer: Future[Any] = Future()

            def later() -> None:
                self.go.wait(30)
                with lock:
                    self.at_once -= 1
                answer.set_result(record(ledger, *told, **options).result())

            threading.Thread(target=later).start()
            return answer

        monkeypatch.setattr(SqlLedger, "record_notification", recorded)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something to happen."""
        give_up_at = time.monotonic() + 10
        while not is_so():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Every ledger of the test is slow to record notifications."""
    return Slow(monkeypatch)


def test_no_answer_in_time_503(shop: Shop, slow: Slow) -> None:
    """The provider is asked to send it again; meanwhile it is recorded, and the second one is a repeat."""
    shop.serve(answer_s=0.3)
    payment, body, headers = shop.paid()
    answer = shop.post(body, headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    slow.go.set()
    slow.until(lambda: shop.pay.get(payment.id).status is Status.PAID)
    slow.until(lambda: shop.post(body, headers).status_code == 200)
    assert len(shop.pay.events(payment.id)) == shop.pay.get(payment.id).version


def test_more_than_are_worked_on_wait_in_turn(shop: Shop, slow: Slow) -> None:
    """`at_once` bounds what is under way; nobody is refused for it."""
    shop.serve(at_once=3)
    sent = [stray(nth) for nth in range(12)]
    with ThreadPoolExecutor(len(sent)) as senders:
        answers = [senders.submit(shop.post, *told) for told in sent]
        slow.until(lambda: slow.asked == 3)
        time.sleep(0.3)
        assert slow.asked == 3
        slow.go.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert slow.most <= 3


def test_waiting_for_a_turn_ends_in_time(shop: Shop, slow: Slow) -> None:
    """Those who wait behind one that gets no answer are not kept waiting longer than it."""
    shop.serve(at_once=1, answer_s=0.5)
    with ThreadPoolExecutor(4) as senders:
        answers = list(senders.map(lambda nth: shop.post(*stray(nth)).status_code, range(4)))
    slow.go.set()
    assert answers == [503] * 4


def test_sender_that_leaves_without_an_answer_changes_nothing(shop: Shop, slow: Slow) -> None:
    """A whole notification is recorded, whether anybody waits for the answer or not."""
    shop.serve()
    payment, body, headers = shop.paid()
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection = connect(shop, f"{head}Content-Length: {len(body)}")
    connection.sendall(body)
    slow.until(lambda: slow.asked == 1)
    connection.close()
    slow.go.set()
    slow.until(lambda: shop.pay.get(payment.id).status is Status.PAID)
