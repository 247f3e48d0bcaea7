"""
Looks after due payments: claims them, queries their providers in batches, resolves what is unknown.

Embedded in a client it looks after the payments somebody waits for, and confirms what notifications tell.
A payment whose worker dies comes due again when its lease ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from paycore.domain.closing import is_still_to_close
from paycore.domain.events import Source
from paycore.domain.payment import Payment, Status
from paycore.domain.schedule import due_at
from paycore.engine.accounts import Account, Accounts
from paycore.engine.effects import Program, UntilWanted, in_ledger
from paycore.engine.orders import refs_to_ask
from paycore.engine.outages import Outages
from paycore.engine.recovery import Recovery
from paycore.engine.telling import tell
from paycore.engine.timing import Deadline, Stopwatch
from paycore.engine.waiter import Wanted
from paycore.errors import NotSent, PaycoreError, RequestError

CLAIM_MAX = 200
LEASE_S = 30.0
PAUSE_MAX_S = 60.0
RETRY_S = 1.0

TURN_S = 5.0
"""Seconds after which a turn begins no further query: others may wait by now, or the client may be closing."""

CONFIRM_WITHIN = timedelta(seconds=60)
"""How long this worker follows up a notification. The payment stays due in the ledger for any other worker."""


class Turn:
    """How long the embedded worker continues before it looks again which payments are waited for."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._deadline = Deadline(TURN_S)

    @property
    def is_over(self) -> bool:
        """Whether its time has passed, or the client is closing."""
        return self._wanted.is_over or self._deadline.left_s <= 0


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
        self._now = now
        self._now_for = now_for
        self._looks = 0
        self._outages = Outages()

    def run(self, wanted: Wanted) -> Program[None]:
        """Look after the wanted payments until the client closes."""
        to_confirm: dict[str, datetime] = {}
        going_on = True
        while going_on:
            now = self._now()
            to_confirm |= dict.fromkeys(wanted.take_to_confirm(), now + CONFIRM_WITHIN)
            to_confirm = {payment_id: until for payment_id, until in to_confirm.items() if now < until}
            pause_s = yield from self._turn(wanted.ids, to_confirm, Turn(wanted))
            going_on = yield UntilWanted(pause_s)

    def _turn(
        self, ids: Collection[str], to_confirm: dict[str, datetime], turn: Turn
    ) -> Program[float | None]:
        """
        One turn over these payments; seconds until the next one is due, None when none is wanted.

        Those somebody waits for come first. Removes from `to_confirm` what is resolved.
        """
        wanted = {*ids, *to_confirm}
        if not wanted:
            return None
        try:
            looked_after = (yield from self.look_once(ids, turn)) if ids else {}
            if to_confirm and not turn.is_over:
                looked_after |= yield from self.look_once(tuple(to_confirm), turn)
            for payment_id in (looked for looked, is_resolved in looked_after.items() if is_resolved):
                to_confirm.pop(payment_id, None)
            if looked_after:
                return 0.0  # there may be more
            due = yield from in_ledger(lambda ledger: ledger.next_due(wanted))
        except Exception:  # noqa: BLE001 - whoever waits still wants to be looked after
            self._outages.failed("the worker", "could not look after the payments waited for", exc_info=True)
            return RETRY_S
        self._outages.answered("the worker")
        if due is None:
            return PAUSE_MAX_S
        return min(PAUSE_MAX_S, max(0.0, (due - self._now()).total_seconds()))

    def look_once(
        self, ids: Collection[str] | None = None, turn: Turn | None = None
    ) -> Program[dict[str, bool]]:
        """
        Claim what is due (of `ids`; None: of all) and look after it: of each whether that resolved it.

        What is not asked about when `turn` is over is due at once.
        """
        _, claimed = yield from in_ledger(
            lambda ledger: ledger.claim(limit=CLAIM_MAX, lease_s=LEASE_S, ids=ids)
        )
        is_resolved = {payment.id: False for payment in claimed}
        known = [payment for payment in claimed if payment.account in self._accounts]
        for name, group in groupby(sorted(known, key=_account_name), key=_account_name):
            resolved = yield from self._look_after(self._accounts.get(name), list(group), turn)
            is_resolved.update(dict.fromkeys(resolved, True))
        return is_resolved

    def _look_after(
        self, account: Account, payments: Sequence[Payment], turn: Turn | None
    ) -> Program[list[str]]:
        """Ask about these and recover them; the ids of those that need not be looked at any more."""
        resolved: list[str] = []
        batches = self._batches(account, payments)
        for number, batch in enumerate(batches):
            left = [payment for rest in batches[number:] for payment in rest]
            if turn is not None and turn.is_over:
                now = self._now()
                yield from self._reschedule([(payment.id, payment.version, now) for payment in left])
                break
            watch = Stopwatch()
            try:
                asked = yield from self._recovery.ask(account, batch, Source.POLL)
            except PaycoreError as error:
                asked_about = "1 payment" if len(batch) == 1 else f"{len(batch)} payments"
                self._outages.failed(f"account {account.name}", f"could not ask about {asked_about}: {error}")
                rests_s = error.retry_after_s if isinstance(error, NotSent) else None
                yield from self._try_later(batch if rests_s is None else left, rests_s or 0.0)
                if rests_s is not None:
                    break  # the provider takes no more for now
            else:
                self._outages.answered(f"account {account.name}")
                recovered = yield from self._recover(account, asked)
                _tell_of_changes(batch, recovered, watch)
                now = self._now()
                due = [(payment.id, payment.version, due_at(payment, now)) for payment in recovered]
                yield from self._reschedule(due)
                resolved += [payment_id for payment_id, _, at in due if at is None]
        return resolved

    def _batches(self, account: Account, payments: Sequence[Payment]) -> list[list[Payment]]:
        """Query-sized batches, rotated on every pass so that none starves."""
        size, lookup = account.capabilities.query_batch_max, account.capabilities.lookup
        attempt = account.attempt(self._now(), "")
        batches: list[list[Payment]] = []
        left = 0
        # Orders begun close together can share a request where a provider is asked by time.
        for payment in sorted(payments, key=lambda payment: payment.created_at):
            numbers = sum(1 for _ in refs_to_ask(payment, lookup, attempt))
            if numbers > left or not batches:
                batches.append([])
                left = size
            batches[-1].append(payment)
            left -= numbers
        self._looks += 1
        first = self._looks % len(batches)
        return batches[first:] + batches[:first]

    def _try_later(self, payments: Sequence[Payment], rests_s: float) -> Program[None]:
        """
        Nothing was asked: what is due for a notification only stays claimed, and comes back after the lease.

        None is due before `rests_s` seconds have passed.
        """
        now = self._now()
        rested = now + timedelta(seconds=rests_s)
        due = [
            (payment.id, payment.version, max(at, rested))
            for payment in payments
            if (at := due_at(payment, now)) is not None
        ]
        yield from self._reschedule(due)

    def _reschedule(self, due: Sequence[tuple[str, int, datetime | None]]) -> Program[None]:
        return in_ledger(lambda ledger: ledger.reschedule(due))

    def _recover(self, account: Account, payments: Sequence[Payment]) -> Program[Sequence[Payment]]:
        recovered = []
        for payment in payments:
            try:
                recovered.append((yield from self._recover_one(account, payment)))
            except PaycoreError as error:
                problem = f"payment {payment.id}: recovery goes on later: {error}"
                self._outages.failed(f"account {account.name}", problem)
                recovered.append(payment)
        return recovered

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
        return is_still_to_close(payment, payment.order_number, self._now())


def _tell_of_changes(before: Sequence[Payment], after: Sequence[Payment], watch: Stopwatch) -> None:
    versions = {payment.id: payment.version for payment in before}
    for payment in after:
        if payment.version != versions.get(payment.id):
            tell("look after", (payment,), watch)


def _account_name(payment: Payment) -> str:
    return payment.account
