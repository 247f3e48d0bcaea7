"""The durable record: what was intended, sent and observed. The only SQL in paycore."""

from __future__ import annotations

from paycore.errors import ConfigError
from paycore.ledger.base import SqlLedger

SQLITE = "sqlite:///"


def open_ledger(dsn: str) -> SqlLedger:
    """
    The ledger at `dsn`: `sqlite:////absolute/file.db` or `postgresql://user:password@host:5432/database`.

    Opened, made and migrated; raises `LedgerError`s, and `ConfigError` for a DSN of another kind or when
    the extra for PostgreSQL is missing. No error repeats the DSN's password.
    """
    if is_sqlite(dsn):
        from paycore.ledger.sqlite import SqliteLedger

        return SqliteLedger(dsn.removeprefix(SQLITE))
    from paycore.ledger.postgres import PostgresLedger

    return PostgresLedger(dsn)


def is_sqlite(dsn: str) -> bool:
    """Whether it is a file; else it is PostgreSQL, and can be used. `ConfigError` when it is neither, or can't."""
    if dsn.startswith(SQLITE):
        return True
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise ConfigError("ledger: write sqlite:///file.db or postgresql://user:password@host:5432/database")
    try:
        from paycore.ledger.pgserver import PgServer  # noqa: F401 - it needs what the extra brings
    except ImportError:
        raise ConfigError("ledger: PostgreSQL needs the extra: pip install 'paycore[postgres]'") from None
    return False
