"""Reads a ledger in a SQLite file without creating or changing it."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from paycore.errors import LedgerCorrupt, LedgerError, LedgerUnavailable
from paycore.ledger.reads import ReadOnlyLedger
from paycore.ledger.sqlite.file import BUSY_MAX_S, Connection, SqliteTransaction, typed_errors, usable_path
from paycore.ledger.transaction import Transaction

T = TypeVar("T")


class SqliteReader(ReadOnlyLedger):
    """
    The ledger in the file at `path`; without a file, no migration is applied and nothing can be read.

    Text that is not valid UTF-8 is read with replacement characters.
    """

    dialect = "sqlite"
    _begin_snapshot = "BEGIN"

    def __init__(self, path: str | Path) -> None:
        self._path = usable_path(path)
        self.name = str(self._path)
        self._connection = self._connect() if _is_there(self._path) else None

    def _connect(self) -> Connection:
        with typed_errors(self._path):
            connection = Connection(self._path, read_only=True, timeout_s=BUSY_MAX_S)
        connection.sqlite.text_factory = _text
        return connection

    def applied(self) -> dict[int, str]:
        """See `ReadOnlyLedger.applied`."""
        if self._connection is None:
            return {}
        tables = self._run(
            lambda tx: tx.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        )
        if not tables:
            return {}
        if ("meta",) not in tables:
            raise LedgerCorrupt(f"{self.name} is a database, but not a ledger; name a file of its own")
        return dict(self._run(lambda tx: tx.execute("SELECT schema, sha256 FROM meta").fetchall()))

    def _run(self, work: Callable[[Transaction], T]) -> T:
        assert self._connection is not None, "nothing is read where nothing is applied"
        with typed_errors(self._path), self._connection.lock:
            try:
                return work(SqliteTransaction(self._connection.sqlite))
            except sqlite3.OperationalError as error:
                raise _unreadable(self.name, error) or error from error

    def back_up(self, copy: sqlite3.Connection) -> None:
        """Copy the file as it is now into an empty one, while others may write to it."""
        assert self._connection is not None, "nothing is read where nothing is applied"
        with typed_errors(self._path), self._connection.lock:
            # All pages in one step: between two it would start anew whenever somebody has written.
            self._connection.sqlite.backup(copy, pages=-1)

    def close(self) -> None:
        """See `ReadOnlyLedger.close`."""
        if self._connection is not None:
            self._connection.close()


class Unreadable(str):
    """Text that is not valid UTF-8, with replacement characters; as a parameter to SQLite, the original bytes."""

    __slots__ = ("raw",)
    raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        """Decode the bytes that are stored."""
        text = super().__new__(cls, raw.decode(errors="replace"))
        text.raw = raw
        return text

    def __conform__(self, _protocol: object) -> bytes:
        """The value as a parameter of sqlite3."""
        return self.raw


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Unreadable(raw)


def _is_there(path: Path) -> bool:
    """Whether there is a file; `LedgerUnavailable` when it can't be read."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerUnavailable(f"the ledger {path} can't be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise LedgerUnavailable(f"the ledger {path} can't be read: it is not a file")
    # Not by opening it: see the module `file`.
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise LedgerUnavailable(f"the ledger {path} can't be read: {os.strerror(errno.EACCES)}")
    return True


def _unreadable(name: str, error: sqlite3.OperationalError) -> LedgerError | None:
    """The typed error of a failed read; None when it is the same as for a writer."""
    if error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return LedgerUnavailable(
            f"the ledger {name} can't be read: while no process has it open, reading it takes the right to"
            " write in its folder; run this as the user paycore runs as"
        )
    if error.sqlite_errorname == "SQLITE_ERROR":  # no such table, no such column
        return LedgerCorrupt(f"the tables in {name} are not paycore's ({error}); restore a backup")
    return None
