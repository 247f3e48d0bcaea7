"""
Secrets planted in settings appear in nothing paycore says, whatever goes wrong.

Each case makes something go wrong, checks that it did, and lets a witness look through all that was said.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from paycore import Client, PaycoreError, Status, load_config
from paycore.engine.plugins import Plugins
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
from paycore.testing.toy import ToyGateway, sign
from qfpay_alipay.sandbox import QFPaySandbox
from tests.cli.conftest import Cli
from tests.engine.tills import Kind, Till
from tests.hostile.canary import CANARIES, FORMS, Witness, forms, listening
from tests.hostile.gateway import Answer, Heard, Honest, HostileGateway, Part, hostile_gateway
from tests.hostile.leaky import LeakyPlugin, LeakyToy
from tests.hostile.replies import BODIES, HTTP, SLOW, body, fields, whole
from tests.hostile.shops import carrier

KEY, OLD_KEY, AUTH_CODE, PASSWORD = CANARIES.values()
KINDS: tuple[Kind, ...] = ("sync", "async")

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def witness() -> Iterator[Witness]:
    """Hears everything; at the end, no secret may have been in it."""
    with listening() as witness:
        yield witness
    assert witness.heard, "something was said"
    assert witness.leaks() == set()


@pytest.fixture(scope="module")
def truth() -> Iterator[SandboxServer]:
    """QFPay's sandbox, with the planted key."""
    settings = {"client_key": KEY, "rate_per_s": "0", "rate_per_min": "0"}
    with SandboxServer(QFPaySandbox(), settings=settings) as server:
        yield server


def write_config(folder: Path, url: str, truth: SandboxServer, **changes: str) -> Path:
    """One account of each provider, with its secrets from everywhere they may come from."""
    (folder / "old-key").write_text(f"{OLD_KEY}\n")
    (folder / "old-key").chmod(0o600)
    os.environ["CANARY_CLIENT_KEY"] = KEY
    lines = {
        "ledger": '"sqlite:///paycore.db"',
        "client_key": '[{ env = "CANARY_CLIENT_KEY" }, { file = "old-key" }]',
        "toy_key": f'["{KEY}", {{ file = "old-key" }}]',
        "timeout_s": "2.0",
        **changes,
    }
    path = folder / "paycore.toml"
    path.write_text(
        f"""
default_account = "qfpay"
ledger = {lines["ledger"]}

[accounts.qfpay]
provider = "qfpay-alipay"
mode = "sandbox"
region = "hk"
base_url = "{url}"
timeout_s = {lines["timeout_s"]}
app_code = "{truth.settings["app_code"]}"
client_key = {lines["client_key"]}

[accounts.toy]
provider = "toy"
mode = "sandbox"
base_url = "{url}"
timeout_s = {lines["timeout_s"]}
key = {lines["toy_key"]}
proof_s = 0.1
""",
        encoding="utf-8",
    )
    return path


class Scene:
    """A till with planted secrets, at a hostile gateway, and the witness."""

    def __init__(self, kind: Kind, gateway: HostileGateway, config: Path, witness: Witness) -> None:
        self.gateway = gateway
        self.witness = witness
        self.ledger = config.with_name("paycore.db")
        self.till = Till(kind, load_config(config), Plugins(extra=[("leaky", LeakyPlugin())]))

    def create(self, reference: str = "order-1", **changes: Any) -> Any:
        """What a creation comes to, a payment or an error; by a scanned code, which is a secret too."""
        fields = {"method": "alipay", "channel": "barcode", "auth_code": AUTH_CODE, **changes}
        return self.attempt(lambda: self.till.create(reference, **fields))

    def create_toy(self, **changes: Any) -> Any:
        """The same by the leaky toy."""
        return self.attempt(lambda: self.till.create(account="toy", **changes))

    def attempt(self, call: Callable[[], Any]) -> Any:
        """What a call returns or raises; heard either way."""
        try:
            came_to = call()
        except BaseException as error:
            self.witness.hear_error(error)
            return error
        self.witness.hear("result", came_to)
        return came_to

    def end(self) -> None:
        """Look through what is left, and close."""
        with suppress(PaycoreError):
            self.witness.hear_till(self.till)
        with suppress(PaycoreError):
            self.till.shutdown()
        if self.ledger.exists():
            with suppress(sqlite3.DatabaseError, LedgerError):
                self.witness.hear_ledger(self.ledger)


