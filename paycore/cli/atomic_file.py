"""Writes a file atomically, readable by its owner only."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from paycore.cli.endings import UsageProblem

_SQLITE = b"SQLite format 3\0"


@contextmanager
def whole_file(option: str, name: str, *, overwrite: bool) -> Iterator[BinaryIO]:
    """
    Write a temporary file beside `name`, and rename it to `name` when the block ends.

    Synced to disk first; removed when the block fails. Raises a `UsageProblem` beginning with `option` when the file
    can't be written, is a database, or exists and `overwrite` is false.
    """
    path = Path(name).resolve()
    try:
        problem = _problem(path, overwrite=overwrite)
        if problem:
            raise UsageProblem(f"{option}: {name} {problem}")
        with _hidden(path) as file:
            yield file
    except OSError as error:
        raise UsageProblem(f"{option}: {name} can't be written: {error.strerror}") from error


def _problem(path: Path, *, overwrite: bool) -> str:
    """Return why an existing file must not be replaced; empty when it may be, or does not exist."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return ""
    if not stat.S_ISREG(mode):
        return "is not a file"
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) == _SQLITE:
            return "is a database and stays as it is; name another file"
    return "" if overwrite else "is there already and stays as it is; name another, or add --overwrite"


@contextmanager
def _hidden(path: Path) -> Iterator[BinaryIO]:
    # mkstemp makes it with mode 0600, whatever the umask.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    hidden = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            yield file
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except BaseException:
        with suppress(OSError):
            hidden.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename durable, where the file system can sync a directory."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
