"""
The ledger in one SQLite file: WAL, every commit flushed to disk, one writer thread, group commit.

A lock file beside the database is held during open, write, checkpoint and close. It lets processes write in
turn, and avoids the WAL-reset bug of SQLite 3.7.0 to 3.51.2 (https://sqlite.org/wal.html#walresetbug), which
needs two connections at once.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from paycore.errors import LedgerCorrupt, LedgerUnavailable
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import KEEP_STEP, STANDING, LedgerClock, to_ms, utc_now
from paycore.ledger.group import Group
from paycore.ledger.groupcommit import GroupCommit
from paycore.ledger.migrations import META, SCHEMA, check_current, pending
from paycore.ledger.sqlite.file import (
    BUSY_MAX_S,
    Connection,
    SqliteTransaction,
    check_own,
    ledger_error,
    make_private,
    typed_errors,
    usable_path,
)
from paycore.ledger.transaction import Row, Transaction

T = TypeVar("T")

WATCH_EVERY_S = 0.05
"""How often a watcher checks for commits of other processes; a check costs some microseconds."""

WAIT_MAX_S = 15.0
"""Longer than any transaction takes; beyond it the holder of the lock file is stopped or stuck."""

_PAUSE_S = 0.0005

BUSY_PAUSE_S = 0.002

_EVENTS_AFTER = "SELECT position, payment_id FROM events WHERE position > ? ORDER BY position"

_STANDING = f"SELECT {SCHEMA}, {STANDING}"


class SqliteLedger(SqlLedger):
    """
    A `Ledger` in the file at `path`, created and migrated when it is opened.

    `clock` is shared by all processes of one machine. `inline` commits in the caller's thread. `wait_max_s` is
    how long other processes may hold the file. Raises `LedgerError`s that say what is wrong with the file, and
    `ConfigError` when it is on a network file system.
    """

    dialect = "sqlite"

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], datetime] = utc_now,
        inline: bool = False,
        wait_max_s: float = WAIT_MAX_S,
    ) -> None:
        super().__init__()
        self.path = usable_path(path)
        # SQLite keeps both files while any process has them open.
        self._paths = (str(self.path), f"{self.path}-wal")
        self._wait_max_s = wait_max_s
        self._clock = LedgerClock(clock)
        with typed_errors(self.path):
            check_own(path, self.path)
            self._lock = FileLock(self.path.with_name(self.path.name + "-lock"), wait_max_s=wait_max_s)
            try:
                with self._lock.held():
                    make_private(self.path)
                    check_own(path, self.path)  # it may have been created meanwhile
                    self._writer = self._open(read_only=False)
                    self._migrate(self._writer.sqlite)
                    self._files = _identify(self._paths)
                self._reader = self._open(read_only=True)
            except BaseException:
                self._let_go()
                raise
        self._watching: threading.Thread | None = None
        self._stopping = threading.Event()
        self._commits = GroupCommit(self._transaction, name="paycore-ledger", inline=inline)
        self._finish_upgrade()

    # --- writing -------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, meanwhile: Callable[[], None]) -> Iterator[Group]:
        try:
            with self._lock.held(meanwhile), self._writer.lock:
                sqlite = self._writer.sqlite
                self._check_files()
                self._begin(sqlite, meanwhile)
                try:
                    yield Group(SqliteTransaction(sqlite), self._catch_up(sqlite))
                    sqlite.execute("COMMIT")
                except BaseException as error:
                    with suppress(sqlite3.Error):
                        sqlite.execute("ROLLBACK")
                    if isinstance(error, sqlite3.Error):
                        self._check_upgraded(SqliteTransaction(sqlite))
                    raise
        except (sqlite3.Error, OSError) as error:
            raise ledger_error(self.path, error) from error

    def _begin(self, sqlite: sqlite3.Connection, meanwhile: Callable[[], None]) -> None:
        """Take SQLite's own lock. Only programs that do not use the lock file can make this wait."""
        give_up_at = time.monotonic() + min(BUSY_MAX_S, self._wait_max_s)
        while True:
            try:
                sqlite.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                meanwhile()
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > give_up_at:
                    raise
                time.sleep(BUSY_PAUSE_S)
            else:
                return

    def _check_files(self) -> None:
        """Refuse to write to files that were removed or replaced: other processes would not find what is written."""
        if _identify(self._paths) != self._files:
            raise LedgerUnavailable(
                f"the ledger {self.path} or its -wal file was removed or replaced while this process had it"
                " open, so nothing more is written; end every process that uses it, put the files back (or a"
                " backup), and start them again"
            )

    def _catch_up(self, sqlite: sqlite3.Connection) -> datetime:
        """The ledger's time; refuses a ledger that was upgraded since it was opened."""
        schema, *standing = sqlite.execute(_STANDING).fetchone()
        if schema != self._schema:
            check_current(self.dialect, schema)
        now, step = self._clock.catch_up(*standing)
        if step is not None:
            sqlite.execute(KEEP_STEP, step)
        return now

    # --- reading and watching ------------------------------------------------------------------------

    def _read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read in the caller's thread: on a local file it takes microseconds."""
        future: Future[T] = Future()
        try:
            with typed_errors(self.path), self._reader.lock:
                future.set_result(self._read_in(SqliteTransaction(self._reader.sqlite), work))
        except Exception as error:  # noqa: BLE001 - the caller takes it out of the future
            future.set_exception(error)
        return future

    def _start_watching(self) -> None:
        if self._watching is not None:
            return
        # The position is read here, so that no change between `watch` and the first check is missed.
        with typed_errors(self.path):
            connection = self._open(read_only=True)
            with connection.lock:
                (position,) = connection.sqlite.execute(
                    "SELECT coalesce(max(position), 0) FROM events"
                ).fetchone()
        self._watching = threading.Thread(
            target=self._watch_others, args=(connection, position), name="paycore-watch", daemon=True
        )
        self._watching.start()

    def _watch_others(self, connection: Connection, position: int) -> None:
        """Check for commits of any process; `data_version` changes with each."""
        version = None
        while not self._stopping.wait(WATCH_EVERY_S):
            with suppress(sqlite3.Error):
                rows: list[Row] = []
                with connection.lock:
                    sqlite = connection.sqlite
                    (now_version,) = sqlite.execute("PRAGMA data_version").fetchone()
                    if now_version != version and self._watchers:
                        rows = sqlite.execute(_EVENTS_AFTER, (position,)).fetchall()
                position = rows[-1][0] if rows else position
                self._call_watchers({payment_id for _, payment_id in rows})
                version = now_version
        connection.close()

    # --- opening and closing -------------------------------------------------------------------------

    def _open(self, *, read_only: bool) -> Connection:
        connection = Connection(self.path, read_only=read_only, timeout_s=min(BUSY_MAX_S, self._wait_max_s))
        if read_only:
            return connection
        try:
            with connection.lock:
                connection.sqlite.execute("PRAGMA journal_mode = WAL")
                connection.sqlite.execute("PRAGMA synchronous = FULL")
                connection.sqlite.execute("PRAGMA foreign_keys = ON")
                connection.sqlite.execute("PRAGMA busy_timeout = 0")  # from here on `_begin` waits
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, sqlite: sqlite3.Connection) -> None:
        tables = {name for (name,) in sqlite.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "meta" not in tables:
            raise LedgerCorrupt(f"{self.path} is a database, but not a ledger; name a file of its own")
        sqlite.execute(META[self.dialect])
        applied = dict(sqlite.execute("SELECT schema, sha256 FROM meta").fetchall())
        for migration in pending(self.dialect, applied):
            at = to_ms(self.now())
            sqlite.executescript(
                f"BEGIN IMMEDIATE;\n{migration.sql}\n"
                f"INSERT INTO meta VALUES ({migration.number}, '{migration.sha256}', {at});\nCOMMIT;"
            )

    def _close(self) -> None:
        self._commits.close()
        self._stopping.set()
        if self._watching is not None and self._watching is not threading.current_thread():
            self._watching.join()
        self._reader.close()
        with typed_errors(self.path), self._lock.held():
            self._writer.close()
        self._lock.close()

    def _let_go(self) -> None:
        """Close what was opened before opening failed."""
        for name in ("_reader", "_writer", "_lock"):
            if name in vars(self):
                vars(self)[name].close()


def _identify(paths: Sequence[str]) -> list[tuple[int, int] | None]:
    """Device and inode of the file at each path, None where there is none."""
    found: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - at every commit, and `Path.stat` takes twice as long
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return found


# --- the lock file -----------------------------------------------------------------------------------


class FileLock:
    """
    `with lock.held():` holds an exclusive `flock` on the file at `path`. Not reentrant; one for each ledger.

    Raises `LedgerUnavailable` when another process has held it for `wait_max_s` seconds.
    """

    def __init__(self, path: Path, *, wait_max_s: float) -> None:
        self._path = path
        self._wait_max_s = wait_max_s
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _open_locks.add(self)

    @contextmanager
    def held(self, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the lock; `meanwhile` is called before waiting for another holder."""
        self._acquire(meanwhile)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _acquire(self, meanwhile: Callable[[], None]) -> None:
        give_up_at = time.monotonic() + self._wait_max_s
        while True:
            try:
                return fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                meanwhile()
                if time.monotonic() > give_up_at:
                    raise LedgerUnavailable(
                        f"another process has held {self._path} for {self._wait_max_s:g} s;"
                        f" find it (`fuser {self._path}`) and let it continue, or end it"
                    ) from None
                time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Close the file; it stays on disk."""
        _open_locks.discard(self)
        os.close(self._descriptor)


_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _close_in_child() -> None:
    """Close the inherited lock files: a child would keep a lock after its parent was killed."""
    for lock in tuple(_open_locks):
        lock.close()


os.register_at_fork(after_in_child=_close_in_child)