SetScene = Callable[..., Scene]


@pytest.fixture
def set_scene(truth: SandboxServer, witness: Witness, tmp_path: Path) -> Iterator[SetScene]:
    """Sets one scene; it is looked through when the test is over."""
    scenes: list[tuple[Scene, Any]] = []

    def set_scene(kind: Kind, *, toy: bool = False, **changes: str) -> Scene:
        gateway = HostileGateway(carrier(ToyGateway(key=KEY) if toy else truth))
        config = write_config(tmp_path, gateway.url, truth, **changes)
        scenes.append((Scene(kind, gateway, config, witness), gateway))
        return scenes[-1][0]

    LeakyToy.leaks, LeakyToy.how = "", "raise"
    yield set_scene
    LeakyToy.leaks, LeakyToy.how = "", "raise"
    for scene, gateway in scenes:
        scene.end()
        gateway.stop()


# --- hostile replies -----------------------------------------------------------------------------------


def echo(heard: Heard, _honest: Honest) -> Iterator[Part]:
    """Everything that was sent, back again as it came."""
    said = "\n".join([heard.path, *(f"{name}: {value}" for name, value in heard.headers.items())])
    yield whole(said.encode() + heard.body)


def refusal(words: str, respcd: str = "1104") -> Answer:
    """A refusal in these words."""
    document = {"respcd": respcd, "resperr": words, "respmsg": words, "errmsg": words}
    return body(lambda _: json.dumps(document).encode())


WORDS = f"auth_code {AUTH_CODE} is not valid; signed with {KEY} or {OLD_KEY}"
REPLIES: dict[str, tuple[Answer, Any]] = {
    "echo of the request": (echo, Status.UNKNOWN),
    "echo in a header": (
        lambda heard, honest: iter([whole(honest.body, status="500 No", x=heard.body.decode())]),
        Status.UNKNOWN,
    ),
    "echo in a redirect": (
        lambda heard, honest: iter([whole(b"", status="302 Found", location="/?" + heard.body.decode())]),
        Status.UNKNOWN,
    ),
    "refused in words with secrets": (refusal(WORDS, "1202"), Status.FAILED),
    "pay type refused in words with secrets": (refusal(WORDS, "1104"), AccountRefused),
    "credentials refused in words with secrets": (refusal(WORDS, "1108"), AccountRefused),
    "unknown code in words with secrets": (refusal(WORDS, "9999"), Status.UNKNOWN),
    "pending in words with secrets": (body(fields(respcd="1143", resperr=WORDS)), Status.PENDING),
    "paid in words with secrets": (body(fields(respcd="0000", syssn="2026112", resperr=WORDS)), Status.PAID),
    "HTML": (BODIES["HTML"], Status.UNKNOWN),
    "half of it": (BODIES["half of it"], Status.UNKNOWN),
    "100k nested": (BODIES["100k nested in a field"], Status.UNKNOWN),
    "bad UTF-8": (BODIES["bad UTF-8"], Status.UNKNOWN),
    "nothing": (HTTP["nothing"], Status.UNKNOWN),
    "not HTTP": (HTTP["SSH"], Status.UNKNOWN),
    "gzip": (HTTP["gzip"], Status.UNKNOWN),
    "302 to a script": (HTTP["302 to a script"], Status.UNKNOWN),
    "half a head": (HTTP["half a head"], Status.UNKNOWN),
    "an amount of a million digits": (body(fields(respcd="0000", txamt="9" * 10**5)), Status.UNKNOWN),
    "another amount": (
        body(fields(respcd="0000", syssn="2026112", txamt="1", txcurrcd="HKD")),
        Status.PENDING,
    ),
}


