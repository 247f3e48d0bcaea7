"""
A ledger opened to be read as it is: never made, never migrated, by whoever has the right to read it.

For looking at what is there: to verify it, to hand it out, also on a copy or on a standby of PostgreSQL.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from typing import TypeVar

import msgspec

from paycore.errors import LedgerMissing, LedgerUnavailable, PaycoreError
from paycore.ledger import SQLITE, is_sqlite, open_ledger
from paycore.ledger.migrations import pending
from paycore.ledger.reads import LedgerReads
from paycore.ledger.session import Transaction
from paycore.ledger.upgrading import given_namespaces

T = TypeVar("T")


class ReadOnlyLedger(LedgerReads):
    """
    What is at one DSN, be it a ledger or not. Each database says how it is read.

    `name` can be shown: it has no password. `dialect` is that of the migrations.
    """

    name: str
    dialect: str

    @abstractmethod
    def applied(self) -> dict[int, str]:
        """The checksum of each migration that made it what it is; none where there is no ledger."""

    @abstractmethod
    def _run(self, work: Callable[[Transaction], T]) -> T:
        """Run a read; raises `LedgerError`s."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read here and now, on a connection that can't write."""
        future: Future[T] = Future()
        try:
            future.set_result(self._run(work))
        except Exception as error:  # noqa: BLE001 - the caller takes it out of the future
            if isinstance(error, PaycoreError):
                error.money_moved = "no"  # whatever else it means to a client that sends
            future.set_exception(error)
        return future


def open_read_only(dsn: str) -> ReadOnlyLedger:
    """
    The ledger at `dsn`, as it is.

    Raises `LedgerMissing` where there is none, `LedgerUnavailable` when it has an older schema, and what
    `open_ledger` raises.
    """
    try:
        ledger = _open(dsn)
        try:
            _check_schema(ledger)
        except BaseException:
            ledger.close()
            raise
    except PaycoreError as error:
        error.money_moved = "no"
        raise
    return ledger


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """
    A ledger by its public name, and the number of its schema before (0: there was none) and after.

    `namespaces` counts, by account, the payments whose namespace is their account's name since an upgrade:
    others had their reference before.
    """

    name: str
    before: int
    after: int
    namespaces: Mapping[str, int] = {}


def migrate(dsn: str) -> Migrated:
    """Make the ledger at `dsn`, or bring it to this paycore's schema; nothing when it has that already."""
    name, before = _schema(dsn)
    open_ledger(dsn).close()
    with closing(_open(dsn)) as ledger:
        given: dict[str, int] = dict(ledger.read(given_namespaces).result())
    _, after = _schema(dsn)
    return Migrated(name=name, before=before, after=after, namespaces=given)


def _schema(dsn: str) -> tuple[str, int]:
    """The ledger's public name and the number of its schema; 0 where there is none yet."""
    with closing(_open(dsn)) as ledger:
        return ledger.name, max(ledger.applied(), default=0)


def _open(dsn: str) -> ReadOnlyLedger:
    if is_sqlite(dsn):
        from paycore.ledger.readingsqlite import SqliteReader

        return SqliteReader(dsn.removeprefix(SQLITE))
    from paycore.ledger.readingpostgres import PostgresReader

    return PostgresReader(dsn)


def _check_schema(ledger: ReadOnlyLedger) -> None:
    applied = ledger.applied()
    if not applied:
        raise LedgerMissing(
            f"there is no ledger at {ledger.name}: check `ledger` in the configuration;"
            " the first payment makes one, and so does `paycore ledger migrate`"
        )
    missing = pending(ledger.dialect, applied)
    if missing:
        raise LedgerUnavailable(
            f"the ledger {ledger.name} has schema {max(applied)}, this paycore reads {missing[-1].number}:"
            " run `paycore ledger migrate` first"
        )
