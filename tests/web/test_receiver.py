"""What the receiver answers, and what is recorded by then."""

import asyncio
import socket
import time
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.types import Message, Receive, Scope, Send

from paycore import AsyncClient, Client, Status
from paycore.errors import InvalidField
from paycore.testing.toy import SIGNATURE_HEADER
from paycore.web import notifications
from tests.web.conftest import Shop


def test_notification_is_recorded_before_it_is_answered(shop: Shop) -> None:
    """The provider's own answer comes once the payment is paid in the ledger."""
    shop.serve()
    payment, body, headers = shop.paid()
    answer = shop.post(body, headers)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"ok", "text/plain")
    assert shop.pay.get(payment.id).status is Status.PAID


def test_repeats_are_acknowledged_and_change_nothing(shop: Shop) -> None:
    """Providers send again what they have no answer to: each time the same answer, and one event."""
    shop.serve()
    payment, body, headers = shop.paid()
    answers = {
        (answer.status_code, answer.content) for answer in (shop.post(body, headers) for _ in range(5))
    }
    assert answers == {(200, b"ok")}
    assert len(shop.pay.events(payment.id)) == shop.pay.get(payment.id).version


def test_forged_is_refused_without_saying_why(shop: Shop) -> None:
    """400 for any wrong signature; the answer helps nobody to guess, and nothing changed."""
    shop.serve()
    payment, body, headers = shop.paid()
    forged = {name: value[:-1] for name, value in headers.items()}
    for given in ({}, forged):
        answer = shop.post(body, given)
        assert (answer.status_code, answer.content) == (400, b"refused")
    assert shop.pay.get(payment.id) == payment


def test_unknown_account_404(shop: Shop) -> None:
    """A name the configuration does not have, also where the body is genuine."""
    shop.serve()
    _, body, headers = shop.paid()
    for path in ("/nobody", "/toy/", "/toy/more", "/", "/to%79%00"):
        assert shop.post(body, headers, path).status_code == 404, path


def test_unknown_account_is_told_so_once_its_body_is_there(shop: Shop) -> None:
    """A connection that is closed before that is reset, and its sender may never see the answer."""
    shop.serve()
    port = int(shop.url.rpartition(":")[2])
    head = b"POST /nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        for _ in range(2):
            connection.sendall(head)
            time.sleep(0.1)
            connection.sendall(b"{}")
            answer = b""
            while not answer.endswith(b"unknown account"):
                some = connection.recv(4096)
                assert some, answer
                answer += some
            assert answer.startswith(b"HTTP/1.1 404")


def test_account_left_out_404(shop: Shop) -> None:
    """Accounts that this receiver is not for are as unknown as those that do not exist."""
    one = shop.config.accounts["toy"]
    shop.config = replace(shop.config, accounts={"toy": one, "two": replace(one, name="two")})
    shop.serve(accounts=["two"])
    _, body, headers = shop.paid()
    assert shop.post(body, headers).status_code == 404
    assert shop.post(body, headers, "/two").status_code == 200


def test_account_that_does_not_exist_is_refused_at_once(shop: Shop) -> None:
    """A misspelt name is found when the receiver is made, not when a notification is lost."""
    with pytest.raises(InvalidField, match="no account is called 'tyo'; there are: toy"):
        notifications(shop.pay, accounts=["toy", "tyo"])


def test_other_methods_405(shop: Shop) -> None:
    """Only POST delivers."""
    shop.serve()
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert shop.http.request(method, f"{shop.url}/toy").status_code == 405, method


def test_query_string_and_headers_reach_the_provider_as_they_came(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any case of a name; a header that comes twice is one, joined, so that no half of it can be chosen."""
    seen: list[Any] = []
    for client in (Client, AsyncClient):
        monkeypatch.setattr(client, "receive", lambda *_, **given: seen.append(given))
    shop.serve()
    port = int(shop.url.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        head = "POST /toy?b=%2F&a=1 HTTP/1.1\r\nHost: x\r\nX-ONE: 1\r\nx-two: 2\r\nX-Two: \xe9\r\nContent-Length: 2"
        connection.sendall(head.encode("latin-1") + b"\r\n\r\n{}")
        connection.recv(1000)
    (given,) = seen
    assert (given["body"], given["query"]) == (b"{}", "b=%2F&a=1")
    assert (given["headers"]["x-one"], given["headers"]["x-two"]) == ("1", "2, \xe9")


def test_signature_given_twice_is_no_signature(shop: Shop) -> None:
    """Neither the first nor the last of two is taken for the one."""
    shop.serve()
    payment, body, headers = shop.paid()
    port = int(shop.url.rpartition(":")[2])
    right = headers[SIGNATURE_HEADER]
    for pair in ((right, "0"), ("0", right), (right, right)):
        with closing(socket.create_connection(("127.0.0.1", port))) as connection:
            both = "".join(f"{SIGNATURE_HEADER}: {value}\r\n" for value in pair)
            head = f"POST /toy HTTP/1.1\r\nHost: x\r\n{both}Content-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            assert b" 400 " in connection.recv(1000)
    assert shop.pay.get(payment.id) == payment


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: -1",
        "Transfer-Encoding: gzip, chunked",
        f"X-Long: {'x' * 70_000}",
        "No colon",
    ],
)
def test_head_that_two_readers_take_for_two_things_is_refused(shop: Shop, head: str) -> None:
    """What a proxy could read otherwise than the receiver is answered with an error, or not at all."""
    shop.serve()
    port = int(shop.url.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        connection.sendall(f"POST /toy HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{{}}{{}}{{}}".encode())
        answer = connection.recv(1000)
    assert not answer or b" 4" in answer[:13] or b" 501 " in answer[:14]


def test_mounted_in_a_plain_asgi_application(shop: Shop) -> None:
    """Under any path, by the root path that ASGI has for it; the prefix is no part of the account's name."""
    _, body, headers = shop.paid()
    app = notifications(shop.pay)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": "/pay/notes"}, receive, send)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/pay/notes/toy",
        "query_string": b"",
        "headers": pairs,
    }
    asyncio.run(outer(scope, receive, send))
    assert sent[0]["status"] == 200