@kinds
@pytest.mark.parametrize("name", REPLIES)
def test_reply_brings_no_secret_out(set_scene: SetScene, kind: Kind, name: str) -> None:
    """Whatever answers a creation, a provider that repeats what it was sent included."""
    answer, expected = REPLIES[name]
    scene = set_scene(kind)
    with scene.gateway.answering(answer, "/trade/v1/payment"):
        came_to = scene.create()
    assert (came_to.status if isinstance(expected, Status) else type(came_to)) is expected, came_to


@kinds
@pytest.mark.parametrize("name", ["silence", "dripped body", "half a head, then silence"])
def test_silence_brings_no_secret_out(set_scene: SetScene, kind: Kind, name: str) -> None:
    """Nor does a deadline."""
    scene = set_scene(kind, timeout_s="0.4")
    with scene.gateway.answering(SLOW[name], "/trade/v1/payment"):
        assert scene.create().status is Status.UNKNOWN


@kinds
@pytest.mark.parametrize("words", [f"signed with {KEY}, not {OLD_KEY}", "x" * 240 + KEY])
def test_reply_to_query_refund_and_close_brings_no_secret_out(
    set_scene: SetScene, kind: Kind, words: str
) -> None:
    """Refusals and unknown codes of the other verbs, in words with secrets; cut off in the middle of one, too."""
    scene = set_scene(kind)
    payment = scene.create(channel="qr", auth_code=None)
    assert payment.status is Status.PENDING
    with scene.gateway.answering(refusal(words, "1108"), "/trade/v1/query"):
        assert isinstance(scene.attempt(lambda: scene.till.query(payment)), AccountRefused)
    with scene.gateway.answering(refusal(words, "9999"), "/trade/v1/query"):
        assert isinstance(scene.attempt(lambda: scene.till.query(payment)), MaybeSent)
    with scene.gateway.answering(refusal(words, "1104"), "/trade/v1/"):
        came_to = scene.attempt(lambda: scene.till.close(payment))
    assert isinstance(came_to, PaycoreError) or came_to.status is Status.PENDING
    with scene.gateway.answering(refusal(words, "1143"), "/trade/v1/payment"):
        assert scene.create("order-2").status in (Status.PENDING, Status.UNKNOWN)


@kinds
def test_link_with_a_secret_is_not_handed_out(set_scene: SetScene, kind: Kind) -> None:
    """A link that holds the key is not shown to the payer, nor kept."""
    scene = set_scene(kind)
    link = body(fields(pay_url=f"https://pay.example/?key={KEY}&old={OLD_KEY}"))
    with scene.gateway.answering(link, "/trade/v1/payment"):
        came_to = scene.create(channel="web", auth_code=None)
    assert isinstance(came_to, IncompleteReply), came_to


@kinds
def test_wrong_key_and_gateway_that_is_down_bring_no_secret_out(set_scene: SetScene, kind: Kind) -> None:
    """Credentials that are refused, then nobody who could refuse them."""
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
    ("create, what it asks", "-", "create", Status.PENDING),
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
def test_plugin_that_leaks_is_heard_without_its_secrets(
    set_scene: SetScene, kind: Kind, where: str, how: str, verb: str, expected: Any
) -> None:
    """A key in an error, in its cause, its notes, its attributes, its frames, or in what is returned."""
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
    """One verb at the leaky toy."""
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
def test_notification_that_is_refused_brings_no_secret_out(
    set_scene: SetScene, kind: Kind, body_: bytes
) -> None:
    """Forged, or signed and unreadable, even one that holds the secrets itself: not kept, not repeated."""
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
def test_ledger_that_breaks_brings_no_secret_out(set_scene: SetScene, kind: Kind, name: str) -> None:
    """Between the intent and the answer, with the scanned code on its way."""
    scene = set_scene(kind)
    ledger = scene.till._client._core.ledger

    def break_it(heard: Heard, honest: Honest) -> Iterator[Part]:
        with ledger._lock:
            ledger._writer.execute(BREAK[name])
        yield whole(honest.body)

    with scene.gateway.answering(break_it, "/trade/v1/payment"):
        came_to = scene.create(subject="x" * 20)
    again = scene.create("order-2")
    assert isinstance(came_to, LedgerError) or isinstance(again, LedgerError), (came_to, again)


