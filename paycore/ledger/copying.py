"""
Copies a whole ledger into an empty one: between SQLite and PostgreSQL, either way.

The source is read in one snapshot while others may write to it. The target is written in one transaction, which commits
only once everything in it was read back, is the same, and follows from the events: whatever happens before, the target
stays empty. Nobody else can write to it meanwhile. Both are read in pages, so memory does not grow with the ledger.

Each event keeps its position, so consumers of the change feed go on where they were, and anchors stay valid. Positions
of a PostgreSQL database have gaps; `origin` tells `verify` so.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import cache, partial
from typing import NamedTuple, TypeVar

import msgspec

from paycore.errors import InvalidField, LedgerCorrupt, LedgerUnavailable, PaycoreError
from paycore.ledger.audit import verify
from paycore.ledger.group import Group
from paycore.ledger.history import Readable
from paycore.ledger.migrations import META, load_migrations
from paycore.ledger.opening import name_of, open_ledger, open_read_only
from paycore.ledger.reads import ReadOnlyLedger
from paycore.ledger.rows import is_storable
from paycore.ledger.transaction import Row, Transaction

T = TypeVar("T")

PAGE = 500
"""Rows read and written at once."""

PAGE_OF_LONG_ROWS = 16
"""The same for notifications: each may be as long as 1 MiB."""

Progress = Callable[[str, int], None]
"""Called now and then with what is being done and the number of rows so far."""

_ALONE: Mapping[str, Sequence[str]] = {
    "sqlite": (),  # the transaction holds the lock file
    "postgres": (
        "SET LOCAL idle_in_transaction_session_timeout = 0",  # between two statements a page of the source is read
        "LOCK TABLE meta IN ACCESS EXCLUSIVE MODE",  # whoever opens the ledger or writes to it reads this table first
    ),
}


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was copied; `source` and `target` are the ledgers' names without passwords.

    `missed` counts the events that were written to the source meanwhile, and are not in the target.
    """

    source: str
    target: str
    payments: int
    events: int
    notifications: int
    missed: int


def copy_ledger(source: str, target: str, *, progress: Progress = lambda _, __: None) -> Copied:
    """
    Copy the ledger at the DSN `source` into the one at `target`, which must be empty and is created if need be.

    Raises `InvalidField` when the target has anything in it, `LedgerCorrupt` when the source contradicts itself, and
    `LedgerError`s. After an error the target is empty.
    """
    try:
        with closing(open_read_only(source)) as here, closing(open_ledger(target)) as there:
            name = name_of(target)
            copying = _Copying(here, there.dialect, name, progress)
            with here.snapshot():
                try:
                    rows = there.write(copying.run).result()
                except BaseException:
                    copying.give_up()  # interrupted: it still runs, in the ledger's thread
                    raise
            return Copied(
                source=here.name,
                target=name,
                payments=rows["payments"],
                events=rows["events"],
                notifications=rows["inbox"],
                missed=row_count(here, "events") - rows["events"],
            )
    except PaycoreError as error:
        error.money_moved = "no"
        raise


class _Copying:
    """One copy; `run` is what the target's transaction does."""

    def __init__(self, source: ReadOnlyLedger, dialect: str, name: str, progress: Progress) -> None:
        self._source = source
        self._dialect = dialect
        self._name = name
        self._progress = progress
        self._is_given_up = False

    def give_up(self) -> None:
        """End it before it commits."""
        self._is_given_up = True

    def _tell(self, what: str, count: int) -> None:
        if self._is_given_up:
            raise LedgerUnavailable("nothing was copied, for it was interrupted")
        self._progress(what, count)

    def run(self, group: Group) -> Counter[str]:
        """Copy and verify; the number of rows by table."""
        tx = group.direct()
        for statement in _ALONE[self._dialect]:
            tx.execute(statement)
        for table in tables():
            if tx.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchall():  # noqa: S608 - ours
                raise InvalidField(
                    "target", f"must be an empty ledger, and {self._name} has rows in {table.name}"
                )
        counts: Counter[str] = Counter()
        target = _Inside(tx, self._dialect)
        for table in tables():
            counts[table.name] = self._copy(table, target)
        self._continue_positions(tx, counts["events"])
        self._verify(target)
        if self._dialect == "postgres":  # or it plans as for empty tables until it does so by itself
            tx.execute(f"ANALYZE {', '.join(counts)}")
        self._tell("committing payments", counts["payments"])
        return counts

    def _copy(self, table: Table, target: _Inside) -> int:
        """Copy a table's rows, read them back and compare; return how many there are."""
        copied = _Digest()
        insert = table.insert(self._dialect)
        for rows in _pages(self._source, table):
            _check_storable(table, rows, self._source.name)
            target.tx.executemany(insert, rows)
            copied.take(rows)
            self._tell(f"copying {table.name}", copied.count)
        stored = _Digest()
        for rows in _pages(target, table):
            stored.take(rows)
            self._tell(f"reading back {table.name}", stored.count)
        if (stored.count, stored.hex) != (copied.count, copied.hex):
            raise LedgerCorrupt(f"{self._name} did not keep the rows of {table.name} as they were written")
        return copied.count

    def _continue_positions(self, tx: Transaction, events: int) -> None:
        """Have the target's events follow on the copied ones, and note where those have gaps."""
        times = self._source.read(lambda tx: tx.execute("SELECT at, schema FROM meta").fetchall()).result()
        tx.executemany("UPDATE meta SET at = ? WHERE schema = ?", times)  # from when on its clock was kept
        if not events:
            return
        ((newest,),) = tx.execute("SELECT max(position) FROM events").fetchall()
        if self._dialect == "postgres":
            tx.execute("SELECT setval(pg_get_serial_sequence('events', 'position'), ?)", (newest,))
        elif self._source.dialect == "postgres":
            tx.execute("DELETE FROM origin")
            tx.execute("INSERT INTO origin (id, position, events) VALUES (1, ?, ?)", (newest, events))

    def _verify(self, target: _Inside) -> None:
        for count, verdict in enumerate(verify(target), 1):
            self._tell("verifying payments", count)
            if verdict.difference is not None:
                what = f"payment {verdict.payment_id}, " if verdict.payment_id else ""
                raise LedgerCorrupt(
                    f"nothing was copied, for {self._source.name} does not hold ({what}{verdict.difference.where});"
                    " run `paycore ledger verify` on it",
                    payment_id=verdict.payment_id,
                )


