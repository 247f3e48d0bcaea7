"""
The methods that only read, shared by ledgers and read-only ledgers.

The SQL of a question is imported when it is asked: a command asks one, and starts sooner.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from paycore.errors import LedgerError, PaycoreError
from paycore.ledger import lookups

if TYPE_CHECKING:
    from paycore.domain.budget import Spent
    from paycore.domain.events import Event
    from paycore.domain.payment import Payment
    from paycore.domain.totals import Totals
    from paycore.ledger.api import (
        Census,
        Consumer,
        FeedPage,
        FeedPlace,
        Filter,
        RunningWorker,
        Sought,
        Summed,
        Unsettled,
    )
    from paycore.ledger.transaction import Transaction

T = TypeVar("T")


class LedgerReads(ABC):
    """The reading methods of a ledger; subclasses implement `read`."""

    @abstractmethod
    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read on a connection that never writes."""

    def get(self, payment_id: str) -> Future[Payment]:
        """See `Ledger.get`."""
        return self.read(lambda tx: lookups.get(tx, payment_id))

    def find(self, account: str | None, reference: str) -> Future[tuple[Payment, ...]]:
        """See `Ledger.find`."""
        return self.read(lambda tx: lookups.find(tx, account, reference))

    def named(self, names: Sought) -> Future[tuple[Payment, ...]]:
        """See `Ledger.named`."""
        return self.read(lambda tx: lookups.named(tx, names))

    def list(self, which: Filter) -> Future[tuple[Payment, ...]]:
        """See `Ledger.list`."""
        from paycore.ledger.lists import list_payments

        return self.read(lambda tx: list_payments(tx, which))

    def totals(self, which: Summed) -> Future[tuple[Totals, ...]]:
        """See `Ledger.totals`."""
        from paycore.ledger import summing

        return self.read(lambda tx: summing.totals(tx, which))

    def events(self, payment_id: str) -> Future[tuple[Event, ...]]:
        """See `Ledger.events`."""
        return self.read(lambda tx: lookups.events(tx, payment_id))

    def read_feed(self, after: FeedPlace, unsettled: Unsettled | None = None) -> Future[FeedPage]:
        """See `Ledger.read_feed`."""
        from paycore.ledger import feed

        return self.read(lambda tx: feed.read_feed(tx, after, unsettled))

    def feed_end(self, unsettled: Unsettled | None = None) -> Future[Unsettled]:
        """See `Ledger.feed_end`."""
        from paycore.ledger import feed

        return self.read(lambda tx: feed.feed_end(tx, unsettled))

    def consumers(self, name: str | None = None) -> Future[tuple[Consumer, ...]]:
        """See `Ledger.consumers`."""
        from paycore.ledger import feed

        return self.read(lambda tx: feed.consumers(tx, name))

    def workers(self) -> Future[tuple[RunningWorker, ...]]:
        """See `Ledger.workers`."""
        from paycore.ledger import workers

        return self.read(workers.workers)

    def census(self) -> Future[Census]:
        """See `Ledger.census`."""
        from paycore.ledger import counts

        return self.read(counts.census)

    def budgets(self) -> Future[Mapping[str, Spent]]:
        """See `Ledger.budgets`."""
        from paycore.ledger import counts

        return self.read(counts.budgets)


class ReadOnlyLedger(LedgerReads):
    """
    A database opened for reading as it is: neither created nor migrated, and not necessarily a ledger.

    For verifying and exporting, also from a copy or a PostgreSQL standby. `name` contains no password.
    `dialect` is that of the migrations.
    """

    name: str
    dialect: str
    _begin_snapshot: str
    """Begins a transaction that sees one state."""

    @abstractmethod
    def applied(self) -> dict[int, str]:
        """The checksum of each applied migration, by number; empty when there is no ledger."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Have all reads in the block see the ledger as it is at the first of them, whoever writes meanwhile."""
        self._run(lambda tx: tx.execute(self._begin_snapshot))
        try:
            yield
        finally:
            with suppress(LedgerError):  # a lost connection has none
                self._run(lambda tx: tx.execute("ROLLBACK"))

    @abstractmethod
    def _run(self, work: Callable[[Transaction], T]) -> T:
        """Run a read; raises `LedgerError`s."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read at once, on a connection that can't write."""
        future: Future[T] = Future()
        try:
            future.set_result(self._run(work))
        except Exception as error:  # noqa: BLE001 - the caller takes it out of the future
            if isinstance(error, PaycoreError):
                error.money_moved = "no"  # whatever the class says: a read sends nothing
            future.set_exception(error)
        return future