def test_ledger_file_that_is_none_brings_no_secret_out(
    witness: Witness, truth: SandboxServer, tmp_path: Path
) -> None:
    """Garbage, even garbage with a secret in it, and a folder that is not there."""
    config = write_config(tmp_path, truth.url, truth)
    (tmp_path / "paycore.db").write_bytes(KEY.encode() * 1000)
    for ledger in ("sqlite:///paycore.db", "sqlite:///no/such/folder.db", f"sqlite:///{tmp_path}"):
        config.write_text(config.read_text().replace('"sqlite:///paycore.db"', f'"{ledger}"'))
        with pytest.raises(PaycoreError) as raised:
            Client(load_config(config))
        witness.hear_error(raised.value)


def asks_for_the_password(listener: socket.socket) -> None:
    """A server that says it is PostgreSQL, asks for the password in plain, and repeats what it was told."""
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
    """PostgreSQL that is down, that refuses in words with the password, and a DSN that can't be read."""
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
        witness.hear("config", load_config(config))
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


# --- configuration -------------------------------------------------------------------------------------

ACCOUNT = """[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
region = "hk"
base_url = "http://127.0.0.1:9"
app_code = "A"
client_key = "KEY"
"""
SECRET = KEY.replace("%", "%%")
WRONG: dict[str, tuple[str, str]] = {
    "unknown key": ('region = "hk"', f'region = "hk"\nclientkey = "{KEY}"'),
    "a key's name": ('region = "hk"', f'region = "hk"\n"{KEY}" = "client_key"'),
    "provider": ('"qfpay-alipay"', f'"{KEY}"'),
    "mode": ('"sandbox"', f'"{KEY}"'),
    "region": ('"hk"\n', f'"{KEY}"\n'),
    "sign_type": ('region = "hk"', f'region = "hk"\nsign_type = "{KEY}"'),
    "timezone": ('region = "hk"', f'region = "hk"\ntimezone = "{KEY}"'),
    "mchid": ('region = "hk"', f'region = "hk"\nmchid = "{KEY}"'),
    "udid": ('region = "hk"', f'region = "hk"\nudid = "{KEY * 2}"'),
    "close_requests": ('region = "hk"', f'region = "hk"\nclose_requests = {{ "{KEY}" = "POST close" }}'),
    "close_requests, its value": (
        'region = "hk"',
        f'region = "hk"\nclose_requests = {{ "801514" = "{KEY}" }}',
    ),
    "a flag": ('region = "hk"', f'region = "hk"\ntrust_notifications = "{KEY}"'),
    "timeout_s": ('region = "hk"', f'region = "hk"\ntimeout_s = "{KEY}"'),
    "base_url": ('"http://127.0.0.1:9"', f'"{KEY}"'),
    "base_url, as user": ('"http://127.0.0.1:9"', f'"http://u:{KEY}@127.0.0.1"'),
    "base_url, as query": ('"http://127.0.0.1:9"', f'"http://127.0.0.1/?key={KEY}"'),
    "a space in the key": ('"KEY"', f'"{KEY} {KEY}"'),
    "no ASCII in the key": ('"KEY"', f'"{KEY}é"'),
    "no ASCII in the app code": ('"A"', f'"{KEY}é"'),
    "one of two keys": ('"KEY"', f'["{KEY}", ""]'),
    "a number among keys": ('"KEY"', f'["{KEY}", 7]'),
    "as the variable's name": ('"KEY"', f'{{ env = "{KEY}" }}'),
    "as the file's name": ('"KEY"', f'{{ file = "{KEY}" }}'),
    "as the keyring's name": ('"KEY"', f'{{ keyring = "{KEY}" }}'),
    "in another pointer": ('"KEY"', f'{{ vault = "{KEY}" }}'),
    "in a pointer too many": ('"KEY"', f'{{ env = "A", file = "{KEY}" }}'),
    "in a list in a pointer": ('"KEY"', f'{{ env = ["{KEY}"] }}'),
    "a table deeper": ('"KEY"', f'{{ env = {{ file = "{KEY}" }} }}'),
    "live": ('mode = "sandbox"', 'mode = "live"'),
    "default_account": ("[accounts.hk]", f'default_account = "{KEY}"\n[accounts.hk]'),
    "ledger": ("[accounts.hk]", f'ledger = "{KEY}"\n[accounts.hk]'),
    "ledger of another kind": ("[accounts.hk]", f'ledger = "mysql://u:{KEY}@h/d"\n[accounts.hk]'),
    "ledger without a host": ("[accounts.hk]", f'ledger = "postgresql://u:{KEY}@:x/"\n[accounts.hk]'),
    "blocked_plugins": ("[accounts.hk]", f'blocked_plugins = "{KEY}"\n[accounts.hk]'),
    "blocked_plugins, a table": ("[accounts.hk]", f'blocked_plugins = [{{ a = "{KEY}" }}]\n[accounts.hk]'),
    "without quotes": ('"KEY"', KEY),
    "without an end": ('"KEY"', f'"{KEY}'),
    "twice": ('"KEY"', f'"{KEY}"\nclient_key = "{KEY}"'),
    "beside bad UTF-8": ('"KEY"', f'"{KEY}\udcff"'),
    "beside a number of 5,000 digits": ('"KEY"', f'"{KEY}"\nx = {"9" * 5000}'),
    "beside 100k of [": ('"KEY"', f'"{KEY}"\nx = {"[" * 100_000}'),
}


