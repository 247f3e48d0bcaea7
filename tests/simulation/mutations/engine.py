"""Bugs in the programs: what is recorded before what is sent, and under which number."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

from msgspec.structs import replace

from paycore.domain import decisions, recovery, refunding
from paycore.domain.events import Change, Observed, OperationBegun, OperationSent, PaymentBegun, Source
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Operation, OperationKind, Payment, Status
from paycore.domain.recovery import Context
from paycore.domain.wire import Notification
from paycore.engine import recovery as engine_recovery
from paycore.engine import sessions
from paycore.engine.accounts import Account
from paycore.engine.attempts import Attempts
from paycore.engine.checks import CreateRequest
from paycore.engine.commands import Commands
from paycore.engine.contract import converse
from paycore.engine.effects import InLedger, Program
from paycore.engine.orders import content_of, product_of, provider_order
from paycore.engine.receiving import Received
from paycore.engine.recovery import Recovery
from paycore.engine.timing import Deadline
from paycore.engine.worker import Worker
from paycore.errors import MaybeSent, NotSent
from paycore.ledger import group, rows
from paycore.ledger.api import Committed
from paycore.testing import toy
from paycore.testing.toy import ToyProvider
from tests.simulation.ledgers import Door
from tests.simulation.mutations import Patch, patched
from tests.simulation.processes import here


def no_intent() -> Patch:
    """The order is sent first, and recorded with its answer."""

    def create(self: Commands, request: CreateRequest) -> Program[Payment]:
        account, work = self._accounts.get(), self._attempts
        order, numbering = content_of(request, account.name), work.numbering()
        payment_id = work.new_id()
        attempt = account.attempt(work.now(), numbering.nonce)
        flow = account.provider.create(
            provider_order(order, numbering.number, work.now(), attempt, auth_code=None, ignored=())
        )
        outcome = yield from converse(account, flow, Deadline(account.deadline.total_seconds()))

        def begun(now: datetime) -> PaymentBegun:
            operation = decisions.new_operation(OperationKind.CREATE, numbering, now, account.deadline)
            return PaymentBegun(
                payment_id=payment_id, account=account.name, provider="toy", order=order, operation=operation
            )

        committed: Committed = yield from work.commit(lambda ledger: ledger.begin(order.reference, begun))
        if not committed.events:
            return committed.payment
        sent = committed.payment.creation
        ended = yield from work.change(
            payment_id,
            lambda payment, now: decisions.end_attempt(payment, now, sent=sent, outcome=outcome),
            Source.REPLY,
        )
        return ended.payment

    return mock.patch.object(Commands, "create", create)


def _new_number(kind: OperationKind) -> Patch:
    """A resend gets a new number, in recovery and for a repeated call."""

    def make(next_changes: Any) -> Any:
        def begin_anew(payment: Payment, now: datetime, context: Context) -> list[Change]:
            changes: list[Change] = next_changes(payment, now, context)
            return [_anew(payment, change, now, context) for change in changes]

        return begin_anew

    def _anew(payment: Payment, change: Change, now: datetime, context: Context) -> Change:
        if not isinstance(change, OperationSent) or payment.operation(change.operation_id).kind is not kind:
            return change
        known = payment.operation(change.operation_id)
        fresh = decisions.new_operation(
            kind, context.numbering, now, context.deadline, needs_action=known.needs_action
        )
        return OperationBegun(operation=replace(fresh, refund_reference=known.refund_reference))

    def make_for_callers(send_again: Callable[..., Program[Payment]]) -> Any:
        def again(self: Recovery, account: Account, payment: Payment, operation_id: str) -> Program[Payment]:
            decide = partial(_again, self._attempts.numbering(), account, operation_id)
            return self._change_as_seen(account, payment, decide)

        def _again(
            numbering: decisions.Numbering,
            account: Account,
            operation_id: str,
            payment: Payment,
            now: datetime,
        ) -> list[Change]:
            context = Context(
                capabilities=account.capabilities, numbering=numbering, deadline=account.deadline
            )
            changes = decisions.send_again(payment, now, operation_id, account.deadline)
            return [_anew(payment, change, now, context) for change in changes]

        return again

    stack = ExitStack()
    stack.enter_context(patched(recovery, "next_changes", make))
    stack.enter_context(patched(Recovery, "send_again", make_for_callers))
    return stack


def new_number_on_retry() -> Patch:
    """A resent order gets a new number."""
    return _new_number(OperationKind.CREATE)


def new_refund_number_on_retry() -> Patch:
    """A resent refund gets a new number before the old one is proven absent."""

    def make(next_changes: Any) -> Any:
        def hasty(payment: Payment, now: datetime, context: Context) -> Any:
            for operation in payment.operations:
                if operation.kind is OperationKind.REFUND and operation.state == "unknown":
                    return decisions.send_again(payment, now, operation.id, context.deadline)
            return next_changes(payment, now, context)

        return hasty

    stack = ExitStack()
    stack.enter_context(patched(recovery, "next_changes", make))
    stack.enter_context(_new_number(OperationKind.REFUND))
    return stack


def number_reused_after_closing() -> Patch:
    """The order after a closed one reuses its number."""

    def make(renumber: Callable[..., list[Change]]) -> Any:
        def again(
            payment: Payment, now: datetime, numbering: decisions.Numbering, deadline: timedelta
        ) -> list[Change]:
            return renumber(payment, now, replace(numbering, number=payment.order_number), deadline)

        return again

    stack = ExitStack()
    for module in (decisions, recovery):
        stack.enter_context(patched(module, "renumber", make))
    replaces = rows.INSERT_OPERATION.replace("INSERT", "INSERT OR REPLACE").partition(" ON CONFLICT")[0]
    stack.enter_context(mock.patch.object(group, "INSERT_OPERATION", replaces))
    return stack


def expiry_closes_without_asking() -> Patch:
    """An expired payment is closed without the provider."""

    def make(recover_one: Callable[..., Program[Payment]]) -> Any:
        def recover(self: Worker, account: Account, payment: Payment) -> Program[Payment]:
            if payment.status is not Status.PENDING or not self._is_to_close(payment):
                return (yield from recover_one(self, account, payment))
            closed = PaymentObservation(number=payment.order_number, status=Status.CLOSED)
            decide = lambda _payment, _now: [Observed(observation=closed)]  # noqa: E731
            committed = yield from self._recovery._attempts.change(payment.id, decide, Source.RECOVERY)
            return committed.payment

        return recover

    return patched(Worker, "_recover_one", make)


def unverified_notification() -> Patch:
    """Notifications are not verified."""

    def make(verify: Any) -> Any:
        def believing(self: ToyProvider, notification: Any) -> Any:
            is_mention = self._settings.mentions and b"status" not in notification.body
            return verify(self, notification) if is_mention else [toy.read_record(notification.body)]

        return believing

    return patched(ToyProvider, "verify", make)


def acknowledged_before_commit() -> Patch:
    """A notification is answered first and recorded afterwards."""

    def make(receive: Callable[..., Program[Received]]) -> Any:
        def answer(self: Commands, account_name: str, notification: Notification) -> Program[Received]:
            account = self._accounts.get(account_name)
            account.full.verify(notification)
            process = here()
            process.spawn("later", process.client._runner.run(receive(self, account_name, notification)))
            yield from ()
            return Received(reply=account.full.acknowledge(), payments=(), to_confirm={})

        return answer

    return patched(Commands, "receive", make)


def refund_cap_outside_transaction() -> Patch:
    """The refundable amount is checked before the transaction that records the refund."""

    def refund(
        self: Commands, payment_id: str, *, reference: str, amount: Any, reason: str | None
    ) -> Program[Payment]:
        payment = yield InLedger(lambda ledger: ledger.get(payment_id))
        known = payment.refund(reference)
        if known is None:
            refunding._refundable(payment, amount, product_of(self._accounts.get(), payment))
            check(payment, amount)
        return (yield from original(self, payment_id, reference=reference, amount=amount, reason=reason))

    original, check = Commands.refund, refunding._charge_to_refund
    stack = ExitStack()
    stack.enter_context(mock.patch.object(Commands, "refund", refund))
    first = mock.patch.object(refunding, "_charge_to_refund", lambda payment, _amount: payment.charges[0])
    stack.enter_context(first)
    return stack


def not_sent_after_first_request() -> Patch:
    """A conversation whose second request was not sent counts as not sent."""

    def careless(account: Account, flow: Any, deadline: Deadline, **options: Any) -> Program[Any]:
        program, unsent = converse(account, flow, deadline, **options), False
        effect = program.send(None)
        while True:
            try:
                try:
                    value = yield effect
                except NotSent as error:
                    unsent = True
                    effect = program.throw(error)
                except MaybeSent as error:
                    effect = program.throw(error)
                else:
                    effect = program.send(value)
            except StopIteration as stop:
                return stop.value
            except MaybeSent as error:
                raise (NotSent(error.message) if unsent else error) from None

    return mock.patch.object(sessions, "converse", careless)


def deadline_from_sending() -> Patch:
    """A call's deadline counts from the send, not from the recorded intent."""

    def whole(self: Attempts, operation: Operation, _timed: Any) -> Deadline:
        return Deadline((operation.in_flight_until - operation.sent_at).total_seconds())

    return mock.patch.object(Attempts, "_deadline", whole)


