"""
The `Ledger` protocol: the methods that every database implements, and their results.

Each method is one transaction, except `observe`. It returns a `concurrent.futures.Future` that is done once the
transaction is durable. Sync callers use `.result()`, async callers await it through `engine.bridge`, so neither
can hold a transaction open across I/O. A submitted call can't be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:  # `list` needs `Filter` alone, and starts sooner
    from paycore.domain.asking import Due, Question
    from paycore.domain.bringing_back import BroughtBack
    from paycore.domain.budget import Spent
    from paycore.domain.capabilities import RequestBudget
    from paycore.domain.changes import ChangeKind
    from paycore.domain.events import Change, Event, PaymentBegun, Source
    from paycore.domain.observation import Observation
    from paycore.domain.payment import Payment, ReviewReason, Status
    from paycore.domain.provider import Notice
    from paycore.domain.totals import Totals, TotalsBy
    from paycore.domain.wire import Notification

Decide: TypeAlias = "Callable[[Payment, datetime], Sequence[Change]]"
"""Returns the changes to make to the payment as stored now. Raises a `RequestError` to refuse. Pure."""


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """
    A payment as stored, and the events this transaction added; none when nothing changed.

    `now` is the ledger's clock inside the transaction. `send_at`: when what is to be sent may be, by the request
    budget; None where nothing is.
    """

    payment: Payment
    events: tuple[Event, ...]
    now: datetime
    send_at: datetime | None = None


class Spending(msgspec.Struct, frozen=True):
    """The account whose request budget pays for a request, and for how many seconds that can wait for its turn."""

    account: str
    budget: RequestBudget
    wait_s: float


class Turn(msgspec.Struct, frozen=True):
    """When a request may be sent, by the ledger's clock, and what that showed."""

    send_at: datetime
    now: datetime


Choose: TypeAlias = "Callable[[Sequence[Due], int], Question]"
"""Returns what to ask about of what is due, given UTC milliseconds. Pure."""


class Rescheduled(NamedTuple):
    """
    When a payment of this version is due; and when it was last asked about, None: when it was claimed.

    `claimed_at`: once somebody has claimed it after that, nothing is changed; None: whoever has. `is_answered`: what a
    notification had it asked about is known now; until then it stays due, whatever else is recorded.
    """

    payment_id: str
    version: int
    due_at: datetime | None
    asked_at: datetime | None = None
    claimed_at: datetime | None = None
    is_answered: bool = True


class Report(NamedTuple):
    """
    Whether a question of the account was answered.

    `rests_s`: so many seconds its provider takes none; None: it said nothing of that.
    """

    account: str
    is_answered: bool
    rests_s: float | None = None


