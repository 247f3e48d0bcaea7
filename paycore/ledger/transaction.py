"""A transaction as the shared SQL sees it, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]


class AgainError(Exception):
    """
    Nothing was committed, and the same units can be run again, at most `times_max` times.

    `error` is what callers get when retrying does not help.
    """

    def __init__(self, error: Exception, *, times_max: int | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.times_max = times_max


class Cursor(Protocol):
    """The result of a statement, as the database's driver returns it."""

    @property
    def rowcount(self) -> int:
        """The number of rows it changed."""
        ...

    def fetchall(self) -> list[Row]:
        """The rows it returned."""
        ...


class Transaction(Protocol):
    """
    One open transaction: its statements, and its database's SQL for locks and lists.

    `no_index` before a column keeps SQLite from using an index of it.
    """

    for_update: str
    skip_locked: str
    no_index: str
    writing_events: str
    """A query for those who may commit events at lower positions than are visible; empty where nobody can."""

    @property
    def error(self) -> type[Exception]:
        """The base class of the database's errors."""
        ...

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Cursor:
        """Run a statement."""
        ...

    def executemany(self, sql: str, rows: Collection[Row], /) -> Cursor:
        """Run a statement that writes once for each row of parameters."""
        ...

    def in_list(self, values: Collection[str]) -> tuple[str, object]:
        """SQL for `IN <values>` and its one parameter, for any number of values."""
        ...
