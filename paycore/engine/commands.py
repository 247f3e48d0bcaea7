"""
The commands, as programs: what is recorded, what is sent, what is recorded of the answer; in this order.

    begin (transaction 1: intent and number)  ->  the provider's flow  ->  end (transaction 2: outcome, event)

No transaction is open while a request is under way. Whoever dies in between leaves an operation that any
later command on this payment, or a worker, settles: `settle` asks the provider first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from paycore.domain import decisions, recovery
from paycore.domain.decisions import Numbering
from paycore.domain.events import Change, PaymentBegun, Source
from paycore.domain.lifecycle import numbered, refund_operation
from paycore.domain.money import Money
from paycore.domain.payment import Operation, OperationKind, OperationState, Payment, Status
from paycore.domain.provider import Done, Found, Product, Rejected, Secret, Unknown
from paycore.engine.accounts import Account, Accounts
from paycore.engine.conversation import converse, order_ref, refs_to_ask, refund_order
from paycore.engine.effects import InLedger, Program, UntilChanged
from paycore.engine.requests import (
    CreateRequest,
    check_reference,
    check_request,
    check_text,
    content_of,
    provider_order,
)
from paycore.engine.transport import Deadline
from paycore.errors import (
    AccountRefused,
    IncompleteReply,
    MaybeSent,
    NotSent,
    NotSupported,
    PaycoreError,
    ReferenceConflict,
)
from paycore.ledger.api import Committed, Decide

T = TypeVar("T")

MOVES_MAX = 4
"""Moves one recovery makes at most: send again, close, number anew, and once more after a race."""


class Commands:
    """
    Create, query, refund, close, and settling what is not known.

    `now` is the ledger's clock, `new_id` draws ids and numbers.
    """

    def __init__(self, accounts: Accounts, *, now: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._accounts = accounts
        self._now = now
        self._new_id = new_id

    # --- what callers ask for ------------------------------------------------------------------------

    def create(self, request: CreateRequest) -> Program[Payment]:
        """Make the payment, or come back with the one this reference already names."""
        account = self._accounts.get(request.account)
        product = check_request(request, account)
        order = content_of(request, account.name)
        numbering, payment_id = self._numbering(), self._new_id()
        account.provider.check(provider_order(order, numbering.number, self._now(), request.auth_code))

        def begun(now: datetime) -> PaymentBegun:
            return PaymentBegun(
                payment_id=payment_id,
                account=account.name,
                provider=account.provider_name,
                order=order,
                operation=decisions.new_operation(
                    OperationKind.CREATE, numbering, now, account.deadline, needs_action=product.needs_action
                ),
                expires_at=None if request.expires_in_s is None else now + _seconds(request.expires_in_s),
            )

        committed = yield from self._commit(InLedger(lambda ledger: ledger.begin(begun)))
        if committed.changed:
            return (yield from self._attempt(account, committed, request.auth_code))
        return (yield from self._join(account, committed.payment, order, request.auth_code))

    def query(self, payment_id: str) -> Program[Payment]:
        """Ask the provider about the payment, and settle what is not known of it."""
        payment = yield InLedger(lambda ledger: ledger.get(payment_id))
        account = self._accounts.get(payment.account)
        return (yield from self._settle_in_time(account, payment))

    def refund(
        self, payment_id: str, *, reference: str, amount: Money | None, reason: str | None
    ) -> Program[Payment]:
        """Give back `amount` (None: all that is left), once per reference."""
        check_reference(reference)
        if reason is not None:
            check_text("reason", reason)
        payment = yield InLedger(lambda ledger: ledger.get(payment_id))
        account = self._accounts.get(payment.account)
        product, numbering = _product(account, payment), self._numbering()

        def decide(payment: Payment, now: datetime) -> Sequence[Change]:
            return decisions.begin_refund(
                payment,
                reference=reference,
                amount=amount,
                reason=reason,
                product=product,
                numbering=numbering,
                now=now,
                deadline=account.deadline,
            )

        committed = yield from self._change(payment_id, decide, Source.CALLER)
        operation = refund_operation(committed.payment, reference)
        if committed.changed:
            return (yield from self._attempt(account, committed, operation_id=operation.id))
        payment = yield from self._until_answered(committed.payment, operation.id)
        refund = payment.refund(reference)
        if refund is not None and (refund.is_open or payment.operation(operation.id).is_uncertain):
            return (yield from self._settle_in_time(account, payment))
        return payment

    def close(self, payment_id: str) -> Program[Payment]:
        """Cancel the unpaid order; only the provider's answer closes the payment."""
        payment = yield InLedger(lambda ledger: ledger.get(payment_id))
        account = self._accounts.get(payment.account)
        payment = yield from self.close_order(account, payment, Source.CALLER)
        if payment.status.is_final:
            return payment
        # Refused, or without an answer: perhaps it was paid meanwhile.
        return (yield from self.settle(account, payment, source=Source.QUERY))

    # --- asking and settling -------------------------------------------------------------------------

    def settle(
        self, account: Account, payment: Payment, *, source: Source, auth_code: Secret | None = None
    ) -> Program[Payment]:
        """
        Ask the provider, then do what recovery says until nothing is left to do now.

        Raises what became of the asking; the payment is then as it was.
        """
        if payment.creation.state is OperationState.INTENT:
            return payment
        try:
            (payment,) = yield from self.ask(account, [payment], source)
        except PaycoreError as error:
            error.payment_id = payment.id
            raise
        return (yield from self.recover(account, payment, auth_code=auth_code))

    def _settle_in_time(
        self, account: Account, payment: Payment, auth_code: Secret | None = None
    ) -> Program[Payment]:
        """
        Settle; and where the provider does not know a number, but that is no proof yet, once more when it is.

        Takes at most one call's deadline and the provider's proof window longer.
        """
        payment = yield from self.settle(account, payment, source=Source.QUERY, auth_code=auth_code)
        wait_s = self._proof_in_s(account, payment)
        if wait_s is None:
            return payment
        payment = yield from self._after_change(payment, wait_s)
        return (yield from self.settle(account, payment, source=Source.QUERY, auth_code=auth_code))

    def _proof_in_s(self, account: Account, payment: Payment) -> float | None:
        """Seconds until "not found" is proof for every number that lacks an answer; None when none does."""
        window_s = account.capabilities.query_proves_absence_after_s
        silent = [
            op.quiet_at
            for op in payment.operations
            if op.is_uncertain and not op.is_observed and op.kind is not OperationKind.CLOSE
        ]
        if window_s is None or not silent:
            return None
        wait_s = (max(silent) - self._now()).total_seconds() + window_s
        return wait_s if 0 < wait_s <= account.timeout_s + window_s else None

    def ask(
        self, account: Account, payments: Sequence[Payment], source: Source
    ) -> Program[tuple[Payment, ...]]:
        """What the provider says of these payments and their open refunds, merged into the ledger."""
        asked_at = self._now()
        refs = [ref for payment in payments for ref in refs_to_ask(payment, asked_at)]
        found = yield from self._query(account, refs)
        relevant = tuple(found.observations)
        if relevant:
            yield from self._commit(InLedger(lambda ledger: ledger.observe(account.name, relevant, source)))
        after = account.capabilities.query_proves_absence_after_s
        proof = None if after is None else _seconds(after)
        asked = []
        for payment in payments:
            absent = [ref.number for ref in refs_to_ask(payment, asked_at) if ref.number in found.absent]
            asked.append((yield from self._note_absence(payment, absent, asked_at, proof)))
        return tuple(asked)

    def recover(
        self, account: Account, payment: Payment, *, auth_code: Secret | None = None
    ) -> Program[Payment]:
        """Make the moves recovery asks for, given what is known now."""
        for _ in range(MOVES_MAX):
            move = recovery.next_move(
                payment, account.capabilities, self._now(), has_auth_code=auth_code is not None
            )
            if move is None:
                break
            before = payment.version
            payment = yield from self._make(move, account, payment, auth_code)
            if payment.version == before:
                break
        return payment

    def _query(self, account: Account, refs: Sequence[Any]) -> Program[Found]:
        outcome = yield from converse(account, account.provider.query(refs))
        match outcome:
            case Done(found):
                return found
            case Rejected(failure=failure):
                raise _refused(account, failure, None)
            case Unknown(problem=problem):
                raise MaybeSent(f"account {account.name}: the provider gave no usable answer: {problem}")
        raise TypeError(f"a query's outcome is Done, Rejected or Unknown, not {type(outcome).__name__}")

    def _note_absence(
        self, payment: Payment, absent: Sequence[str], asked_at: datetime, proof: Any
    ) -> Program[Payment]:
        def decide(payment: Payment, _now: datetime) -> Sequence[Change]:
            changes: list[Change] = []
            for number in absent:
                changes += decisions.take_absence(payment, number, asked_at, proof)
            for operation in payment.operations:
                if operation.kind is OperationKind.CLOSE:
                    changes += decisions.settle_close(payment, operation, asked_at)
            return changes

        committed = yield from self._change(payment.id, decide, Source.RECOVERY)
        return committed.payment

    # --- moves ---------------------------------------------------------------------------------------

    def _make(
        self, move: recovery.Move, account: Account, payment: Payment, auth_code: Secret | None
    ) -> Program[Payment]:
        match move:
            case recovery.SendAgain(operation):
                return (yield from self._send_again(account, payment, operation.id, auth_code))
            case recovery.GiveUp(operation):
                give_up = lambda _payment, now: decisions.give_up_absent(operation, now)  # noqa: E731
                return (yield from self._change(payment.id, give_up, Source.RECOVERY)).payment
            case recovery.Replace():
                return (yield from self.close_order(account, payment, Source.RECOVERY, replaces=True))
            case recovery.Renumber():
                return (yield from self._renumber(account, payment, auth_code))

    def _send_again(
        self, account: Account, payment: Payment, operation_id: str, auth_code: Secret | None
    ) -> Program[Payment]:
        def decide(payment: Payment, now: datetime) -> Sequence[Change]:
            return decisions.send_again(payment, operation_id, now, account.deadline)

        committed = yield from self._change(payment.id, decide, Source.RECOVERY)
        if not committed.changed:
            return committed.payment
        return (yield from self._attempt(account, committed, auth_code, operation_id=operation_id))

    def _renumber(self, account: Account, payment: Payment, auth_code: Secret | None) -> Program[Payment]:
        numbering = self._numbering()

        def decide(payment: Payment, now: datetime) -> Sequence[Change]:
            return decisions.renumber(payment, numbering, now, account.deadline)

        committed = yield from self._change(payment.id, decide, Source.RECOVERY)
        if not committed.changed:
            return committed.payment
        return (yield from self._attempt(account, committed, auth_code))

    def close_order(
        self, account: Account, payment: Payment, source: Source, *, replaces: bool = False
    ) -> Program[Payment]:
        """One close of the order now in force; `replaces` when the payment is to have a new number."""
        product, numbering = _product(account, payment), self._numbering()

        def decide(payment: Payment, now: datetime) -> Sequence[Change]:
            order = msgspec.structs.replace(numbering, number=payment.order_number)
            return decisions.begin_close(
                payment,
                product=product,
                numbering=order,
                now=now,
                deadline=account.deadline,
                replaces=replaces,
            )

        committed = yield from self._change(payment.id, decide, source)
        if not committed.changed:
            return committed.payment
        return (yield from self._attempt(account, committed))

    # --- joining what others do ----------------------------------------------------------------------

    def _join(
        self, account: Account, payment: Payment, order: Any, auth_code: Secret | None
    ) -> Program[Payment]:
        """The payment this reference already names: wait for its sender, or finish what was left."""
        field = decisions.first_difference(payment.order, order)
        if field is not None:
            raise ReferenceConflict(payment.reference, field, payment_id=payment.id)
        payment = yield from self._until_answered(payment, payment.creation.id)
        creation = payment.creation
        if creation.state is OperationState.INTENT:
            return (yield from self._send_again(account, payment, creation.id, auth_code))
        if payment.status is Status.CREATED and creation.state is OperationState.REJECTED:
            return (yield from self._renumber(account, payment, auth_code))
        if creation.is_uncertain:
            return (yield from self._settle_in_time(account, payment, auth_code))
        return payment

    def _until_answered(self, payment: Payment, operation_id: str) -> Program[Payment]:
        """Somebody is sending right now: there is one provider call, and this caller joins it."""
        while (operation := payment.operation(operation_id)).state is OperationState.SENT:
            left_s = (operation.quiet_at - self._now()).total_seconds()
            if left_s <= 0:
                break
            payment = yield from self._after_change(payment, left_s)
        return payment

    def wait(self, payment_id: str, timeout_s: float) -> Program[Payment]:
        """The payment once it is settled or needs review, or in whatever state it is at the timeout."""
        deadline = Deadline(timeout_s)
        payment: Payment = yield InLedger(lambda ledger: ledger.get(payment_id))
        while not (payment.status.is_final or payment.review) and deadline.left_s > 0:
            payment = yield from self._after_change(payment, deadline.left_s)
        return payment

    def _after_change(self, payment: Payment, timeout_s: float) -> Program[Payment]:
        yield UntilChanged(payment.id, payment.version, timeout_s)
        changed: Payment = yield InLedger(lambda ledger: ledger.get(payment.id))
        return changed

    # --- one attempt ---------------------------------------------------------------------------------

    def _attempt(
        self,
        account: Account,
        begun: Committed,
        auth_code: Secret | None = None,
        *,
        operation_id: str | None = None,
    ) -> Program[Payment]:
        """Send an operation that was just recorded as sent, and record what came of it."""
        payment = begun.payment
        operation = payment.operations[-1] if operation_id is None else payment.operation(operation_id)
        flow = self._flow(account, payment, operation, auth_code)
        raised: PaycoreError | None = None
        try:
            outcome = yield from converse(account, flow)
            decide = _ending(operation, outcome)
        except NotSent as error:
            outcome, raised = None, error
            decide = lambda payment, now: decisions.end_unsent(payment, operation, now)  # noqa: E731
        except PaycoreError as error:
            outcome = Unknown(problem=error.message)
            raised = None if isinstance(error, MaybeSent) else error
            decide = _ending(operation, outcome)
        payment = (yield from self._change(payment.id, decide, Source.REPLY)).payment
        raised = raised or _to_raise(account, operation, outcome)
        if raised is not None:
            raised.payment_id = payment.id
            raise raised
        return payment

    def _flow(
        self, account: Account, payment: Payment, operation: Operation, auth_code: Secret | None
    ) -> Any:
        match operation.kind:
            case OperationKind.CREATE:
                return account.provider.create(
                    provider_order(payment.order, operation.number, operation.begun_at, auth_code)
                )
            case OperationKind.REFUND:
                return account.provider.refund(refund_order(payment, operation, self._now()))
            case OperationKind.CLOSE:
                order = numbered(payment, operation.number) or payment.creation
                return account.provider.close(order_ref(payment, order, self._now()))

    # --- ledger --------------------------------------------------------------------------------------

    def _change(self, payment_id: str, decide: Decide, source: Source) -> Program[Committed]:
        committed: Committed = yield from self._commit(
            InLedger(lambda ledger: ledger.change(payment_id, decide, source))
        )
        return committed

    def _commit(self, effect: InLedger) -> Program[Any]:
        """One transaction, then its events to the observers."""
        result = yield effect
        for committed in result if isinstance(result, tuple) else (result,):
            for event in committed.events:
                self._accounts.plugins.after_commit(event)
        return result

    def _numbering(self) -> Numbering:
        return Numbering(operation_id=self._new_id(), number=self._new_id())


def _ending(operation: Operation, outcome: decisions.Outcome) -> Decide:
    return lambda payment, now: decisions.end_attempt(payment, operation, outcome, now)


def _to_raise(account: Account, operation: Operation, outcome: object) -> PaycoreError | None:
    """The error an outcome means for the caller: refusals and unknowns about the payment are none."""
    match outcome:
        case Rejected(failure=failure, is_duplicate=False) if failure.who_acts == "operator":
            return _refused(account, failure, None)
        case Unknown(observation=observation, problem=problem) if observation is not None:
            if operation.kind is OperationKind.CREATE:
                return IncompleteReply(f"account {account.name}: {problem}")
    return None


def _refused(account: Account, failure: Any, payment_id: str | None) -> AccountRefused:
    message = f"account {account.name}: the provider refused with {failure.code}: {failure.message}"
    if failure.advice:
        message += f". {failure.advice}"
    return AccountRefused(message, code=failure.code, payment_id=payment_id)


def _product(account: Account, payment: Payment) -> Product:
    product = account.capabilities.product(payment.method, payment.channel)
    if product is None:
        raise NotSupported(
            f"account {account.name} no longer offers {payment.method}/{payment.channel}",
            payment_id=payment.id,
        )
    return product


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