def wrong_config(name: str) -> Path:
    """A configuration with the key in a wrong place, in the working folder."""
    old, new = WRONG[name]
    text = ACCOUNT.replace(old, new, 1)
    if name == "live":
        text = text.replace('"KEY"', f'"{KEY}"').replace("http://127.0.0.1:9", "https://openapi-hk.qfapi.com")
    assert KEY in text
    path = Path("paycore.toml")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("name", WRONG)
def test_secret_in_a_wrong_place_of_the_configuration_is_not_repeated(witness: Witness, name: str) -> None:
    """The error names the place, and says what belongs there; what stands there it keeps to itself."""
    path = wrong_config(name)
    with pytest.raises((PaycoreError, AssertionError)) as raised, Client(path.absolute()) as client:
        client._core.accounts.get()
    assert isinstance(raised.value, ConfigError | LedgerUnavailable), raised.value
    assert (
        "paycore.toml" in str(raised.value)
        or "ledger" in str(raised.value)
        or "provider" in str(raised.value)
    )
    raised.value.__traceback__ = None  # our own frames hold what was read, as they must
    witness.hear_error(raised.value)


@pytest.mark.parametrize("name", WRONG)
def test_secret_in_a_wrong_place_is_not_printed(witness: Witness, cli: Cli, name: str) -> None:
    """The same on the command line: exit 6, one line or one JSON object, and no secret."""
    wrong_config(name)
    for more in ([], ["--json"]):
        ran = cli(*CREATE, *more)
        assert (ran.code, ran.out) == (6, ""), ran
        if more:
            assert ran.error["kind"] in ("ConfigError", "LedgerUnavailable")
        witness.hear("printed", ran)


# --- the command line ----------------------------------------------------------------------------------

CREATE = "create --reference order-1 --amount 88.00 --currency HKD --method alipay --channel qr".split()
SCANNED = [*CREATE[:-1], "barcode", "--auth-code", AUTH_CODE]


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("name", REPLIES)
def test_command_prints_no_secret(
    witness: Witness, truth: SandboxServer, cli: Cli, tmp_path: Path, name: str, form: list[str]
) -> None:
    """Payment, error and history, on stdout and stderr, plain and as JSON, whatever the provider answered."""
    answer, expected = REPLIES[name]
    with hostile_gateway(carrier(truth)) as gateway:
        write_config(tmp_path, gateway.url, truth)
        with gateway.answering(answer, "/trade/v1/payment"):
            ran = cli(*SCANNED, *form)
        shown = cli("show", "--reference", "order-1", *form)
        asked = cli("query", "--reference", "order-1", *form)
    exits = {Status.UNKNOWN: 5, Status.FAILED: 3, AccountRefused: 6, Status.PENDING: 0, Status.PAID: 0}
    assert ran.code == (9 if name == "another amount" else exits[expected]), ran
    assert shown.code == 0, shown
    for said in (
        ran,
        shown,
        asked,
        cli("list", *form),
        cli("accounts", *form),
        cli("plugins", "list", *form),
    ):
        witness.hear("printed", said)
    witness.hear_ledger(tmp_path / "paycore.db")


