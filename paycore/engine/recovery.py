"""Resolves unknown outcomes: query the provider, merge what it says, then send what `domain.recovery` decides."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from paycore.domain import closing, decisions, recovery
from paycore.domain.decisions import Answered
from paycore.domain.events import Change, Source
from paycore.domain.payment import Operation, OperationKind, OperationState, Payment, Status
from paycore.domain.provider import Found, ListByTime, ListReply, OrderRef, QueryReply
from paycore.domain.safe_text import printable
from paycore.domain.wire import Flow
from paycore.engine.accounts import Account
from paycore.engine.answers import counted_found, reading
from paycore.engine.attempts import Attempts
from paycore.engine.contract import answer_of
from paycore.engine.effects import Program, in_ledger
from paycore.engine.orders import in_session, order_ref, product_of, questions, refs_to_ask
from paycore.engine.provider_list import listing
from paycore.engine.timing import Deadline
from paycore.errors import AccountRefused, PaycoreError, PluginError, ProviderError, TooMany
from paycore.ledger.api import Decide
from paycore.ledger.clock import MILLISECOND, from_ms

_log = logging.getLogger(__name__)

MARGIN_S = 0.05
"""Seconds after proof begins before the query: outside the ledger its clock is known only roughly."""

MOVES_MAX = 4
"""Steps of one recovery at most: send again, close, number anew, and once more after a race."""


class Told(NamedTuple):
    """The payments that a page of the provider's list told of, among so many records; `is_whole`: it was the last."""

    payments: tuple[Payment, ...]
    records: int
    is_whole: bool


