"""A file that is there whole or not at all, readable by its owner alone."""

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
    What is written in the block is the file `name` once the block ends, on disk and under its name at once.

    Until then it is a hidden file beside it, which is gone when the block fails. Raises `UsageProblem`s that
    begin with `option`: also when the file is there already and not to be overwritten, or is a database.
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
    """Why what is there can't be replaced; empty when it can, or nothing is there."""
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
    # Made with mode 0600, whatever the umask.
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
    """The name, too, is to outlive a power cut, where the file system has a way to see to it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