class _Inside:
    """The target as its own transaction sees it."""

    def __init__(self, tx: Transaction, dialect: str) -> None:
        self.tx = tx
        self.dialect = dialect

    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read in the transaction."""
        future: Future[T] = Future()
        future.set_result(work(self.tx))
        return future


class _Digest:
    """SHA-256 over rows, and their number."""

    def __init__(self) -> None:
        self.count = 0
        self._sha256 = hashlib.sha256()

    def take(self, rows: Sequence[Row]) -> None:
        """Add a page of rows."""
        for row in rows:
            self._sha256.update(msgspec.json.encode(row))
        self.count += len(rows)

    @property
    def hex(self) -> str:
        """The digest in hex."""
        return self._sha256.hexdigest()


# --- tables ------------------------------------------------------------------------------------------


class Table(NamedTuple):
    """A table that is copied: its columns, and those of its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    def insert(self, dialect: str) -> str:
        """The statement that writes a row."""
        # PostgreSQL gives an event its position unless it is told not to.
        overriding = " OVERRIDING SYSTEM VALUE" if (self.name, dialect) == ("events", "postgres") else ""
        marks = ", ".join("?" * len(self.columns))
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}){overriding} VALUES ({marks})"  # noqa: S608

    def page(self, *, is_first: bool) -> str:
        """The query for a page, after the values of the last row's key."""
        key = ", ".join(self.key)
        after = "" if is_first else f" WHERE ({key}) > ({', '.join('?' * len(self.key))})"
        return f"SELECT {', '.join(self.columns)} FROM {self.name}{after} ORDER BY {key} LIMIT ?"  # noqa: S608


@cache
def tables() -> tuple[Table, ...]:
    """
    The tables of a ledger, those first that others refer to: what the migrations of SQLite make.

    PostgreSQL has the same with the same columns, and `writers`, which is about its open connections. `workers` is not
    copied: those that run are at the source.
    """
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute(META["sqlite"])
        for migration in load_migrations("sqlite"):
            made.executescript(migration.sql)
        names = [name for (name,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = [_table(made, name) for name in names if name not in ("meta", "workers")]
    return tuple(sorted(found, key=lambda table: (table.name != "payments", table.name)))


def _table(made: sqlite3.Connection, name: str) -> Table:
    columns = made.execute("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (name,)).fetchall()
    key = sorted((place, column) for column, place in columns if place)
    return Table(name, tuple(column for column, _ in columns), tuple(column for _, column in key))


def _pages(ledger: Readable, table: Table) -> Iterator[list[Row]]:
    """A table's rows in the order of its key."""
    limit = PAGE_OF_LONG_ROWS if table.name == "inbox" else PAGE
    places = [table.columns.index(name) for name in table.key]
    last: tuple[object, ...] = ()
    while True:
        sql = table.page(is_first=not last)
        rows = ledger.read(partial(_fetched, sql=sql, parameters=(*last, limit))).result()
        if rows:
            yield rows
        if len(rows) < limit:
            return
        last = tuple(rows[-1][place] for place in places)


def _fetched(tx: Transaction, *, sql: str, parameters: Sequence[object]) -> list[Row]:
    return tx.execute(sql, parameters).fetchall()


def row_count(ledger: Readable, table: str) -> int:
    """The number of rows in a table."""
    sql = f"SELECT count(*) FROM {table}"  # noqa: S608 - ours
    return int(ledger.read(lambda tx: tx.execute(sql).fetchall()).result()[0][0])


def _check_storable(table: Table, rows: Sequence[Row], name: str) -> None:
    """Refuse text that is damaged: it would not be the same in another database."""
    for row in rows:
        for value in row:
            if isinstance(value, str) and (type(value) is not str or not is_storable(value)):
                raise LedgerCorrupt(
                    f"nothing was copied, for {name} has text in {table.name} that is no text;"
                    " run `paycore ledger verify` on it"
                )
