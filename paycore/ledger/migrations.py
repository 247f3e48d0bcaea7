"""Which schema files a database needs: numbered, with checksums, forward only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from paycore.errors import LedgerCorrupt, LedgerTooNew, LedgerUnavailable

# Beside this file: importlib.resources takes longer to import than `list` takes to read the ledger.
_SCHEMA_FILES = Path(__file__).parent / "schema"

SCHEMA = "(SELECT max(schema) FROM meta)"
"""A column of a SELECT, for `check_current`. No migration changes the table `meta`."""

META = {
    "sqlite": "CREATE TABLE IF NOT EXISTS meta (schema INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, at INTEGER NOT NULL)",
    "postgres": "CREATE TABLE IF NOT EXISTS meta (schema int PRIMARY KEY, sha256 text NOT NULL, at bigint NOT NULL)",
}
"""Creates the table of applied migrations."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One schema file: its number, its SQL, and the SHA-256 (hex) of that SQL."""

    number: int
    sql: str
    sha256: str


@cache
def load_migrations(dialect: str) -> tuple[Migration, ...]:
    """All migrations of `dialect` ("sqlite" or "postgres"), in order."""
    migrations = []
    for file in sorted((_SCHEMA_FILES / dialect).glob("*.sql")):
        sql = file.read_text(encoding="utf-8")
        digest = hashlib.sha256(sql.encode()).hexdigest()
        migrations.append(Migration(number=int(file.name[:4]), sql=sql, sha256=digest))
    return tuple(migrations)


def pending(dialect: str, applied: Mapping[int, str]) -> tuple[Migration, ...]:
    """
    The migrations still to run, given the checksum of each one applied.

    Raises `LedgerTooNew` when the database is ahead of this paycore, `LedgerCorrupt` when an applied
    migration is not the one shipped.
    """
    check_known(dialect, max(applied, default=0))
    known = {migration.number: migration for migration in load_migrations(dialect)}
    for number, sha256 in applied.items():
        if known[number].sha256 != sha256:
            raise LedgerCorrupt(f"schema {number} in the ledger is not the one this paycore ships")
    return tuple(migration for number, migration in known.items() if number not in applied)


def check_known(dialect: str, schema: int) -> None:
    """Raise `LedgerTooNew` when this paycore does not know the ledger's newest schema."""
    newest = newest_schema(dialect)
    if schema > newest:
        raise LedgerTooNew(
            f"the ledger has schema {schema}, this paycore knows {newest}: upgrade paycore here too"
        )


def check_current(dialect: str, schema: int | None) -> None:
    """
    Check that the newest schema, read with `SCHEMA`, is still the one the ledger was opened with.

    Raises `LedgerTooNew` when the ledger was upgraded meanwhile, `LedgerUnavailable` when it was replaced by an
    older one.
    """
    check_known(dialect, schema or 0)
    newest = newest_schema(dialect)
    if schema != newest:
        raise LedgerUnavailable(
            f"the ledger has schema {schema or 0} and had {newest} when it was opened: another was put in its place;"
            " end every process that uses it, and start them again"
        )


def newest_schema(dialect: str) -> int:
    """The number of the newest schema this paycore knows."""
    return load_migrations(dialect)[-1].number
