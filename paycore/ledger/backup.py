"""
Backs a ledger up into one SQLite file, while others write to it.

A SQLite ledger is copied page by page, by SQLite's own online backup; one in PostgreSQL row by row, as by `copying`.
Either is made in a hidden folder beside the file, checked there and renamed: the file is whole, or not there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from paycore.errors import InvalidField, LedgerCorrupt, LedgerMissing, PaycoreError
from paycore.ledger.audit import verify
from paycore.ledger.copying import Progress, copy_ledger, row_count
from paycore.ledger.migrations import newest_schema
from paycore.ledger.opening import SQLITE, open_as_it_is
from paycore.ledger.reads import ReadOnlyLedger
from paycore.ledger.sqlite.file import typed_errors
from paycore.ledger.sqlite.mounts import network_file_system
from paycore.ledger.sqlite.reader import SqliteReader


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was backed up: the ledger's name without password, the file, and what it holds.

    `differences` counts what `verify` finds in it, as it does in the ledger; None for a ledger of another schema, which
    is checked for damage only.
    """

    source: str
    file: str
    payments: int
    events: int
    differences: int | None


def back_up(dsn: str, file: str | Path, *, progress: Progress = lambda _, __: None) -> BackedUp:
    """
    Back the ledger at `dsn` up into a new SQLite file, readable by its owner only.

    Raises `InvalidField` when the file exists or can't be made, `LedgerCorrupt` when the ledger is damaged, and
    `LedgerError`s. After an error there is no file.
    """
    target = Path(file).absolute()
    try:
        with closing(open_as_it_is(dsn)) as source:
            if not source.applied():
                raise LedgerMissing(f"there is no ledger at {source.name}: there is nothing to back up")
            with _whole(target) as made:
                if isinstance(source, SqliteReader):
                    _copy_pages(source, made)
                else:
                    copy_ledger(dsn, f"{SQLITE}{made}", progress=progress)
                _into_one_file(made)
                return _checked(source.name, made, target, progress)
    except PaycoreError as error:
        error.money_moved = "no"
        raise


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A path in a hidden folder beside `target`, renamed to it when the block ends; removed when it fails."""
    if target.exists():
        raise InvalidField("target", f"{target} is there already and stays as it is; name another file")
    kind = network_file_system(target.parent)
    if kind is not None:  # SQLite writes it, and its locks do not hold there
        raise InvalidField(
            "target",
            f"{target} is on a network file system ({kind}); back up to a local disk, and copy the file",
        )
    try:
        hidden = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part"))
    except OSError as error:
        raise InvalidField("target", f"{target} can't be written: {error.strerror}") from error
    try:
        made = hidden / target.name
        yield made
        _rename(made, target)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _rename(made: Path, target: Path) -> None:
    """Put the file in its place durably; not over another that was made meanwhile."""
    with typed_errors(target):
        try:
            os.link(made, target)  # unlike a rename, it replaces no other file
        except FileExistsError:
            raise InvalidField("target", f"{target} was made by somebody else meanwhile") from None
        except OSError:  # a file system without links
            made.rename(target)
        else:
            made.unlink()
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            with suppress(OSError):  # not every file system can
                os.fsync(folder)
        finally:
            os.close(folder)


def _copy_pages(source: SqliteReader, made: Path) -> None:
    with typed_errors(made):
        os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(made)) as copy:
            source.back_up(copy)


def _into_one_file(made: Path) -> None:
    """Leave nothing beside the file: what it needs is in it."""
    with typed_errors(made), closing(sqlite3.connect(made, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")


def _checked(name: str, made: Path, target: Path, progress: Progress) -> BackedUp:
    """Check the file before it gets its name."""
    with closing(open_as_it_is(f"{SQLITE}{made}")) as copy:
        problems = copy.read(lambda tx: tx.execute("PRAGMA integrity_check(1)").fetchall()).result()
        if problems != [("ok",)]:
            raise LedgerCorrupt(f"nothing was backed up, for {name} is damaged ({problems[0][0]})")
        is_current = max(copy.applied()) == newest_schema(copy.dialect)
        differences = _differences(copy, progress) if is_current else None
        return BackedUp(
            source=name,
            file=str(target),
            payments=row_count(copy, "payments"),
            events=row_count(copy, "events"),
            differences=differences,
        )


def _differences(copy: ReadOnlyLedger, progress: Progress) -> int:
    found = 0
    for count, verdict in enumerate(verify(copy), 1):
        found += verdict.difference is not None
        progress("verifying payments", count)
    return found
