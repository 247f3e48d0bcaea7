"""
Connections to SQLite files, opened and closed so that the locks of this process stay valid.

SQLite locks a file for the whole process (https://sqlite.org/howtocorrupt.html, sections 2.2 and 2.6):

- Closing any descriptor of the file drops all locks that the process has on it. So an existing database is opened
  by SQLite only; everything else uses `stat`.
- A forked process inherits connections that believe to hold locks, and SQLite takes no others for the same file.
  So the child closes them all before it can open its own. That is safe only while no connection is in use, or the
  child would undo half a transaction of its parent in the shared memory of the `-wal` file.

Other processes do not see a process that lost its locks. The last process they do see removes the `-wal` file, and
what is committed to it afterwards is lost.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from paycore.errors import (
    ConfigError,
    LedgerCorrupt,
    LedgerError,
    LedgerFull,
    LedgerReadOnly,
    LedgerUnavailable,
)
from paycore.ledger.ownership import ownership_problem
from paycore.ledger.sqlite.mounts import network_file_system

BUSY_MAX_S = 5.0
"""How long to wait for a program that locks the file without using the lock file."""

_BESIDE = ("-lock", "-wal", "-shm", "-journal")
"""The endings of the names of a ledger's other files."""


class Connection:
    """
    A connection to the database at `path`: use `sqlite` while you hold `lock`.

    `path` is absolute and contains no symbolic links. Raises `sqlite3.Error`s.
    """

    def __init__(self, path: Path, *, read_only: bool, timeout_s: float) -> None:
        self.lock = threading.RLock()
        with _forking:
            self.sqlite = sqlite3.connect(
                f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=timeout_s,
                cached_statements=256,
            )
            _connections.add(self)

    def close(self) -> None:
        """Wait until it is not in use, and close it."""
        with _forking, self.lock:
            _connections.discard(self)
            self.sqlite.close()


class SqliteTransaction:
    """One open transaction on a connection."""

    for_update = ""
    skip_locked = ""
    no_index = "+"
    writing_events = ""
    error = sqlite3.Error

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany

    def in_list(self, values: Collection[str]) -> tuple[str, object]:
        """One JSON parameter, so that any number of values is one cached statement."""
        return "IN (SELECT value FROM json_each(?))", msgspec.json.encode(list(values)).decode()


def usable_path(path: str | Path) -> Path:
    """
    The real path of the ledger at `path`, by which all processes find the same lock file and `-wal` file.

    Raises `ConfigError` for what is not a regular file, for a file with a second hard link, and on network file
    systems.
    """
    real = Path(os.path.realpath(path))
    if real.is_dir():
        raise ConfigError(f"the ledger {real} is a folder; name a file in it, such as {real / 'paycore.db'}")
    kind = network_file_system(real.parent)
    if kind is not None:
        raise ConfigError(
            f"the ledger {real} is on a network file system ({kind}), where locks do not hold;"
            " put it on a local disk, or use postgresql://"
        )
    if real.exists() and not real.is_file():
        raise ConfigError(f"the ledger {real} is not a regular file; name another")
    if real.is_file() and real.stat().st_nlink > 1:
        raise ConfigError(
            f"the ledger {real} has a second name (a hard link), under which it could be opened as another"
            f" ledger; find it (`find -samefile {real}`) and remove it"
        )
    return real


def check_own(path: str | Path, real: Path) -> None:
    """
    Raise `ConfigError` when others own or may change the ledger's files.

    `path` is the name as given, `real` the path it leads to.
    """
    for place in (Path(path), *(real.with_name(real.name + end) for end in _BESIDE)):
        problem = ownership_problem(place)
        if problem is not None:
            raise ConfigError(f"the ledger {real} is not used: {problem}")


def make_private(path: Path) -> None:
    """Create an empty file with mode 0600 unless there is one; SQLite gives its other files the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


# --- errors ------------------------------------------------------------------------------------------


@contextmanager
def typed_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into `LedgerError`s that say what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ledger_error(path, error) from error


def ledger_error(path: Path, error: sqlite3.Error | OSError) -> LedgerError:
    """The typed error for an error of SQLite or of the file system."""
    if isinstance(error, sqlite3.Error):
        return _sqlite_error(path, error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _read_only(path)
    is_nowhere = error.errno in (errno.ENOENT, errno.ENOTDIR)
    advice = f"; check that the folder {path.parent} exists" if is_nowhere else ""
    return LedgerUnavailable(f"the ledger {path} can't be opened: {error.strerror}{advice}")


def _sqlite_error(path: Path, error: sqlite3.Error) -> LedgerError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return _full(path)
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM")):
        return _read_only(path)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return LedgerCorrupt(f"the ledger {path} is damaged or is not a ledger; restore a backup")
    if str(error).startswith("Could not decode to UTF-8"):  # raised by the sqlite3 module, without a name
        return LedgerCorrupt(
            f"the ledger {path} contains bytes that are not valid UTF-8; run `paycore ledger verify`"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LedgerUnavailable(f"another program has kept the ledger {path} locked; find it and end it")
    return LedgerUnavailable(f"the ledger {path} can't be used: {error}")


def _full(path: Path) -> LedgerFull:
    return LedgerFull(f"no space left to write the ledger {path}; free some disk space")


def _read_only(path: Path) -> LedgerReadOnly:
    return LedgerReadOnly(f"the ledger {path} can't be written; check its permissions and its folder's")


# --- forking -----------------------------------------------------------------------------------------


_forking = threading.RLock()
_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


class _Fork(threading.local):
    """
    The locks this thread holds while it forks, and the exception that a signal handler raised meanwhile.

    Python ignores exceptions of fork hooks, and forks all the same. So the exception is kept until the fork is over.
    """

    def __init__(self) -> None:
        self.locks: list[threading.RLock] = []
        self.interruption: BaseException | None = None


_fork = _Fork()


def _before_fork() -> None:
    """Wait until no connection is in use."""
    _hold(_forking)
    for connection in tuple(_connections):
        _hold(connection.lock)


def _hold(lock: threading.RLock) -> None:
    if _is_owned(lock):
        return
    _fork.locks.append(lock)
    while not _is_owned(lock):
        try:
            lock.acquire()
        except BaseException as error:  # noqa: BLE001 - raised again after the fork
            _fork.interruption = error


def _is_owned(lock: threading.RLock) -> bool:
    """Whether this thread holds the lock: an exception may come right after `acquire` or `release` succeeded."""
    return bool(lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001


def _release() -> None:
    while _fork.locks:
        try:
            if _is_owned(_fork.locks[-1]):
                _fork.locks[-1].release()
            _fork.locks.pop()
        except BaseException as error:  # noqa: BLE001 - as above
            _fork.interruption = error


def _after_fork_in_parent() -> None:
    _release()
    error, _fork.interruption = _fork.interruption, None
    # Again, once this hook and those after it are over, also on a busy machine: what one of them raises is lost.
    if isinstance(error, KeyboardInterrupt):
        threading.Timer(0.1, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]).start()
    elif error is not None:
        raise error


def _after_fork_in_child() -> None:
    for connection in tuple(_connections):
        with suppress(sqlite3.Error):
            connection.sqlite.close()
    _connections.clear()
    _release()
    _fork.interruption = None  # it was the parent that was interrupted


# Twice: a signal that arrives just before a hook, for instance during the fork itself, ends the first call at once.
for _ in range(2):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
