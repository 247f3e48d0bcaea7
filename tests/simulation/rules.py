"""What must hold of a payment at every commit, given the gateway's true state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from paycore.domain.action import Redirect
from paycore.domain.payment import Operation, OperationKind, OperationState, Payment, RefundStatus, Status

if TYPE_CHECKING:
    from tests.simulation.gateway import SimGateway

RANKS = {
    Status.CREATED: 0,
    Status.UNKNOWN: 1,
    Status.PENDING: 2,
    Status.AUTHORIZED: 3,
    Status.FAILED: 4,
    Status.CLOSED: 4,
    Status.PAID: 5,
}
"""A status only moves up."""


def is_open(payment: Payment, gateway: SimGateway) -> bool:
    """Whether anything is not final: an unanswered operation, a payable order, one to be sent."""
    if is_left_to_operator(payment):
        return False
    if payment.uncertain or payment.status in (Status.UNKNOWN, Status.PENDING, Status.AUTHORIZED):
        return True
    can_be_paid = any(order.status == "pending" for order in gateway.with_number(payment.order_number))
    is_unsent = payment.status is Status.CREATED and payment.creation.state is OperationState.INTENT
    is_successor = sum(op.kind is OperationKind.CREATE for op in payment.operations) > 1
    refunds_wait = any(refund.is_open for refund in payment.refunds)
    return can_be_paid or refunds_wait or (is_unsent and is_successor)


def is_left_to_operator(payment: Payment) -> bool:
    """Whether only an operator can find out what came of something that was sent."""
    return any(op.is_unresolvable and op.is_uncertain for op in payment.operations)


Broken = Iterator[tuple[str, str]]
Rule = Callable[["Payment | None", Payment, "SimGateway"], Broken]


def broken_rules(before: Payment | None, payment: Payment, gateway: SimGateway) -> Broken:
    """The rules that `payment` breaks as the successor of `before` (None: it is new)."""
    for rule in _RULES:
        yield from rule(before, payment, gateway)


def _status_moves_up(before: Payment | None, payment: Payment, _gateway: SimGateway) -> Broken:
    """The status only goes back for a new number, a refused account or an unsent order."""
    if before is None or RANKS[payment.status] >= RANKS[before.status]:
        return
    is_anew = payment.order_number != before.order_number and before.status is Status.PENDING
    if (before.status, payment.status) == (Status.AUTHORIZED, Status.PENDING) and _is_refused_for_payer(
        payment
    ):
        return
    has_nothing = payment.creation.state in (OperationState.INTENT, OperationState.REJECTED)
    if not (is_anew or (has_nothing and before.status is Status.UNKNOWN)):
        yield "a status never goes back", f"{before.status} -> {payment.status}"


def _is_refused_for_payer(payment: Payment) -> bool:
    """Whether the last capture was refused for the payer, who must agree again."""
    captures = [op for op in payment.operations if op.kind is OperationKind.CAPTURE]
    failure = captures[-1].failure if captures else None
    return failure is not None and failure.who_acts == "payer"


def _refunds_fit(_before: Payment | None, payment: Payment, _gateway: SimGateway) -> Broken:
    is_not = (RefundStatus.FAILED, RefundStatus.REVERSED)
    going_back = [refund for refund in payment.refunds if refund.status not in is_not]
    for charge in payment.charges:
        own = (refund for refund in going_back if payment.charge_for(refund) == charge)
        asked = sum(refund.amount.minor for refund in own)
        if asked > charge.amount_minor:
            words = f"{asked} is asked back of {charge.amount_minor} that {charge.provider_id} took"
            yield "never refunded more than paid", words


def _numbers_are_new(_before: Payment | None, payment: Payment, _gateway: SimGateway) -> Broken:
    """A number is used once, and a successor begins when its predecessor can't be paid any more."""
    numbered = [op for op in payment.operations if op.kind is not OperationKind.CLOSE]
    if len({op.number for op in numbered}) < len(numbered):
        yield "a number is used once", ", ".join(op.number for op in numbered)
    for number, op in enumerate(numbered):
        is_succeeded = any(_is_for_the_same(op, later) for later in numbered[number + 1 :])
        if is_succeeded and not _is_over(op):
            yield (
                "sent again with the same number",
                f"{op.kind} {op.number} is {op.state} and has a successor",
            )