def moves_on_stale_payments() -> Patch:
    """A step is taken although the payment changed since the decision."""

    def make(next_changes: Any) -> Any:
        decided: dict[str, Any] = {}

        def first(payment: Payment, now: datetime, context: Context) -> Any:
            changes = decided.pop(context.numbering.operation_id, None)
            if changes is None:
                changes = decided[context.numbering.operation_id] = next_changes(payment, now, context)
            return changes

        return first

    stack = ExitStack()
    stack.enter_context(patched(recovery, "next_changes", make))
    as_ever = mock.patch.object(
        engine_recovery, "_if_unchanged", lambda decide, _version, *seen: decide(*seen)
    )
    stack.enter_context(as_ever)
    return stack


def own_clock() -> Patch:
    """Each process decides by its machine's clock."""
    return mock.patch.object(Door, "now", lambda door: door._process.own_now())


MUTANTS = {
    mutant.__name__: mutant
    for mutant in (
        no_intent,
        new_number_on_retry,
        new_refund_number_on_retry,
        number_reused_after_closing,
        expiry_closes_without_asking,
        unverified_notification,
        acknowledged_before_commit,
        refund_cap_outside_transaction,
        not_sent_after_first_request,
        deadline_from_sending,
        moves_on_stale_payments,
        own_clock,
    )
}
