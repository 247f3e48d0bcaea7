"""The durable record: what was intended, sent and observed. The only SQL in paycore."""

from __future__ import annotations

from paycore.errors import ConfigError
from paycore.ledger.base import SqlLedger


def open_ledger(dsn: str) -> SqlLedger:
    """
    The ledger at `dsn`: `sqlite:////absolute/file.db` or `postgresql://user:password@host:5432/database`.

    Opened, made and migrated; raises `LedgerError`s, and `ConfigError` for a DSN of another kind or when
    the extra for PostgreSQL is missing. No error repeats the DSN's password.
    """
    if dsn.startswith("sqlite:///"):
        from paycore.ledger.sqlite import SqliteLedger

        return SqliteLedger(dsn.removeprefix("sqlite:///"))
    if dsn.startswith(("postgresql://", "postgres://")):
        try:
            from paycore.ledger.postgres import PostgresLedger
        except ImportError:
            raise ConfigError("ledger: PostgreSQL needs the extra: pip install 'paycore[postgres]'") from None
        return PostgresLedger(dsn)
    raise ConfigError("ledger: write sqlite:///file.db or postgresql://user:password@host:5432/database")
