"""Client certificates, at a real TLS server that asks for one; the server's own is verified all the same."""

import os
import shutil
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import certifi
import pytest

from paycore import Status, load_config
from paycore.engine import transport
from paycore.engine.accounts import Accounts
from paycore.errors import ConfigError, MaybeSent, NotSent
from paycore.plugin import Request
from paycore.testing.toy import ToyGateway
from tests.engine.tills import Kind, Till
from tests.support.toy_http import KEY, toy_plugins

PEM = Path(__file__).parents[1] / "support" / "tls"
"""
`authority.pem` signed `server.pem` (127.0.0.1) and `client.pem` (shop.example), which have their keys.

`stranger.pem` is called shop.example too, and signed by itself.
"""


class Bank(ThreadingHTTPServer):
    """The toy's gateway at a bank: it answers only who has a certificate of the authority."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, certificate: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gateway = ToyGateway(key=KEY)
        self.callers: list[str] = []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(PEM / certificate)
        self.tls.load_verify_locations(PEM / "authority.pem")
        self.tls.verify_mode = ssl.CERT_REQUIRED

    def get_request(self) -> Any:
        """The handshake takes place with the first read, in the connection's own thread."""
        connection, address = super().get_request()
        wrapped = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Handshakes that fail are what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bank

    def do_POST(self) -> None:
        subject = dict(pair for (pair,) in self.connection.getpeercert()["subject"])
        self.server.callers.append(subject["commonName"])
        body = self.rfile.read(int(self.headers["content-length"]))
        reply = self.server.gateway.handle(Request(method="POST", path=self.path, body=body)).body
        self.send_response(200)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: Any) -> None:
        """Not to the terminal."""


@contextmanager
def serving(certificate: str = "server.pem") -> Iterator[Bank]:
    bank = Bank(certificate)
    threading.Thread(target=bank.serve_forever, args=(0.05,), daemon=True).start()
    yield bank
    bank.shutdown()
    bank.server_close()


