"""One suite for both databases: a test that takes `database` runs on SQLite and on PostgreSQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from paycore.ledger import open_ledger
from paycore.ledger.base import SqlLedger
from paycore.ledger.migrations import load_migrations


class Database:
    """An empty database and the ledgers opened on it, each as another process would have it."""

    def __init__(self, dsn: str, stack: ExitStack) -> None:
        self.dsn = dsn
        self._stack = stack

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.dsn.startswith("sqlite")

    def open(self) -> SqlLedger:
        """Open another ledger, closed after the test."""
        return self._stack.enter_context(closing(open_ledger(self.dsn)))

    def run(self, *statements: str) -> None:
        """Run statements as a database shell would."""
        if self.is_sqlite:
            with closing(sqlite3.connect(self.dsn.removeprefix("sqlite:///"), isolation_level=None)) as shell:
                for statement in statements:
                    shell.execute(statement)
        else:
            with psycopg.connect(self.dsn, autocommit=True) as session:
                for statement in statements:
                    session.execute(statement.encode())

    def make(self, schema: int) -> None:
        """Make tables as a version with this schema made them, for `copy`."""
        self.run("CREATE TABLE meta (schema integer PRIMARY KEY, sha256 text NOT NULL, at bigint NOT NULL)")
        for migration in load_migrations("postgres")[:schema]:
            self.run(migration.sql, f"INSERT INTO meta VALUES ({migration.number}, '{migration.sha256}', 0)")

    def tamper(self, *statements: str) -> None:
        """Run statements that triggers and references refuse, with those disabled meanwhile."""
        if self.is_sqlite:
            with closing(sqlite3.connect(self.dsn.removeprefix("sqlite:///"))) as shell:
                triggers = shell.execute(
                    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
                ).fetchall()
            dropped = [f"DROP TRIGGER {name}" for name, _ in triggers]
            self.run(*dropped, *statements, *(sql for _, sql in triggers))
        else:
            self.run("SET session_replication_role = replica", *statements)

    def copy(self, table: str, source: sqlite3.Connection) -> None:
        """Copy all rows of a table from a SQLite file; for PostgreSQL, whose tables have the same columns."""
        columns = [name for _, name, *_ in source.execute(f"PRAGMA table_info({table})")]
        names = ", ".join(name for name in columns if name != "position")  # each database counts its own
        marks = ", ".join("%s" for _ in names.split(", "))
        rows = source.execute(f"SELECT {names} FROM {table} ORDER BY {columns[0]}").fetchall()
        with psycopg.connect(self.dsn) as session, session.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})".encode(), rows)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    is_sqlite = request.param == "sqlite"
    dsn = f"sqlite:///{tmp_path}/ledger.db" if is_sqlite else request.getfixturevalue("postgres_dsn")
    with ExitStack() as stack:
        yield Database(dsn, stack)


@pytest.fixture
def ledger(database: Database) -> SqlLedger:
    """A ledger on an empty database of each kind."""
    return database.open()
