"""The verbs that only read, on a ledger as on one that was opened to be looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from concurrent.futures import Future
from datetime import datetime
from typing import TypeVar

from paycore.domain.events import Event
from paycore.domain.payment import Payment
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
