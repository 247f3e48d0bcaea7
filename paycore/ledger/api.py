"""
What a ledger offers: a dozen verbs, each one transaction but `observe`, on whichever database.

Every verb returns a `concurrent.futures.Future`, resolved once the transaction is durable. A sync caller
takes `.result()`, an async one awaits it through `engine.bridge`; neither can hold a transaction open
across I/O. A verb that was called takes place: its future can't be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Protocol

import msgspec

from paycore.domain.events import Change, Event, PaymentBegun, Source
from paycore.domain.observation import Observation
from paycore.domain.payment import Payment, Status
from paycore.domain.provider import Notice
from paycore.domain.wire import Notification

Decide = Callable[[Payment, datetime], Sequence[Change]]
"""Decides the changes of a payment as it stands now; raises a `RequestError` to refuse. Pure."""


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """
    A payment as it stands, and the events this transaction added: none when it told nothing new.

    `now` is the ledger's clock inside the transaction.
    """

    payment: Payment
    events: tuple[Event, ...]
    now: datetime

    @property
    def changed(self) -> bool:
        """Whether this transaction changed anything."""
        return bool(self.events)


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """
    A notification as it was taken.

    `payments` are those of its account that it names, `due` the ids of those to be asked about to confirm it.
    `unknown` are the numbers no payment of its account has, each with the other accounts that have it.
    `is_repeat` says that it was there before: it changed nothing.
    """

    payments: tuple[Committed, ...]
    due: tuple[str, ...]
    unknown: Mapping[str, tuple[str, ...]]
    is_repeat: bool


def committed_in(result: object) -> tuple[Committed, ...]:
    """The payments in the result of any verb that writes."""
    match result:
        case Committed():
            return (result,)
        case Recorded():
            return result.payments
        case tuple():
            return tuple(item for item in result if isinstance(item, Committed))
        case _:
            return ()


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which payments to list, newest first; None means any.

    `open`: those of which anything is not final. `after`: the id of the last payment of the page before.
    `limit` 1 to 1000.
    """

    account: str | None = None
    status: Status | None = None
    review: bool | None = None
    uncertain: bool | None = None
    open: bool | None = None
    created_before: datetime | None = None
    after: str | None = None
    limit: int = 50


class Ledger(Protocol):
    """The durable record. Raises `LedgerError`s; what they say about the money is in their classes."""

    def begin(self, reference: str, begun: Callable[[datetime], PaymentBegun]) -> Future[Committed]:
        """
        Record a new payment with its first operation, unless `reference` already names one.

        A payment of the same account or namespace that has the reference is returned, with no events.
        `begun` is called with the ledger's time and returns a payment with this reference.
        """
        ...

    def change(self, payment_id: str, decide: Decide, source: Source) -> Future[Committed]:
        """Decide on the payment as it stands and record what follows. `NotFound` when there is none."""
        ...

    def observe(
        self, account: str, observations: Sequence[Observation], source: Source
    ) -> Future[tuple[Committed, ...]]:
        """
        Merge what the provider said into the payments its numbers belong to; other numbers are left out.

        Many observations take several transactions, with others' in between; after an error the rest is left.
        """
        ...

    def record_notification(
        self,
        account: str,
        notification: Notification,
        told: Sequence[Notice],
        *,
        is_evidence: bool,
    ) -> Future[Recorded]:
        """
        Keep a verified notification, and in the same transaction merge it or make its payments due now.

        `is_evidence` False: it only makes them due, as a `Mention` always does. A repeated one changes nothing.
        """
        ...

    def claim(
        self, *, limit: int, lease_s: float, ids: Collection[str] | None = None
    ) -> Future[tuple[datetime, tuple[Payment, ...]]]:
        """
        Take up to `limit` due payments (of `ids`, when given), most overdue first, and the ledger's time.

        Their due time moves to the end of the lease: a claimer that dies gives them back by itself.
        """
        ...

    def reschedule(self, due: Sequence[tuple[str, int, datetime | None]]) -> Future[None]:
        """
        Set when to look next, by (payment id, version, due).

        A payment that changed since is left, and so is one that is due by now: a notification came meanwhile.
        """
        ...

    def get(self, payment_id: str) -> Future[Payment]:
        """The payment with this id; `NotFound` when there is none."""
        ...

    def find(self, account: str | None, reference: str) -> Future[tuple[Payment, ...]]:
        """The payments with this reference: at most one per account."""
        ...

    def list(self, which: Filter) -> Future[tuple[Payment, ...]]:
        """Payments, newest first; `NotFound` when there is no payment to go on after."""
        ...

    def events(self, payment_id: str) -> Future[tuple[Event, ...]]:
        """The whole history of a payment, oldest first."""
        ...

    def next_due(self, ids: Collection[str] | None = None) -> Future[datetime | None]:
        """When the first of these payments (None: of all) is due."""
        ...

    def watch(self, on_change: Callable[[Collection[str]], None]) -> Callable[[], None]:
        """
        Call `on_change` with the ids of payments that changed, whoever changed them; returns how to stop.

        Called from a thread of the ledger, after the commit. May name payments that did not change.
        """
        ...

    def now(self) -> datetime:
        """The clock all processes on this ledger share: aware UTC, whole milliseconds."""
        ...

    def now_for(self, begun_at: datetime) -> datetime:
        """
        The time now by which an order that was begun then grows older; never ahead of `now`.

        The ledger's clock stays ahead where one was ahead once. Orders from before are no older for that.
        """
        ...

    def close(self) -> None:
        """Finish what was submitted and let go of the database."""
        ...
