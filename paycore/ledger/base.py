"""
What both ledgers share.

Methods are submitted as units of a group commit or run as reads, and watchers are notified.
"""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from paycore.domain.bringing_back import BroughtBack
from paycore.domain.events import PaymentBegun, Source
from paycore.domain.observation import Observation, PaymentObservation
from paycore.domain.payment import Status
from paycore.domain.provider import Mention, Notice
from paycore.domain.wire import Notification
from paycore.errors import LedgerCorrupt, LedgerUnavailable
from paycore.ledger import feed, upgrading, verbs, workers
from paycore.ledger.api import (
    Claimed,
    Claiming,
    Committed,
    Decide,
    FeedPlace,
    Lease,
    Recorded,
    Report,
    Rescheduled,
    Sought,
    Spending,
    Turn,
)
from paycore.ledger.clock import LedgerClock
from paycore.ledger.group import Group, Wants
from paycore.ledger.groupcommit import GroupCommit, Unit
from paycore.ledger.migrations import SCHEMA, check_known, newest_schema
from paycore.ledger.parts import in_parts
from paycore.ledger.reads import LedgerReads
from paycore.ledger.transaction import Transaction

T = TypeVar("T")

_log = logging.getLogger(__name__)
_NOTHING = Wants()

BYTES_OF_A_CHANGE = 8 * 1024
"""So much of a notification's body weighs as much as a change: a group of the longest ones is bounded, too."""