@pytest.fixture(autouse=True)
def _authority(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trusts the tests' authority in place of the world's."""
    monkeypatch.setattr(certifi, "where", lambda: str(PEM / "authority.pem"))
    transport._tls.cache_clear()
    yield
    transport._tls.cache_clear()


def certificate(folder: Path, name: str = "client.pem") -> Path:
    """A copy that only the user can read, beside the configuration."""
    shutil.copy(PEM / name, folder / "bank.pem")
    return private(folder / "bank.pem")


def private(file: Path) -> Path:
    file.chmod(0o600)
    return file


def write_config(folder: Path, port: int, *lines: str, mode: str = "test") -> Path:
    """One account at the bank."""
    path = folder / "paycore.toml"
    own = "\n".join(lines)
    path.write_text(
        f'[accounts.toy]\nprovider = "toy"\nmode = "{mode}"\nkey = ["{KEY}"]\nproof_s = 0.1\ntimeout_s = 2\n'
        f'base_url = "https://127.0.0.1:{port}"\n{own}\n'
    )
    return path


OURS = 'client_certificate = "bank.pem"'


@pytest.mark.parametrize("mode", ["test", "sandbox"])
def test_certificate_is_shown_to_who_asks_for_it(kind: Kind, tmp_path: Path, mode: str) -> None:
    """Payments are made and queried by the name in the certificate, which is beside the configuration."""
    certificate(tmp_path)
    with serving() as bank:
        till = Till(
            kind,
            load_config(write_config(tmp_path, bank.server_port, OURS, mode=mode)),
            toy_plugins(),
        )
        payment = till.create()
        assert payment.status is Status.PENDING
        bank.gateway.pay(payment.order_number)
        assert till.query(payment).status is Status.PAID
        till.shutdown()
        assert bank.callers == ["shop.example"] * 2


@pytest.mark.parametrize("name", ["", "stranger.pem"])
def test_without_a_certificate_of_the_authority_nothing_is_asked(
    kind: Kind, tmp_path: Path, name: str
) -> None:
    """The bank refuses the connection: no request reaches it, with no certificate or with a stranger's."""
    if name:
        certificate(tmp_path, name)
    with serving() as bank:
        config = load_config(write_config(tmp_path, bank.server_port, OURS if name else ""))
        till = Till(kind, config, toy_plugins())
        payment = till.create()
        assert payment.status is Status.UNKNOWN, "by TLS 1.3 the request goes out before the refusal comes in"
        with pytest.raises(MaybeSent, match="no answer came"):
            till.query(payment)
        assert bank.callers == []
        till.shutdown()
        certificate(tmp_path)
        mended = Till(kind, load_config(write_config(tmp_path, bank.server_port, OURS)), toy_plugins())
        assert mended.query(payment).status is Status.PENDING
        mended.shutdown()


def test_server_is_verified_with_a_client_certificate_too(kind: Kind, tmp_path: Path) -> None:
    """A certificate of ours is no reason to trust theirs."""
    certificate(tmp_path)
    with serving("stranger.pem") as bank:
        till = Till(kind, load_config(write_config(tmp_path, bank.server_port, OURS)), toy_plugins())
        with pytest.raises(NotSent, match="its TLS certificate is not valid"):
            till.create()
        assert bank.callers == []
        till.shutdown()


def make_link_to(path: Path) -> None:
    path.symlink_to("/dev/zero")


FILES: dict[str, tuple[Any, str]] = {
    "not there": (lambda _: None, "can't be read: No such file or directory"),
    "for all to read": (
        lambda file: Path(shutil.copy(PEM / "client.pem", file)).chmod(0o644),
        "others can read .*bank.pem; chmod 600 it",
    ),
    "a pipe": (lambda file: os.mkfifo(file, 0o600), "is no regular file"),
    "a device": (make_link_to, "is no regular file"),
    "no PEM": (
        lambda file: file.write_text("client"),
        "must be a PEM file with a certificate and its private",
    ),
    "empty": (lambda file: file.write_text(""), "must be a PEM file with a certificate and its private key"),
    "no key": (
        lambda file: shutil.copy(PEM / "authority.pem", file),
        "must be a PEM file with a certificate and its private key",
    ),
    "another's key": (
        lambda file: file.write_text(
            (PEM / "authority.pem").read_text()
            + (PEM / "client.pem").read_text().partition("-----END CERT")[2]
        ),
        "its private key is not that of its certificate",
    ),
    "a password": (
        lambda file: shutil.copy(PEM / "client-with-password.pem", file),
        "its private key has a password; write the key without one",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_certificate_that_can_not_be_used_is_an_error_of_the_configuration(tmp_path: Path, name: str) -> None:
    """Before anything is sent, naming the account and the file; nobody is asked for a password."""
    make, problem = FILES[name]
    make(tmp_path / "bank.pem")
    if name not in ("not there", "for all to read", "a device"):
        private(tmp_path / "bank.pem")
    config = load_config(write_config(tmp_path, 1, OURS))
    with pytest.raises(
        ConfigError, match=rf"paycore\.toml: accounts\.toy\.client_certificate: .*{problem}"
    ) as raised:
        Accounts(config, toy_plugins()).get()
    assert "PRIVATE KEY" not in str(raised.value)


def test_certificate_is_named_as_text(tmp_path: Path) -> None:
    """It is a file, whichever folder a command is run in; an absolute name is taken as it is."""
    with pytest.raises(ConfigError, match=r"accounts\.toy\.client_certificate: must be text in quotes"):
        load_config(write_config(tmp_path, 1, 'client_certificate = { file = "bank.pem" }'))
    (tmp_path / "elsewhere").mkdir()
    file = certificate(tmp_path / "elsewhere")
    config = load_config(write_config(tmp_path, 1, f'client_certificate = "{file}"'))
    account = Accounts(config, toy_plugins()).get()
    assert account.tls is not None
    assert (account.tls.verify_mode, account.tls.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_account_without_one_shows_none(tmp_path: Path) -> None:
    """Its connections are those of every other account."""
    assert Accounts(load_config(write_config(tmp_path, 1)), toy_plugins()).get().tls is None