def _is_for_the_same(earlier: Operation, later: Operation) -> bool:
    return (earlier.kind, earlier.refund_reference) == (later.kind, later.refund_reference)


def _is_over(op: Operation) -> bool:
    return op.state is OperationState.REJECTED or Status.CLOSED in op.observed


def _captured_or_closed(before: Payment | None, payment: Payment, _gateway: SimGateway) -> Broken:
    """A capture is never sent once a close of its order may have been, nor a close once a capture may have been."""
    known = {} if before is None else {op.id: op for op in before.operations}
    for op in payment.operations:
        earlier = known.get(op.id)
        is_sent_now = op.state is OperationState.SENT and (earlier is None or earlier.sent_at != op.sent_at)
        if not is_sent_now or op.kind not in (OperationKind.CAPTURE, OperationKind.CLOSE):
            continue
        number = op.order_number if op.kind is OperationKind.CAPTURE else op.number
        for other in payment.operations:
            if (
                other.id != op.id
                and _may_move(other, number)
                and {op.kind, other.kind} == CAPTURED_AND_CLOSED
            ):
                yield (
                    "captured or closed",
                    f"{op.kind} of {number} is sent, and its {other.kind} is {other.state}",
                )
            if (
                other.id != op.id
                and _may_move(other, number)
                and other.kind is op.kind is OperationKind.CAPTURE
            ):
                yield "captured once", f"a capture of {number} is sent, and another is {other.state}"


CAPTURED_AND_CLOSED = {OperationKind.CAPTURE, OperationKind.CLOSE}
_MAY_MOVE = (OperationState.SENT, OperationState.UNKNOWN, OperationState.DONE)


def _may_move(op: Operation, number: str | None) -> bool:
    return op.state in _MAY_MOVE and number in (op.order_number, op.number)


def _captures_are_true(_before: Payment | None, payment: Payment, gateway: SimGateway) -> Broken:
    """A capture that is taken for refused has taken nothing; one that is taken for done has."""
    taken = {capture.number for capture in gateway.captures}
    for op in payment.operations:
        if op.kind is OperationKind.CAPTURE and op.state is OperationState.REJECTED and op.number in taken:
            yield "only the provider refuses", f"capture {op.number} was taken"


def _charge_backs_are_true(_before: Payment | None, payment: Payment, gateway: SimGateway) -> Broken:
    orders = [order for op in payment.operations for order in gateway.with_number(op.number)]
    taken_back = sum(order.charged_back for order in orders if order.kind == "payment")
    won = sum(order.charge_back_won for order in orders if order.kind == "payment")
    if payment.charged_back_minor > taken_back or payment.charge_back_won_minor > won:
        known = f"{payment.charged_back_minor}, won {payment.charge_back_won_minor}"
        yield "no charge back is made up", f"{known} instead of {taken_back}, won {won}"


def _paid_is_not_ordered_again(before: Payment | None, payment: Payment, _gateway: SimGateway) -> Broken:
    if before is None or not before.charges:
        return
    sent = {op.id: op.sent_at for op in before.operations}
    for op in payment.operations:
        if op.kind is OperationKind.CREATE and sent.get(op.id) != op.sent_at:
            yield "what is paid is not ordered again", f"{op.number} was sent"


def _link_is_kept(before: Payment | None, payment: Payment, _gateway: SimGateway) -> Broken:
    """An order is only replaced if its link is lost."""
    if before is None or before.action is None or payment.order_number != before.order_number:
        return
    for op in payment.operations[len(before.operations) :]:
        if op.replaces:
            yield "an order with a link is kept", f"{op.number} is to be replaced"


