"""Bugs in what only some providers need: captures, windows, sessions, mentions, what happens after paid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

from msgspec.structs import replace

from paycore.domain import capturing, closing, decisions, lifecycle, merging, recovery
from paycore.domain import payment as payments
from paycore.domain.decisions import Answered
from paycore.domain.events import Change, OperationBegun, OperationEnded, ProvenAbsent, Source
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    RefundStatus,
    Status,
    numbered,
)
from paycore.domain.provider import Mention, Notice, NotNow, Rejected, Resend
from paycore.engine.answers import answering
from paycore.engine.attempts import Attempts
from paycore.engine.effects import Program, in_ledger
from paycore.engine.receiving import Receiving
from paycore.engine.sessions import Sessions
from paycore.engine.timing import Deadline
from paycore.errors import NotSent
from paycore.ledger import verbs
from tests.simulation.mutations import Patch, patched

# --- captures ------------------------------------------------------------------------------------------


def captured_twice() -> Patch:
    """A capture without an answer is made again under another number."""

    def make(capture_of: Any) -> Any:
        def answered(payment: Payment, number: str) -> Operation | None:
            known: Operation | None = capture_of(payment, number)
            return None if known is not None and known.state is OperationState.UNKNOWN else known

        return answered

    return patched(capturing, "capture_of", make)


def captured_after_closing() -> Patch:
    """An authorized order is captured although it was asked to be closed."""
    return mock.patch.object(capturing, "standing_closes", return_value=[])


def captured_without_intent() -> Patch:
    """The capture is sent first, and recorded with its answer."""

    def make(change_and_send: Any) -> Any:
        def hasty(
            self: Attempts, account: Any, payment_id: str, decide: Any, source: Source
        ) -> Program[Payment]:
            payment = yield from in_ledger(lambda ledger: ledger.get(payment_id))
            changes: list[Change] = decide(payment, self.now())
            begun = [
                change.operation
                for change in changes
                if isinstance(change, OperationBegun) and change.operation.kind is OperationKind.CAPTURE
            ]
            if not begun:
                sent: Payment = yield from change_and_send(self, account, payment_id, decide, source)
                return sent
            deadline = Deadline(account.deadline.total_seconds())
            outcome = yield from self.sessions.converse(
                account, partial(answering, payment, begun[0]), deadline
            )
            yield from self.change(payment_id, lambda _payment, _now: changes, source)
            ended = yield from self.change(
                payment_id,
                lambda payment, now: decisions.end_attempt(payment, now, sent=begun[0], outcome=outcome),
                Source.REPLY,
            )
            return ended.payment

        return hasty

    return patched(Attempts, "change_and_send", make)


def closed_after_its_capture_was_sent() -> Patch:
    """An order is closed although its capture may have arrived."""
    return mock.patch.object(closing, "_give_up_capture", return_value=[])


# --- how an order is found again ---------------------------------------------------------------------


def sent_again_outside_the_window() -> Patch:
    """A number is sent again although the provider may have forgotten it."""

    def make(is_in_window: Any) -> Any:
        def always(operation: Operation, resend: Resend, now: datetime, deadline: timedelta) -> Any:
            return is_in_window(operation, replace(resend, window_s=None), now, deadline)

        return always

    return patched(recovery, "is_in_window", make)


def window_begins_with_each_send() -> Patch:
    """The window in which a number may be sent again is counted from the last send, not from the first."""

    def make(is_in_window: Any) -> Any:
        def later(operation: Operation, *arguments: Any) -> Any:
            return is_in_window(replace(operation, first_sent_at=operation.sent_at), *arguments)

        return later

    return patched(recovery, "is_in_window", make)


def absence_believed_without_a_lookup() -> Patch:
    """What a lookup by id does not tell of is taken for absent."""

    def make(conclude: Any) -> Any:
        def believing(payment: Payment, answered: Answered) -> list[Change]:
            changes: list[Change] = conclude(payment, answered)
            if answered.proves_after is not None:
                return changes
            lost = [
                op
                for op in payment.operations
                if op.is_uncertain and not op.is_observed and op.kind is not OperationKind.CLOSE
            ]
            return [*changes, *(ProvenAbsent(number=op.number) for op in lost if not op.proven_absent_at)]

        return believing

    return patched(decisions, "conclude_from_query", make)


def unresolvable_is_sent_again() -> Patch:
    """What can't be looked up is sent again, whatever the provider does with the same number."""

    def again(
        payment: Payment, operation: Operation, now: datetime, _resend: Resend, context: recovery.Context
    ) -> list[Change]:
        return decisions.send_again(payment, now, operation.id, context.deadline, context.numbering.nonce)

    return mock.patch.object(recovery, "_send_blindly", again)


