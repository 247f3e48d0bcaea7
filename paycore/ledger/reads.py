"""The verbs that only read, on a ledger as on one that was opened to be looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from concurrent.futures import Future
from datetime import datetime
from typing import TypeVar

from paycore.domain.events import Event
from paycore.domain.payment import Payment
from paycore.errors import PaycoreError
from paycore.ledger import verbs
from paycore.ledger.api import Filter
from paycore.ledger.session import Transaction

T = TypeVar("T")


class LedgerReads(ABC):
    """What can be asked of a ledger; each says how it reads."""

    @abstractmethod
    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read on a connection that never writes."""

    def get(self, payment_id: str) -> Future[Payment]:
        """See `Ledger.get`."""
        return self.read(lambda tx: verbs.get(tx, payment_id))

    def find(self, account: str | None, reference: str) -> Future[tuple[Payment, ...]]:
        """See `Ledger.find`."""
        return self.read(lambda tx: verbs.find(tx, account, reference))

    def list(self, which: Filter) -> Future[tuple[Payment, ...]]:
        """See `Ledger.list`."""
        return self.read(lambda tx: verbs.list_payments(tx, which))

    def events(self, payment_id: str) -> Future[tuple[Event, ...]]:
        """See `Ledger.events`."""
        return self.read(lambda tx: verbs.events(tx, payment_id))

    def next_due(self, ids: Collection[str] | None = None) -> Future[datetime | None]:
        """See `Ledger.next_due`."""
        return self.read(lambda tx: verbs.next_due(tx, ids))


class ReadOnlyLedger(LedgerReads):
    """
    What is at one DSN, be it a ledger or not. Each database says how it is read.

    `name` can be shown: it has no password. `dialect` is that of the migrations.
    """

    name: str
    dialect: str

    @abstractmethod
    def applied(self) -> dict[int, str]:
        """The checksum of each migration that made it what it is; none where there is no ledger."""

    @abstractmethod
    def _run(self, work: Callable[[Transaction], T]) -> T:
        """Run a read; raises `LedgerError`s."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read here and now, on a connection that can't write."""
        future: Future[T] = Future()
        try:
            future.set_result(self._run(work))
        except Exception as error:  # noqa: BLE001 - the caller takes it out of the future
            if isinstance(error, PaycoreError):
                error.money_moved = "no"  # whatever else it means to a client that sends
            future.set_exception(error)
        return future
