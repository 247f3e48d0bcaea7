"""
Secrets planted in settings appear in no output of paycore, whatever goes wrong.

Each case causes an error, checks that it happened, and lets a witness search all output. The configuration and the
command line have separate modules.
"""

from __future__ import annotations

import base64
import json
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from paycore import Client, PaycoreError, Status, load_config
from paycore.errors import (
    AccountRefused,
    ConfigError,
    IncompleteReply,
    LedgerError,
    LedgerUnavailable,
    MaybeSent,
    NotAuthentic,
    NotificationError,
    NotSent,
    PluginError,
    RequestError,
)
from paycore.ledger import open_ledger
from paycore.sandbox.server import SandboxServer
from paycore.testing.toy import sign
from tests.engine.tills import Kind
from tests.hostile.canary import CANARIES, FORMS, Witness, forms, listening
from tests.hostile.gateway import Heard, Honest, Part
from tests.hostile.leaky import LeakyToy
from tests.hostile.replies import SLOW, body, fields, whole
from tests.hostile.scenes import (
    KEY,
    OLD_KEY,
    PASSWORD,
    REPLIES,
    WORDS,
    Scene,
    SetScene,
    refusal,
    write_config,
)

KINDS: tuple[Kind, ...] = ("sync", "async")
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("name", REPLIES)
def test_reply_shows_no_secret(set_scene: SetScene, kind: Kind, name: str) -> None:
    """Any answer to a creation, also one that repeats the request."""
    answer, expected = REPLIES[name]
    scene = set_scene(kind)
    with scene.gateway.answering(answer, "/trade/v1/payment"):
        came_to = scene.create()
    assert (came_to.status if isinstance(expected, Status) else type(came_to)) is expected, came_to


@kinds
@pytest.mark.parametrize("name", ["silence", "dripped body", "half a head, then silence"])
def test_timeout_shows_no_secret(set_scene: SetScene, kind: Kind, name: str) -> None:
    """A call that ends at its deadline."""
    scene = set_scene(kind, timeout_s="0.4")
    with scene.gateway.answering(SLOW[name], "/trade/v1/payment"):
        assert scene.create().status is Status.UNKNOWN


@kinds
@pytest.mark.parametrize("words", [f"signed with {KEY}, not {OLD_KEY}", "x" * 240 + KEY])
def test_reply_to_query_refund_and_close_shows_no_secret(set_scene: SetScene, kind: Kind, words: str) -> None:
    """Refusals and unknown codes whose messages hold secrets, also cut-off ones."""
    scene = set_scene(kind)
    payment = scene.create(channel="qr", auth_code=None)
    assert payment.status is Status.PENDING
    with scene.gateway.answering(refusal(words, "1108"), "/trade/v1/query"):
        assert isinstance(scene.attempt(lambda: scene.till.query(payment)), AccountRefused)
    with scene.gateway.answering(refusal(words, "9999"), "/trade/v1/query"):
        assert isinstance(scene.attempt(lambda: scene.till.query(payment)), NotSent)
    with scene.gateway.answering(refusal(words, "1104"), "/trade/v1/"):
        came_to = scene.attempt(lambda: scene.till.close(payment))
    assert isinstance(came_to, PaycoreError) or came_to.status is Status.PENDING
    with scene.gateway.answering(refusal(words, "1143"), "/trade/v1/payment"):
        assert scene.create("order-2").status in (Status.PENDING, Status.UNKNOWN)


@kinds
def test_link_with_a_secret_is_not_handed_out(set_scene: SetScene, kind: Kind) -> None:
    """A link that holds the key is neither shown nor kept."""
    scene = set_scene(kind)
    link = body(fields(pay_url=f"https://pay.example/?key={KEY}&old={OLD_KEY}"))
    with scene.gateway.answering(link, "/trade/v1/payment"):
        came_to = scene.create(channel="web", auth_code=None)
    assert isinstance(came_to, IncompleteReply), came_to


@kinds
def test_wrong_key_and_gateway_that_is_down_show_no_secret(set_scene: SetScene, kind: Kind) -> None:
    """Refused credentials, then no server at all."""
    scene = set_scene(kind, client_key='{ file = "old-key" }')
    refused = scene.create()
    assert isinstance(refused, AccountRefused), refused
    scene.gateway.stop()
    time.sleep(0.05)
    assert isinstance(scene.create("order-2"), NotSent | MaybeSent)
    assert isinstance(scene.create("order-3"), NotSent)


# --- a plugin that leaks -------------------------------------------------------------------------------

