"""`AsyncClient`: the application's API in async code; what each verb does stands in `Client`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import Context
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from paycore.domain.changes import ChangeKind, PaymentChange
from paycore.domain.events import Event
from paycore.domain.findings import Found
from paycore.domain.money import Money
from paycore.domain.payment import Payment, ReviewReason
from paycore.domain.provider import Listed
from paycore.domain.reconciliation import Reconciliation
from paycore.domain.totals import Totals, TotalsBy
from paycore.domain.wire import Reply
from paycore.engine.arguments import (
    PAGE,
    ListArguments,
    TotalsArguments,
    checked_account,
    checked_consumer,
    checked_filter,
    checked_finding,
    checked_id,
    checked_name,
    checked_notification,
    checked_range,
    checked_reason,
    checked_record,
    checked_returned,
    checked_totals,
    checked_wait,
    first_page,
)
from paycore.engine.bridge import Bridge
from paycore.engine.checks import CreateFields, create_request
from paycore.engine.config import Config
from paycore.engine.core import WAIT_S, ClientCore, nothing_moves, only_one, with_keywords_of_create
from paycore.engine.effects import Program
from paycore.engine.feed import Feed, Feeds
from paycore.engine.offers import AccountInfo, account_infos
from paycore.engine.plugins import Plugins
from paycore.engine.presence import Presence
from paycore.engine.provider_list import Listing
from paycore.engine.resolving import Resolved
from paycore.engine.runner import AsyncRunner
from paycore.engine.timing import Deadline
from paycore.engine.waiter import AsyncWaiter
from paycore.engine.waiting import Waiting
from paycore.engine.worker import DRAIN_S, Everything, Scope
from paycore.ledger.api import Filter, Ledger
from paycore.ledger.base import SqlLedger
from paycore.ledger.lists import next_page

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

T = TypeVar("T")


class AsyncClient:
    """
    Payments from async code: the verbs of `Client`, awaited. One per event loop.

    Use it in an `async with` block. It belongs to the event loop it is first used on: on any other every verb
    raises `WrongLoop` at once, and nothing is read or sent.
    """

    def __init__(
        self,
        config: str | Path | Config | None = None,
        *,
        plugins: Plugins | None = None,
        ledger: SqlLedger | None = None,
    ) -> None:
        self._core = ClientCore(config, plugins, ledger)
        self._bridge = Bridge()
        self._waiter = AsyncWaiter(self._core.ledger, self._bridge, self._look_after)
        self._runner = AsyncRunner(self._core.ledger, self._waiter, self._bridge)
        self._feeds = Feeds(self._core.ledger)
        self._working: list[asyncio.Task[None]] = []
        self._scopes: list[Everything | Presence] = []
        self._is_ended = False

    @with_keywords_of_create
    async def create(self, **fields: Unpack[CreateFields]) -> Payment:
        """See `Client.create`."""
        return await self._runner.run(self._core.commands.create(create_request(fields)))

    async def wait(self, payment_id: str, timeout_s: float = WAIT_S) -> Payment:
        """See `Client.wait`."""
        asked = self._core.commands.wait(checked_id(payment_id), checked_wait(timeout_s))
        return await self._runner.run(asked)

    def wait_many(self, payment_ids: Iterable[str], timeout_s: float = WAIT_S) -> AsyncIterator[Payment]:
        """See `Client.wait_many`; for `async for`."""
        which = [checked_id(payment_id) for payment_id in payment_ids]
        return self._waited(which, checked_wait(timeout_s))

    async def _waited(self, payment_ids: Sequence[str], timeout_s: float) -> AsyncIterator[Payment]:
        self._bridge.check_loop()
        deadline = Deadline(timeout_s)
        await self._waiter.watch(deadline)
        waiting = Waiting(self._waiter.hub, self._waiter.wanted, payment_ids, deadline)
        try:
            while (payment := await self._runner.run(waiting.next())) is not None:
                yield payment
        finally:
            waiting.end()

    async def query(self, payment_id: str) -> Payment:
        """See `Client.query`."""
        return await self._runner.run(self._core.commands.query(checked_id(payment_id)))

    async def capture(self, payment_id: str, *, amount: Money | None = None) -> Payment:
        """See `Client.capture`."""
        return await self._runner.run(self._core.commands.capture(checked_id(payment_id), amount=amount))

    async def returned(self, payment_id: str, params: Mapping[str, str]) -> Payment:
        """See `Client.returned`."""
        return await self._runner.run(
            self._core.commands.returned(checked_id(payment_id), checked_returned(params))
        )

    async def refund(
        self, payment_id: str, *, reference: str, amount: Money | None = None, reason: str | None = None
    ) -> Payment:
        """See `Client.refund`."""
        return await self._runner.run(
            self._core.commands.refund(
                checked_id(payment_id), reference=reference, amount=amount, reason=reason
            )
        )

    async def close(self, payment_id: str) -> Payment:
        """See `Client.close`."""
        return await self._runner.run(self._core.commands.close(checked_id(payment_id)))

    async def acknowledge(
        self, payment_id: str, reason: ReviewReason | str, *, by: str, note: str
    ) -> Payment:
        """See `Client.acknowledge`."""
        finding = checked_finding(by, note)
        return await self._runner.run(
            self._core.commands.acknowledge(checked_id(payment_id), checked_reason(reason), finding)
        )

    async def record(
        self,
        payment_id: str,
        found: Found,
        *,
        by: str,
        note: str,
        provider_id: str | None = None,
        refund: str | None = None,
    ) -> Payment:
        """See `Client.record`."""
        given = checked_record(found, by=by, note=note, provider_id=provider_id, refund=refund)
        return await self._runner.run(self._core.commands.record(checked_id(payment_id), given))

    async def receive(
        self, account: str, *, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> Reply:
        """See `Client.receive`."""
        notification = checked_notification(self._core.ledger.now(), body, headers, query)
        received = await self._runner.run(self._core.commands.receive(checked_account(account), notification))
        for name, payment_ids in received.to_confirm.items():
            self._waiter.wanted.of(name).confirm(payment_ids)
        return received.reply

    @property
    def account_names(self) -> tuple[str, ...]:
        """See `Client.account_names`."""
        return tuple(self._core.config.accounts)

    async def accounts(self) -> tuple[AccountInfo, ...]:
        """See `Client.accounts`."""
        self._bridge.check_loop()
        return await asyncio.to_thread(account_infos, self._core.accounts)

    def provider_list(
        self, account: str | None = None, *, since: datetime, until: datetime
    ) -> AsyncIterator[Listed]:
        """See `Client.provider_list`; for `async for`."""
        name = None if account is None else checked_account(account)
        return self._listed(self._core.commands.provider_list(name, *checked_range(since, until)))

    async def reconcile(
        self,
        account: str | None = None,
        *,
        since: datetime,
        until: datetime | None = None,
        bring_back: bool | None = None,
    ) -> Reconciliation:
        """See `Client.reconcile`."""
        name = None if account is None else checked_account(account)
        which = checked_range(since, self._core.ledger.now() if until is None else until)
        return await self._runner.run(self._core.commands.reconcile(name, *which, bring_back=bring_back))

    async def _listed(self, listing: Listing) -> AsyncIterator[Listed]:
        while not listing.is_over:
            for item in await self._runner.run(listing.next_page()):
                yield item

    async def get(self, payment_id: str) -> Payment:
        """See `Client.get`."""
        which = checked_id(payment_id)
        return await self._read(lambda ledger: ledger.get(which))

    async def find(
        self, reference: str, *, account: str | None = None, namespace: str | None = None
    ) -> Payment:
        """See `Client.find`."""
        name = checked_name(account, reference, namespace)
        found = await self._read(lambda ledger: ledger.find(name.account, name.reference))
        return only_one(found, reference, namespace)

    async def list(
        self, *, after: str | Payment | None = None, limit: int = PAGE, **which: Unpack[ListArguments]
    ) -> tuple[Payment, ...]:
        """See `Client.list`."""
        return await self._page(checked_filter(which, after=after, limit=limit))

    def list_all(self, **which: Unpack[ListArguments]) -> AsyncIterator[Payment]:
        """See `Client.list_all`; for `async for`."""
        return self._pages(first_page(which))

    def open(self, *, account: str | None = None) -> AsyncIterator[Payment]:
        """See `Client.open`; for `async for`."""
        return self.list_all(account=account, open=True)

    async def _pages(self, which: Filter) -> AsyncIterator[Payment]:
        more: Filter | None = which
        while more is not None:
            page = await self._page(more)
            for payment in page:
                yield payment
            more = next_page(more, page)

    async def totals(self, *by: TotalsBy, **which: Unpack[TotalsArguments]) -> tuple[Totals, ...]:
        """See `Client.totals`."""
        summed = checked_totals(by, which)
        return await self._read(lambda ledger: ledger.totals(summed))

    async def events(self, payment_id: str) -> tuple[Event, ...]:
        """See `Client.events`."""
        which = checked_id(payment_id)
        return await self._read(lambda ledger: ledger.events(which))

    def changes(
        self,
        consumer: str,
        *,
        kinds: Iterable[ChangeKind | str] | None = None,
        from_start: bool = False,
        follow: bool = True,
    ) -> AsyncGenerator[PaymentChange, None]:
        """
        See `Client.changes`; for `async for`.

        After a `break` or an exception the lease is given back once the iterator is closed: see `contextlib.aclosing`.
        """
        return self._changes(self._feeds.open(consumer, kinds, from_start=from_start, follow=follow))

    async def forget_consumer(self, consumer: str) -> None:
        """See `Client.forget_consumer`."""
        name = checked_consumer(consumer)
        await self._read(lambda ledger: ledger.forget_consumer(name))

    async def _changes(self, feed: Feed) -> AsyncGenerator[PaymentChange, None]:
        self._bridge.check_loop()
        keeping = asyncio.create_task(self._runner.run(feed.keep()), name="paycore-changes")
        try:
            while (change := await self._runner.run(feed.next())) is not None:
                yield change
                await self._runner.run(feed.acknowledge())
        finally:
            feed.end()
            keeping.cancel()

    async def _page(self, which: Filter) -> tuple[Payment, ...]:
        return await self._read(lambda ledger: ledger.list(which))

    async def _read(self, verb: Callable[[Ledger], Future[T]]) -> T:
        self._bridge.check_loop()
        with nothing_moves():
            return await self._bridge.result(verb(self._core.ledger))

    async def run_worker(self, *, accounts: Sequence[str] | None = None) -> None:
        """See `Client.run_worker`; it ends when it is cancelled."""
        self._bridge.check_loop()
        names = self._core.account_names(accounts)
        scopes, presence = [Everything([name]) for name in names], Presence(names)
        ending: list[Everything | Presence] = [*scopes, presence]
        if self._is_ended:
            return
        working = [task for scope in scopes for task in self._started(scope)]
        working += self._run_beside([presence.program()])
        self._scopes += ending
        self._working += working
        try:
            await asyncio.wait(working)
        finally:
            for one in ending:
                one.end()
            await _drained(working)

    def resolve(self, *, accounts: Sequence[str] | None = None) -> AsyncIterator[Resolved]:
        """See `Client.resolve`; for `async for`."""
        return self._resolve(self._core.account_names(accounts))

    async def _resolve(self, names: Sequence[str]) -> AsyncIterator[Resolved]:
        self._bridge.check_loop()
        for going in self._core.passes(names):
            while not going.is_over:
                for resolved in await self._runner.run(going.next()):
                    yield resolved

    def metrics(self) -> CollectorRegistry:
        """See `Client.metrics`; not awaited. Make a page of it in another thread: that waits for the ledger."""
        return self._core.metrics()

    def _look_after(self, scope: Scope) -> None:
        self._working += self._started(scope)

    def _started(self, scope: Scope) -> Sequence[asyncio.Task[None]]:
        return self._run_beside(self._core.worker.programs(scope))

    def _run_beside(self, programs: Iterable[Program[None]]) -> Sequence[asyncio.Task[None]]:
        return [
            # In a context of its own: a worker outlives whoever first waited, and is no part of their trace.
            asyncio.create_task(self._runner.run(program), name="paycore-worker", context=Context())
            for program in programs
        ]

    async def shutdown(self) -> None:
        """
        End the worker, the connections and the ledger; what `async with` does at its end.

        Once its event loop has ended, another one may call this: worker and connections have ended with the loop.
        """
        if self._bridge.is_over:
            await asyncio.to_thread(self._core.ledger.close)
            return
        self._bridge.check_loop()
        self._is_ended = True
        self._feeds.close()
        for scope in self._scopes:
            scope.end()
        self._waiter.close()
        try:
            await _drained(self._working)
        finally:  # also when all tasks of the loop are cancelled
            await self._let_go()

    async def _let_go(self) -> None:
        await self._runner.aclose()
        await asyncio.to_thread(self._core.ledger.close)

    async def __aenter__(self) -> Self:
        self._bridge.check_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()


async def _drained(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for these, at most `DRAIN_S` seconds; cancel those that take longer."""
    left = list(tasks)
    try:
        if left:
            _, late = await asyncio.wait(left, timeout=DRAIN_S)
            left = list(late)
    finally:
        for task in left:
            task.cancel()
    if left:
        await asyncio.wait(left)
