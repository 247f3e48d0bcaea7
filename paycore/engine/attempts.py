"""
One attempt: send an operation that is recorded as sent, and record its outcome.

    recorded as sent (transaction 1)  ->  the provider's flow  ->  its outcome (transaction 2)

No transaction is open while a request is under way. A process that dies in between leaves an operation that
`recovery` can resolve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar

from paycore.domain import decisions
from paycore.domain.decisions import Numbering
from paycore.domain.events import Event, Source
from paycore.domain.payment import Operation, OperationKind, OperationState, Payment
from paycore.domain.provider import NotNow, Rejected, Unknown
from paycore.engine.accounts import Account
from paycore.engine.answers import answering
from paycore.engine.contract import put_off, refused
from paycore.engine.effects import InLedger, Program, UntilChanged, in_ledger
from paycore.engine.sessions import Sessions
from paycore.engine.telling import Listening
from paycore.engine.timing import Deadline, Timed
from paycore.engine.turns import wait_until
from paycore.errors import IncompleteReply, MaybeSent, NotSent, PaycoreError
from paycore.ledger.api import Committed, Decide, Ledger, Spending, committed_in, to_send

P = ParamSpec("P")
T = TypeVar("T")


class Attempts:
    """
    The steps every command consists of: ledger transactions followed by their hooks, and attempts.

    `observers` are told of every event; `now` is the ledger's clock; `new_id` returns a new id or number; `sessions`
    are those with the providers, and `listening` has who counts.
    """

    def __init__(
        self,
        observers: Sequence[Callable[[Event], None]],
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        listening: Listening | None = None,
    ) -> None:
        self._observers = observers
        self.listening = listening or Listening()
        self.new_id = new_id
        self.now = now
        self.sessions = Sessions(now=now, new_id=new_id)

    def change(
        self, payment_id: str, decide: Decide, source: Source, spending: Spending | None = None
    ) -> Program[Committed]:
        """
        Decide on the payment as it stands, in one transaction.

        What it sends takes its turn in the budget of `spending`.
        """
        return self.commit(lambda ledger: ledger.change(payment_id, decide, source, spending))

    def commit(self, verb: Callable[[Ledger], Future[T]]) -> Program[T]:
        """One transaction, then its events to the observers."""
        result: T = yield InLedger(verb)
        if self.listening.counter is not None:
            self.listening.counter.committed(committed_in(result))
        for committed in committed_in(result) if self._observers else ():
            for event in committed.events:
                for observe in self._observers:
                    observe(event)
        return result

    def numbering(self) -> Numbering:
        """A new operation's id and its number at the provider, and a nonce."""
        return Numbering(operation_id=self.new_id(), number=self.new_id(), nonce=self.new_id())

    def after_change(self, payment: Payment, timeout_s: float) -> Program[Payment]:
        """The payment as soon as it changes, or as it is after `timeout_s` seconds."""
        yield UntilChanged(payment.id, payment.version, timeout_s)
        return (yield from in_ledger(lambda ledger: ledger.get(payment.id)))

    def change_and_send(
        self,
        account: Account,
        payment_id: str,
        decide: Decide,
        source: Source,
    ) -> Program[Payment]:
        """Decide; and if the decision begins or repeats an operation, send it."""
        timed = Timed(decide, account.deadline)
        committed = yield from self.change(payment_id, timed, source, account.spending)
        operation_id = to_send(committed.events)
        if operation_id is None:
            return committed.payment
        return (yield from self.send(account, committed, operation_id, timed))

    def send(
        self, account: Account, committed: Committed, operation_id: str, timed: Timed[..., Any]
    ) -> Program[Payment]:
        """Send an operation that is recorded as sent, as `timed` decided, at its turn; record its outcome."""
        payment = committed.payment
        operation = payment.operation(operation_id)
        yield from wait_until(committed.send_at, committed.now)
        raised: PaycoreError | None = None
        try:
            begin = partial(answering, payment, operation)
            deadline = self._deadline(operation, timed)
            outcome = yield from self.sessions.converse(account, begin, deadline, turns=1)
        except PaycoreError as error:
            # Nothing was sent, or no answer came: the error knows which.
            outcome = None if error.money_moved == "no" else Unknown(problem=error.message)
            raised = None if isinstance(error, MaybeSent) else error
        if outcome is None:
            decide = partial(decisions.end_unsent, sent=operation, problem=raised.message if raised else "")
        else:
            decide = partial(decisions.end_attempt, sent=operation, outcome=outcome)
        payment = yield from self._record(payment.id, decide, may_have_moved=outcome is not None)
        raised = raised or _to_raise(account, operation, outcome)
        if raised is not None:
            raised.payment_id = payment.id
            raise raised
        return payment

    def check_put_off(self, account: Account, payment: Payment, operation: Operation) -> None:
        """`NotSent` when this operation waits, certainly unsent, for the time the provider asked for."""
        if operation.state is not OperationState.INTENT or operation.not_before is None:
            return
        left_s = (operation.not_before - self.now()).total_seconds()
        if left_s > 0:
            raise NotSent(
                f"account {account.name}: it is not to be sent yet: {operation.problem};"
                f" call again in {math.ceil(left_s)} s",
                payment_id=payment.id,
                retry_after_s=left_s,
            )

    def _record(self, payment_id: str, decide: Decide, *, may_have_moved: bool) -> Program[Payment]:
        """Record the outcome; if the ledger can't, the operation stays `sent` and recovery resolves it later."""
        try:
            return (yield from self.change(payment_id, decide, Source.REPLY)).payment
        except PaycoreError as error:
            error.payment_id = payment_id
            error.money_moved = "maybe" if may_have_moved else error.money_moved
            raise

    def _deadline(self, operation: Operation, timed: Timed[..., Any]) -> Deadline:
        """
        Never later than the operation's `in_flight_until`, from which others count it as not under way any more.

        A process that stood still since it recorded the operation has less time left, or none. By both
        clocks: the ledger's may have been set back meanwhile, and the monotonic one may have stood still too.
        """
        left_s = (operation.in_flight_until - self.now()).total_seconds()
        return timed.deadline(left_s)


def _to_raise(account: Account, operation: Operation, outcome: object) -> PaycoreError | None:
    """The error an outcome means for the caller: refusals and unknowns about the payment are none."""
    match outcome:
        case Rejected(failure=failure, is_duplicate=False) if failure.who_acts == "operator":
            return refused(account, failure)
        case NotNow() if operation.send_count == 1:
            return put_off(account, outcome)
        case Unknown(observation=observation, problem=problem) if observation is not None:
            if operation.kind is OperationKind.CREATE and not observation.is_signed_wrong:
                return IncompleteReply(f"account {account.name}: {problem}")
    return None