def refused_resend_counts() -> Patch:
    """A refusal of the account counts for an earlier send too, which may have arrived."""
    return mock.patch.object(decisions, "_is_only_of_resend", return_value=False)


# --- what is put off, sessions, mentions ---------------------------------------------------------------


def not_now_fails() -> Patch:
    """A request that is put off counts as refused."""

    def make(end_attempt: Any) -> Any:
        def end(payment: Payment, now: datetime, sent: Operation, outcome: Any) -> Any:
            if isinstance(outcome, NotNow):
                outcome = Rejected(failure=Failure(code="not_now", message=outcome.problem))
            return end_attempt(payment, now, sent=sent, outcome=outcome)

        return end

    return patched(decisions, "end_attempt", make)


def put_off_is_sent_at_once() -> Patch:
    """What was put off is sent before the time the provider asked for."""

    def make(may_send: Any) -> Any:
        return lambda operation, now: may_send(replace(operation, not_before=None), now)

    return patched(decisions, "may_send", make)


def put_off_is_forgotten() -> Patch:
    """Nobody goes on with a refund or a capture that was put off."""

    def make(end_attempt: Any) -> Any:
        def end(payment: Payment, now: datetime, sent: Operation, outcome: Any) -> Any:
            ended = end_attempt(payment, now, sent=sent, outcome=outcome)
            return [replace(change, not_before=_for_ever(change)) for change in ended]

        return end

    def _for_ever(change: OperationEnded) -> datetime | None:
        return None if change.not_before is None else change.not_before + timedelta(days=365)

    return patched(decisions, "end_attempt", make)


class _One(dict[str, Any]):
    """A dictionary with one key, whichever is asked for."""

    def __getitem__(self, _name: str) -> Any:
        return super().__getitem__("")

    def __setitem__(self, _name: str, value: Any) -> None:
        super().__setitem__("", value)

    def __delitem__(self, _name: str) -> None:
        super().__delitem__("")

    def get(self, _name: str, default: Any = None) -> Any:
        """The value, whatever its name."""
        return super().get("", default)


def token_is_shared() -> Patch:
    """One session serves every account of a provider."""

    def make(init: Callable[..., None]) -> Any:
        def shared(self: Any, **options: Any) -> None:
            init(self, **options)
            self._held, self._openings = _One(), _One()

        return shared

    return patched(Sessions, "__init__", make)


def refused_token_is_kept() -> Patch:
    """A session that the provider refused is used until it ends by itself."""
    return mock.patch.object(Sessions, "_converse_in", _without_refusal(Sessions._converse_in))


def _without_refusal(converse_in: Any) -> Any:
    def kept(self: Sessions, held: Any, account: Any, *arguments: Any) -> Program[Any]:
        outcome = yield from converse_in(self, held, account, *arguments)
        self._held[account.name] = held
        return outcome

    return kept