LEAKS: list[tuple[str, str, str, Any]] = [
    # (where it leaks, how, what is called, what that comes to)
    ("settings", "raise", "create", ConfigError),
    ("capabilities", "raise", "create", PluginError),
    ("check", "raise", "create", PluginError),
    ("check", "refuse the field", "create", RequestError),
    ("create, before it asks", "raise", "create", PluginError),
    ("create, once it was answered", "raise", "create", PluginError),
    ("create, path it asks", "-", "create", PluginError),
    ("create, header it sends", "-", "create", Status.PENDING),
    ("create, words", "-", "create", Status.PENDING),
    ("create, link", "-", "create", IncompleteReply),
    ("create, refusal", "-", "create", Status.FAILED),
    ("create, problem", "-", "create", IncompleteReply),
    ("create, nonsense", "-", "create", PluginError),
    ("create, once it was answered", "interrupt", "create", KeyboardInterrupt),
    ("query, before it asks", "raise", "query", PluginError),
    ("query, once it was answered", "raise", "query", PluginError),
    ("query, problem", "-", "query", MaybeSent),
    ("query, once it was answered", "raise", "wait", Status.PENDING),
    ("refund", "raise", "refund", PluginError),
    ("close", "raise", "close", PluginError),
    ("verify", "raise", "receive", PluginError),
    ("verify", "refuse the signature", "receive", NotAuthentic),
    ("verify", "refuse the bytes", "receive", NotificationError),
    ("acknowledge", "raise", "receive", PluginError),
    ("observer", "-", "create", Status.PENDING),
]


@kinds
@pytest.mark.parametrize(("where", "how", "verb", "expected"), LEAKS)
def test_plugin_that_leaks_shows_no_secret(
    set_scene: SetScene, kind: Kind, where: str, how: str, verb: str, expected: Any
) -> None:
    """A key in an error, its cause, notes, attributes or frames, or in a result."""
    scene = set_scene(kind, toy=True)
    channel = "card" if verb == "refund" else "web"
    payment = None if verb in ("create", "receive") else scene.create_toy(channel=channel)
    LeakyToy.leaks, LeakyToy.how = where, how
    came_to = call_toy(scene, verb, payment)
    if isinstance(expected, Status):
        assert came_to.status is expected, came_to
    else:
        assert isinstance(came_to, expected), came_to
    if isinstance(came_to, PluginError):
        assert "tests.hostile.leaky, line" in str(came_to) or "can't be recorded" in str(came_to)


def call_toy(scene: Scene, verb: str, payment: Any) -> Any:
    """One verb with the leaky toy."""
    record = b'{"number":"X","kind":"payment","id":"T","status":"paid","minor":1,"currency":"HKD"}'
    headers = {"x-toy-signature": sign(record, KEY)}
    calls: dict[str, Callable[[], Any]] = {
        "create": scene.till.create,
        "query": lambda: scene.till.query(payment),
        "wait": lambda: scene.till.wait(payment, 0.8),
        "refund": lambda: scene.till.refund(payment),
        "close": lambda: scene.till.close(payment),
        "receive": lambda: scene.till.receive(record, headers, "toy"),
    }
    return scene.create_toy() if verb == "create" else scene.attempt(calls[verb])


# --- notifications -------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize(
    "body_",
    [b"{}", WORDS.encode(), json.dumps({"out_trade_no": WORDS}).encode(), b"\xff" * 100, b"[" * 60_000],
)
def test_notification_that_is_refused_shows_no_secret(set_scene: SetScene, kind: Kind, body_: bytes) -> None:
    """Forged, or signed and unreadable, also with secrets in it: not kept, not repeated."""
    scene = set_scene(kind)
    forged = scene.attempt(lambda: scene.till.receive(body_, {"X-QF-SIGN": KEY}, "qfpay"))
    assert isinstance(forged, NotAuthentic)


# --- the ledger ----------------------------------------------------------------------------------------

BREAK = {
    "read-only": "PRAGMA query_only = ON",
    "with other tables": "ALTER TABLE operations RENAME TO others",
}


@kinds
@pytest.mark.parametrize("name", BREAK)
def test_ledger_that_breaks_shows_no_secret(set_scene: SetScene, kind: Kind, name: str) -> None:
    """A failure between intent and answer, while a scanned code is in use."""
    scene = set_scene(kind)
    ledger = scene.till._client._core.ledger

    def break_it(heard: Heard, honest: Honest) -> Iterator[Part]:
        with ledger._lock.held():
            ledger._writer.sqlite.execute(BREAK[name])
        yield whole(honest.body)

    with scene.gateway.answering(break_it, "/trade/v1/payment"):
        came_to = scene.create(subject="x" * 20)
    again = scene.create("order-2")
    assert isinstance(came_to, LedgerError) or isinstance(again, LedgerError), (came_to, again)


