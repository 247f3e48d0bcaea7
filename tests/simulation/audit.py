"""What must hold at the end of a run, when all faults are over and nothing is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paycore.domain.payment import (
    Operation,
    OperationKind,
    OperationState,
    Payment,
    RefundStatus,
    ReviewReason,
    Status,
    has_earlier_number,
)
from paycore.ledger.api import Filter
from paycore.ledger.audit import verify

if TYPE_CHECKING:
    from tests.simulation.gateway import SimOrder
    from tests.simulation.world import World


def audit(world: World) -> None:
    """Compare the ledger with the gateway, and the ledger with its own history."""
    payments = {payment.reference: payment for payment in world.ledger.list(Filter(limit=1000)).result()}
    for purchase in world.plan.purchases:
        orders = world.gateway.orders_of(purchase.reference)
        payment = payments.get(purchase.reference)
        if payment is not None:
            _audit_payment(world, payment, orders)
        elif orders:
            world.witness.violated("nothing lost", f"{purchase.reference} is at the gateway only")
    _audit_history(world)
    _audit_events(world)
    if world.witness.forged & world.witness.inbox():
        world.witness.violated("forgeries change nothing", "a forged notification is in the inbox")
    for process in world.processes:
        if process.is_stopping:
            world.witness.violated("everything ends", f"{process.name} does not stop")


def _audit_payment(world: World, payment: Payment, orders: list[SimOrder]) -> None:
    """First the money, then the rest."""
    _audit_charges(world, payment, orders)
    _audit_review(world, payment, orders)
    _audit_refunds(world, payment, orders)
    _audit_charge_backs(world, payment, orders)
    _audit_end(world, payment, orders)


def _audit_charges(world: World, payment: Payment, orders: list[SimOrder]) -> None:
    paid = [order for order in orders if order.status == "paid"]
    taken = {(order.number, order.id, order.paid_minor) for order in paid}
    known = {(charge.number, charge.provider_id, charge.amount_minor) for charge in payment.charges}
    if taken != known:
        world.witness.violated("every charge is known", f"{payment.id}: taken {taken}, known {known}")
    if (payment.status is Status.PAID) != bool(paid):
        world.witness.violated(
            "the ledger agrees", f"{payment.id} is {payment.status}; {len(paid)} orders are paid"
        )
    if sum(not order.is_late_money for order in paid) > 1:
        world.witness.violated("charged once", f"{payment.id} was charged {len(paid)} times")


def _audit_review(world: World, payment: Payment, orders: list[SimOrder]) -> None:
    paid = [order for order in orders if order.status == "paid"]
    if len(paid) > 1 and not _was_looked_at(payment, ReviewReason.PAID_TWICE):
        world.witness.violated("contradictions are reviewed", f"{payment.id} was paid twice")
    # What was closed and paid before the ledger heard of the closing is no contradiction to it.
    closed = {op.number for op in payment.operations if Status.CLOSED in op.observed}
    is_late = any(order.number in closed for order in paid)
    if is_late and not _was_looked_at(payment, ReviewReason.PAID_AFTER_CLOSING):
        world.witness.violated("contradictions are reviewed", f"{payment.id} was paid after closing")


def _audit_refunds(world: World, payment: Payment, orders: list[SimOrder]) -> None:
    refunds = [refund for order in orders for refund in world.gateway.refunds_of(order.number)]
    returned = [refund for refund in refunds if refund.status == "succeeded"]
    references = [refund.reference for refund in refunds if refund.status not in ("failed", "reversed")]
    for reference in sorted(map(str, {*references})):
        if references.count(reference) > 1:
            world.witness.violated("refunded once", f"{payment.id} refunded {reference} more than once")
    total = sum(refund.minor for refund in returned)
    if total != payment.refunded_minor:
        world.witness.violated(
            "every refund is known", f"{payment.id}: returned {total}, known {payment.refunded_minor}"
        )
    if total > payment.paid_minor:
        world.witness.violated("never refunded more than paid", f"{payment.id} refunded {total}")
    succeeded = {refund.reference for refund in payment.refunds if refund.status is RefundStatus.SUCCEEDED}
    if succeeded != {refund.reference for refund in returned}:
        world.witness.violated("every refund is known", f"{payment.id}: {sorted(succeeded)} succeeded")
    came_back = {refund.reference for refund in payment.refunds if refund.status is RefundStatus.REVERSED}
    if came_back != {refund.reference for refund in refunds if refund.status == "reversed"}:
        world.witness.violated("every refund is known", f"{payment.id}: {sorted(came_back)} came back")


def _audit_charge_backs(world: World, payment: Payment, orders: list[SimOrder]) -> None:
    """Totals, and what is left to refund after them and after the refunds that did not come back."""
    taken_back = sum(order.charged_back for order in orders)
    won = sum(order.charge_back_won for order in orders)
    if (payment.charged_back_minor, payment.charge_back_won_minor) != (taken_back, won):
        known = f"{payment.charged_back_minor}, won {payment.charge_back_won_minor}"
        world.witness.violated(
            "every charge back is known", f"{payment.id}: {taken_back}, won {won}; known {known}"
        )
    refunds = [refund for order in orders for refund in world.gateway.refunds_of(order.number)]
    returned = sum(refund.minor for refund in refunds if refund.status == "succeeded")
    paid = sum(order.paid_minor for order in orders if order.status == "paid")
    left = max(0, paid - (taken_back - won) - returned)
    waiting = sum(r.amount.minor for r in payment.refunds if r.status is RefundStatus.CREATED)
    if payment.refundable_minor != max(0, left - waiting):
        world.witness.violated(
            "what is left to refund is known", f"{payment.id}: {payment.refundable_minor}, not {left}"
        )
    if taken_back and not _was_looked_at(payment, ReviewReason.CHARGED_BACK):
        world.witness.violated("contradictions are reviewed", f"{payment.id} was charged back")


def _was_looked_at(payment: Payment, reason: ReviewReason) -> bool:
    """Whether it is to be reviewed for this reason, or was."""
    return reason in payment.review_reasons or any(done.reason is reason for done in payment.acknowledged)


def _audit_end(world: World, payment: Payment, orders: list[SimOrder]) -> None:
    """Nothing is open, at the gateway or in the ledger."""
    if payment.uncertain or payment.status in (Status.UNKNOWN, Status.PENDING, Status.AUTHORIZED):
        world.witness.violated("nothing stuck", f"{payment.id} is {payment.status}, {_open(payment)}")
    is_unsent = payment.creation.state is OperationState.INTENT and payment.status is Status.CREATED
    if is_unsent and has_earlier_number(payment):
        world.witness.violated("nothing stuck", f"{payment.id} was made anew and never sent")
    put_off = [op.number for op in payment.operations if _is_put_off(payment, op)]
    if put_off:
        world.witness.violated("nothing stuck", f"{payment.id}: {put_off} was put off, and nobody went on")
    if any(refund.is_open for refund in payment.refunds):
        world.witness.violated("nothing stuck", f"{payment.id} has an open refund")
    still_open = [order.id for order in orders if order.status in ("pending", "authorized")]
    if still_open:
        world.witness.violated(
            "the ledger agrees", f"{payment.id} is {payment.status}; {still_open} are open"
        )


def _is_put_off(payment: Payment, op: Operation) -> bool:
    """Whether it waits to be sent although the provider asked only for a pause, and it can still be sent."""
    is_ours = op.kind is OperationKind.REFUND or (
        op.kind is OperationKind.CAPTURE and payment.status is Status.AUTHORIZED
    )
    return is_ours and op.state is OperationState.INTENT and op.not_before is not None


def _open(payment: Payment) -> str:
    return ", ".join(f"{op.kind} {op.number} {op.state}" for op in payment.operations if op.is_uncertain)


def _audit_history(world: World) -> None:
    """The events alone give each payment, and none was changed."""
    for verdict in verify(world.ledger):
        if verdict.difference is not None:
            world.witness.violated("the history holds", f"{verdict.payment_id}: {verdict.difference}")


def _audit_events(world: World) -> None:
    """Observers were told of every event, unless its committer never learnt of the commit."""
    for (payment_id, seq), owed in world.witness.owed_events.items():
        if owed.process.life == owed.life:
            world.witness.violated("events are told once committed", f"{payment_id} #{seq} was never told")
    for (payment_id, seq), event in world.witness.heard_events.items():
        stored = world.ledger.events(payment_id).result()
        if len(stored) < seq or stored[seq - 1].hash != event.hash:
            world.witness.violated("events are told once committed", f"{payment_id} #{seq} is not stored")
