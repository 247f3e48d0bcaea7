"""Payments in any state, made by the domain's own rules from their changes, for what is printed of them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from paycore import Money, Payment
from paycore.domain.capturing import begin_capture
from paycore.domain.decisions import Outcome, begin_payment, end_attempt
from paycore.domain.events import Change, Event, Observed, Source
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Operation, Order, Status
from paycore.domain.provider import Product
from tests.ledger.workload import numbering, refunding, seen

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
AMOUNT = Money("88.00", "HKD")
DEADLINE = timedelta(seconds=10)
CAPTURED = Product(
    method="toy", channel="web", currencies={"HKD": (1, 10**9)}, capture="partial", needs_action=False
)

Decide = Callable[[Payment, datetime], Sequence[Change]]


class History:
    """A payment and its events: one change a second, from `START` on."""

    def __init__(self, *, ignored: tuple[str, ...] = (), **order: Any) -> None:
        self.now = START
        self.events: list[Event] = []
        self._payment: Payment | None = None
        change = begin_payment(
            self.now,
            payment_id="P1",
            account="hk",
            provider="toy",
            namespace="",
            order=Order(reference="order-1", amount=AMOUNT, method="toy", channel="web", **order),
            numbering=numbering(),
            deadline=DEADLINE,
            needs_action=False,
            ignored=ignored,
        )
        self.add(Source.CALLER, change)

    @property
    def payment(self) -> Payment:
        """The payment as it is now."""
        assert self._payment is not None
        return self._payment

    def add(self, source: Source, *changes: Change) -> None:
        """Apply changes as the ledger does."""
        for change in changes:
            before = self._payment
            self._payment = evolve(before, change, self.now)
            event = Event(
                payment_id="P1",
                seq=len(self.events) + 1,
                at=self.now,
                source=source,
                status_from=None if before is None else before.status,
                status_to=self._payment.status,
                change=change,
                prev_hash=b"",
                hash=b"",
            )
            self.events.append(event)
            self.now += timedelta(seconds=1)

    def decide(self, source: Source, decision: Decide) -> None:
        """Apply what a decision makes of the payment."""
        self.add(source, *decision(self.payment, self.now))

    def observe(self, status: Status, source: Source = Source.POLL, **fields: Any) -> None:
        """The provider reports this of the order."""
        observation = replace(seen(self.payment.order_number, status), **fields)
        self.add(source, Observed(observation=observation))

    def answer(self, outcome: Outcome, operation: Operation | None = None) -> None:
        """The provider answers the last operation, or this one."""
        sent = operation or self.payment.operations[-1]
        self.decide(Source.REPLY, lambda payment, now: end_attempt(payment, now, sent=sent, outcome=outcome))

    def capture(self, amount: Money | None = None, source: Source = Source.CALLER) -> Operation:
        """Begin the capture, which is then under way."""
        names = numbering()
        self.decide(
            source,
            lambda payment, now: begin_capture(
                payment, now, amount=amount, product=CAPTURED, numbering=names, deadline=DEADLINE
            ),
        )
        return self.payment.operations[-1]

    def refund(self, reference: str, amount: Money) -> Operation:
        """Begin a refund, which is then under way."""
        self.decide(Source.CALLER, refunding(reference, amount))
        return self.payment.operations[-1]


def authorized(**order: Any) -> History:
    """A payment whose payer has agreed."""
    history = History(**order)
    history.observe(Status.AUTHORIZED, occurred_at=START)
    return history
