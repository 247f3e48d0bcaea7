"""
Planted secrets, and a witness that searches everything paycore outputs for them.

Searched: log records of every logger at DEBUG with their tracebacks, errors with their chains,
stdout and stderr, reprs, every row and every byte of the ledger, its events and its export.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import traceback
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

from paycore import Event, Payment
from paycore.domain.codec import encode
from paycore.ledger import audit, open_ledger
from tests.engine.tills import Till

ROOT = Path(__file__).parents[2]
OURS = (str(ROOT / "paycore"), str(ROOT / "plugins/qfpay_alipay/qfpay_alipay"))

CANARIES: Mapping[str, str] = {
    "key": "KeY-7f3a+9c/41=CaNaRy%5&x<1>",
    "old key": "OlD-b2d8+07/e6=CaNaRy%5&x<2>",
    "auth code": "2838547023+56/157=CaNaRy%5&x",
    "password": "PwD-4e1c+88/a3=CaNaRy%5x3",
}
"""Planted in settings, in a scanned code and in a DSN. Each looks different in every encoding there is."""


def forms(secret: str) -> dict[str, bytes]:
    """The encodings of a secret, each long enough to exclude coincidence."""
    raw = secret.encode()
    written = {
        "plain": raw,
        "half of it": raw[: len(raw) * 2 // 3],
        "in JSON": json.dumps(secret)[1:-1].encode(),
        "in a repr": repr(secret)[1:-1].encode(),
        "in a URL": quote(secret, safe="").encode(),
        "in a form": quote_plus(secret).encode(),
        "in UTF-16": secret.encode("utf-16-le"),
        "in hex": raw.hex().encode(),
        "in capital hex": raw.hex().upper().encode(),
        "backwards": raw[::-1],
    }
    for shift in range(3):
        # What comes before decides how three bytes become four letters; the letters it shares are left out.
        letters = base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4]
        written[f"in base64, shifted by {shift}"] = letters
        written[f"in base64 for URLs, shifted by {shift}"] = letters.translate(bytes.maketrans(b"+/", b"-_"))
    return written


GIVEN = ("body", "headers")
"""Arguments of the client's verbs, as the caller gave them."""

FORMS = {
    f"{name}, {form}": written for name, secret in CANARIES.items() for form, written in forms(secret).items()
}


class Witness:
    """Collects output, and reports which secrets were in it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.errors: list[BaseException] = []
        self.records = 0

    def hear(self, where: str, said: object) -> None:
        """Collect something shown, written or returned."""
        if isinstance(said, bytes):
            self.heard.append((where, said))
            return
        try:
            text = f"{said!r} {said!s}"
        except AttributeError:  # an object whose making was broken off
            return
        self.heard.append((where, text.encode("utf-8", "surrogateescape")))
        if isinstance(said, Payment | Event):
            self.heard.append((f"{where} as JSON", encode(said)))

    def hear_error(self, error: BaseException) -> None:
        """
        Collect an error with its causes, contexts, attributes and notes, shown or not.

        Of paycore's frames in its traceback the variables are collected too, as error trackers send them,
        except the caller's arguments, which are in the caller's own frames as well.
        """
        self.errors.append(error)
        self.hear("traceback", "".join(traceback.format_exception(error)))
        seen: set[int] = set()
        waiting: list[BaseException | None] = [error]
        while waiting:
            one = waiting.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            self.hear(f"{type(one).__name__}", one)
            self.hear(f"{type(one).__name__}'s attributes", {**vars(one), "args": one.args})
            waiting += [one.__cause__, one.__context__]
            self._hear_frames(one)

    def _hear_frames(self, error: BaseException) -> None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if not frame.f_code.co_filename.startswith(OURS):
                continue
            for name, value in frame.f_locals.items():
                if name not in GIVEN:
                    self.hear(f"{name} in {frame.f_code.co_qualname}", value)

    def hear_till(self, till: Till) -> None:
        """Collect everything a program can print of a client."""
        client = till._client
        core = client._core
        accounts = [*core.config.accounts.values(), *core.accounts._ready.values()]
        providers = [account.provider for account in core.accounts._ready.values()]
        settings = [getattr(provider, "_settings", None) for provider in providers]
        for one in (client, core, core.config, core.plugins, core.ledger, *accounts, *providers, *settings):
            self.hear(f"a {type(one).__name__}", repr(one) + str(one))
        for runner_or_sender in (client._runner, *client._runner._senders.values()):
            self.hear("a sender", repr(runner_or_sender))
        for payment in till.list():
            self.hear("payment", payment)
            for event in till.events(payment):
                self.hear("event", event)

    def hear_ledger(self, path: Path) -> None:
        """Collect every row, every byte of every file, and the export."""
        for file in sorted(path.parent.glob(f"{path.name}*")):
            self.hear(f"file {file.name}", file.read_bytes())
        with closing(sqlite3.connect(path)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                for row in database.execute(f"SELECT * FROM {table}"):
                    self.hear(f"row of {table}", b" ".join(_bytes(value) for value in row))
        with closing(open_ledger(f"sqlite:///{path}")) as ledger:
            for line in audit.export(ledger):
                self.hear("export", line.encode())

    def leaks(self) -> set[str]:
        """Which secret was where, in which form."""
        return {
            f"{name}, {form}: {where}"
            for where, said in self.heard
            for name, form in (key.split(", ", 1) for key in FORMS)
            if FORMS[f"{name}, {form}"] in said
        }


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class _Ear(logging.Handler):
    def __init__(self, witness: Witness) -> None:
        super().__init__(logging.NOTSET)
        self._witness = witness

    def emit(self, record: logging.LogRecord) -> None:
        self._witness.records += 1
        self._witness.hear(f"log of {record.name}", logging.Formatter().format(record))
        self._witness.hear(f"log record of {record.name}", vars(record))
        if record.exc_info and record.exc_info[1] is not None:
            self._witness.hear_error(record.exc_info[1])


@contextmanager
def listening() -> Iterator[Witness]:
    """A witness of every present and future logger at DEBUG."""
    witness = Witness()
    ear = _Ear(witness)
    known = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    levels = {logger: logger.level for logger in [logging.root, *known]}
    logging.root.addHandler(ear)
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    try:
        yield witness
    finally:
        logging.root.removeHandler(ear)
        for logger, level in levels.items():
            logger.setLevel(level)
