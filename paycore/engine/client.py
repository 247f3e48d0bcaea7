"""The application's API: `Client` and `AsyncClient`, the same methods in sync and async."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, Unpack

from paycore.domain.events import Event
from paycore.domain.findings import Found
from paycore.domain.money import Money
from paycore.domain.payment import Payment, ReviewReason, Status
from paycore.domain.provider import Listed
from paycore.domain.wire import Reply
from paycore.engine.accounts import Accounts
from paycore.engine.arguments import (
    checked_account,
    checked_filter,
    checked_finding,
    checked_id,
    checked_name,
    checked_notification,
    checked_range,
    checked_reason,
    checked_record,
    checked_returned,
    checked_wait,
    next_page,
    open_pages,
)
from paycore.engine.attempts import Attempts
from paycore.engine.bridge import Bridge
from paycore.engine.checks import CreateFields, create_request
from paycore.engine.commands import Commands
from paycore.engine.config import Config, load_config
from paycore.engine.listing import Listing
from paycore.engine.offers import AccountInfo, account_infos
from paycore.engine.orders import new_id
from paycore.engine.plugins import Plugins
from paycore.engine.recovery import Recovery
from paycore.engine.runner import AsyncRunner, Runner
from paycore.engine.waiter import AsyncWaiter, Waiter
from paycore.engine.worker import Worker
from paycore.errors import NotFound, PaycoreError, ReferenceAmbiguous
from paycore.ledger import open_ledger
from paycore.ledger.api import Filter, Ledger
from paycore.ledger.base import SqlLedger

P = ParamSpec("P")
T = TypeVar("T")

WAIT_S = 300.0


class _Core:
    """What both clients consist of: configuration, accounts, ledger, commands, worker."""

    def __init__(self, config: str | Path | Config | None, plugins: Plugins | None) -> None:
        self.config = config if isinstance(config, Config) else load_config(config)
        self.plugins = plugins or Plugins(blocked=self.config.blocked_plugins)
        self.accounts = Accounts(self.config, self.plugins)
        self.ledger = _open(self.config)
        attempts = Attempts(self.plugins.observers, now=self.ledger.now, new_id=new_id)
        recovery = Recovery(attempts)
        self.commands = Commands(self.accounts, attempts, recovery)
        self.worker = Worker(recovery, self.accounts, now=self.ledger.now, now_for=self.ledger.now_for)


def _open(config: Config) -> SqlLedger:
    """Open the ledger. Errors carry no traceback or cause that holds the DSN, which may include a password."""
    try:
        with _nothing_moves():
            return open_ledger(config.ledger)
    except PaycoreError as error:
        error.__cause__ = error.__context__ = None
        failure = error.with_traceback(None)
    raise failure from None


@contextmanager
def _nothing_moves() -> Iterator[None]:
    """Mark errors raised inside the block, which only opens or reads the ledger, as `money_moved = "no"`."""
    try:
        yield
    except PaycoreError as error:
        error.money_moved = "no"
        raise


def _read(reading: Future[T]) -> T:
    with _nothing_moves():
        return reading.result()


def _only(found: tuple[Payment, ...], reference: str, namespace: str | None) -> Payment:
    left = [payment for payment in found if namespace in (None, payment.namespace)]
    if not left:
        raise NotFound(f"no payment has the reference {reference!r}")
    if len(left) > 1:
        raise ReferenceAmbiguous(reference, sorted(payment.account for payment in left))
    return left[0]


def _with_keywords_of_create(verb: Callable[P, T]) -> Callable[P, T]:
    """Have `help()` and `inspect` show the keywords themselves, in place of `**fields`."""
    own = inspect.signature(verb)
    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if name in CreateFields.__required_keys__ else None,
            annotation=kind.__forward_arg__,
        )
        for name, kind in CreateFields.__annotations__.items()
    ]
    shown = own.replace(parameters=[own.parameters["self"], *keywords])
    setattr(verb, "__signature__", shown)  # noqa: B010 - not declared for functions
    return verb


class Client:
    """
    Payments from sync code; share one between threads.

    `config` is a path, a `Config`, or None to find `paycore.toml`. Use it in a `with` block: leaving it
    ends the connections, and the worker thread that looks after what is waited for or was notified.
    """

    def __init__(self, config: str | Path | Config | None = None, *, plugins: Plugins | None = None) -> None:
        self._core = _Core(config, plugins)
        self._waiter = Waiter(self._core.ledger)
        self._runner = Runner(self._core.ledger, self._waiter)
        self._working: threading.Thread | None = None
        self._starting = threading.Lock()

    @_with_keywords_of_create
    def create(self, **fields: Unpack[CreateFields]) -> Payment:
        """
        Make a payment, or get the one this `reference` already names, whichever account made it.

        - `reference`: your key, 1 to 128 printable characters without a space at its ends; the same reference is
          the same payment, for ever, in the whole ledger, or in the account's `namespace` where the
          configuration gives it one.
        - `amount`: exact money, above 0. `method`, `channel`: what the payer pays with, and where.
        - `account`: a name from the configuration; None takes the default one, or that of the payment there is.
        - `subject`: what is bought. `return_url`: where the payer's browser goes afterwards; it proves
          nothing. `notify_url`: where the provider sends notifications.
        - `expires_in_s`: how long the payer has, in seconds. `payer_id`: the wallet's id of the payer.
        - `auth_code`: the code scanned from the payer, as text or as a `paycore.plugin.Secret`.
        - `device_id`: the till. `extra`: the provider's own fields.
        - `capture`: "automatic" (what None means) takes the money as soon as the payer agreed, "manual" waits for
          `Client.capture`, where the product takes a capture of its own.

        Returns the payment: pending with an `action`, already paid (scanned codes), authorized, failed, or `unknown`
        when no definite answer came; then `query` or `wait` resolves it. `payment.ignored` names the fields that
        the product has no use for.

        Raises `RequestError`s and `ReferenceConflict` (nothing was sent), `NotSent` (nothing moved; the payment is
        `created`, call again, where the provider put it off after `retry_after_s`), `AccountRefused` (nothing moved),
        `IncompleteReply` (the order is known, its link is not; call again), `LedgerError`s.
        """
        return self._runner.run(self._core.commands.create(create_request(fields)))

    def wait(self, payment_id: str, timeout_s: float = WAIT_S) -> Payment:
        """
        The payment once it is paid, failed, closed or needs review; else as it is after `timeout_s` seconds.

        At once when it was never sent, for waiting changes nothing: `create` with the same reference sends it.
        A refund that is under way is waited for too, and asked about meanwhile: until it succeeded or failed.
        0 seconds take it as it is; at most 366 days.
        Nothing is lost when the caller goes away: call again, from any process.
        """
        asked = self._core.commands.wait(checked_id(payment_id), checked_wait(timeout_s))
        self._look_after()
        with self._waiter.wanted.holding(payment_id):
            return self._runner.run(asked)

    def query(self, payment_id: str) -> Payment:
        """
        Query the provider now, and resolve what is unknown.

        An authorized payment is captured, unless that is left to `capture`.

        Raises `NotSent` or `MaybeSent` when no answer came: the payment is then as it was.
        """
        return self._runner.run(self._core.commands.query(checked_id(payment_id)))

    def capture(self, payment_id: str, *, amount: Money | None = None) -> Payment:
        """
        Take the money of an authorized payment: `amount` (None: all of it), once; the rest is released.

        Needed where it was made with `capture="manual"`; the others are captured as soon as an answer shows that the
        payer agreed. Called again it takes nothing more. Returns the payment: paid; authorized or pending when the
        provider refused (a payer may have to agree again); or uncertain when no answer came: `query` resolves it.

        Raises `WrongState` when it is not authorized or was asked to be closed, `InvalidField`, `NotSupported`,
        `TooMany`, `ReferenceConflict` when it is captured with another amount (nothing was sent); `NotSent`,
        `AccountRefused` (nothing moved; where the provider put it off, it goes on by itself after `retry_after_s`).
        """
        return self._runner.run(self._core.commands.capture(checked_id(payment_id), amount=amount))

    def returned(self, payment_id: str, params: Mapping[str, str]) -> Payment:
        """
        Keep what the payer came back with (texts by name, at most 16 KiB), and query the provider at once.

        It proves nothing: it is handed to the provider, and only the provider's answer moves the payment. Where the
        payer has agreed, the payment is captured, unless that is left to `capture`.

        Raises `NotSent` or `MaybeSent` when no answer came: what was returned is kept all the same.
        """
        return self._runner.run(
            self._core.commands.returned(checked_id(payment_id), checked_returned(params))
        )

    def refund(
        self, payment_id: str, *, reference: str, amount: Money | None = None, reason: str | None = None
    ) -> Payment:
        """
        Give back `amount` (None: all that is left), once per `reference`; `payment.refunds` tells how it went.

        A refund goes back from one charge. Of a payment that was paid twice each takes a refund, with a reference
        of its own; None then gives back all that is left of one of them.

        Raises `InvalidField`, `WrongState`, `RefundTooLarge`, `TooMany`, `NotSupported`, `ReferenceConflict`
        (nothing was sent), and `NotSent`, `AccountRefused` (nothing moved; call again with the same reference).
        What the provider put off goes on by itself after `retry_after_s`, while a client or worker looks after it.
        """
        return self._runner.run(
            self._core.commands.refund(
                checked_id(payment_id), reference=reference, amount=amount, reason=reason
            )
        )

    def close(self, payment_id: str) -> Payment:
        """
        Cancel an unpaid payment or void an authorized one; only the provider's answer closes it: look at the status.

        A payment that is paid, or was paid meanwhile, comes back as it is: refund it. Raises `WrongState` when it
        was never sent or its capture may have been, `NotSupported` when it can't be closed, `NotSent` where the
        provider put it off: call again after `retry_after_s`.
        """
        return self._runner.run(self._core.commands.close(checked_id(payment_id)))

    def acknowledge(self, payment_id: str, reason: ReviewReason | str, *, by: str, note: str) -> Payment:
        """
        Record that an operator has looked at the payment for this reason for review; only a new fact raises it again.

        `by` is their name, `note` what they found: 1 to 1,000 characters. Raises `WrongState` for `unresolvable`,
        which takes a finding: see `record`.
        """
        finding = checked_finding(by, note)
        return self._runner.run(
            self._core.commands.acknowledge(checked_id(payment_id), checked_reason(reason), finding)
        )

    def record(
        self,
        payment_id: str,
        found: Found,
        *,
        by: str,
        note: str,
        provider_id: str | None = None,
        refund: str | None = None,
    ) -> Payment:
        """
        Record what an operator found at the provider (in its portal), where no query can tell: it is evidence.

        `found`: "paid" (with the `provider_id` of what was paid), "closed", "refunded" (with the reference of that
        `refund`), or "absent": what was sent never arrived, of the payment or of a `refund`. `by` is the operator's
        name, `note` how they know. A wrong finding loses money, or moves it twice. Raises `WrongState` when nothing is
        unresolved that could be absent, `NotFound` for an unknown refund.
        """
        given = checked_record(found, by=by, note=note, provider_id=provider_id, refund=refund)
        return self._runner.run(self._core.commands.record(checked_id(payment_id), given))

    def receive(self, account: str, *, body: bytes, headers: Mapping[str, str], query: str = "") -> Reply:
        """
        Take a notification that arrived for `account`, as raw bytes; answer with the `Reply` returned.

        `headers` in any case; `query` is the raw query string. It is verified first. Where the provider's
        notifications are evidence it moves the payment; elsewhere it makes the payment due, and this client
        asks the provider, in the background: its answer moves it. Raises `NotAuthentic` or
        `MalformedNotification`: nothing changed, answer with an error.
        """
        notification = checked_notification(self._core.ledger.now(), body, headers, query)
        received = self._runner.run(self._core.commands.receive(checked_account(account), notification))
        if received.to_confirm:
            self._look_after()
            self._waiter.wanted.confirm(received.to_confirm)
        return received.reply

    def accounts(self) -> tuple[AccountInfo, ...]:
        """
        The configured accounts with their products, bounds and fields; sends nothing.

        One that can't be used says why in `problem`, and has no products.
        """
        return account_infos(self._core.accounts)

    def provider_list(
        self, account: str | None = None, *, since: datetime, until: datetime
    ) -> Iterator[Listed]:
        """
        What the provider itself has of [since, until): its orders and refunds, for reconciling; nothing is recorded.

        `account` None is the default one; the moments have a time zone. Of each there is the provider's observation,
        with our number, ids and your reference as far as its list has them. Pages are asked for as you go on.

        Raises `NotSupported` when the provider has no such list; `NotSent` or `MaybeSent` when no answer came. No
        money moves.
        """
        name = None if account is None else checked_account(account)
        return self._listed(self._core.commands.provider_list(name, *checked_range(since, until)))

    def _listed(self, listing: Listing) -> Iterator[Listed]:
        while not listing.is_over:
            yield from self._runner.run(listing.next_page())

    def get(self, payment_id: str) -> Payment:
        """The payment as it is recorded; `NotFound` when there is none."""
        return _read(self._core.ledger.get(checked_id(payment_id)))

    def find(self, reference: str, *, account: str | None = None, namespace: str | None = None) -> Payment:
        """
        The payment with this reference; of `account`, and in `namespace`, where they are given.

        Raises `NotFound` when there is none, `ReferenceAmbiguous` when there are several.
        """
        name = checked_name(account, reference, namespace)
        return _only(_read(self._core.ledger.find(name.account, name.reference)), reference, namespace)

    def list(
        self,
        *,
        account: str | None = None,
        status: Status | str | None = None,
        review: bool | None = None,
        uncertain: bool | None = None,
        open: bool | None = None,
        created_before: datetime | None = None,
        after: str | Payment | None = None,
        limit: int = 50,
    ) -> tuple[Payment, ...]:
        """
        Payments, newest first; None means any.

        `status` may be its word, "paid". `open`: whether anything of it is not final; see `Client.open`.
        `created_before` is a moment with a time zone. `limit` 1 to 1000. The next page is the one `after` the last
        payment of this one, or its id: payments made at once have the same time, and a page of times leaves some out.
        """
        which = checked_filter(
            account=account,
            status=status,
            review=review,
            uncertain=uncertain,
            open=open,
            created_before=created_before,
            after=after,
            limit=limit,
        )
        return _read(self._core.ledger.list(which))

    def open(self, *, account: str | None = None) -> Iterator[Payment]:
        """
        Every payment of which anything is not final, newest first, however many there are.

        That is created, unknown or pending; or with a refund, a close or an order that is not needed any more
        not final yet. Each comes once, as it is when its page is read; those that are open all the while
        all come, whatever changes meanwhile. `wait` looks after one. Holds a page of them at a time.
        """
        return self._open(open_pages(account))

    def _open(self, which: Filter) -> Iterator[Payment]:
        more: Filter | None = which
        while more is not None:
            page = _read(self._core.ledger.list(more))
            yield from page
            more = next_page(more, page)

    def events(self, payment_id: str) -> tuple[Event, ...]:
        """The payment's history, oldest first."""
        return _read(self._core.ledger.events(checked_id(payment_id)))

    def _look_after(self) -> None:
        with self._starting:
            if self._working is None:
                program = self._core.worker.run(self._waiter.wanted)
                self._working = threading.Thread(
                    target=self._runner.run, args=(program,), name="paycore-worker", daemon=True
                )
                self._working.start()

    def shutdown(self) -> None:
        """End the worker, the connections and the ledger; what `with` does at its end."""
        self._waiter.close()
        if self._working is not None:
            self._working.join()
        self._runner.close()
        self._core.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()


