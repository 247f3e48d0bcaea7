"""Scenes for the canary: configurations with planted secrets, a till with a witness, replies that repeat secrets."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from paycore import PaycoreError, Status, load_config
from paycore.engine.plugins import Plugins
from paycore.errors import (
    AccountRefused,
    LedgerError,
)
from paycore.sandbox.server import SandboxServer
from tests.engine.tills import Kind, Till
from tests.hostile.canary import CANARIES, Witness
from tests.hostile.gateway import Answer, Heard, Honest, HostileGateway, Part
from tests.hostile.leaky import LeakyPlugin
from tests.hostile.replies import BODIES, HTTP, body, fields, whole

KEY, OLD_KEY, AUTH_CODE, PASSWORD = CANARIES.values()


def write_config(folder: Path, url: str, truth: SandboxServer, **changes: str) -> Path:
    """One account of each provider, with secrets from every source."""
    (folder / "old-key").write_text(f"{OLD_KEY}\n")
    (folder / "old-key").chmod(0o600)
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
        plugins = Plugins(extra=[("leaky", LeakyPlugin())])
        plugins.providers()  # registered before it leaks
        self.till = Till(kind, load_config(config), plugins)

    def create(self, reference: str = "order-1", **changes: Any) -> Any:
        """The result of a creation, a payment or an error, by a scanned code, which is a secret too."""
        fields = {"method": "alipay", "channel": "barcode", "auth_code": AUTH_CODE, **changes}
        return self.attempt(lambda: self.till.create(reference, **fields))

    def create_toy(self, **changes: Any) -> Any:
        """The same with the leaky toy."""
        return self.attempt(lambda: self.till.create(account="toy", **changes))

    def attempt(self, call: Callable[[], Any]) -> Any:
        """What a call returns or raises; collected either way."""
        try:
            came_to = call()
        except BaseException as error:
            self.witness.hear_error(error)
            return error
        self.witness.hear("result", came_to)
        return came_to

    def end(self) -> None:
        """Search what is left, and close."""
        with suppress(PaycoreError):
            self.witness.hear_till(self.till)
        with suppress(PaycoreError):
            self.till.shutdown()
        if self.ledger.exists():
            with suppress(sqlite3.DatabaseError, LedgerError):
                self.witness.hear_ledger(self.ledger)


SetScene = Callable[..., Scene]


def echo(heard: Heard, _honest: Honest) -> Iterator[Part]:
    """Everything that was sent, sent back."""
    said = "\n".join([heard.path, *(f"{name}: {value}" for name, value in heard.headers.items())])
    yield whole(said.encode() + heard.body)


def refusal(words: str, respcd: str = "1104") -> Answer:
    """A refusal with this message."""
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
