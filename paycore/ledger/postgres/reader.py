"""Reads a ledger in a PostgreSQL database, on one connection that can't write."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg

from paycore.ledger.postgres.ledger import PostgresTransaction, applied_migrations
from paycore.ledger.postgres.server import PgServer, is_lost
from paycore.ledger.reads import ReadOnlyLedger
from paycore.ledger.transaction import Transaction

T = TypeVar("T")


class PostgresReader(ReadOnlyLedger):
    """The ledger in the database at `dsn`, which may be a standby. Does not reconnect."""

    dialect = "postgres"
    _begin_snapshot = (
        # Nobody waits for it, however long it takes.
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0"
    )

    def __init__(self, dsn: str) -> None:
        self._server = PgServer(dsn)
        self.name = self._server.name
        self._connection = self._server.connect(read_only=True)

    def applied(self) -> dict[int, str]:
        """See `ReadOnlyLedger.applied`."""
        return self._typed(lambda: applied_migrations(self._connection))

    def _run(self, work: Callable[[Transaction], T]) -> T:
        return self._typed(lambda: work(PostgresTransaction(self._connection)))

    def _typed(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except psycopg.Error as error:
            if is_lost(error, self._connection):
                raise self._server.unavailable(error) from None
            raise self._server.typed(error) from error

    def close(self) -> None:
        """See `ReadOnlyLedger.close`."""
        self._connection.close()
