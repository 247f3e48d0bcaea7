"""
This process's connections to SQLite files, kept within the rules that make other processes' locks hold.

SQLite locks a file for the process as a whole (https://sqlite.org/howtocorrupt.html, sections 2.2 and 2.6):

- Closing any other descriptor of the file drops all locks this process has on it. So a database that exists
  is never opened but by SQLite; to look at it there is `stat`.
- A forked process believes in its parent's locks and has none of them. So nothing is under way on any
  connection while a process forks, and the child closes all of them before it can open its own.

A process without its locks can't be seen by others, and the last process they see removes the journal (`-wal`): what
is committed to it afterwards is lost.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from paycore.errors import ConfigError
from paycore.ledger.ownership import ownership_problem
from paycore.ledger.sqlite.mounts import network_file_system

_BESIDE = ("-lock", "-wal", "-shm", "-journal")
"""What the names of a ledger's further files end with."""


class Connection:
    """
    A connection to the database at `path`: `with connection as sqlite:` uses it, one thread at a time.

    `path` is absolute and leads through no link. Raises `sqlite3.Error`s.
    """

    def __init__(self, path: Path, *, read_only: bool, timeout_s: float) -> None:
        self._using = threading.RLock()
        with _forking:
            self._sqlite = sqlite3.connect(
                f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=timeout_s,
                cached_statements=256,
            )
            _connections.add(self)

    def __enter__(self) -> sqlite3.Connection:
        self._using.acquire()
        return self._sqlite

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._using.release()

    def close(self) -> None:
        """Close it, once nobody uses it."""
        with _forking, self._using:
            _connections.discard(self)
            self._sqlite.close()

    @property
    def lock(self) -> threading.RLock:
        """Held by whoever uses it."""
        return self._using

    def abandon(self) -> None:
        """In a forked process, with nothing under way: SQLite forgets what it believes to have locked."""
        with suppress(sqlite3.Error):
            self._sqlite.close()


def usable_path(path: str | Path) -> Path:
    """
    Where the ledger at `path` really is, by one name for all processes: they meet at files named after it.

    Raises `ConfigError` for what is no regular file, and for a file that has several names or is on a network file
    system.
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
        raise ConfigError(f"the ledger {real} is no regular file; name another")
    if real.is_file() and real.stat().st_nlink > 1:
        raise ConfigError(
            f"the ledger {real} has a second name (a hard link), under which it could be opened as another"
            f" ledger; find it (`find -samefile {real}`) and remove it"
        )
    return real


def check_own(path: str | Path, real: Path) -> None:
    """`ConfigError` when the ledger at `path`, which is at `real`, or what is beside it is not the user's own."""
    for place in (Path(path), *(real.with_name(real.name + end) for end in _BESIDE)):
        problem = ownership_problem(place)
        if problem is not None:
            raise ConfigError(f"the ledger {real} is not used: {problem}")


def identify(paths: Iterable[str]) -> list[tuple[int, int] | None]:
    """Which files are at these paths, whatever they are called: device and inode of each, None where there is none."""
    return [_identity(path) for path in paths]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - at every commit, and `Path.stat` takes twice as long
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def make_private(path: Path) -> None:
    """Make an empty file for its owner alone, unless there is a file; SQLite gives its own files the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


# --- forking -----------------------------------------------------------------------------------------


_forking = threading.RLock()
_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


class _Fork:
    """
    What is held still during one fork.

    Python lets a fork go on whatever its hooks raise. So what a signal's handler raises here, Ctrl-C for
    instance, is kept until everything is held, and until everything is let go again.
    """

    def __init__(self) -> None:
        self._held: list[threading.RLock] = []
        self.is_ready = False
        self.interruption: BaseException | None = None

    def hold(self, lock: threading.RLock) -> None:
        """Wait for this lock, once."""
        if any(lock is held for held in self._held):
            return
        while not self._acquire(lock):
            pass
        self._held.append(lock)

    def _acquire(self, lock: threading.RLock) -> bool:
        try:
            return lock.acquire()
        except BaseException as error:  # noqa: BLE001 - raised again once the fork is over
            self.interruption = error
            return bool(lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001 - it may have come just after

    def let_go(self) -> None:
        """Release what is held."""
        while self._held:
            try:
                self._held[-1].release()
            except RuntimeError:
                pass  # released before, and interrupted then
            except BaseException as error:  # noqa: BLE001 - as above
                self.interruption = error
                continue
            self._held.pop()


class _Forks(threading.local):
    """Those under way in this thread, the innermost last: while one waits, a signal's handler may fork, too."""

    def __init__(self) -> None:
        self.under_way: list[_Fork] = []


_forks = _Forks()


def _before_fork() -> None:
    _forks.under_way.append(_Fork())
    _hold_still()


def _ready() -> None:
    if not _forks.under_way:
        _forks.under_way.append(_Fork())
    if _forks.under_way[-1].is_ready:
        return
    _hold_still()
    _forks.under_way[-1].is_ready = True


def _hold_still() -> None:
    fork = _forks.under_way[-1]
    fork.hold(_forking)
    for connection in tuple(_connections):
        fork.hold(connection.lock)


def _after_fork(*, in_child: bool) -> None:
    if not _forks.under_way or not _forks.under_way[-1].is_ready:
        return  # it is done, or an outer one is still waiting
    fork = _forks.under_way[-1]
    if in_child:
        for connection in tuple(_connections):
            connection.abandon()
        _connections.clear()
    fork.let_go()
    _forks.under_way.pop()
    if in_child:
        return  # it was the parent that was interrupted
    if isinstance(fork.interruption, KeyboardInterrupt):
        # Once this hook is over: Python swallows what is raised in here.
        threading.Timer(0.01, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]).start()
    elif fork.interruption is not None:
        raise fork.interruption


# Twice each: where a signal came before a hook begins, what its handler raises ends the first.
for _ in range(2):
    os.register_at_fork(before=_ready)
os.register_at_fork(before=_before_fork)  # the last one registered is called first
for _ in range(2):
    os.register_at_fork(
        after_in_parent=lambda: _after_fork(in_child=False),
        after_in_child=lambda: _after_fork(in_child=True),
    )
