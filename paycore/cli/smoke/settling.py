"""Asks the provider until an answer is definite: what paycore recovers by itself is no failure of a smoke run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from paycore.cli.endings import Exit, after_refund
from paycore.domain.payment import OperationKind, OperationState, RefundStatus, Status
from paycore.engine.timing import Deadline
from paycore.errors import IncompleteReply, NotSent, ProviderError

if TYPE_CHECKING:
    from paycore.domain.money import Money
    from paycore.domain.payment import Payment, Refund
    from paycore.engine.client import Client

REFUNDING_S = 8.0
"""How long a refund that the provider accepted is looked at: some take a moment, others hours or days."""

FIRST_PAUSE_S = 0.2
PAUSE_MAX_S = 2.0
RESENT_MAX = 3
"""How often a step sends again what certainly moved nothing, since no answer came."""

CLOSING_S = 4.0
"""How long a closing that the provider accepted may take until it shows."""


class Asker:
    """
    Runs verbs of a client for one step, within `timeout_s` seconds, and counts what it took.

    A request that the provider put off is made again when it may be; what is uncertain is queried. A payment under
    review is left as it is, unless `stops_at_review` is False.
    """

    def __init__(self, pay: Client, timeout_s: float, *, stops_at_review: bool = True) -> None:
        self._pay = pay
        self._stops_at_review = stops_at_review
        self._deadline = Deadline(timeout_s)
        self.queries = 0
        self.put_off = 0
        self.resent = 0
        self.repeats = 0

    def send(self, verb: Callable[[], Payment]) -> Payment:
        """Run a verb that may be run again while nothing of it was sent."""
        return self._again(verb, NotSent)

    def query(self, payment_id: str) -> Payment:
        """Query the provider; that moves no money, so it is asked again where no answer came."""
        self.queries += 1
        return self._again(lambda: self._pay.query(payment_id), ProviderError)

    def create(self, verb: Callable[[], Payment]) -> Payment:
        """Create a payment, until it is known whether it can be paid; `verb` is safe to run again."""
        pauses = _pauses()
        while True:
            try:
                return self.settle(self.send(verb), _is_offered)
            except IncompleteReply:
                if not self._pause(pauses):
                    raise
                self.repeats += 1

    def close(self, payment_id: str) -> Payment:
        """Close a payment; where that was accepted and does not show yet, look again for some seconds."""
        closed = self.settle(self.send(lambda: self._pay.close(payment_id)), lambda now: not now.uncertain)
        return self.settle(closed, _is_closed_or_not, most_s=CLOSING_S)

    def refund(self, payment_id: str, reference: str, amount: Money | None) -> Payment:
        """Refund; where that was accepted and is pending, look again for some seconds, not for hours."""
        sent = self.send(lambda: self._pay.refund(payment_id, reference=reference, amount=amount))
        sent = self.settle(sent, lambda now: not now.uncertain)
        done = (Exit.DONE, Exit.FAILED)
        return self.settle(sent, lambda now: after_refund(now, reference) in done, most_s=REFUNDING_S)

    def settle(
        self, payment: Payment, is_settled: Callable[[Payment], bool], *, most_s: float = float("inf")
    ) -> Payment:
        """
        Query until `is_settled`, or as it is when the time is over; `most_s` is less than that of the step.

        A query without an answer changes nothing: least of all does it mean that nothing was sent before.
        """
        pauses, until = _pauses(), Deadline(most_s)
        while not is_settled(payment) and not (self._stops_at_review and payment.review):
            if until.left_s <= 0 or not self._pause(pauses):
                break
            with suppress(ProviderError):
                payment = self.query(payment.id)
        return payment

    @property
    def note(self) -> str:
        """What it took beyond one request, as the end of a sentence."""
        return self.note_of_more_than(queries=0)

    def note_of_more_than(self, *, queries: int) -> str:
        """As `note`, where so many queries are what the step is about."""
        words, more = "", self.queries - queries
        if self.put_off:
            words += f"; the provider put it off {_times(self.put_off)}"
        if self.resent:
            words += f"; no answer came at first, so it was sent again {_times(self.resent)}"
        if self.repeats:
            words += f"; the reply lacked the link, and was asked for again {_times(self.repeats)}"
        if more > 0:
            words += f"; no definite answer came at first, resolved by {more} {'query' if more == 1 else 'queries'}"
        return words

    def _again(self, verb: Callable[[], Payment], unanswered: type[ProviderError]) -> Payment:
        pauses = _pauses()
        while True:
            try:
                return verb()
            except unanswered as error:
                wait_s = error.retry_after_s if isinstance(error, NotSent) else None
                if wait_s is None:
                    if self.resent == RESENT_MAX or not self._pause(pauses):
                        raise
                    self.resent += 1
                elif wait_s > self._deadline.left_s:
                    raise
                else:
                    time.sleep(wait_s)
                    self.put_off += 1

    def _pause(self, pauses: Iterator[float]) -> bool:
        pause_s = next(pauses)
        if pause_s > self._deadline.left_s:
            return False
        time.sleep(pause_s)
        return True


def is_accepted(payment: Payment, refund: Refund) -> bool:
    """Whether nothing but time is missing of a refund; some providers take hours or days for each."""
    return refund.status is RefundStatus.PENDING and not (payment.review or payment.uncertain)


def _is_offered(payment: Payment) -> bool:
    return not (payment.uncertain or payment.status is Status.UNKNOWN or payment.is_being_replaced)


def _is_closed_or_not(payment: Payment) -> bool:
    if payment.uncertain:
        return False
    closes = [op for op in payment.operations if op.kind is OperationKind.CLOSE]
    return payment.status.is_final or (bool(closes) and closes[-1].state is OperationState.REJECTED)


def _pauses() -> Iterator[float]:
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(PAUSE_MAX_S, pause_s * 1.5)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