class Claiming(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a question of an account is claimed: who chooses it, within which budget, for how many seconds it is held.

    `weighed`: how many payments it chooses among, the most overdue ones: as many as one question takes do where only
    that counts. `ids`: only among these payments; None: among all of the account. `not_asked_since`: those that were
    not asked about since then, in place of those that are due. `ahead_s`: where something is due, what
    comes due so soon may be part of the question.
    """

    account: str
    choose: Choose
    budget: RequestBudget
    lease_s: float
    weighed: int
    ids: Collection[str] | None = None
    not_asked_since: datetime | None = None
    ahead_s: float = 0.0


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """
    A question to ask now, for which the budget is spent; or None, and when to look again: None when nothing is due.

    `payments` are those of the question that nobody else is changing, and `due` all of it, with what was due soon.
    """

    now: datetime
    question: Question | None = None
    payments: tuple[Payment, ...] = ()
    due: tuple[Due, ...] = ()
    next_at: datetime | None = None


def to_send(events: Sequence[Event]) -> str | None:
    """The id of the operation to send after these events, None when there is none."""
    from paycore.domain.events import OperationBegun, OperationSent
    from paycore.domain.events import PaymentBegun as Begun

    match events[-1].change if events else None:
        case Begun(operation=operation) | OperationBegun(operation=operation):
            return operation.id
        case OperationSent(operation_id=operation_id):
            return operation_id
        case _:
            return None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """
    The result of recording a notification.

    `payments`: the account's payments that it names, by a number of ours or by an id of the provider's. `due`: the
    ids of those that must be queried to confirm it. `unknown`: the names (`named_by`) of what no payment of the
    account has, each with the other accounts that have it. `is_repeat`: the notification was recorded before, so its
    observations changed nothing.
    """

    payments: tuple[Committed, ...]
    due: tuple[str, ...]
    unknown: Mapping[str, tuple[str, ...]]
    is_repeat: bool


class Sought(NamedTuple):
    """Names of orders and refunds of an account: our numbers, the provider's ids, the callers' references."""

    account: str
    numbers: Collection[str] = ()
    ids: Collection[str] = ()
    references: Collection[str] = ()


def named_by(notice: Notice) -> str:
    """What a notice names an order or refund by: our number, or an id of the provider's."""
    from paycore.domain.provider import Mention

    by_id = notice.id if isinstance(notice, Mention) else None
    return by_id if by_id is not None else str(notice.number)


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


ListedBy = Literal["created", "updated", "paid"]
"""The time by which payments are listed; by `paid`, only those that were."""


Sort = Literal["newest", "oldest"]
"""Which of the times comes first."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which payments to list; None means any.

    `open`: those that are not final in every part; `refunding`: those with a refund that is not. Listed by the time
    `by`, from `since` to before `until`. `sort` None is newest first, but with `reference_prefix` by reference, in the
    order of its characters. `after`: the id of the last
    payment of the previous page, and `after_at` its time `by` then, None for the one it has by now. `limit`: 1 to 1000.
    """

    account: str | None = None
    status: Status | None = None
    review: bool | None = None
    review_reason: ReviewReason | None = None
    uncertain: bool | None = None
    open: bool | None = None
    refunding: bool | None = None
    reference_prefix: str | None = None
    by: ListedBy = "created"
    sort: Sort | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None
    after_at: datetime | None = None
    limit: int = 50


class Summed(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which payments to sum, and by what.

    Those of `account`, None for any, whose `time` is from `since` to before `until`; by "paid" only those that were.
    Days are those of `timezone`.
    """

    by: tuple[TotalsBy, ...] = ()
    account: str | None = None
    time: ListedBy = "created"
    since: datetime | None = None
    until: datetime | None = None
    timezone: tzinfo = UTC


# --- the change feed ---------------------------------------------------------------------------------


class FeedPlace(NamedTuple):
    """
    How far a consumer has acknowledged: all events up to `position`, and `taken` changes of the event after it.

    0 is before the first event.
    """

    position: int
    taken: int = 0


class Unsettled(NamedTuple):
    """Events at positions up to `until` may still be committed, by these transactions."""

    until: int
    writers: frozenset[str]


class FeedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a payment, by its event; `place` is where a consumer is once it is acknowledged."""

    place: FeedPlace
    position: int
    payment_id: str
    seq: int
    at: datetime
    kind: ChangeKind
    refund: str | None


class FeedPage(msgspec.Struct, frozen=True, kw_only=True):
    """
    The next changes, in order; `end` is the place after all events that were read.

    `is_last`: there was nothing more. `unsettled`, unless None: read again soon with it, a transaction before the next
    change has not ended.
    """

    entries: tuple[FeedEntry, ...]
    end: FeedPlace
    is_last: bool
    unsettled: Unsettled | None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer is held until `until`, by the ledger's clock; it has acknowledged up to `place`."""

    place: FeedPlace
    until: datetime


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """
    A consumer of the change feed.

    `holder` and `leased_until` are those of the reader's lease, None when it was given back. `behind` is about how many
    events it has not acknowledged (positions that were rolled back count too), `oldest_at` the time of the first of
    them, None when there is none.
    """

    name: str
    place: FeedPlace
    holder: str | None
    leased_until: datetime | None
    created_at: datetime
    acknowledged_at: datetime | None
    behind: int
    oldest_at: datetime | None


# --- for metrics -------------------------------------------------------------------------------------


class OpenPayments(NamedTuple):
    """How many payments of an account are open, and when the oldest of them was made."""

    total: int
    oldest_at: datetime


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """
    How many payments there are, by account and status; what there are none of is left out.

    By account: `open` those that are not final in every part, `review` those that a person must look at, `uncertain`
    those with an operation of which the outcome is not known.
    """

    payments: Mapping[tuple[str, Status], int]
    open: Mapping[str, OpenPayments]
    review: Mapping[str, int]
    uncertain: Mapping[str, int]


# --- workers -----------------------------------------------------------------------------------------


class RunningWorker(msgspec.Struct, frozen=True, kw_only=True):
    """
    A process that looks after all that is due of these accounts, as it said last, at `seen_at`.

    `pid` is its number on `host`. A process that was killed leaves this behind.
    """

    id: str
    host: str
    pid: int
    accounts: tuple[str, ...]
    started_at: datetime
    seen_at: datetime


class Ledger(Protocol):
    """The durable record. Raises `LedgerError`s; each class says whether money may have moved."""

    def begin(
        self, reference: str, begun: Callable[[datetime], PaymentBegun], spending: Spending | None = None
    ) -> Future[Committed]:
        """
        Record a new payment with its first operation, unless `reference` already names one.

        A payment of the same account or namespace that has the reference is returned, with no events.
        `begun` is called with the ledger's time and returns a payment with this reference. With `spending`, its
        request takes a place in the account's budget: see `spend`.
        """
        ...

    def change(
        self, payment_id: str, decide: Decide, source: Source, spending: Spending | None = None
    ) -> Future[Committed]:
        """
        Call `decide` on the stored payment and record the changes it returns. `NotFound` when there is none.

        With `spending`, what it sends takes a place in the account's budget: see `spend`.
        """
        ...

    def spend(self, spending: Spending) -> Future[Turn]:
        """
        Take the earliest place in the account's request budget.

        `NotSent`, with how many seconds to wait, where that is later than `spending` allows; then nothing is recorded.
        """
        ...

    def rest(self, account: str, retry_after_s: float | None) -> Future[None]:
        """
        The provider refused a request because there were too many.

        The account sends nothing for so many seconds (None: it named none), and asks less for a while.
        """
        ...

    def observe(
        self, account: str, observations: Sequence[Observation], source: Source
    ) -> Future[tuple[Committed, ...]]:
        """
        Merge observations into the payments that have their numbers; unknown numbers are ignored.

        Many observations are split into several transactions, and other writers run in between. After an error
        the remaining ones are not merged.
        """
        ...

    def bring_back(self, names: Sought, found: Callable[[datetime], BroughtBack]) -> Future[Committed]:
        """
        Record a payment that its provider lists and the ledger does not have, with all that `found` tells of it.

        It is never sent. Where a payment already has its reference, its number or an id of it, nothing is recorded:
        that one comes back, with no events, and may be another payment.
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
        Store a verified notification, and in the same transaction merge it or make its payments due now.

        With `is_evidence` False it only makes payments due; a `Mention` never does more, whether it names them by
        number or by any id the provider has for an order, a refund or a charge. A repeated notification is not
        stored again, and its observations change nothing; but what it mentions is due once more, since some send the
        same words each time that anything happens.
        """
        ...

    def claim(self, claiming: Claiming) -> Future[Claimed]:
        """
        Claim one question about what is due of the account, and spend its request.

        Its payments become due again after the lease, so the claims of a process that dies expire by themselves. What a
        notification has made due stays so until its question is answered, whatever is recorded meanwhile: that may be
        the answer to an older question.
        """
        ...

    def renew(self, ids: Collection[str], lease_s: float) -> Future[None]:
        """Hold these claimed payments for so many seconds from now on, unless their lease has ended."""
        ...

    def reschedule(self, due: Sequence[Rescheduled], report: Report | None = None) -> Future[None]:
        """
        Set due times; and keep the report of the question, where there was one.

        Skips a payment whose version changed, and one that is due by now, because a notification arrived. While a
        provider does not answer, one question at a time tries whether it does.
        """
        ...

    def get(self, payment_id: str) -> Future[Payment]:
        """The payment with this id; `NotFound` when there is none."""
        ...

    def find(self, account: str | None, reference: str) -> Future[tuple[Payment, ...]]:
        """The payments with this reference: at most one per account."""
        ...

    def named(self, names: Sought) -> Future[tuple[Payment, ...]]:
        """
        The payments that have any of these names, each once, oldest first.

        Ids of the account's; numbers and references of any account's.
        """
        ...

    def list(self, which: Filter) -> Future[tuple[Payment, ...]]:
        """
        A page of payments, in the order of `which`.

        `NotFound` when there is no payment with the id `after`, `InvalidField` when it has no time `by`.
        """
        ...

    def totals(self, which: Summed) -> Future[tuple[Totals, ...]]:
        """Sums over payments, ordered by what they are grouped by. Goes through all of them that `which` names."""
        ...

    def events(self, payment_id: str) -> Future[tuple[Event, ...]]:
        """All events of a payment, oldest first."""
        ...

    def read_feed(self, after: FeedPlace, unsettled: Unsettled | None = None) -> Future[FeedPage]:
        """
        The changes of the next events after a place, as far as nothing before them can still be committed.

        `unsettled` is that of the page before, if any.
        """
        ...

    def feed_end(self, unsettled: Unsettled | None = None) -> Future[Unsettled]:
        """
        The newest position; call again with the result until it has no `writers`.

        Then every event up to it is committed or never will be.
        """
        ...

    def hold_consumer(
        self, name: str, *, holder: str, lease_s: float, start: int | None = None
    ) -> Future[Lease | None]:
        """
        Take or renew the consumer's lease; None when another holder's has not ended, or there is no such consumer.

        One that does not exist is made at position `start`, unless that is None.
        """
        ...

    def renew_consumer(self, name: str, *, holder: str, lease_s: float) -> Future[Lease | None]:
        """
        Renew the consumer's lease, also one that has ended; None when another holder has taken it since.

        Also when that one has given it back: it has gone on from where this holder was.
        """
        ...

    def acknowledge(
        self, name: str, *, holder: str, place: FeedPlace, lease_s: float
    ) -> Future[datetime | None]:
        """
        Store how far the consumer has come, and renew its lease; returns until when.

        None, and nothing is stored, when another holder has taken the lease meanwhile.
        """
        ...

    def release_consumer(self, name: str, holder: str) -> Future[None]:
        """End the lease, if it is this holder's."""
        ...

    def forget_consumer(self, name: str) -> Future[None]:
        """Remove the consumer. `NotFound` when there is none, `ConsumerTaken` while a reader holds its lease."""
        ...

    def consumers(self, name: str | None = None) -> Future[tuple[Consumer, ...]]:
        """The consumers of the change feed by name; or the one with this name, if there is one."""
        ...

    def note_worker(self, worker_id: str, *, host: str, pid: int, accounts: tuple[str, ...]) -> Future[None]:
        """
        Record that this worker runs now; the first time, in place of one of the same accounts that was killed there.

        Rows of workers that were not seen for a week are removed then, too.
        """
        ...

    def forget_worker(self, worker_id: str) -> Future[None]:
        """This worker has ended; nothing where it is not known."""
        ...

    def workers(self) -> Future[tuple[RunningWorker, ...]]:
        """The workers that have not ended, by host and process; those that were killed are among them."""
        ...

    def census(self) -> Future[Census]:
        """How many payments there are. Looks through an index of all of them."""
        ...

    def budgets(self) -> Future[Mapping[str, Spent]]:
        """What each account has spent of its request budget; see `domain.budget.used`."""
        ...

    def watch(self, on_change: Callable[[Collection[str]], None]) -> Callable[[], None]:
        """
        Call `on_change` with the ids of payments that any process changed; returns a function that stops it.

        Called from one of the ledger's threads, after the commit. The ids may include payments that did not
        change.
        """
        ...

    def now(self) -> datetime:
        """The clock that all processes on this ledger share: aware UTC, whole milliseconds."""
        ...

    def now_for(self, begun_at: datetime) -> datetime:
        """
        The time by which the age of an order that was begun at `begun_at` is measured; never later than `now`.

        After the system clock was set back, `now` runs ahead of it. Orders begun before that do not get older
        by the difference.
        """
        ...

    @property
    def is_open(self) -> bool:
        """Whether it takes work: it was not closed, and not inherited by a fork."""
        ...

    def close(self) -> None:
        """Finish the submitted work and close all connections."""
        ...
