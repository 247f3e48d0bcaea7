"""
The ledger in a PostgreSQL database, shared by any number of hosts.

One thread with one connection writes, with group commit; a few threads with a connection each read; changes of
other processes arrive by LISTEN. A transaction holds row locks only. When two processes deadlock, PostgreSQL
aborts one, and its group is run again.

When the connection is lost during a commit, its result is unknown. Each transaction writes its number to the
ledger's row in `writers`, and that row is read afterwards. It is read with a lock, which waits for a server
process that is still committing.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import psycopg

from paycore.errors import ConfigError, LedgerUnavailable
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import KEEP_STEP, STANDING, LedgerClock, from_ms, whole_ms
from paycore.ledger.group import Group
from paycore.ledger.groupcommit import GroupCommit
from paycore.ledger.migrations import META, SCHEMA, check_current, pending
from paycore.ledger.postgres.listener import CHANNEL, Listener
from paycore.ledger.postgres.server import PATIENCE_S, PgServer, is_lost
from paycore.ledger.transaction import AgainError, Row, Transaction

T = TypeVar("T")

READERS_MAX = 4
"""Threads and connections for reads; more than this only queue in the server (measured)."""

NOTIFY_MAX = 250
"""Payment ids in one notification: 26 characters each, and PostgreSQL limits it to 8000 bytes."""

_MIGRATION_LOCK = 0x70617963  # "payc"
_DEADLOCK = ("40P01", "40001", "55P03")

_REGISTER = "INSERT INTO writers (id, commits) VALUES (%s, 0) ON CONFLICT DO NOTHING"
_FORGET_DEAD = "DELETE FROM writers WHERE seen_at < clock_timestamp() - interval '30 days'"
_MARK = "UPDATE writers SET commits = %s, seen_at = clock_timestamp() WHERE id = %s"
_COMMITTED = "SELECT commits FROM writers WHERE id = %s FOR UPDATE"
_STANDING = f"SELECT {SCHEMA}, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, {STANDING}"  # noqa: S608 - all ours

_WRITING_EVENTS = (
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND relation = 'events'::regclass"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND mode = 'RowExclusiveLock' AND granted"
)


@lru_cache(maxsize=256)
def _sql(shared: str) -> bytes:
    """SQL with psycopg's parameter marks, which begin with a `%`."""
    return shared.replace("%", "%%").replace("?", "%s").encode()


class PostgresTransaction:
    """One open transaction on a connection."""

    for_update = " FOR UPDATE"
    skip_locked = " FOR UPDATE SKIP LOCKED"
    no_index = ""
    writing_events = _WRITING_EVENTS
    error = psycopg.Error

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> psycopg.Cursor[Any]:
        """Run a statement."""
        return self._connection.execute(_sql(sql), parameters)

    def executemany(self, sql: str, rows: Collection[Row], /) -> psycopg.Cursor[Any]:
        """Run a statement that writes once for each row of parameters."""
        cursor = self._connection.cursor()
        cursor.executemany(_sql(sql), rows)
        return cursor

    def in_list(self, values: Collection[str]) -> tuple[str, object]:
        """One array parameter, so that any number of values is one prepared statement."""
        return "= ANY(?)", list(values)


