"""A lock file that lets processes write in turn. The kernel releases the lock when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paycore.errors import LedgerUnavailable

WAIT_MAX_S = 15.0
"""Longer than any transaction takes; beyond it the holder is stopped or stuck."""

_PAUSE_S = 0.0005


class FileLock:
    """
    `with lock.held():` holds an exclusive `flock` on the file at `path`. Not reentrant; one for each ledger.

    Raises `LedgerUnavailable` when another process has held it for `wait_max_s` seconds.
    """

    def __init__(self, path: Path, *, wait_max_s: float = WAIT_MAX_S) -> None:
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
