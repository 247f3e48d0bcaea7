"""Opens ledgers by their DSN: to write, to read only, and to migrate."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import msgspec

from paycore.errors import ConfigError, LedgerMissing, LedgerUnavailable, PaycoreError
from paycore.ledger.base import SqlLedger
from paycore.ledger.migrations import pending
from paycore.ledger.reads import ReadOnlyLedger
from paycore.ledger.upgrading import given_namespaces

SQLITE = "sqlite:///"


def open_ledger(dsn: str) -> SqlLedger:
    """
    The ledger at `dsn`: `sqlite:////absolute/file.db` or `postgresql://user@host:5432/database`.

    Opened, made and migrated; raises `LedgerError`s, and `ConfigError` for a DSN of another kind or when
    the extra for PostgreSQL is missing. No error repeats the DSN's password.
    """
    if is_sqlite(dsn):
        from paycore.ledger.sqlite.ledger import SqliteLedger

        return SqliteLedger(dsn.removeprefix(SQLITE))
    from paycore.ledger.postgres.ledger import PostgresLedger

    return PostgresLedger(dsn)


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
        from paycore.ledger.sqlite.reader import SqliteReader

        return SqliteReader(dsn.removeprefix(SQLITE))
    from paycore.ledger.postgres.reader import PostgresReader

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


def is_sqlite(dsn: str) -> bool:
    """Whether it is a file; else it is PostgreSQL, and can be used. `ConfigError` when it is neither, or can't."""
    problem = dsn_problem(dsn)
    if problem is None and not dsn.startswith(SQLITE) and not _has_driver():
        problem = "PostgreSQL needs the extra: pip install 'paycore[postgres]'"
    if problem is not None:
        raise ConfigError(f"ledger: {problem}")
    return dsn.startswith(SQLITE)


def dsn_problem(dsn: str) -> str | None:
    """
    Why no ledger can be at `dsn`, and what to write instead; None when one can. Never repeats a password.

    What is in a PostgreSQL DSN is looked at only where its driver is installed.
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
        return "a ledger in memory would forget what was sent; name a file, such as sqlite:///paycore.db"
    return None if path else "name a file, such as sqlite:///paycore.db"


def _has_driver() -> bool:
    try:
        import paycore.ledger.postgres.server  # noqa: F401 - it needs what the extra brings
    except ImportError:
        return False
    return True
