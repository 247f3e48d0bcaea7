"""What is answered and logged while something is broken."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from paycore import AsyncClient, Client, Status
from paycore.domain.wire import Reply
from paycore.testing.toy import ToyProvider
from tests.support.postgres import PostgresServer
from tests.support.toy_http import ToyServer, toy_config
from tests.web.conftest import Kind, Shop

CANARY = "CANARY-5f2b"


@pytest.fixture
def postgres_shop(gateway: ToyServer, kind: Kind, postgres_dsn: str) -> Iterator[Shop]:
    """A shop on PostgreSQL."""
    with ExitStack() as stack:
        yield Shop(gateway, toy_config(gateway.url, postgres_dsn, timeout_s=2.0), kind, stack)


def test_database_that_is_away_503_and_the_provider_tries_again(
    postgres_shop: Shop, postgres_server: PostgresServer
) -> None:
    """Nothing is acknowledged that is not recorded; once the database is back the same notification is taken."""
    shop = postgres_shop
    shop.serve(answer_s=1.0)
    payment, body, headers = shop.paid()
    postgres_server.stop("immediate")
    try:
        answers = [shop.post(body, headers) for _ in range(2)]
    finally:
        postgres_server.start()
    assert {(answer.status_code, answer.content) for answer in answers} == {(503, b"send it again later")}
    assert {answer.headers["retry-after"] for answer in answers} == {"10"}
    for _ in range(20):
        if shop.post(body, headers).status_code == 200:
            break
    assert shop.pay.get(payment.id).status is Status.PAID
    assert len(shop.pay.events(payment.id)) == shop.pay.get(payment.id).version


def test_session_that_does_not_open_503(shop: Shop, gateway: ToyServer) -> None:
    """Without its session the provider can't verify: not forged, not taken, and taken when it comes again."""
    shop.config = toy_config(gateway.url, shop.config.ledger, provider="toy-session", timeout_s=2.0)
    shop.serve()
    _, body, headers = shop.paid()
    gateway.set_faults(lose_request=1, path="/token")
    assert shop.post(body, headers).status_code == 503
    assert shop.post(body, headers).status_code == 200


def test_session_put_off_503_says_when(shop: Shop, gateway: ToyServer) -> None:
    """Where the provider says how long, the sender is told."""
    shop.config = toy_config(gateway.url, shop.config.ledger, provider="toy-session", timeout_s=2.0)
    shop.serve()
    _, body, headers = shop.paid()
    gateway.set_faults(not_now=1, retry_after_s=41.5, path="/token")
    answer = shop.post(body, headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "42")


@pytest.mark.parametrize("verb", ["verify", "acknowledge"])
def test_plugin_that_fails_500(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    """A stranger is told nothing; the log names the plugin."""

    def broken(*_: Any) -> Any:
        raise RuntimeError(CANARY)

    shop.serve()
    _, body, headers = shop.paid()
    monkeypatch.setattr(ToyProvider, verb, broken)
    answer = shop.post(body, headers)
    assert (answer.status_code, answer.content) == (500, b"failed")
    assert "provider toy failed: RuntimeError in tests.web.test_troubles" in caplog.text


@pytest.mark.parametrize(
    "reply",
    [
        b"ok",
        None,
        Reply(status="200"),  # type: ignore[arg-type]
        Reply(status=100),
        Reply(status=600),
        Reply(content_type="text/plain\r\nX-Split: 1"),
        Reply(content_type="text/\u1234"),
        Reply(body="ok"),  # type: ignore[arg-type]
    ],
)
def test_acknowledgement_that_is_no_reply_500(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, reply: Any
) -> None:
    """It is recorded by then; the answer is an error, and the provider sends it again."""
    shop.serve()
    payment, body, headers = shop.paid()
    monkeypatch.setattr(ToyProvider, "acknowledge", lambda _: reply)
    answer = shop.post(body, headers)
    assert (answer.status_code, answer.content) == (500, b"failed")
    assert shop.pay.get(payment.id).status is Status.PAID
    monkeypatch.undo()
    assert shop.post(body, headers).status_code == 200


@pytest.mark.parametrize(
    "reply", [Reply(status=204), Reply(status=202, content_type="application/json", body=b'{"ok":true}')]
)
def test_answer_is_the_provider_s(shop: Shop, monkeypatch: pytest.MonkeyPatch, reply: Reply) -> None:
    """Status, type and body are as the provider wants them."""
    shop.serve()
    _, body, headers = shop.paid()
    monkeypatch.setattr(ToyProvider, "acknowledge", lambda _: reply)
    answer = shop.post(body, headers)
    got = (answer.status_code, answer.headers["content-type"], answer.content)
    assert got == (reply.status, reply.content_type, reply.body)


def test_bug_500_without_a_traceback_or_what_was_sent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Answer and log name the kind of error at most: its words may hold what a stranger sent."""
    shop.serve()
    _, body, headers = shop.paid()

    def broken(*_: Any, **given: Any) -> Any:
        raise ZeroDivisionError(f"{CANARY} {given}")

    for client in (Client, AsyncClient):
        monkeypatch.setattr(client, "receive", broken)
    answer = shop.post(body + CANARY.encode(), {**headers, "X-Canary": CANARY})
    assert (answer.status_code, answer.content) == (500, b"failed")
    assert "ZeroDivisionError" in caplog.text
    assert CANARY not in caplog.text


def test_refused_ones_are_logged_once_a_minute(
    shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key shows in the log, and a flood does not fill it; neither body nor signature stands there."""
    shop.serve()
    forged = {"X-Toy-Signature": CANARY}
    for _ in range(30):
        assert shop.post(CANARY.encode(), forged, "/toy?q=" + CANARY).status_code == 400
    (line,) = caplog.messages
    assert line == "account toy: a notification is refused: the toy's signature does not hold"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_unknown_accounts_are_not_logged(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A stranger who tries names fills no log, and nothing is kept of them."""
    shop.serve()
    with caplog.at_level(logging.INFO, "paycore"):
        answers = {shop.post(b"{}", {}, f"/account-{nth}").status_code for nth in range(20)}
    assert answers == {404}
    assert not caplog.messages