class PostgresLedger(SqlLedger):
    """
    A `Ledger` in the database at `dsn`, created and migrated when it is opened.

    `patience_s` is how long a call waits for a database that can't be reached. Raises `LedgerError`s that say
    what to do; none contains the DSN's password.
    """

    dialect = "postgres"

    def __init__(self, dsn: str, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__()
        self._server = PgServer(dsn, patience_s=patience_s)
        self._writer: psycopg.Connection[Any] | None = self._server.connect()
        self._id, self._commit_number, self._is_registered = secrets.token_hex(16), 0, False
        self._read_at, self._database_time = 0.0, from_ms(0)
        self._clock = LedgerClock(self._database_now)
        self._typed(self._check_encoding)
        self._typed(self._migrate)
        self._typed(self._catch_up)
        self._readers = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="paycore-read")
        self._reading = threading.local()
        self._open_readers: list[psycopg.Connection[Any]] = []
        self._listener: Listener | None = None
        self._commits = GroupCommit(self._transaction, name="paycore-ledger")
        self._finish_upgrade()

    def __repr__(self) -> str:
        return f"PostgresLedger({self._server.name!r})"

    # --- writing -------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, meanwhile: Callable[[], None]) -> Iterator[Group]:
        meanwhile()  # every statement waits for the server
        self._commit_number += 1
        connection = self._registered()
        try:
            group = Group(PostgresTransaction(connection), self._begin(connection))
            yield group
            with connection.pipeline():  # one round trip; nothing is committed where telling the others fails
                _notify(connection, sorted(group.changed))
                connection.execute("COMMIT")
        except psycopg.Error as error:
            self._after_error(error, connection)
        except BaseException:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise

    def _begin(self, connection: psycopg.Connection[Any]) -> datetime:
        """Begin the transaction, write its number and read its time, in one round trip."""
        with connection.pipeline():
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            marked = connection.execute(_MARK, (self._commit_number, self._id))
            standing = connection.execute(_STANDING)
        if marked.rowcount != 1:  # no write for a month: another writer removed the row
            self._is_registered = False
            raise AgainError(
                LedgerUnavailable(f"the ledger {self._server.name} has removed this writer's row")
            )
        return self._stand(connection, standing.fetchone())

    def _after_error(self, error: psycopg.Error, connection: psycopg.Connection[Any]) -> None:
        """After an error: return if the transaction was committed nevertheless, otherwise raise the typed error."""
        if is_lost(error, connection):
            self._drop_writer()
            if self._was_committed(self._commit_number):
                return
            raise AgainError(self._server.unavailable(error)) from None
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        typed = self._server.typed(error)
        if error.sqlstate in _DEADLOCK:
            raise AgainError(typed) from None
        self._check_upgraded(PostgresTransaction(connection))
        raise typed from error

    def _was_committed(self, number: int) -> bool:
        """Whether a commit took place whose answer was lost; `LedgerUnavailable` when that can't be found out."""
        give_up_at = time.monotonic() + self._server.patience_s
        while True:
            connection = self._connected()
            try:
                rows = connection.execute(_COMMITTED, (self._id,)).fetchall()
                return bool(rows) and rows[0][0] == number
            except psycopg.Error as error:
                self._drop_writer()
                if time.monotonic() > give_up_at:
                    raise self._server.unavailable(error) from None

    def _registered(self) -> psycopg.Connection[Any]:
        """The writer's connection; registers this ledger in `writers` first."""
        connection = self._connected()
        if not self._is_registered:
            try:
                check_current(self.dialect, connection.execute(f"SELECT {SCHEMA}").fetchall()[0][0])
                connection.execute(_FORGET_DEAD)
                connection.execute(_REGISTER, (self._id,))
            except psycopg.Error as error:
                if not is_lost(error, connection):
                    raise self._server.typed(error) from error
                self._drop_writer()
                raise AgainError(self._server.unavailable(error)) from None
            self._is_registered = True
        return connection

    def _connected(self) -> psycopg.Connection[Any]:
        if self._writer is None or self._writer.closed:
            self._writer = self._server.reconnect()
        return self._writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            with suppress(psycopg.Error):
                self._writer.close()
        self._writer = None

    # --- time ----------------------------------------------------------------------------------------

    def _database_now(self) -> datetime:
        """The database's clock at the last transaction, plus the time since."""
        return whole_ms(self._database_time + timedelta(seconds=time.monotonic() - self._read_at))

    def _stand(self, connection: psycopg.Connection[Any], row: Row | None) -> datetime:
        """The ledger's time; refuses a ledger that was upgraded since it was opened."""
        schema, now_ms, *standing = row or (0, 0, None, None, None)
        if schema != self._schema:
            check_current(self.dialect, schema)
        self._database_time, self._read_at = from_ms(now_ms), time.monotonic()
        now, step = self._clock.catch_up(*standing)
        if step is not None:
            connection.execute(_sql(KEEP_STEP), step)
        return now

    def _catch_up(self) -> None:
        connection = self._connected()
        self._stand(connection, connection.execute(_STANDING).fetchone())

    # --- reading and watching ------------------------------------------------------------------------

    def _read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read in a thread, so that no event loop waits for the database."""
        try:
            return self._readers.submit(self._read_here, work)
        except RuntimeError:
            closed: Future[T] = Future()
            closed.set_exception(LedgerUnavailable("the ledger is closed"))
            return closed

    def _read_here(self, work: Callable[[Transaction], T]) -> T:
        """Run a read on this thread's connection; again on a new one if it is lost."""
        give_up_at = time.monotonic() + self._server.patience_s
        while True:
            connection = self._reader()
            try:
                return self._read_in(PostgresTransaction(connection), work)
            except psycopg.Error as error:
                if not is_lost(error, connection):
                    raise self._server.typed(error) from error
                connection.close()
                if time.monotonic() > give_up_at:
                    raise self._server.unavailable(error) from None

    def _reader(self) -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any] | None = getattr(self._reading, "connection", None)
        if connection is None or connection.closed:
            connection = self._server.reconnect(read_only=True)
            self._reading.connection = connection
            self._open_readers = [reader for reader in self._open_readers if not reader.closed] + [connection]
        return connection

    def _start_watching(self) -> None:
        if self._listener is None:
            self._listener = Listener(self._server, self._call_watchers, self.now)

    # --- opening and closing -------------------------------------------------------------------------

    def _check_encoding(self) -> None:
        encoding = self._connected().info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise ConfigError(
                f"the database of the ledger {self._server.name} stores text as {encoding}, which can't hold what"
                " providers send; create one with ENCODING 'UTF8' (TEMPLATE template0)"
            )

    def _migrate(self) -> None:
        """Apply pending migrations while nobody writes; one process at a time."""
        connection = self._connected()
        if not pending(self.dialect, applied_migrations(connection)):
            return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            connection.execute(META[self.dialect].encode())
            # Every writing transaction reads this table first and holds a lock on it until it ends. So this waits for
            # those that are open, and later ones see the new schema.
            connection.execute("LOCK TABLE meta IN ACCESS EXCLUSIVE MODE")
            for migration in pending(self.dialect, applied_migrations(connection)):
                connection.execute(migration.sql.encode())
                connection.execute(
                    "INSERT INTO meta VALUES (%s, %s, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
                    (migration.number, migration.sha256),
                )

    def _typed(self, work: Callable[[], None]) -> None:
        """Run a step of opening; on any error close the connection."""
        try:
            work()
        except psycopg.Error as error:
            typed = self._server.typed(error)
            self._drop_writer()
            raise typed from error
        except BaseException:
            self._drop_writer()
            raise

    def _close(self) -> None:
        self._commits.close()
        if self._listener is not None:
            self._listener.close()
        self._readers.shutdown()
        for reader in self._open_readers:
            reader.close()
        if self._writer is not None and self._is_registered:
            with suppress(psycopg.Error):
                self._writer.execute("DELETE FROM writers WHERE id = %s", (self._id,))
        self._drop_writer()


def applied_migrations(connection: psycopg.Connection[Any]) -> dict[int, str]:
    """The checksum of each applied migration, by number."""
    (meta,) = connection.execute("SELECT to_regclass('meta')").fetchone() or (None,)
    return dict(connection.execute("SELECT schema, sha256 FROM meta").fetchall()) if meta else {}


def _notify(connection: psycopg.Connection[Any], changed: Sequence[str]) -> None:
    """Notify listeners when this transaction commits."""
    for start in range(0, len(changed), NOTIFY_MAX):
        payload = " ".join(changed[start : start + NOTIFY_MAX])
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