class AsyncClient:
    """
    Payments from async code: the verbs of `Client`, awaited. One per event loop.

    Use it in an `async with` block. It belongs to the event loop it is first used on: on any other every verb
    raises `WrongLoop` at once, and nothing is read or sent.
    """

    def __init__(self, config: str | Path | Config | None = None, *, plugins: Plugins | None = None) -> None:
        self._core = _Core(config, plugins)
        self._bridge = Bridge()
        self._waiter = AsyncWaiter(self._core.ledger, self._bridge)
        self._runner = AsyncRunner(self._core.ledger, self._waiter, self._bridge)
        self._working: asyncio.Task[None] | None = None

    @_with_keywords_of_create
    async def create(self, **fields: Unpack[CreateFields]) -> Payment:
        """See `Client.create`."""
        return await self._runner.run(self._core.commands.create(create_request(fields)))

    async def wait(self, payment_id: str, timeout_s: float = WAIT_S) -> Payment:
        """See `Client.wait`."""
        asked = self._core.commands.wait(checked_id(payment_id), checked_wait(timeout_s))
        self._look_after()
        with self._waiter.wanted.holding(payment_id):
            return await self._runner.run(asked)

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
        if received.to_confirm:
            self._look_after()
            self._waiter.wanted.confirm(received.to_confirm)
        return received.reply

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
        return _only(found, reference, namespace)

    async def list(
        self,
        *,
        account: str | None = None,
        status: Status | str | None = None,
        review: bool | None = None,
        uncertain: bool | None = None,
        open: bool | None = None,
        created_before: datetime | None = None,
        after: str | Payment | None = None,
        limit: int = 50,
    ) -> tuple[Payment, ...]:
        """See `Client.list`."""
        which = checked_filter(
            account=account,
            status=status,
            review=review,
            uncertain=uncertain,
            open=open,
            created_before=created_before,
            after=after,
            limit=limit,
        )
        return await self._page(which)

    def open(self, *, account: str | None = None) -> AsyncIterator[Payment]:
        """See `Client.open`; for `async for`."""
        return self._open(open_pages(account))

    async def _open(self, which: Filter) -> AsyncIterator[Payment]:
        more: Filter | None = which
        while more is not None:
            page = await self._page(more)
            for payment in page:
                yield payment
            more = next_page(more, page)

    async def events(self, payment_id: str) -> tuple[Event, ...]:
        """See `Client.events`."""
        which = checked_id(payment_id)
        return await self._read(lambda ledger: ledger.events(which))

    async def _page(self, which: Filter) -> tuple[Payment, ...]:
        return await self._read(lambda ledger: ledger.list(which))

    async def _read(self, verb: Callable[[Ledger], Future[T]]) -> T:
        self._bridge.check_loop()
        with _nothing_moves():
            return await self._bridge.result(verb(self._core.ledger))

    def _look_after(self) -> None:
        self._bridge.check_loop()
        if self._working is None:
            program = self._core.worker.run(self._waiter.wanted)
            self._working = asyncio.create_task(self._runner.run(program), name="paycore-worker")

    async def shutdown(self) -> None:
        """
        End the worker, the connections and the ledger; what `async with` does at its end.

        Once its event loop has ended, another one may call this: worker and connections have ended with the loop.
        """
        if self._bridge.is_over:
            await asyncio.to_thread(self._core.ledger.close)
            return
        self._bridge.check_loop()
        self._waiter.close()
        try:
            if self._working is not None:
                await self._working
        except asyncio.CancelledError:  # all tasks of the loop are, perhaps, the worker among them
            await self._let_go()
            raise
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
