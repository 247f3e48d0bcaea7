"""The durable record: what was intended, sent and observed. The only SQL in paycore."""

from __future__ import annotations

from paycore.errors import ConfigError
from paycore.ledger.base import SqlLedger

SQLITE = "sqlite:///"


def open_ledger(dsn: str) -> SqlLedger:
    """
    The ledger at `dsn`: `sqlite:////absolute/file.db` or `postgresql://user@host:5432/database`.

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
    from paycore.ledger.pgserver import address_problem

    return address_problem(dsn)


def _file_problem(path: str) -> str | None:
    if path.rpartition("/")[2] == ":memory:":
        return "a ledger in memory would forget what was sent; name a file, such as sqlite:///paycore.db"
    return None if path else "name a file, such as sqlite:///paycore.db"


def _has_driver() -> bool:
    try:
        import paycore.ledger.pgserver  # noqa: F401 - it needs what the extra brings
    except ImportError:
        return False
    return True