def mention_moves_money() -> Patch:
    """An unsigned id counts as a payment."""

    def make(record: Any) -> Any:
        def believing(
            group: Any, account: str, notification: Any, told: Sequence[Notice], *, is_evidence: bool
        ) -> Any:
            claimed = [
                _paid(group.payment(owner))
                for item in told
                if isinstance(item, Mention)
                for owner in verbs._owners(group, account, item)
            ]
            return record(group, account, notification, [*told, *claimed], is_evidence=True)

        return believing

    def _paid(payment: Payment) -> PaymentObservation:
        return PaymentObservation(
            number=payment.order_number,
            status=Status.PAID,
            provider_id=payment.provider_id or "?",
            amount=payment.amount,
        )

    return patched(verbs, "record_notification", make)


def repeated_mention_is_ignored() -> Patch:
    """The same unsigned id a second time is taken for a repeat, and nobody asks."""

    def make(make_due: Any) -> Any:
        def once(group: Any, payment_ids: Any) -> None:
            for payment_id in payment_ids:
                if group.payment(payment_id).status is not Status.PAID:
                    make_due(group, [payment_id])

        return once

    return patched(verbs, "_make_due", make)


def neighbour_without_session_is_acknowledged() -> Patch:
    """A notification for another account is acknowledged although that one's session could not be opened."""

    def make(verified_too: Any) -> Any:
        def careless(self: Receiving, *arguments: Any) -> Program[Any]:
            try:
                return (yield from verified_too(self, *arguments))
            except NotSent:
                return None

        return careless

    return patched(Receiving, "_verified_too", make)


# --- after paid ------------------------------------------------------------------------------------------


def charge_back_counts_twice() -> Patch:
    """Totals that are told twice are added."""

    def make(observe: Any) -> Any:
        def adding(payment: Payment, change: Any) -> Payment:
            observed: Payment = observe(payment, change)
            seen = change.observation
            if observed is payment or not isinstance(seen, PaymentObservation) or not seen.charged_back_minor:
                return observed
            before, after = numbered(payment, seen.number), numbered(observed, seen.number)
            if before is None or after is None:
                return observed
            total = before.charged_back_minor + seen.charged_back_minor
            return merging.with_operation(observed, replace(after, charged_back_minor=total))

        return adding

    return patched(lifecycle, "_observe", make)


def charge_back_is_silent() -> Patch:
    """A payment that was charged back needs no review."""

    def make(reasons: Any) -> Any:
        return lambda payment: tuple(reason for reason in reasons(payment) if reason != "charged_back")

    return patched(lifecycle, "review_reasons", make)


def reversed_refund_is_not_given_back() -> Patch:
    """What came back of a refund can't be refunded again."""
    return mock.patch.object(payments, "_NOT_RETURNED", (RefundStatus.FAILED,))


def reversed_refund_is_never_asked_about() -> Patch:
    """A refund that has succeeded is not asked about again, whatever is mentioned."""

    def make(refs_to_ask: Any) -> Any:
        def open_only(payment: Payment, *arguments: Any) -> Any:
            done = {r.number for r in payment.refunds if r.status is RefundStatus.SUCCEEDED}
            return (ref for ref in refs_to_ask(payment, *arguments) if ref.number not in done)

        return open_only

    from paycore.engine import recovery as asking

    return patched(asking, "refs_to_ask", make)


MUTANTS = {
    mutant.__name__: mutant
    for mutant in (
        captured_twice,
        captured_after_closing,
        captured_without_intent,
        closed_after_its_capture_was_sent,
        sent_again_outside_the_window,
        window_begins_with_each_send,
        absence_believed_without_a_lookup,
        unresolvable_is_sent_again,
        refused_resend_counts,
        not_now_fails,
        put_off_is_sent_at_once,
        put_off_is_forgotten,
        token_is_shared,
        refused_token_is_kept,
        mention_moves_money,
        repeated_mention_is_ignored,
        neighbour_without_session_is_acknowledged,
        charge_back_counts_twice,
        charge_back_is_silent,
        reversed_refund_is_not_given_back,
        reversed_refund_is_never_asked_about,
    )
}
