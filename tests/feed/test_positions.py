"""
On PostgreSQL a transaction may commit after others that took later positions: none of its changes is skipped.

Also proves that these checks bite: with the lock of the writers not looked at, the changes are lost.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from paycore import Client
from paycore.ledger import open_ledger, verbs
from paycore.ledger.api import FeedEntry, FeedPlace
from paycore.ledger.base import SqlLedger
from paycore.ledger.group import Group
from paycore.ledger.postgres.ledger import PostgresTransaction
from tests.feed.conftest import drain
from tests.ledger.workload import begun, pending_payment
from tests.support.toy_http import toy_config, toy_plugins

WAIT_S = 20


class GaveUpError(Exception):
    """What a transaction that is rolled back was ended by."""


class OpenTransaction:
    """A new payment whose event has its position and is not committed yet."""

    def __init__(self, ledger: SqlLedger, reference: str) -> None:
        self._is_there, self._may_end = threading.Event(), threading.Event()
        self._is_to_commit = True
        self._begun = begun(reference)[1]
        self._future = ledger._submit(self._work)
        assert self._is_there.wait(WAIT_S)

    def _work(self, group: Group) -> None:
        verbs.begin(group, begun=self._begun)
        group.flush()
        self._is_there.set()
        assert self._may_end.wait(WAIT_S)
        if not self._is_to_commit:
            raise GaveUpError

    def end(self, *, commit: bool = True) -> None:
        """Commit, or roll back."""
        self._is_to_commit = commit
        self._may_end.set()
        error = self._future.exception(WAIT_S)
        assert isinstance(error, GaveUpError) is not commit


@pytest.fixture
def ledgers(postgres_dsn: str) -> Iterator[tuple[SqlLedger, SqlLedger]]:
    """Two ledgers on one database, each as another process would have it."""
    with closing(open_ledger(postgres_dsn)) as one, closing(open_ledger(postgres_dsn)) as other:
        yield one, other


def told(entries: tuple[FeedEntry, ...], ledger: SqlLedger) -> list[tuple[str, str]]:
    """Each change as its reference and kind."""
    return [(ledger.get(entry.payment_id).result().reference, entry.kind.value) for entry in entries]


def test_a_position_that_may_still_be_committed_is_waited_for(ledgers: tuple[SqlLedger, SqlLedger]) -> None:
    """Later changes are held back until the earlier transaction has ended; then all come in order."""
    one, other = ledgers
    pending_payment(other, "before")
    late = OpenTransaction(one, "late")
    pending_payment(other, "after")
    first = other.read_feed(FeedPlace(0)).result()
    assert told(first.entries, other) == [("before", "created"), ("before", "pending")]
    assert not first.is_last
    held = other.read_feed(first.end).result()
    assert (held.entries, held.is_last) == ((), False)
    assert held.unsettled is not None
    assert other.read_feed(first.end, held.unsettled).result().entries == ()
    late.end()
    rest = other.read_feed(first.end, held.unsettled).result()
    assert told(rest.entries, other) == [("late", "created"), ("after", "created"), ("after", "pending")]


def test_unread_locks_would_skip_it(
    ledgers: tuple[SqlLedger, SqlLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: with nobody asked who is writing, the later change comes first, and the earlier one never."""
    monkeypatch.setattr(PostgresTransaction, "writing_events", "")
    one, other = ledgers
    late = OpenTransaction(one, "late")
    pending_payment(other, "after")
    first = other.read_feed(FeedPlace(0)).result()
    late.end()
    rest = other.read_feed(first.end).result()
    assert told((*first.entries, *rest.entries), other) == [("after", "created"), ("after", "pending")]


def test_a_position_that_was_rolled_back_is_passed_over(ledgers: tuple[SqlLedger, SqlLedger]) -> None:
    """Once its transaction has ended, a gap is a gap."""
    one, other = ledgers
    late = OpenTransaction(one, "late")
    pending_payment(other, "after")
    held = other.read_feed(FeedPlace(0)).result()
    late.end(commit=False)
    rest = other.read_feed(FeedPlace(0), held.unsettled).result()
    assert told(rest.entries, other) == [("after", "created"), ("after", "pending")]
    assert told(other.read_feed(FeedPlace(0)).result().entries, other) == told(rest.entries, other)


def test_later_writers_are_not_waited_for(ledgers: tuple[SqlLedger, SqlLedger]) -> None:
    """Those who began after a gap was seen can't fill it: a busy ledger does not hold back its feed."""
    one, other = ledgers
    OpenTransaction(one, "rolled back").end(commit=False)
    pending_payment(other, "after")
    first = OpenTransaction(one, "first")
    held = other.read_feed(FeedPlace(0)).result()
    assert held.entries == ()
    first.end()
    second = OpenTransaction(one, "second")
    rest = other.read_feed(FeedPlace(0), held.unsettled).result()
    assert told(rest.entries, other)[:2] == [("after", "created"), ("after", "pending")]
    second.end()


def test_a_new_consumer_misses_nothing_that_is_committed_later(postgres_dsn: str) -> None:
    """It begins only once all that has a lower position is committed, or never will be."""
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(open_ledger(postgres_dsn)))
        other = stack.enter_context(closing(open_ledger(postgres_dsn)))
        late = OpenTransaction(ledger, "late")
        pending_payment(other, "after")
        end = other.feed_end().result()
        assert len(end.writers) == 1
        assert other.feed_end(end).result() == end
        late.end()
        assert other.feed_end(end).result().writers == frozenset()


def write(dsn: str, writer: int, payments: int) -> None:
    """Make so many payments; some of the transactions in between are rolled back."""
    with closing(open_ledger(dsn)) as ledger:
        for turn in range(payments):
            pending_payment(ledger, f"order-{writer}-{turn}")
            if turn % 3 == writer % 3:
                OpenTransaction(ledger, f"lost-{writer}-{turn}").end(commit=False)


def test_many_writers_at_once_are_all_heard_in_order(postgres_dsn: str) -> None:
    """A consumer that reads while four ledgers write gets each change once, in order."""
    writers, payments = 4, 25
    config = toy_config("http://127.0.0.1:1", postgres_dsn)
    with Client(config, plugins=toy_plugins()) as pay, ThreadPoolExecutor(writers) as pool:
        seen = drain(pay)
        writing = [pool.submit(write, postgres_dsn, writer, payments) for writer in range(writers)]
        while not all(future.done() for future in writing):
            seen += drain(pay)
        seen += drain(pay)
    positions = [change.position for change in seen]
    assert positions == sorted(positions)
    assert len({change.key for change in seen}) == len(seen) == 2 * writers * payments