def test_invalid_ledger_file_shows_no_secret(witness: Witness, truth: SandboxServer, tmp_path: Path) -> None:
    """An invalid file, also with a secret in it, and a missing folder."""
    config = write_config(tmp_path, truth.url, truth)
    (tmp_path / "paycore.db").write_bytes(KEY.encode() * 1000)
    for ledger in ("sqlite:///paycore.db", "sqlite:///no/such/folder.db", f"sqlite:///{tmp_path}"):
        config.write_text(config.read_text().replace('"sqlite:///paycore.db"', f'"{ledger}"'))
        with pytest.raises(PaycoreError) as raised:
            Client(load_config(config))
        witness.hear_error(raised.value)


def asks_for_the_password(listener: socket.socket) -> None:
    """A server that pretends to be PostgreSQL, requests the password in plain text, and repeats it."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with closing(connection):
                connection.settimeout(2)
                connection.recv(65536)
                connection.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")
                told = connection.recv(65536)[5:].rstrip(b"\0")
                words = (
                    b"SFATAL\0VFATAL\0C28P01\0Mno role goes by "
                    + told
                    + b"\0D"
                    + told
                    + b"\0H"
                    + told
                    + b"\0\0"
                )
                connection.sendall(b"E" + (len(words) + 4).to_bytes(4, "big") + words)


@pytest.mark.parametrize("place", ["nobody there", "a server that repeats it", "no such option", "no port"])
def test_password_of_the_database_is_in_no_error(
    witness: Witness, truth: SandboxServer, tmp_path: Path, place: str
) -> None:
    """PostgreSQL down, a refusal that repeats the password, and an unreadable DSN."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=asks_for_the_password, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        user = f"postgresql://pay:{quote(PASSWORD, safe='')}@127.0.0.1"
        dsn = {
            "nobody there": f"{user}:1/pay",
            "a server that repeats it": f"{user}:{port}/pay?sslmode=disable&gssencmode=disable",
            "no such option": f"{user}/pay?no_such_option=1",
            "no port": f"{user}:port/pay",
        }[place]
        config = write_config(tmp_path, truth.url, truth, ledger=f'"{dsn}"')
        with pytest.raises((LedgerUnavailable, ConfigError)) as raised:
            Client(load_config(config))
        witness.hear_error(raised.value)
        with pytest.raises((LedgerUnavailable, ConfigError)) as opened:
            open_ledger(dsn)
        opened.value.__traceback__ = None  # whoever opens a ledger holds its DSN
        witness.hear_error(opened.value)
        listener.shutdown(socket.SHUT_RDWR)
    # What the driver logs of itself at DEBUG is what the server said; no PostgreSQL says passwords.
    witness.heard = [one for one in witness.heard if not one[0].endswith(" of psycopg")]


# --- the witness itself --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", list(forms(KEY)))
def test_witness_knows_a_secret_in_every_form(form: str) -> None:
    """The control: each form is found, in text and bytes, alone and inside other text."""
    written = forms(KEY)[form]
    assert len(written) >= 16
    for said in (written, b"before " + written + b" after"):
        witness = Witness()
        witness.hear("somewhere", said)
        assert any(leak.startswith("key, ") for leak in witness.leaks())


@pytest.mark.parametrize("prefix", ["", "a", "ab", "abc", "key="])
def test_witness_knows_base64_of_a_text_with_the_secret_in_it(prefix: str) -> None:
    """At each offset within the encoded text."""
    witness = Witness()
    witness.hear("somewhere", base64.b64encode(f"{prefix}{KEY}&more".encode()))
    witness.hear("elsewhere", base64.urlsafe_b64encode(f"{prefix}{OLD_KEY}&more".encode()))
    assert {leak.split(",")[0] for leak in witness.leaks()} == {"key", "old key"}


def test_witness_hears_logs_errors_and_rows(tmp_path: Path) -> None:
    """The control: a planted leak in each place is found."""
    with listening() as witness:
        logging.getLogger("some.library").debug("request %s", {"key": KEY})
        try:
            try:
                raise KeyError(OLD_KEY)
            except KeyError:
                raise ValueError("harmless words") from None
        except ValueError as error:
            witness.hear_error(error)
    with closing(sqlite3.connect(tmp_path / "rows.db")) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (?)", (PASSWORD,))
        database.commit()
    with suppress(PaycoreError):
        witness.hear_ledger(tmp_path / "rows.db")
    found = {leak.split(",")[0] + ":" + leak.rpartition(": ")[2].split(" ")[0] for leak in witness.leaks()}
    assert {"key:log", "old key:KeyError", "password:row", "password:file"} <= found
    assert len(FORMS) == len(CANARIES) * len(forms(KEY))