@pytest.fixture
def leaky_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The leaky plugin, as if it were installed."""

    def with_the_leaky_one(self: Plugins, **options: Any) -> None:
        original(self, **{**options, "extra": [("leaky", LeakyPlugin())]})

    original = Plugins.__init__
    monkeypatch.setattr(Plugins, "__init__", with_the_leaky_one)
    yield
    LeakyToy.leaks, LeakyToy.how = "", "raise"


@pytest.mark.usefixtures("leaky_installed")
@pytest.mark.parametrize(
    ("where", "how", "code"),
    [
        ("settings", "raise", 6),
        ("check", "raise", 6),
        ("check", "refuse the field", 2),
        ("create, before it asks", "raise", 5),
        ("create, once it was answered", "raise", 5),
        ("create, once it was answered", "interrupt", 130),
        ("create, link", "-", 5),
        ("create, refusal", "-", 3),
        ("observer", "-", 0),
    ],
)
def test_command_with_a_plugin_that_leaks_prints_no_secret(
    witness: Witness, truth: SandboxServer, cli: Cli, where: str, how: str, code: int
) -> None:
    """A plugin's words are not printed either; the exit code says whether money may have moved."""
    LeakyToy.leaks, LeakyToy.how = where, how
    words = (
        "create --account toy --reference order-1 --amount 88.00 --currency HKD --method toy --channel web"
    )
    for form in ([], ["--json"]):
        with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
            write_config(Path.cwd(), gateway.url, truth, ledger=f'"sqlite:///paycore{len(form)}.db"')
            ran = cli(*words.split(), *form)
        assert ran.code == code, ran
        witness.hear("printed", ran)
        witness.hear("printed", cli("list", *form))
        witness.hear_ledger(Path.cwd() / f"paycore{len(form)}.db")


# A shell starts what runs in the background deaf to Ctrl-C.
INTERRUPTIBLE = """
import signal, sys
from paycore.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_command_that_is_interrupted_prints_no_secret(
    witness: Witness, truth: SandboxServer, tmp_path: Path, form: list[str]
) -> None:
    """Ctrl-C while the provider keeps silent, in a process of its own: exit 130, no traceback, no secret."""
    with hostile_gateway(carrier(truth)) as gateway:
        write_config(tmp_path, gateway.url, truth, timeout_s="30")
        with gateway.answering(SLOW["silence"], "/trade/v1/payment"):
            process = subprocess.Popen(
                [sys.executable, "-c", INTERRUPTIBLE, *SCANNED, *form],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=tmp_path,
            )
            until = time.monotonic() + 20
            while not gateway.asked("/trade/v1/payment") and time.monotonic() < until:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    witness.hear("printed", out + err)
    witness.hear_ledger(tmp_path / "paycore.db")


# --- the witness itself --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", list(forms(KEY)))
def test_witness_knows_a_secret_in_every_form(form: str) -> None:
    """The control: each form is noticed, in text and in bytes, alone and between other letters."""
    written = forms(KEY)[form]
    assert len(written) >= 16
    for said in (written, b"before " + written + b" after"):
        witness = Witness()
        witness.hear("somewhere", said)
        assert any(leak.startswith("key, ") for leak in witness.leaks())


@pytest.mark.parametrize("prefix", ["", "a", "ab", "abc", "key="])
def test_witness_knows_base64_of_a_text_with_the_secret_in_it(prefix: str) -> None:
    """Whatever stands before it."""
    witness = Witness()
    witness.hear("somewhere", base64.b64encode(f"{prefix}{KEY}&more".encode()))
    witness.hear("elsewhere", base64.urlsafe_b64encode(f"{prefix}{OLD_KEY}&more".encode()))
    assert {leak.split(",")[0] for leak in witness.leaks()} == {"key", "old key"}


def test_witness_hears_logs_errors_and_rows(tmp_path: Path) -> None:
    """The control: a planted leak in each place is found there."""
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
