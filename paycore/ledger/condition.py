"""
What is to be known of a ledger's file or database before anybody depends on it: room, version, rights.

Nothing here creates or migrates a ledger.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

import msgspec

from paycore.errors import LedgerUnavailable
from paycore.ledger.base import SqlLedger
from paycore.ledger.copying import tables
from paycore.ledger.group import Group
from paycore.ledger.migrations import newest_schema
from paycore.ledger.opening import SQLITE, open_as_it_is, open_ledger
from paycore.ledger.sqlite.file import typed_errors
from paycore.ledger.transaction import Transaction

WAL_RESET_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The first releases of each branch without the WAL-reset bug (https://sqlite.org/wal.html#walresetbug)."""

WAL_SINCE = (3, 7, 0)

_PROBE = "doctor"


def has_wal_reset_bug(version: str) -> bool:
    """Whether this SQLite may damage a database in WAL mode that two connections write to and checkpoint at once."""
    number = tuple(int(part) for part in version.split("."))
    is_mended = any(number[:2] == fixed[:2] and number >= fixed for fixed in WAL_RESET_FIXED)
    return WAL_SINCE <= number < WAL_RESET_FIXED[-1] and not is_mended


class FileCondition(msgspec.Struct, frozen=True, kw_only=True):
    """
    A SQLite ledger's file: the SQLite that reads it, and how much room there is, in bytes.

    `size` and `wal_size` are 0 where there is no file yet. `room`: what may still be written in its folder.
    """

    sqlite_version: str
    size: int
    wal_size: int
    room: int
    disk_size: int


def file_condition(dsn: str) -> FileCondition:
    """The condition of the SQLite ledger at `dsn`; `LedgerUnavailable` where its folder can't be looked at."""
    path = Path(dsn.removeprefix(SQLITE))
    with typed_errors(path):
        usage = shutil.disk_usage(path.resolve().parent)
    return FileCondition(
        sqlite_version=sqlite3.sqlite_version,
        size=_size(path),
        wal_size=_size(path.with_name(path.name + "-wal")),
        room=usage.free,
        disk_size=usage.total,
    )


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


class ServerCondition(msgspec.Struct, frozen=True, kw_only=True):
    """
    A PostgreSQL ledger's server: version, connections taken and allowed, and settings that decide what is kept.

    `size` is the database's, in bytes. `missing_rights` names the tables that this user may not read and write.
    """

    version: str
    is_standby: bool
    fsync: bool
    full_page_writes: bool
    connections: int
    connections_max: int
    size: int
    missing_rights: tuple[str, ...]


_SERVER = """
SELECT current_setting('server_version'), pg_is_in_recovery(), current_setting('fsync') = 'on',
       current_setting('full_page_writes') = 'on', (SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL),
       current_setting('max_connections')::int, pg_database_size(current_database())
"""
_RIGHTS = """
SELECT name FROM unnest(?::text[]) AS name WHERE to_regclass(name) IS NOT NULL
   AND NOT (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT'))
 UNION
SELECT name FROM unnest(?::text[]) AS name WHERE to_regclass(name) IS NOT NULL
   AND NOT has_table_privilege(name, 'UPDATE')
 ORDER BY 1
"""
_ONLY_ADDED_TO = frozenset({"events", "operations", "refunds", "charges", "provider_ids"})


def server_condition(dsn: str) -> ServerCondition:
    """The condition of the PostgreSQL ledger at `dsn`; raises what connecting to it raises."""
    ledger = open_as_it_is(dsn)
    try:
        (row,) = ledger.read(lambda tx: tx.execute(_SERVER).fetchall()).result()
        missing = ledger.read(_missing_rights).result()
    finally:
        ledger.close()
    version, is_standby, fsync, full_pages, connections, connections_max, size = row
    return ServerCondition(
        version=version,
        is_standby=is_standby,
        fsync=fsync,
        full_page_writes=full_pages,
        connections=connections,
        connections_max=connections_max,
        size=size,
        missing_rights=missing,
    )


def _missing_rights(tx: Transaction) -> tuple[str, ...]:
    names = [*(table.name for table in tables()), "workers", "writers"]
    changed = [name for name in names if name not in _ONLY_ADDED_TO]
    return tuple(name for (name,) in tx.execute(_RIGHTS, (names, changed)).fetchall())


# --- schema and writing ------------------------------------------------------------------------------


class SchemaFound(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's name without password, its schema (0: there is no ledger yet), and the one this paycore has."""

    name: str
    schema: int
    newest: int


def schema_found(dsn: str) -> SchemaFound:
    """The schema of whatever is at `dsn`; raises `LedgerError`s and `ConfigError` where nothing can be read there."""
    ledger = open_as_it_is(dsn)
    try:
        return SchemaFound(
            name=ledger.name,
            schema=max(ledger.applied(), default=0),
            newest=newest_schema(ledger.dialect),
        )
    finally:
        ledger.close()


def open_without_migrating(dsn: str) -> SqlLedger:
    """
    The ledger at `dsn`; `LedgerError` where it has not this paycore's schema, or can't be written.

    One transaction is written to prove it; it leaves nothing behind.
    """
    found = schema_found(dsn)
    if found.schema != found.newest:
        raise LedgerUnavailable(f"the ledger {found.name} has schema {found.schema}, and stays as it is")
    ledger = open_ledger(dsn)
    try:
        ledger.write(_prove_writable).result()
    except BaseException:
        ledger.close()
        raise
    return ledger


def _prove_writable(group: Group) -> None:
    """A row and back: pages are written, and nothing is different afterwards."""
    tx = group.direct()
    tx.execute("INSERT INTO workers VALUES (?, '', 0, ?, 0, 0) ON CONFLICT DO NOTHING", (_PROBE, "[]" * 4096))
    tx.execute("DELETE FROM workers WHERE id = ?", (_PROBE,))
