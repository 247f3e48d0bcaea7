"""
Looks after due payments: asks their providers, as their request budgets allow, and resolves what is unknown.

What a worker looks after is a scope. A scope is looked after in lanes, so that a slow answer holds up one of them only:
one lane looks for the question that tells most, and asks it while another one looks for the next. Lanes of one client,
of other processes and of other hosts share the work by what they claim in the ledger. The claims of a worker that dies
come due again when their lease ends; those of one that lives are renewed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol

from paycore.domain.asking import Density, Due, Question, next_question, weighed
from paycore.domain.closing import is_still_to_close
from paycore.domain.events import Source
from paycore.domain.payment import Payment, Status
from paycore.domain.schedule import INTERVAL_MIN_S, due_at
from paycore.engine.accounts import Account, Accounts
from paycore.engine.effects import Pause, Program, UntilSignalled, in_ledger
from paycore.engine.outages import Outages
from paycore.engine.recovery import Recovery
from paycore.engine.signals import Signal
from paycore.engine.telling import tell, traced
from paycore.engine.timing import Deadline, Stopwatch
from paycore.errors import (
    AccountRefused,
    LedgerError,
    NotSent,
    PaycoreError,
    PluginError,
    ProviderError,
    RequestError,
)
from paycore.ledger.api import Choose, Claimed, Claiming, Report, Rescheduled
from paycore.ledger.clock import from_ms, to_ms

LEASE_S = 10.0
"""Seconds after which the claims of a dead worker are due again."""

RENEW_EVERY_S = 3.0
PAUSE_MAX_S = 60.0
RETRY_S = 1.0

LOOK_EVERY_S = 0.05
"""Seconds between two looks that found nothing, however often the scope is signalled."""

DRAIN_S = 3.0
"""Seconds that the lanes of a scope have to end; what takes longer is left to the next worker."""

LANES = 3
"""Requests under way at once for an account: with 400 a minute, two keep up with answers that take 0.3 seconds."""


class Scope(Protocol):
    """
    What a worker looks after. `pause_max_s`: how long it pauses at most, None: until it is signalled.

    `signal` is given when there is more to look after, and when it is over.
    """

    is_over: bool
    pause_max_s: float | None
    signal: Signal

    def accounts(self) -> Sequence[str]:
        """The accounts to look after now."""
        ...

    def ids(self, account: str) -> Collection[str] | None:
        """The payments of the account to look after; None: all of it."""
        ...

    def resolved(self, account: str, payment_ids: Collection[str]) -> None:
        """These are not due any more."""
        ...


class Everything:
    """All that is due of these accounts; whoever made it."""

    pause_max_s: float | None = 1.0

    def __init__(self, accounts: Sequence[str]) -> None:
        self._accounts = tuple(accounts)
        self.signal = Signal()
        self.is_over = False

    def accounts(self) -> Sequence[str]:
        """See `Scope.accounts`."""
        return self._accounts

    def ids(self, account: str) -> None:
        """See `Scope.ids`."""

    def resolved(self, account: str, payment_ids: Collection[str]) -> None:
        """See `Scope.resolved`."""

    def end(self) -> None:
        """Have its lanes end, each with its question."""
        self.is_over = True
        self.signal.give()


class _Found(NamedTuple):
    """A question of an account that is claimed, to be asked now."""

    account: Account
    claimed: Claimed
    question: Question


class QuestionEnded(NamedTuple):
    """
    What came of a question: of these payments, how they are now; those that are not due any more.

    `problem` says why there was no answer, None where there was one.
    """

    payments: Sequence[Payment]
    resolved: Sequence[str] = ()
    problem: str | None = None


class Crew:
    """What the lanes of a scope share: which of them looks for a question, and what is claimed."""

    def __init__(self) -> None:
        self.looking = threading.Lock()
        self._held: dict[object, Sequence[Payment]] = {}

    @contextmanager
    def holding(self, payments: Sequence[Payment]) -> Iterator[None]:
        """These are claimed, inside the block."""
        question = object()
        self._held[question] = payments
        try:
            yield
        finally:
            del self._held[question]

    @property
    def held(self) -> list[str]:
        """The ids of all that is claimed."""
        return [payment.id for payments in tuple(self._held.values()) for payment in payments]


class Worker:
    """Programs that look after payments; `now` and `now_for` are the ledger's."""

    def __init__(
        self,
        recovery: Recovery,
        accounts: Accounts,
        *,
        now: Callable[[], datetime],
        now_for: Callable[[datetime], datetime],
    ) -> None:
        self._recovery = recovery
        self._accounts = accounts
        self.now = now
        self._now_for = now_for
        self._turns = 0
        self._outages = Outages()
        self._densities: dict[str, Density] = {}

    # --- lanes -----------------------------------------------------------------------------------------

    def programs(self, scope: Scope) -> list[Program[None]]:
        """What looks after the scope, to be run beside each other."""
        crew = Crew()
        return [*(self.run(scope, crew) for _ in range(LANES)), self.keep(scope, crew)]

    def run(self, scope: Scope, crew: Crew) -> Program[None]:
        """One lane: ask one question after another until the scope is over."""
        while True:
            seen = scope.signal.count  # first: its end is signalled too
            if scope.is_over:
                return
            if not crew.looking.acquire(blocking=False):
                yield UntilSignalled(scope.signal, seen, None)
                continue
            try:
                found = yield from self._find(scope, seen)
            finally:
                crew.looking.release()
            if found is not None:
                yield from self._handle(scope, crew, found)

    def _find(self, scope: Scope, seen: int) -> Program[_Found | None]:
        """A question, if there is one; else None, once there may be one."""
        apart = Deadline(LOOK_EVERY_S)
        try:
            found = yield from self._next(scope)
        except Exception as error:  # noqa: BLE001 - whoever waits still wants to be looked after
            self._tell_of_failure(scope, error)
            yield UntilSignalled(scope.signal, seen, RETRY_S)
            return None
        self._outages.answered("the worker")
        if isinstance(found, _Found):
            return found
        pause_s = scope.pause_max_s
        if found is not None:
            pause_s = min(
                max(0.0, (found - self.now()).total_seconds()),
                PAUSE_MAX_S if pause_s is None else pause_s,
            )
        if pause_s is None or pause_s > 0:
            yield UntilSignalled(scope.signal, seen, pause_s)
            if scope.signal.count != seen and apart.left_s > 0 and not scope.is_over:
                yield Pause(apart.left_s)
        return None

    def _handle(self, scope: Scope, crew: Crew, found: _Found) -> Program[None]:
        """Ask the question that was found."""
        try:
            with crew.holding(found.claimed.payments):
                scope.signal.give()  # another lane looks for the next one, and the claim is kept
                yield from self._asked(scope, found)
        except Exception as error:  # noqa: BLE001 - what was claimed comes due again
            self._tell_of_failure(scope, error)
            yield UntilSignalled(scope.signal, scope.signal.count, RETRY_S)

    def _tell_of_failure(self, scope: Scope, error: Exception) -> None:
        if scope.is_over:
            return  # its client closes
        what = "could not look after the payments that are due"
        if isinstance(error, PaycoreError):
            self._outages.failed("the worker", f"{what}: {error}")
        else:
            self._outages.failed("the worker", what, exc_info=True)

    def keep(self, scope: Scope, crew: Crew) -> Program[None]:
        """Renew the claims of all lanes until the scope is over; where nothing is claimed, wait for the next claim."""
        due = Deadline(RENEW_EVERY_S)
        while True:
            seen = scope.signal.count  # first: a claim is signalled, and the end too
            if scope.is_over:
                return
            held = crew.held
            if not held:
                yield UntilSignalled(scope.signal, seen, None)
                due = Deadline(RENEW_EVERY_S)
                continue
            if due.left_s <= 0:
                yield from self._renew(held)
                due = Deadline(RENEW_EVERY_S)
            yield UntilSignalled(scope.signal, seen, max(0.0, due.left_s))

    def _renew(self, held: Sequence[str]) -> Program[None]:
        try:
            yield from in_ledger(lambda ledger: ledger.renew(held, LEASE_S))
        except LedgerError as error:  # others may ask about the same; nothing else depends on it
            self._outages.failed("the worker", f"could not renew its claims: {error}")

    def _next(self, scope: Scope) -> Program[_Found | datetime | None]:
        """A question of the first account that has one; or when to look again, None if that is not known."""
        looked: list[datetime] = []
        for name in self._rotated(scope.accounts()):
            account = self._usable(name)
            if account is None:
                continue
            claimed = yield from self._claim_of(account, scope)
            if claimed.question is not None:
                return _Found(account, claimed, claimed.question)
            if claimed.next_at is not None:
                looked.append(claimed.next_at)
        return min(looked, default=None)

    def _rotated(self, names: Sequence[str]) -> Sequence[str]:
        """Another account comes first each time, so that none is kept waiting by those before it."""
        self._turns += 1
        first = self._turns % max(1, len(names))
        return [*names[first:], *names[:first]]

    def _usable(self, name: str) -> Account | None:
        """The account, if it can be asked; a warning says why not."""
        if name not in self._accounts:
            return None
        try:
            return self._accounts.get(name)
        except PaycoreError as error:
            self._outages.failed(f"account {name}", f"can't look after its payments: {error}")
            return None

    # --- one question ----------------------------------------------------------------------------------

    def look_once(self, scope: Scope) -> Program[bool]:
        """One question of each account, where there is one; whether any was asked."""
        is_asked = False
        for name in scope.accounts():
            account = self._usable(name)
            if account is None:
                continue
            claimed = yield from self._claim_of(account, scope)
            if claimed.question is not None:
                yield from self._asked(scope, _Found(account, claimed, claimed.question))
                is_asked = True
        return is_asked

    def _claim_of(self, account: Account, scope: Scope) -> Program[Claimed]:
        """Claim the question that tells most, of what is due; or when there may be one."""
        ahead_s = 0.0 if account.capabilities.list_by_time is None else INTERVAL_MIN_S
        choose = partial(self.choose, account)
        return self.claim(account, choose, ids=scope.ids(account.name), ahead_s=ahead_s)

    def claim(
        self,
        account: Account,
        choose: Choose,
        *,
        ids: Collection[str] | None = None,
        not_asked_since: datetime | None = None,
        ahead_s: float = 0.0,
    ) -> Program[Claimed]:
        """Claim the question that is chosen of these payments, see `Claiming`; or when there may be one."""
        claiming = Claiming(
            account=account.name,
            choose=choose,
            budget=account.capabilities.budget,
            lease_s=LEASE_S,
            weighed=weighed(account.capabilities),
            ids=ids,
            not_asked_since=not_asked_since,
            ahead_s=ahead_s,
        )
        return in_ledger(lambda ledger: ledger.claim(claiming))

    def _asked(self, scope: Scope, found: _Found) -> Program[None]:
        """Ask the question, and recover what is unknown."""
        answer = yield from self.ask(found.account, found.claimed, found.question)
        scope.resolved(found.account.name, answer.resolved)

    def choose(self, account: Account, due: Sequence[Due], now_ms: int) -> Question:
        """Of what is due, the question that tells most."""
        return next_question(due, account.capabilities, self._density(account), now_ms)

    def _density(self, account: Account) -> Density:
        return self._densities.setdefault(account.name, Density())

    def ask(self, account: Account, claimed: Claimed, question: Question) -> Program[QuestionEnded]:
        """Ask what was claimed, recover, and keep when each is due next."""
        watch = Stopwatch()
        try:
            asked = yield from traced("ask", self._answers(account, claimed, question))
        except PaycoreError as error:
            yield from self._try_later(account, claimed, error)
            return QuestionEnded((), problem=str(error))
        self._outages.answered(f"account {account.name}")
        recovered = yield from traced("recover", self._recover(account, asked))
        _tell_of_changes(claimed.payments, recovered, watch)
        due = [
            Rescheduled(one.id, one.version, due_at(one, claimed.now), claimed_at=claimed.now)
            for one in recovered
        ]
        missed = _missed(claimed, {one.payment_id for one in due}, self.now())
        yield from in_ledger(
            lambda ledger: ledger.reschedule([*due, *missed], Report(account.name, is_answered=True))
        )
        return QuestionEnded(recovered, [one.payment_id for one in due if one.due_at is None])

    def _answers(self, account: Account, claimed: Claimed, question: Question) -> Program[Sequence[Payment]]:
        """Of those that the provider told of, how they are now."""
        density, by_time = self._density(account), account.capabilities.list_by_time
        if question.range_ms is None or by_time is None:
            return (yield from self._answers_by_number(account, claimed, density))
        try:
            listed = yield from self._recovery.ask_list(account, claimed.payments, question.range_ms, by_time)
        except (AccountRefused, PluginError):  # the list may fail for good where a query does not
            density.withhold(question.ids, to_ms(claimed.now))
            raise
        except ProviderError:
            density.fail(to_ms(claimed.now))
            raise
        density.learn(
            claimed.due,
            {payment.id for payment in listed.payments},
            listed.records,
            by_time,
            is_whole=listed.is_whole,
            now_ms=to_ms(claimed.now),
        )
        return listed.payments

    def _answers_by_number(
        self, account: Account, claimed: Claimed, density: Density
    ) -> Program[Sequence[Payment]]:
        try:
            payments = yield from self._recovery.ask(account, claimed.payments, Source.POLL, turns=1)
        except ProviderError:
            density.hear(is_answered=False)
            raise
        density.hear(is_answered=True)
        return payments

    def _try_later(self, account: Account, claimed: Claimed, error: PaycoreError) -> Program[None]:
        """Nothing was answered: what is due for a notification only stays claimed, and comes back after the lease."""
        count = len(claimed.payments)
        asked_about = "1 payment" if count == 1 else f"{count} payments"
        self._outages.failed(f"account {account.name}", f"could not ask about {asked_about}: {error}")
        rests_s = error.retry_after_s if isinstance(error, NotSent) else None
        now = self.now()
        again = now + timedelta(seconds=INTERVAL_MIN_S)
        due = [
            Rescheduled(payment.id, payment.version, again, claimed_at=claimed.now, is_answered=False)
            for payment in claimed.payments
            if due_at(payment, now) is not None
        ]
        report = Report(account.name, is_answered=False, rests_s=rests_s)
        yield from in_ledger(lambda ledger: ledger.reschedule(due, report))

    def _recover(self, account: Account, payments: Sequence[Payment]) -> Program[Sequence[Payment]]:
        recovered = []
        for payment in payments:
            try:
                recovered.append((yield from self._recover_one(account, payment)))
            except PaycoreError as error:
                problem = f"payment {payment.id}: recovery goes on later: {error}"
                self._outages.failed(f"account {account.name}", problem)
                recovered.append((yield from self._as_recorded(payment)))
        return recovered

    def _as_recorded(self, payment: Payment) -> Program[Payment]:
        """It may have been changed on the way to the error; when it is due next follows from what it is now."""
        return in_ledger(lambda ledger: ledger.get(payment.id))

    def _recover_one(self, account: Account, payment: Payment) -> Program[Payment]:
        payment = yield from self._recovery.recover(account, payment)
        if payment.status is not Status.PENDING or not self._is_to_close(payment):
            return payment
        try:
            payment = yield from self._recovery.close_order(account, payment, Source.RECOVERY)
        except RequestError:
            return payment  # this product can't be closed: it expires at the provider, which will say so
        if payment.status.is_final:
            return payment
        return (yield from self._recovery.resolve(account, payment, source=Source.POLL))

    def _is_to_close(self, payment: Payment) -> bool:
        """Whether its time is over, and closing it was not refused just now."""
        if payment.expires_at is None or self._now_for(payment.creation.begun_at) < payment.expires_at:
            return False
        return is_still_to_close(payment, payment.order_number, self.now())


def _tell_of_changes(before: Sequence[Payment], after: Sequence[Payment], watch: Stopwatch) -> None:
    versions = {payment.id: payment.version for payment in before}
    for payment in after:
        if payment.version != versions.get(payment.id):
            tell("look after", (payment,), watch)


def _missed(claimed: Claimed, told: Collection[str], now: datetime) -> list[Rescheduled]:
    """What the provider did not tell of waits on, as if it had not been asked about, but not to be asked at once."""
    again = now + timedelta(seconds=INTERVAL_MIN_S)
    waits_since = {one.id: one.asked_ms for one in claimed.due}
    return [
        Rescheduled(one.id, one.version, again, from_ms(waits_since[one.id]), claimed.now, is_answered=False)
        for one in claimed.payments
        if one.id not in told
    ]