class SqlLedger(LedgerReads):
    """A `Ledger` over SQL. Subclasses implement committing, reading and listening."""

    dialect: str
    _commits: GroupCommit
    _clock: LedgerClock

    def __init__(self) -> None:
        self._watchers: list[Callable[[Collection[str]], None]] = []
        self._process = os.getpid()
        self._schema = newest_schema(self.dialect)
        self._is_closed = False

    # --- verbs that write ----------------------------------------------------------------------------

    def begin(
        self, reference: str, begun: Callable[[datetime], PaymentBegun], spending: Spending | None = None
    ) -> Future[Committed]:
        """See `Ledger.begin`."""
        wants = Wants(references=(reference,), budgets=_accounts(spending))
        return self._submit(partial(verbs.begin, begun=begun, spending=spending), wants)

    def change(
        self, payment_id: str, decide: Decide, source: Source, spending: Spending | None = None
    ) -> Future[Committed]:
        """See `Ledger.change`."""
        work = partial(verbs.change, payment_id=payment_id, decide=decide, source=source, spending=spending)
        return self._submit(work, Wants(payments=(payment_id,), budgets=_accounts(spending)))

    def spend(self, spending: Spending) -> Future[Turn]:
        """See `Ledger.spend`."""
        return self._submit(partial(verbs.spend, spending=spending), Wants(budgets=(spending.account,)))

    def rest(self, account: str, retry_after_s: float | None) -> Future[None]:
        """See `Ledger.rest`."""
        work = partial(verbs.rest, account=account, retry_after_s=retry_after_s)
        return self._submit(work, Wants(budgets=(account,)))

    def observe(
        self, account: str, observations: Sequence[Observation], source: Source
    ) -> Future[tuple[Committed, ...]]:
        """See `Ledger.observe`."""

        def observe(part: Sequence[Observation]) -> Future[tuple[Committed, ...]]:
            work = partial(verbs.observe, account=account, observations=part, source=source)
            return self._submit(work, _names(account, part), weight=len(part))

        return in_parts(observe, observations)

    def bring_back(self, names: Sought, found: Callable[[datetime], BroughtBack]) -> Future[Committed]:
        """See `Ledger.bring_back`."""
        ids = [(names.account, provider_id) for provider_id in names.ids]
        wants = Wants(
            references=tuple(names.references),
            numbers=[(names.account, number) for number in names.numbers],
            charges=ids,
            named=ids,
        )
        return self._submit(partial(verbs.bring_back, names=names, found=found), wants)

    def record_notification(
        self,
        account: str,
        notification: Notification,
        told: Sequence[Notice],
        *,
        is_evidence: bool,
    ) -> Future[Recorded]:
        """See `Ledger.record_notification`."""
        work = partial(
            verbs.record_notification,
            account=account,
            notification=notification,
            told=told,
            is_evidence=is_evidence,
        )
        weight = len(told) + len(notification.body) // BYTES_OF_A_CHANGE
        wants = _names(account, told)._replace(inbox=[(account, notification.digest)])
        return self._submit(work, wants, weight=weight)

    def claim(self, claiming: Claiming) -> Future[Claimed]:
        """See `Ledger.claim`."""
        return self._submit(partial(verbs.claim, claiming=claiming), Wants(budgets=(claiming.account,)))

    def renew(self, ids: Collection[str], lease_s: float) -> Future[None]:
        """See `Ledger.renew`."""
        return self._submit(partial(verbs.renew, ids=ids, lease_s=lease_s))

    def reschedule(self, due: Sequence[Rescheduled], report: Report | None = None) -> Future[None]:
        """See `Ledger.reschedule`."""
        wants = _NOTHING if report is None or report.is_answered else Wants(budgets=(report.account,))
        return self._submit(partial(verbs.reschedule, due=due, report=report), wants)

    # --- the change feed -----------------------------------------------------------------------------

    def hold_consumer(
        self, name: str, *, holder: str, lease_s: float, start: int | None = None
    ) -> Future[Lease | None]:
        """See `Ledger.hold_consumer`."""
        work = partial(feed.hold_consumer, name=name, holder=holder, lease_s=lease_s, start=start)
        return self._submit(work)

    def renew_consumer(self, name: str, *, holder: str, lease_s: float) -> Future[Lease | None]:
        """See `Ledger.renew_consumer`."""
        return self._submit(partial(feed.renew_consumer, name=name, holder=holder, lease_s=lease_s))

    def acknowledge(
        self, name: str, *, holder: str, place: FeedPlace, lease_s: float
    ) -> Future[datetime | None]:
        """See `Ledger.acknowledge`."""
        work = partial(feed.acknowledge, name=name, holder=holder, place=place, lease_s=lease_s)
        return self._submit(work)

    def release_consumer(self, name: str, holder: str) -> Future[None]:
        """See `Ledger.release_consumer`."""
        return self._submit(partial(feed.release_consumer, name=name, holder=holder))

    def forget_consumer(self, name: str) -> Future[None]:
        """See `Ledger.forget_consumer`."""
        return self._submit(partial(feed.forget_consumer, name=name))

    # --- workers -------------------------------------------------------------------------------------

    def note_worker(self, worker_id: str, *, host: str, pid: int, accounts: tuple[str, ...]) -> Future[None]:
        """See `Ledger.note_worker`."""
        work = partial(workers.note_worker, worker_id=worker_id, host=host, pid=pid, accounts=accounts)
        return self._submit(work)

    def forget_worker(self, worker_id: str) -> Future[None]:
        """See `Ledger.forget_worker`."""
        return self._submit(partial(workers.forget_worker, worker_id=worker_id))

    # --- opening -------------------------------------------------------------------------------------

    def _finish_upgrade(self) -> None:
        """Fill the columns that an upgrade left NULL. Closes the ledger on any error."""
        try:
            given: Counter[str] = Counter()
            while self.read(upgrading.is_left).result():
                given += self._submit(upgrading.fill).result().given
        except BaseException:
            self.close()
            raise
        for account, count in sorted(given.items()):
            _log.warning("%s", upgrading.advice(account, count))

    # --- how each database writes and reads ------------------------------------------------------------

    def _submit(self, work: Callable[[Group], T], wants: Wants = _NOTHING, *, weight: int = 1) -> Future[T]:
        return _inherited() if self._is_inherited else self._commits.submit(work, wants, weight=weight)

    def write(self, work: Callable[[Group], T]) -> Future[T]:
        """Run `work` in a transaction: for what is no method of a ledger, such as filling one."""
        return self._submit(work)

    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read on a connection that never writes."""
        if self._is_inherited:
            return _inherited()
        return _refused("the ledger is closed") if self._is_closed else self._read(work)

    @abstractmethod
    def _read(self, work: Callable[[Transaction], T]) -> Future[T]: ...

    def _read_in(self, tx: Transaction, work: Callable[[Transaction], T]) -> T:
        """Run a read; an error caused by an upgrade of the ledger is raised as `LedgerTooNew`, not as damage."""
        try:
            return work(tx)
        except (LedgerCorrupt, tx.error):
            self._check_upgraded(tx)
            raise

    def _check_upgraded(self, tx: Transaction) -> None:
        """After an error: raise `LedgerTooNew` if a newer paycore has upgraded the ledger meanwhile."""
        try:
            ((schema,),) = tx.execute(f"SELECT {SCHEMA}").fetchall()
        except tx.error:
            return
        check_known(self.dialect, schema or 0)

    def now(self) -> datetime:
        """See `Ledger.now`."""
        return self._clock.now()

    def now_for(self, begun_at: datetime) -> datetime:
        """See `Ledger.now_for`."""
        return self._clock.now_for(begun_at)

    @property
    def is_open(self) -> bool:
        """See `Ledger.is_open`."""
        return not (self._is_closed or self._is_inherited)

    def close(self) -> None:
        """See `Ledger.close`."""
        if not (self._is_closed or self._is_inherited):
            self._is_closed = True
            self._close()

    @abstractmethod
    def _close(self) -> None: ...

    @property
    def _is_inherited(self) -> bool:
        """Whether this is a forked child of the process that opened the connections, locks and threads."""
        return os.getpid() != self._process

    # --- watching ------------------------------------------------------------------------------------

    def watch(self, on_change: Callable[[Collection[str]], None]) -> Callable[[], None]:
        """See `Ledger.watch`."""
        if self._is_closed:  # what starts now would never end
            raise LedgerUnavailable("the ledger is closed")
        self._watchers.append(on_change)
        self._commits.committed = self._tell

        def stop() -> None:
            with suppress(ValueError):
                self._watchers.remove(on_change)

        try:
            self._start_watching()
        except BaseException:
            stop()  # whoever tries again would be told twice
            raise
        return stop

    @abstractmethod
    def _start_watching(self) -> None:
        """Start to look for commits of other processes, unless that has started."""

    def _tell(self, units: Sequence[Unit]) -> None:
        """Notify the watchers of a group that was committed by this process."""
        self._call_watchers({payment_id for unit in units for payment_id in verbs.changed_ids(unit.result)})

    def _call_watchers(self, changed: Collection[str]) -> None:
        if changed:
            for on_change in tuple(self._watchers):
                try:
                    on_change(changed)
                except Exception:  # noqa: BLE001, RUF100 - the caller's own code, in a thread that must live on
                    _log.exception("a watcher of the ledger failed")


def _inherited() -> Future[Any]:
    error = LedgerUnavailable(
        "this ledger was opened before the process forked; open a client of its own in each process,"
        " as paycore.shared_client() does"
    )
    error.money_moved = "no"  # nothing was recorded, so nothing is sent
    return _failed(error)


def _refused(why: str) -> Future[Any]:
    return _failed(LedgerUnavailable(why))


def _failed(error: LedgerUnavailable) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def _accounts(spending: Spending | None) -> Sequence[str]:
    return () if spending is None else (spending.account,)


def _names(account: str, told: Sequence[Notice]) -> Wants:
    paid = (seen for seen in told if isinstance(seen, PaymentObservation) and seen.status is Status.PAID)
    return Wants(
        numbers=[(account, item.number) for item in told if item.number is not None],
        charges=[(account, seen.provider_id) for seen in paid if seen.provider_id is not None],
        named=[(account, item.id) for item in told if isinstance(item, Mention) and item.id is not None],
    )
