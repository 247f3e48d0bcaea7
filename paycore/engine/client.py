"""`Client`: the application's API in sync code."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
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
from paycore.engine.runner import Runner
from paycore.engine.timing import Deadline
from paycore.engine.waiter import Waiter
from paycore.engine.waiting import Waiting
from paycore.engine.worker import DRAIN_S, Everything, Scope
from paycore.ledger.api import Filter
from paycore.ledger.base import SqlLedger
from paycore.ledger.lists import next_page

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

T = TypeVar("T")


class Client:
    """
    Payments from sync code; share one between threads.

    `config` is a path, a `Config`, or None to find `paycore.toml`. Use it in a `with` block: leaving it
    ends the connections, and the worker thread that looks after what is waited for or was notified.

    `plugins` and `ledger` are for tests: plugins that are not installed, and a ledger that is open already, with a
    clock of its own for instance, in place of the one that `config` names. The client closes it.
    """

    def __init__(
        self,
        config: str | Path | Config | None = None,
        *,
        plugins: Plugins | None = None,
        ledger: SqlLedger | None = None,
    ) -> None:
        self._core = ClientCore(config, plugins, ledger)
        self._waiter = Waiter(self._core.ledger, self._look_after)
        self._runner = Runner(self._core.ledger, self._waiter)
        self._feeds = Feeds(self._core.ledger)
        self._working: list[threading.Thread] = []
        self._scopes: list[Everything | Presence] = []
        self._ended = threading.Event()

    @with_keywords_of_create
    def create(self, **fields: Unpack[CreateFields]) -> Payment:
        """
        Make a payment, or get the one this `reference` already names, whichever account made it.

        - `reference`: your key, 1 to 128 printable characters without a space at its ends; the same reference is
          the same payment, for ever, in the whole ledger, or in the account's `namespace` where the
          configuration gives it one.
        - `amount`: exact money, above 0. `channel`: where the payer stands. `method`: what they pay with; None takes
          the account's `default_method`, or the method of the payment there is.
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

        At once when waiting changes nothing: it was never sent (`create` with the same reference sends it), or it is
        authorized and left to `capture`.
        A refund that is under way is waited for too, and asked about meanwhile: until it succeeded or failed.
        0 seconds take it as it is; at most 366 days.
        Nothing is lost when the caller goes away: call again, from any process.

        A ledger that can't be reached is waited for, until the timeout; raises `LedgerUnavailable` then, or 2 seconds
        later where an answer is missing.
        """
        return self._runner.run(self._core.commands.wait(checked_id(payment_id), checked_wait(timeout_s)))

    def wait_many(self, payment_ids: Iterable[str], timeout_s: float = WAIT_S) -> Iterator[Payment]:
        """
        Wait for all of these at once: each payment as soon as `wait` would return it, so not in their order.

        After `timeout_s` seconds, from the first one on, those that are left, as they are. Each id comes once, however
        often it is given. They are looked after while the iterator is used; leaving it loses nothing.

        Raises `NotFound` for an id that no payment has.
        """
        which = [checked_id(payment_id) for payment_id in payment_ids]
        return self._waited(which, checked_wait(timeout_s))

    def _waited(self, payment_ids: Sequence[str], timeout_s: float) -> Iterator[Payment]:
        deadline = Deadline(timeout_s)
        self._waiter.watch(deadline)
        waiting = Waiting(self._waiter.hub, self._waiter.wanted, payment_ids, deadline)
        try:
            while (payment := self._runner.run(waiting.next())) is not None:
                yield payment
        finally:
            waiting.end()

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

        Raises `NotSent` or `MaybeSent` when no answer came: what was returned is kept all the same. `TooMany` once the
        payer came back a hundred times with something new: then nothing is kept or asked.
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
        for name, payment_ids in received.to_confirm.items():
            self._waiter.wanted.of(name).confirm(payment_ids)
        return received.reply

    @property
    def account_names(self) -> tuple[str, ...]:
        """The names of the configured accounts, whether they can be used or not."""
        return tuple(self._core.config.accounts)

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

    def reconcile(
        self,
        account: str | None = None,
        *,
        since: datetime,
        until: datetime | None = None,
        bring_back: bool | None = None,
    ) -> Reconciliation:
        """
        Compare the ledger with what the provider has of [since, until), and bring back what the ledger has lost.

        `account` None is the default one; the moments have a time zone, `until` None is now. Of what differs the
        provider is asked, and its answer is recorded. A payment or a refund that the ledger lacks, after an old backup
        was restored for instance, is recorded where the provider tells your reference and its amount; `create` with
        that reference then returns it. It never overwrites, and sends only questions. Run it again at will.

        Where another ledger takes payments by the same merchant account, its payments look like lost ones of this. So
        `bring_back` None brings back only where this ledger made no payment between the first and the last of the lost
        ones, as none is after a backup was restored; where the list has payments of before them, if this account was
        paid any; and where no account of another `namespace` may be at the same merchant's. True brings back in any
        case, False never: it is only told then.

        Raises `NotSupported` when the provider has no list; `NotSent` or `MaybeSent` when no answer came,
        `AccountRefused`, `LedgerError`s: run it again, what was found until then is recorded. No money moves.
        """
        name = None if account is None else checked_account(account)
        which = checked_range(since, self._core.ledger.now() if until is None else until)
        return self._runner.run(self._core.commands.reconcile(name, *which, bring_back=bring_back))

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
        return only_one(_read(self._core.ledger.find(name.account, name.reference)), reference, namespace)

    def list(
        self, *, after: str | Payment | None = None, limit: int = PAGE, **which: Unpack[ListArguments]
    ) -> tuple[Payment, ...]:
        """
        A page of payments, newest first; None means any.

        `status` may be its word, "paid". `open`: whether anything of it is not final; `refunding`: whether a refund of
        it is not. `review_reason`: one of `ReviewReason`, of those that nobody has acknowledged.

        `since` and `until` (before it) are moments with a time zone, of the time that the list is ordered `by`:
        "created", "updated", or "paid" for those that ever were. `sort`, "newest" or "oldest", says which comes first.
        With `reference_prefix` and no `sort` payments come by reference instead, in the order of its characters.

        `limit` 1 to 1000. The next page is the one `after` the last payment of this one, or its id: payments made at
        once have the same time, and a page of times leaves some out. `list_all` goes through all of them.
        """
        return _read(self._core.ledger.list(checked_filter(which, after=after, limit=limit)))

    def list_all(self, **which: Unpack[ListArguments]) -> Iterator[Payment]:
        """
        Every payment of a list, in its order, however many there are; see `list`. Holds a page of them at a time.

        Each comes once, as it is when its page is read. By "updated", one that changes meanwhile moves to the front,
        and may be missed.
        """
        return self._pages(first_page(which))

    def open(self, *, account: str | None = None) -> Iterator[Payment]:
        """
        Every payment of which anything is not final, newest first, however many there are.

        That is created, unknown, pending or authorized; or with a refund, a close or an order that is not needed any
        more not final yet. Each comes once, as it is when its page is read; those that are open all the while
        all come, whatever changes meanwhile. `wait` looks after one. Holds a page of them at a time.
        """
        return self.list_all(account=account, open=True)

    def _pages(self, which: Filter) -> Iterator[Payment]:
        more: Filter | None = which
        while more is not None:
            page = _read(self._core.ledger.list(more))
            yield from page
            more = next_page(more, page)

    def totals(self, *by: TotalsBy, **which: Unpack[TotalsArguments]) -> tuple[Totals, ...]:
        """
        Counts and sums of payments, grouped by "day", "account", "status" and "currency", in the order given.

        No amount is summed over currencies: with no words there is one `paycore.Totals` for each currency.
        `totals("day", time="paid", since=..., until=...)` tells what was paid each day.

        Of `account`, None for any. `since` and `until` (before it) are moments with a time zone, of the `time`
        "created", "updated", or "paid" for payments that ever were; a day is that of the same time in `timezone`. The
        sums are of the payments as they are now: a refund counts on the day of its payment. Every payment that it
        sums is read: seconds for millions.

        Raises `InvalidField`; `LedgerError`s. No money moves.
        """
        return _read(self._core.ledger.totals(checked_totals(by, which)))

    def events(self, payment_id: str) -> tuple[Event, ...]:
        """The payment's history, oldest first."""
        return _read(self._core.ledger.events(checked_id(payment_id)))

    def changes(
        self,
        consumer: str,
        *,
        kinds: Iterable[ChangeKind | str] | None = None,
        from_start: bool = False,
        follow: bool = True,
    ) -> Generator[PaymentChange, None, None]:
        """
        What changes of the payments, in order, from where this `consumer` last acknowledged; to deliver once.

        Leaving the loop body acknowledges the change; an exception or `break` in it does not, and the change is
        handed over again. So each comes at least once; act on it in one transaction with its `key`, and it counts
        once. `consumer` names what you do with them, and is made on first use: from then on, or with `from_start`
        from the ledger's first payment. `kinds`: some of `paycore.ChangeKind`, or their words; None for all.

        One iteration at a time, in whichever process, reads for a consumer; others wait, and one takes over within
        10 seconds after its process died, at once after the loop was left. It goes on until the client closes; with
        `follow` False it ends after the last change there is.

        Raises `ConsumerTaken` when another process has taken over while the change in hand was handled, or, without
        `follow`, reads now; `InvalidField`; `LedgerError`s. A ledger that can't be reached is waited for, unless
        `follow` is False.
        """
        return self._changes(self._feeds.open(consumer, kinds, from_start=from_start, follow=follow))

    def forget_consumer(self, consumer: str) -> None:
        """
        Remove a consumer of the change feed that is not needed any more; used again, it is a new one.

        Raises `NotFound` when there is none, `ConsumerTaken` while somebody reads for it.
        """
        _read(self._core.ledger.forget_consumer(checked_consumer(consumer)))

    def _changes(self, feed: Feed) -> Generator[PaymentChange, None, None]:
        keeping = threading.Thread(
            target=self._runner.run, args=(feed.keep(),), name="paycore-changes", daemon=True
        )
        keeping.start()
        try:
            while (change := self._runner.run(feed.next())) is not None:
                yield change
                self._runner.run(feed.acknowledge())
        finally:
            feed.end()

    def run_worker(self, *, accounts: Sequence[str] | None = None) -> None:
        """
        Look after all payments, refunds and captures that are due, whoever made them, until `shutdown`.

        Of these accounts, None: of all in the configuration. As many processes as you like may do so: they share
        the work, and what one of them had begun when it died is due again after 10 seconds. An exception in the thread
        that called this, such as Ctrl-C, ends it too. What is asked then has 3 seconds to be answered; what takes
        longer is left to the next worker.
        """
        names = self._core.account_names(accounts)
        scopes, presence = [Everything([name]) for name in names], Presence(names)
        ending: list[Everything | Presence] = [*scopes, presence]
        if self._ended.is_set():
            return
        working = [thread for scope in scopes for thread in self._started(scope)]
        working += self._run_beside([presence.program()])
        self._scopes += ending
        self._working += working
        try:
            self._ended.wait()
        finally:
            for one in ending:
                one.end()
            _join(working)

    def resolve(self, *, accounts: Sequence[str] | None = None) -> Iterator[Resolved]:
        """
        Ask once about everything that is open, and end: payments, refunds, captures, late checks of closed orders.

        Of these accounts, None: of all in the configuration, one after another. Yields each payment once its provider
        told of it, and at the end of an account, with a `problem`, those that nothing was told of: an account that
        gives no answer three times is left. What must be sent to resolve an unknown outcome is sent. The request
        budget sets the pace. For a schedule such as cron's, where no worker runs.

        Raises `ConfigError` for an account that can't be used, after the others, and `LedgerError`s.
        """
        return self._resolve(self._core.account_names(accounts))

    def _resolve(self, names: Sequence[str]) -> Iterator[Resolved]:
        for going in self._core.passes(names):
            while not going.is_over:
                yield from self._runner.run(going.next())

    def metrics(self) -> CollectorRegistry:
        """
        The Prometheus registry of this client; what it does is counted from the first call on.

        `prometheus_client.generate_latest` makes a page of it, which reads the ledger and may wait for it some seconds.
        `paycore.web.metrics` serves it. Raises `ConfigError` without the extra `metrics`.
        """
        return self._core.metrics()

    def _look_after(self, scope: Scope) -> None:
        self._working += self._started(scope)

    def _started(self, scope: Scope) -> Sequence[threading.Thread]:
        return self._run_beside(self._core.worker.programs(scope))

    def _run_beside(self, programs: Iterable[Program[None]]) -> Sequence[threading.Thread]:
        threads = [
            threading.Thread(target=self._runner.run, args=(program,), name="paycore-worker", daemon=True)
            for program in programs
        ]
        for thread in threads:
            thread.start()
        return threads

    def shutdown(self) -> None:
        """End the worker, the connections and the ledger; what `with` does at its end."""
        self._feeds.close()
        self._ended.set()
        for scope in self._scopes:
            scope.end()
        self._waiter.close()
        _join(self._working)
        self._runner.close()
        self._core.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()


def _join(threads: Iterable[threading.Thread]) -> None:
    """Wait for these, at most `DRAIN_S` seconds."""
    deadline = Deadline(DRAIN_S)
    for thread in threads:
        thread.join(max(0.0, deadline.left_s))


def _read(reading: Future[T]) -> T:
    with nothing_moves():
        return reading.result()
