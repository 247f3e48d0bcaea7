"""Opens ledgers by their DSN: to write, to read only, and to migrate."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from paycore.errors import ConfigError, LedgerMissing, LedgerUnavailable, PaycoreError

if TYPE_CHECKING:
    from paycore.ledger.base import SqlLedger
    from paycore.ledger.reads import ReadOnlyLedger

SQLITE = "sqlite:///"


def open_ledger(dsn: str) -> SqlLedger:
    """
    Open the ledger at `dsn`: `sqlite:////absolute/file.db` or `postgresql://user@host:5432/database`.

    Creates and migrates it. Raises `LedgerError`s, and `ConfigError` for any other DSN or when the extra for
    PostgreSQL is missing. No error contains the DSN's password.
    """
    if is_sqlite(dsn):
        from paycore.ledger.sqlite.ledger import SqliteLedger

        return SqliteLedger(dsn.removeprefix(SQLITE))
    from paycore.ledger.postgres.ledger import PostgresLedger

    return PostgresLedger(dsn)


def open_read_only(dsn: str) -> ReadOnlyLedger:
    """
    Open the ledger at `dsn` for reading, without creating or migrating it.

    Raises `LedgerMissing` when there is none, `LedgerUnavailable` when it has an older schema, and what
    `open_ledger` raises.
    """
    try:
        ledger = open_as_it_is(dsn)
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
    What `migrate` did: the ledger's name without password, its schema before (0: there was none) and after.

    `namespaces`: by account, how many payments an upgrade has given the account's name as namespace, because an
    older payment had their reference.
    """

    name: str
    before: int
    after: int
    namespaces: Mapping[str, int] = {}


def migrate(dsn: str) -> Migrated:
    """Create the ledger at `dsn` or upgrade it to this paycore's schema; nothing to do when it has that already."""
    from paycore.ledger.upgrading import given_namespaces

    name, before = _schema(dsn)
    open_ledger(dsn).close()
    with closing(open_as_it_is(dsn)) as ledger:
        given: dict[str, int] = dict(ledger.read(given_namespaces).result())
    _, after = _schema(dsn)
    return Migrated(name=name, before=before, after=after, namespaces=given)


def name_of(dsn: str) -> str:
    """The name of the ledger at `dsn`, without its password; connects to it."""
    return _schema(dsn)[0]


def _schema(dsn: str) -> tuple[str, int]:
    """The ledger's name without password, and its schema; 0 when there is none yet."""
    with closing(open_as_it_is(dsn)) as ledger:
        return ledger.name, max(ledger.applied(), default=0)


def open_as_it_is(dsn: str) -> ReadOnlyLedger:
    """Open whatever is at `dsn` for reading: any schema, or no ledger at all, as `ReadOnlyLedger.applied` tells."""
    if is_sqlite(dsn):
        from paycore.ledger.sqlite.reader import SqliteReader

        return SqliteReader(dsn.removeprefix(SQLITE))
    from paycore.ledger.postgres.reader import PostgresReader

    return PostgresReader(dsn)


def _check_schema(ledger: ReadOnlyLedger) -> None:
    from paycore.ledger.migrations import pending

    applied = ledger.applied()
    if not applied:
        raise LedgerMissing(
            f"there is no ledger at {ledger.name}: check `ledger` in the configuration;"
            " the first payment creates one, and so does `paycore ledger migrate`"
        )
    missing = pending(ledger.dialect, applied)
    if missing:
        raise LedgerUnavailable(
            f"the ledger {ledger.name} has schema {max(applied)}, this paycore reads {missing[-1].number}:"
            " run `paycore ledger migrate` first"
        )


def is_sqlite(dsn: str) -> bool:
    """Whether `dsn` names a SQLite file; otherwise PostgreSQL. `ConfigError` when no ledger can be opened there."""
    problem = dsn_problem(dsn)
    if problem is None and not dsn.startswith(SQLITE) and not _has_driver():
        problem = "PostgreSQL needs the extra: pip install 'paycore[postgres]'"
    if problem is not None:
        raise ConfigError(f"ledger: {problem}")
    return dsn.startswith(SQLITE)


def dsn_problem(dsn: str) -> str | None:
    """
    Why no ledger can be at `dsn`, and what to write instead; None when one can. Never contains a password.

    The contents of a PostgreSQL DSN are checked only if the driver is installed.
    """
    if dsn.startswith(SQLITE):
        return _file_problem(dsn.removeprefix(SQLITE))
    if not dsn.startswith(("postgresql://", "postgres://")):
        return "write sqlite:///file.db or postgresql://user@host:5432/database"
    if not _has_driver():
        return None
    from paycore.ledger.postgres.server import address_problem

    return address_problem(dsn)


def _file_problem(path: str) -> str | None:
    if path.rpartition("/")[2] == ":memory:":
        return "a ledger in memory is lost when the process ends; name a file, such as sqlite:///paycore.db"
    return None if path else "name a file, such as sqlite:///paycore.db"


def _has_driver() -> bool:
    try:
        import paycore.ledger.postgres.server  # noqa: F401 - needs the driver
    except ImportError:
        return False
    return True
