"""Compares the ledger with the gateway: doubled, lost, stuck, or an inconsistent history."""

from collections.abc import Iterator

import msgspec

from paycore import Payment, RefundStatus, Status
from paycore.domain.events import GENESIS, Event
from paycore.domain.lifecycle import evolve
from paycore.ledger.api import Filter, Ledger
from paycore.testing.toy import ToyGateway, ToyOrder
from tests.kill.victim import PART


class Verdict(msgspec.Struct, frozen=True):
    """The errors found, as texts by kind; empty if none."""

    doubled: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether there are no errors."""
        return not (self.doubled or self.lost or self.stuck or self.violations)


def judge(gateway: ToyGateway, ledger: Ledger, *, is_repeated: bool = False) -> Verdict:
    """
    Compare one ledger with its gateway.

    An unsent operation may wait for its caller; once the command `is_repeated`, nothing may be unsent.
    """
    payments = ledger.list(Filter()).result()
    return Verdict(
        doubled=tuple(_doubled(gateway, payments)),
        lost=tuple(_lost(gateway, payments)),
        stuck=(*_stuck(gateway, payments), *(_unsent(payments) if is_repeated else ())),
        violations=tuple(
            problem
            for payment in payments
            for problem in _history(payment, ledger.events(payment.id).result())
        ),
    )


def _doubled(gateway: ToyGateway, payments: tuple[Payment, ...]) -> Iterator[str]:
    """More than one order that is paid or payable for one payment; more than one refund for one."""
    orders = [order for order in gateway.orders if order.kind == "payment"]
    alive = [order for order in orders if order.status in ("pending", "authorized", "paid")]
    if len(alive) > 1:
        yield f"{len(alive)} orders can take money: {[(order.number, order.status) for order in alive]}"
    for order in orders:
        captures = sum(capture.order_id == order.id for capture in gateway.captures)
        if captures > 1:
            yield f"the money of order {order.number} was taken {captures} times"
    given_back = sum(order.refunded for order in orders)
    if given_back > PART.minor:
        yield f"{given_back} was given back instead of {PART.minor}"
    if len(payments) > 1:
        yield f"{len(payments)} payments for one reference"


def _lost(gateway: ToyGateway, payments: tuple[Payment, ...]) -> Iterator[str]:
    """Orders, charges or refunds at the gateway that the ledger does not have."""
    known = {operation.number for payment in payments for operation in payment.operations}
    for order in gateway.orders:
        if order.number not in known:
            yield f"{order.kind} {order.number} is not in the ledger"
    for capture in gateway.captures:
        if capture.number not in known:
            yield f"capture {capture.number} is not in the ledger"
    charged = sum(
        order.paid_minor for order in gateway.orders if order.kind == "payment" and order.status == "paid"
    )
    recorded = sum(payment.paid_minor for payment in payments)
    if charged > recorded:
        yield f"{charged} was taken, {recorded} is recorded"


def _stuck(gateway: ToyGateway, payments: tuple[Payment, ...]) -> Iterator[str]:
    """Operations without an answer, and payments whose status differs from the gateway's."""
    for payment in payments:
        if payment.uncertain:
            states = [(op.kind.value, op.state.value) for op in payment.operations if op.is_uncertain]
            yield f"uncertain: {states}"
        if payment.review:
            yield f"review: {payment.review_reasons}"
        expected = _status_at(gateway, payment)
        if payment.status is not expected:
            yield f"{payment.status} in the ledger, {expected} at the gateway"
        if payment.status is Status.PENDING and payment.action is None:
            yield "pending without a link for the payer"
        given_back = sum(order.refunded for order in gateway.orders)
        if payment.refunded_minor != given_back:
            yield f"{payment.refunded_minor} given back in the ledger, {given_back} at the gateway"


def _unsent(payments: tuple[Payment, ...]) -> Iterator[str]:
    """Payments, captures, voids and refunds that were never sent."""
    for payment in payments:
        if payment.status is Status.CREATED:
            yield "the payment is still to be sent"
        if payment.status is Status.AUTHORIZED:
            yield "its money is still to be taken, or to be released"
        for refund in payment.refunds:
            if refund.status not in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
                yield f"refund {refund.reference} is {refund.status}"


def _status_at(gateway: ToyGateway, payment: Payment) -> Status:
    """The payment's expected status, from its orders at the gateway."""
    statuses = {order.status for order in _orders_of(gateway, payment)}
    for status in (Status.PAID, Status.AUTHORIZED, Status.PENDING, Status.CLOSED):
        if status.value in statuses:
            return status
    return Status.CREATED


def _orders_of(gateway: ToyGateway, payment: Payment) -> list[ToyOrder]:
    numbers = {operation.number for operation in payment.operations}
    return [order for order in gateway.orders if order.kind == "payment" and order.number in numbers]


def _history(payment: Payment, events: tuple[Event, ...]) -> Iterator[str]:
    """The events must be a chain, and folding them must give the stored payment."""
    state: Payment | None = None
    previous = GENESIS
    for number, event in enumerate(events, start=1):
        if event.seq != number or event.prev_hash != previous:
            yield f"event {event.seq} does not follow the one before"
        previous = event.hash
        state = evolve(state, event.change, event.at)
    if state != payment:
        yield "the events do not give the payment that is stored"