def _link_is_in_force(_before: Payment | None, payment: Payment, gateway: SimGateway) -> Broken:
    """The link shown belongs to the order in force, and never to a replaced one."""
    action, number = payment.action, payment.order_number
    if not isinstance(action, Redirect):
        return
    if gateway.number_of(action.url) != number:
        yield "the link is that of the order in force", f"{action.url} is not of {number}"
    if any(
        op.replaces and op.number == number and op.state is OperationState.DONE for op in payment.operations
    ):
        yield "the link is that of the order in force", f"{number} is closed for another"


def _silence_is_true(_before: Payment | None, payment: Payment, gateway: SimGateway) -> Broken:
    for op in payment.operations:
        if op.kind is OperationKind.CLOSE or not gateway.knows(op.number):
            continue
        if op.state is OperationState.INTENT:
            yield "not sent has not arrived", f"{op.kind} {op.number} is at the gateway"
        if op.kind is OperationKind.CREATE and op.state is OperationState.REJECTED:
            yield "refused has not arrived", f"{op.kind} {op.number} is at the gateway"
        if op.proven_absent_at is not None:
            yield "absent has not arrived", f"{op.kind} {op.number} is at the gateway"


def _end_is_true(_before: Payment | None, payment: Payment, gateway: SimGateway) -> Broken:
    """Only the provider's answer closes or fails a payment."""
    at_gateway = {order.status for order in gateway.with_number(payment.order_number)}
    if payment.status is Status.CLOSED and not at_gateway & {"closed", "paid"}:
        yield "only the provider closes", f"at the gateway it is {sorted(at_gateway)}"
    if payment.status is Status.FAILED and at_gateway:
        yield "only the provider refuses", f"at the gateway it is {sorted(at_gateway)}"
    code = None if payment.failure is None else payment.failure.code
    is_refused = payment.order_number in gateway.refused_numbers
    if payment.status is Status.FAILED and not is_refused and code not in NEVER_ARRIVED:
        yield "only the provider refuses", f"it was not refused, but failed with {code}"


NEVER_ARRIVED = ("never_arrived", "recorded_absent")
"""Failures of an order that was proven not to have arrived."""


def _charges_are_true(_before: Payment | None, payment: Payment, gateway: SimGateway) -> Broken:
    for charge in payment.charges:
        taken = [(o.id, o.paid_minor) for o in gateway.with_number(charge.number) if o.status == "paid"]
        if (charge.provider_id, charge.amount_minor) not in taken:
            yield "no charge is made up", f"{charge.provider_id} of {charge.amount_minor}; taken: {taken}"


def _refunds_are_true(_before: Payment | None, payment: Payment, gateway: SimGateway) -> Broken:
    for refund in payment.refunds:
        at_gateway = {order.status for order in gateway.with_number(refund.number)}
        if refund.status is RefundStatus.REVERSED and "reversed" not in at_gateway:
            yield "no refund is made up", f"{refund.reference}: at the gateway it is {sorted(at_gateway)}"
        if refund.status is RefundStatus.SUCCEEDED and not at_gateway & {"succeeded", "reversed"}:
            yield "no refund is made up", f"{refund.reference}: at the gateway it is {sorted(at_gateway)}"
        if refund.status is RefundStatus.FAILED and at_gateway - {"failed"}:
            yield "only the provider refuses", f"{refund.reference}: it is {sorted(at_gateway)}"


_RULES: tuple[Rule, ...] = (
    _numbers_are_new,
    _status_moves_up,
    _refunds_fit,
    _captured_or_closed,
    _captures_are_true,
    _charge_backs_are_true,
    _paid_is_not_ordered_again,
    _link_is_kept,
    _link_is_in_force,
    _silence_is_true,
    _end_is_true,
    _charges_are_true,
    _refunds_are_true,
)