class Recovery:
    """Programs that find the outcome of operations without an answer, and complete them."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    def resolve(self, account: Account, payment: Payment, *, source: Source) -> Program[Payment]:
        """
        Query the provider, then take the steps `domain.recovery` decides on until none is left for now.

        Raises when the query fails; the payment is then unchanged.
        """
        if payment.creation.state is OperationState.INTENT:
            return payment
        try:
            (payment,) = yield from self.ask(account, [payment], source)
        except PaycoreError as error:
            error.payment_id = payment.id
            raise
        return (yield from self.complete(account, payment))

    def complete(self, account: Account, payment: Payment) -> Program[Payment]:
        """
        `recover`, for a caller who has their answer already: once the payer agreed, it is none of theirs what fails.

        A worker goes on with it. What was recorded of it is in the payment.
        """
        try:
            return (yield from self.recover(account, payment))
        except (ProviderError, AccountRefused, PluginError, TooMany) as error:
            if payment.status is not Status.AUTHORIZED:
                raise
            _log.warning(
                "payment %s: it is authorized; what follows goes on later: %s",
                payment.id,
                printable(str(error)),
            )
        return (yield from in_ledger(lambda ledger: ledger.get(payment.id)))

    def resolve_in_time(self, account: Account, payment: Payment) -> Program[Payment]:
        """
        Resolve; if "not found" does not prove absence yet, wait until it does and resolve once more.

        Takes at most one call's deadline and the proof window longer.
        """
        asked_at = self._attempts.now()
        payment = yield from self.resolve(account, payment, source=Source.QUERY)
        proven_at = self._proven_at(account, payment)
        if proven_at is None or proven_at <= asked_at:
            return payment
        # What wakes a waiter may be a change that is known already.
        while self._proven_at(account, payment) is not None:
            left_s = (proven_at - self._attempts.now()).total_seconds()
            if left_s <= 0:
                break
            payment = yield from self._attempts.after_change(payment, left_s)
        return (yield from self.resolve(account, payment, source=Source.QUERY))

    def _proven_at(self, account: Account, payment: Payment) -> datetime | None:
        """
        From when "not found" proves that no number without an answer exists.

        None when every number has one or was put off by the provider, when it never proves that, or only later than
        one call's deadline and the proof window from now.
        """
        window_s = account.capabilities.query_proves_absence_after_s
        unanswered = [
            op.in_flight_until
            for op in payment.operations
            if op.is_uncertain and not op.is_observed and op.kind is not OperationKind.CLOSE
            if op.not_before is None or op.not_before <= self._attempts.now()
        ]
        if window_s is None or not unanswered:
            return None
        proven_at = max(unanswered) + timedelta(seconds=window_s)
        is_soon = proven_at <= self._attempts.now() + account.deadline + timedelta(seconds=window_s)
        return proven_at + timedelta(seconds=MARGIN_S) if is_soon else None

    def ask(
        self, account: Account, payments: Sequence[Payment], source: Source, *, turns: int = 0
    ) -> Program[tuple[Payment, ...]]:
        """
        What the provider says of these payments and their open refunds, merged into the ledger.

        Makes as many queries as their numbers need, at most `QUESTIONS_MAX`; the answers of those before a failure
        are kept. The first `turns` requests have their turn already.
        """
        payments, _ = yield from self.ask_and_tell(account, payments, source, turns=turns)
        return tuple(payments)

    def ask_and_tell(
        self, account: Account, payments: Sequence[Payment], source: Source, *, turns: int = 0
    ) -> Program[tuple[Sequence[Payment], Found]]:
        """`ask`, and the answer itself."""
        asked = _Asked(self._attempts.now())
        attempt = account.attempt(asked.at, self._attempts.new_id())
        lookup = account.capabilities.lookup
        refs = [ref for payment in payments for ref in refs_to_ask(payment, lookup, attempt)]
        found, seen = Found(), dict[str, Payment]()
        for some in questions(refs, account.capabilities.query_batch_max, asked.at):
            told = yield from self._query(account, some, turns)
            turns = 0
            seen |= yield from self._observe(account, told, source)
            found = _both(found, told)
        noted = []
        for payment in payments:
            known = seen.get(payment.id, payment)
            noted.append((yield from self._note(account, known, found, asked)))
            if source is Source.QUERY:
                _warn_of_forgotten(account, known, found)
                _warn_of_undecided(account, known, found)
        return noted, found

    def look(self, account: Account, ref: OrderRef) -> Program[Found]:
        """What the provider says of an order that the ledger does not have; nothing is recorded."""
        return self._query(account, [ref], 0)

    def ask_list(
        self, account: Account, payments: Sequence[Payment], range_ms: tuple[int, int], by_time: ListByTime
    ) -> Program[Told]:
        """
        What a page of the provider's list says of these payments, merged into the ledger.

        The page has what was made in the range. That no money was taken is never believed of a list: a number may have
        several records, of which it shows one.
        """
        at, nonce = self._attempts.now(), self._attempts.new_id()
        since = from_ms(range_ms[0]) - timedelta(seconds=by_time.early_s)
        until = from_ms(range_ms[1]) + timedelta(seconds=by_time.late_s)
        outcome: ListReply = yield from self._attempts.sessions.converse(
            account,
            lambda entered: listing(entered, since, until, None, entered.attempt(at, nonce)),
            account.call_deadline(),
            turns=1,
        )
        page = answer_of(account, outcome)
        attempt = account.attempt(at, nonce)
        refs = [order_ref(payment, payment.creation, attempt) for payment in payments]
        said = Found(
            observations=tuple(item.observation for item in page.items),
            undecided=frozenset(ref.number for ref in refs),
        )
        told = counted_found(refs, said, account.capabilities)
        seen = yield from self._observe(account, told, Source.POLL)
        return Told(
            payments=tuple(seen[payment.id] for payment in payments if payment.id in seen),
            # A page that is not the last was full, whatever of it was left out.
            records=max(len(page.items), 0 if page.cursor is None else by_time.records_max),
            is_whole=page.cursor is None,
        )

    def _observe(self, account: Account, found: Found, source: Source) -> Program[dict[str, Payment]]:
        if not found.observations:
            return {}
        observed = yield from self._attempts.commit(
            lambda ledger: ledger.observe(account.name, found.observations, source)
        )
        return {committed.payment.id: committed.payment for committed in observed}

    def recover(self, account: Account, payment: Payment) -> Program[Payment]:
        """Take the steps `domain.recovery` decides on, given what is known now."""
        for _ in range(MOVES_MAX):
            context = recovery.Context(
                capabilities=account.capabilities,
                numbering=self._attempts.numbering(),
                deadline=account.deadline,
                has_auth_code=account.auth_code is not None,
            )
            decide = partial(recovery.next_changes, context=context)
            if not decide(payment, self._attempts.now()):  # a transaction of its own would be for nothing
                break
            before = payment
            payment = yield from self._attempts.change_and_send(account, payment.id, decide, Source.RECOVERY)
            _warn_of_refused_capture(account, before, payment)
            if payment.version == before.version:
                break
        return payment

    def _query(self, account: Account, refs: Sequence[OrderRef], turns: int) -> Program[Found]:
        outcome: QueryReply = yield from self._attempts.sessions.converse(
            account, partial(_asking, refs), account.call_deadline(), turns=turns
        )
        return counted_found(refs, answer_of(account, outcome), account.capabilities)

    def _note(self, account: Account, payment: Payment, found: Found, asked: _Asked) -> Program[Payment]:
        """Record what follows without an observation: requests that never arrived, closes that took effect."""
        window_s = account.capabilities.query_proves_absence_after_s
        answered = Answered(
            asked_at=asked.at,
            absent=found.absent,
            authorized=found.authorized,
            proves_after=None if window_s is None else timedelta(seconds=window_s),
        )
        if not decisions.conclude_from_query(payment, answered):
            return payment
        decide = partial(_conclude_from_query, answered, asked)
        committed = yield from self._attempts.change(payment.id, decide, Source.RECOVERY)
        return committed.payment

    def send_again(self, account: Account, payment: Payment, operation_id: str) -> Program[Payment]:
        """The same operation once more, with the same number, unless it is resolved or under way."""
        again = partial(
            decisions.send_again,
            operation_id=operation_id,
            deadline=account.deadline,
            nonce=self._attempts.new_id(),
        )
        return self._change_as_seen(account, payment, again)

    def renumber(self, account: Account, payment: Payment) -> Program[Payment]:
        """The same payment under a new number, when the present one can't be paid any more."""
        numbering = self._attempts.numbering()
        anew = partial(decisions.renumber, numbering=numbering, deadline=account.deadline)
        return self._change_as_seen(account, payment, anew)

    def close_order(self, account: Account, payment: Payment, source: Source) -> Program[Payment]:
        """
        One close of the order now in force.

        A caller's close applies to the payment as it is by then, any other only to the one that was seen.
        """
        close = partial(
            closing.begin_close,
            product=product_of(account, payment),
            numbering=self._attempts.numbering(),
            deadline=account.deadline,
            lookup=account.capabilities.lookup,
        )
        if source is Source.CALLER:
            return self._attempts.change_and_send(account, payment.id, close, source)
        return self._change_as_seen(account, payment, close)

    def _change_as_seen(self, account: Account, seen: Payment, decide: Decide) -> Program[Payment]:
        """Decide only on the payment as it was seen: once somebody else has changed it, nothing is decided."""
        as_seen = partial(_if_unchanged, decide, seen.version)
        return self._attempts.change_and_send(account, seen.id, as_seen, Source.RECOVERY)


