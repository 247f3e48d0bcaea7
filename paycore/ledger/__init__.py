"""The durable record: what was intended, sent and observed. The only SQL in paycore."""

from __future__ import annotations

from paycore.errors import ConfigError
from paycore.ledger.api import Ledger


def open_ledger(dsn: str) -> Ledger:
    """
    The ledger at `dsn`: `sqlite:////absolute/file.db`.

    Opened, made and migrated; raises `LedgerError`s, and `ConfigError` for a DSN of another kind.
    """
    if dsn.startswith("sqlite:///"):
        from paycore.ledger.sqlite import SqliteLedger

        return SqliteLedger(dsn.removeprefix("sqlite:///"))
    raise ConfigError("ledger: write sqlite:///file.db")