def _asking(refs: Sequence[OrderRef], account: Account) -> Flow[QueryReply]:
    """The query's flow, its outcome checked."""
    given = [in_session(ref, account.session) for ref in refs]
    return reading(account, lambda: account.provider.query(given), Found)


def _conclude_from_query(answered: Answered, asked: _Asked, payment: Payment, now: datetime) -> list[Change]:
    return decisions.conclude_from_query(payment, replace(answered, asked_at=asked.seen_from(now)))


def _both(found: Found, more: Found) -> Found:
    """What either answer tells."""
    return Found(
        observations=(*found.observations, *more.observations),
        absent=found.absent | more.absent,
        undecided=found.undecided | more.undecided,
    )


class _Asked:
    """When the provider was queried: as this process estimates the ledger's clock, and corrected by `seen_from`."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._since = Deadline(0.0)

    def seen_from(self, now: datetime) -> datetime:
        """
        A time not later than the query by the ledger's clock, given `now`, which it shows inside a transaction.

        To the millisecond: `now` is rounded down, so the query may have been one later.
        """
        return min(self.at, now + MILLISECOND + timedelta(seconds=self._since.left_s))


def _warn_of_forgotten(account: Account, payment: Payment, found: Found) -> None:
    """A number the provider reported before and does not know now proves nothing, but is unexpected."""
    if payment.status.is_final:
        return
    for operation in payment.operations:
        if operation.is_observed and operation.number in found.absent:
            _log.warning(
                "payment %s: account %s does not know the number %s any more; check its mode and base_url, and"
                " the provider's own records",
                payment.id,
                account.name,
                operation.number,
            )


def _warn_of_undecided(account: Account, payment: Payment, found: Found) -> None:
    """Log why the payment stays as it is: part of the answer can't be read, or is undecided."""
    for operation in payment.operations:
        if operation.kind is not OperationKind.CLOSE and operation.number in found.undecided:
            _log.warning(
                "payment %s: not everything that account %s tells of the number %s can be read or is decided, so it"
                " is not taken for failed or closed; look it up in the provider's own records",
                payment.id,
                account.name,
                operation.number,
            )


def _warn_of_refused_capture(account: Account, before: Payment, payment: Payment) -> None:
    """Nobody asked for this capture, so nobody else hears that it was refused."""
    known = {operation.id for operation in before.operations if _is_refused_capture(operation)}
    for operation in payment.operations:
        if _is_refused_capture(operation) and operation.id not in known and operation.failure is not None:
            code, message = printable(operation.failure.code), printable(operation.failure.message)
            _log.warning(
                "payment %s: account %s refused its capture: %s: %s", payment.id, account.name, code, message
            )


def _is_refused_capture(operation: Operation) -> bool:
    return operation.kind is OperationKind.CAPTURE and operation.state is OperationState.REJECTED


def _if_unchanged(decide: Decide, version: int, payment: Payment, now: datetime) -> Sequence[Change]:
    return decide(payment, now) if payment.version == version else ()
