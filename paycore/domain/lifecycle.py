"""
The rules: what a change makes of a payment. The one place where money facts move.

Observations merge by a join: each distinct one is added to what is known, and status, totals and review
follow from the whole set. So the order in which poll, notification, reply and another process bring them
does not matter, and bringing one twice changes nothing.

    created ──> unknown ──> pending ──> failed | closed ──> paid        (a status only moves to the right,
        └──────────────────────┴───────────────────────────>┘            except that a new number starts anew)

`failed | closed -> paid` is legal (late money) and raises `review`. Time passing moves nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar, assert_never

from msgspec import UNSET
from msgspec.structs import replace

from paycore.domain import bounds
from paycore.domain.codec import encode
from paycore.domain.events import (
    Change,
    NamespaceGiven,
    Observed,
    OperationBegun,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
)
from paycore.domain.money import Money
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation, digest
from paycore.domain.payment import (
    Charge,
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    Refund,
    RefundStatus,
    ReviewReason,
    Status,
    has_earlier_number,
    numbered,
)

T = TypeVar("T")


def evolve(payment: Payment | None, change: Change, at: datetime) -> Payment:
    """
    What `change` makes of `payment`; the very same object when it tells nothing new.

    `payment` is None for `PaymentBegun` only. Pure: the ledger stores change and result together.
    """
    if payment is None:
        if not isinstance(change, PaymentBegun):
            raise ValueError(f"a payment's history starts with payment_begun, not {type(change).__name__}")
        return _begun(change, at)
    changed = _derive(_apply(payment, change, at))
    if changed == payment:
        return payment
    return replace(changed, version=payment.version + 1, updated_at=at)


def _begun(change: PaymentBegun, at: datetime) -> Payment:
    return Payment(
        id=change.payment_id,
        account=change.account,
        provider=change.provider,
        namespace=change.namespace,
        order=change.order,
        status=Status.CREATED,
        version=1,
        created_at=at,
        updated_at=at,
        expires_at=change.expires_at,
        operations=(change.operation,),
    )


def _apply(payment: Payment, change: Change, at: datetime) -> Payment:
    match change:
        case OperationBegun():
            return _begin_operation(payment, change)
        case OperationSent():
            return _edit(payment, change.operation_id, lambda op: _sent(op, change))
        case OperationEnded():
            return _end_operation(payment, change)
        case Observed():
            return observe(payment, change)
        case ProvenAbsent():
            return _proven_absent(payment, change.number, at)
        case NamespaceGiven():
            return replace(payment, namespace=change.namespace)
        case PaymentBegun():
            raise ValueError("a payment begins once")
        case _:
            assert_never(change)


# --- operations --------------------------------------------------------------------------------------


def _begin_operation(payment: Payment, change: OperationBegun) -> Payment:
    refunds = payment.refunds
    if change.refund is not None:
        others = (refund for refund in refunds if refund.reference != change.refund.reference)
        refunds = (*others, change.refund)
    # A new order number means that the old order's link must not be handed out any more.
    is_new_number = change.operation.kind is OperationKind.CREATE
    return replace(
        payment,
        operations=(*payment.operations, change.operation),
        refunds=refunds,
        next_step=None if is_new_number else payment.next_step,
        expires_at=payment.expires_at if change.expires_at is UNSET else change.expires_at,
    )


def _sent(operation: Operation, change: OperationSent) -> Operation:
    return replace(
        operation,
        state=OperationState.SENT,
        # What went back to intent never left, so the next send is its first.
        send_count=1 if operation.state is OperationState.INTENT else operation.send_count + 1,
        sent_at=change.sent_at,
        in_flight_until=change.in_flight_until,
        proven_absent_at=None,
        problem="",
    )


def _end_operation(payment: Payment, change: OperationEnded) -> Payment:
    operation = payment.operation(change.operation_id)
    ended = replace(
        operation,
        state=OperationState.DONE if operation.state is OperationState.DONE else change.state,
        in_flight_until=change.in_flight_until,
        failure=change.failure or operation.failure,
        problem=change.problem,
        is_duplicate=change.is_duplicate or operation.is_duplicate,
    )
    if change.state is OperationState.REJECTED and _is_refusal(change.failure):
        ended = _mark_failed(ended)
    payment = _edit(payment, operation.id, lambda _: ended)
    if change.action is not None and operation.id == payment.creation.id:
        payment = replace(
            payment, next_step=change.action, expires_at=change.expires_at or payment.expires_at
        )
    return observe(payment, change)


def _is_refusal(failure: Failure | None) -> bool:
    """Whether a rejection is about the payment itself, and not about how the account is set up."""
    return failure is None or failure.who_acts != "operator"


def _mark_failed(operation: Operation) -> Operation:
    match operation.kind:
        case OperationKind.CREATE:
            return replace(operation, observed=_union(operation.observed, Status.FAILED))
        case OperationKind.REFUND:
            return replace(operation, refund_observed=_union(operation.refund_observed, RefundStatus.FAILED))
        case OperationKind.CLOSE:
            return operation
        case _:
            assert_never(operation.kind)


def _proven_absent(payment: Payment, number: str, at: datetime) -> Payment:
    operation = numbered(payment, number)
    if operation is None or not operation.is_uncertain or operation.is_observed:
        return payment
    return _edit(
        payment, operation.id, lambda op: replace(op, state=OperationState.UNKNOWN, proven_absent_at=at)
    )


# --- observations ------------------------------------------------------------------------------------


def observe(payment: Payment, change: Observed | OperationEnded) -> Payment:
    """
    Add a change's observation to what is known; unchanged when there is none, or its number is not this payment's.

    One that `is_beyond` what is kept leaves no mark, brings no second id, failure or charge of its number, and
    makes the payment need review: so a payment stays bounded, whatever a provider says of it.
    """
    observation = change.observation
    if observation is None:
        return payment
    operation, mark = numbered(payment, observation.number), digest(observation)
    if operation is None or is_in(payment.evidence, mark):
        return payment
    if change.is_beyond:
        payment = _mismatch(payment, ReviewReason.TOO_MANY_FACTS)
        observation = _bare(payment, operation, observation)
    else:
        payment = replace(payment, evidence=_union(payment.evidence, mark))
    if observation.is_signed_wrong:
        return _mismatch(payment, ReviewReason.SIGNATURE_WRONG)
    if isinstance(observation, PaymentObservation):
        return _observe_order(payment, operation, observation, change.charge_of)
    return _observe_refund(payment, operation, observation)


def bounded(payment: Payment, change: Change) -> Change:
    """The change as it is to be recorded of `payment`: one that brings a fact too many says so."""
    match change:
        case Observed(observation=observation) | OperationEnded(observation=observation) if observation:
            return replace(change, is_beyond=_is_beyond(payment, observation))
        case _:
            return change


def _is_beyond(payment: Payment, observation: Observation) -> bool:
    if len(payment.evidence) < bounds.FACTS_MAX and not _is_charge_too_many(payment, observation):
        return False
    return not is_in(payment.evidence, digest(observation))


def _is_charge_too_many(payment: Payment, observation: Observation) -> bool:
    if not isinstance(observation, PaymentObservation) or observation.status is not Status.PAID:
        return False
    ids = {charge.provider_id for charge in payment.charges}
    return len(ids) >= bounds.CHARGES_MAX and observation.provider_id not in ids


def _observe_order(
    payment: Payment, operation: Operation, seen: PaymentObservation, charge_of: str | None
) -> Payment:
    if operation.kind is not OperationKind.CREATE or _differs(seen, payment.amount):
        return _mismatch(payment, ReviewReason.AMOUNT_DIFFERS)
    if _is_unreadable(seen):
        return _mismatch(payment, ReviewReason.AMOUNT_UNREADABLE)
    if charge_of is not None:
        return _mismatch(payment, ReviewReason.CHARGE_OF_ANOTHER)
    payment = _edit(
        payment,
        operation.id,
        lambda op: replace(
            op,
            observed=_union(op.observed, seen.status),
            provider_id=_least(op.provider_id, seen.provider_id),
            failure=_worst(op.failure, seen.failure),
        ),
    )
    if seen.status is Status.PAID and seen.provider_id is not None:
        charge = Charge(number=seen.number, provider_id=seen.provider_id, amount_minor=payment.amount.minor)
        payment = replace(payment, charges=_union(payment.charges, charge))
    return replace(payment, refunded_seen_minor=max(payment.refunded_seen_minor, seen.refunded_minor or 0))


def _observe_refund(payment: Payment, operation: Operation, seen: RefundObservation) -> Payment:
    refund = payment.refund(operation.refund_reference or "")
    if refund is None or _differs(seen, refund.amount):
        return _mismatch(payment, ReviewReason.REFUND_AMOUNT_DIFFERS)
    if _is_unreadable(seen):
        return _mismatch(payment, ReviewReason.AMOUNT_UNREADABLE)
    return _edit(
        payment,
        operation.id,
        lambda op: replace(
            op,
            refund_observed=_union(op.refund_observed, seen.status),
            provider_id=_least(op.provider_id, seen.provider_id),
            failure=_worst(op.failure, seen.failure),
        ),
    )


def _bare(payment: Payment, operation: Operation, observation: Observation) -> Observation:
    """The observation with what is known already in place of its own id and failure; a first charge keeps its id."""
    charge = next((charge for charge in payment.charges if charge.number == operation.number), None)
    known = charge.provider_id if charge is not None else operation.provider_id
    is_first = charge is None and observation.status is Status.PAID
    return replace(
        observation,
        provider_id=observation.provider_id if is_first or known is None else known,
        failure=operation.failure or observation.failure,
    )


def _differs(seen: Observation, amount: Money) -> bool:
    """Whether anything told of the amount is not `amount`'s; where nothing is told, nothing differs."""
    if seen.amount is not None and seen.amount != amount:
        return True
    return seen.partial_amount is not None and seen.partial_amount.contradicts(amount)


def _is_unreadable(seen: Observation) -> bool:
    return seen.partial_amount is not None and seen.partial_amount.unreadable is not None


def _mismatch(payment: Payment, reason: ReviewReason) -> Payment:
    return replace(payment, mismatches=_union(payment.mismatches, reason))


# --- what follows from the facts ---------------------------------------------------------------------


def _derive(payment: Payment) -> Payment:
    """Recompute everything that follows from operations, charges and mismatches."""
    payment = replace(payment, operations=tuple([_settle(payment, op) for op in payment.operations]))
    if payment.refunds:
        latest = {op.refund_reference: op for op in payment.operations}
        payment = replace(
            payment, refunds=tuple([_refund(refund, latest[refund.reference]) for refund in payment.refunds])
        )
    status = _status(payment)
    return replace(
        payment,
        status=status,
        failure=payment.creation.failure if status is Status.FAILED else None,
        review_reasons=_review_reasons(payment),
    )


def _settle(payment: Payment, operation: Operation) -> Operation:
    """An order or refund that was seen at the provider has arrived there, whatever its reply said."""
    if not operation.is_uncertain:
        return operation
    if operation.kind is OperationKind.REFUND and operation.refund_observed:
        return replace(operation, state=OperationState.DONE)
    has_final = any(status.is_final for status in operation.observed)
    if has_final or (operation.observed and not _lacks_action(payment, operation)):
        return replace(operation, state=OperationState.DONE)
    return operation


def _lacks_action(payment: Payment, operation: Operation) -> bool:
    if payment.charges:
        return False  # it is paid, by an earlier order: nobody needs this one's link any more
    return operation.needs_action and (payment.next_step is None or operation.id != payment.creation.id)


def _status(payment: Payment) -> Status:
    if payment.charges:
        return Status.PAID
    creation = payment.creation
    if Status.CLOSED in creation.observed:
        # Closed by us to make room for the next number: the payment itself goes on.
        return Status.PENDING if payment.is_being_replaced else Status.CLOSED
    if Status.FAILED in creation.observed:
        return Status.FAILED
    if creation.observed or creation.state is OperationState.DONE:
        return Status.PENDING
    was_sent_before = creation.send_count > 1 or has_earlier_number(payment)
    if creation.state is OperationState.UNKNOWN or (
        creation.state is OperationState.SENT and was_sent_before
    ):
        return Status.UNKNOWN
    return Status.CREATED


def _refund(refund: Refund, operation: Operation) -> Refund:
    return replace(
        refund,
        status=_refund_status(operation),
        number=operation.number,
        provider_id=operation.provider_id,
        failure=operation.failure,
    )


def _refund_status(operation: Operation) -> RefundStatus:
    for status in (RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.PENDING):
        if status in operation.refund_observed:
            return status
    match operation.state:
        case OperationState.DONE:
            return RefundStatus.PENDING
        case OperationState.UNKNOWN:
            return RefundStatus.UNKNOWN
        case OperationState.INTENT | OperationState.SENT | OperationState.REJECTED:
            return RefundStatus.CREATED
        case _:
            assert_never(operation.state)


def _review_reasons(payment: Payment) -> tuple[ReviewReason, ...]:
    reasons = set(payment.mismatches)
    if len(payment.charges) > 1:
        reasons.add(ReviewReason.PAID_TWICE)
    if any(_ended_unpaid(payment, charge) for charge in payment.charges):
        reasons.add(ReviewReason.PAID_AFTER_CLOSING)
    if payment.charges and payment.refunded_minor > payment.paid_minor:
        reasons.add(ReviewReason.REFUNDED_TOO_MUCH)
    if any(
        {RefundStatus.FAILED, RefundStatus.SUCCEEDED} <= set(op.refund_observed) for op in payment.operations
    ):
        reasons.add(ReviewReason.REFUNDED_AFTER_FAILING)
    return tuple(sorted(reasons))


def _ended_unpaid(payment: Payment, charge: Charge) -> bool:
    operation = numbered(payment, charge.number)
    return operation is not None and bool({Status.CLOSED, Status.FAILED} & set(operation.observed))


# --- joins -------------------------------------------------------------------------------------------


def _edit(payment: Payment, operation_id: str, edit: Callable[[Operation], Operation]) -> Payment:
    edited = [edit(op) if op.id == operation_id else op for op in payment.operations]
    return replace(payment, operations=tuple(edited))


def _union(known: tuple[T, ...], new: T) -> tuple[T, ...]:
    """The set of both, in one order whatever order they came in; `known` is in that order."""
    if is_in(known, new):
        return known
    place = bisect_left(known, encode(new), key=encode)
    return (*known[:place], new, *known[place:])


def is_in(known: tuple[T, ...], one: T) -> bool:
    """Whether `one` is in a tuple that is kept in order."""
    place = bisect_left(known, encode(one), key=encode)
    return place < len(known) and known[place] == one


def _least(known: str | None, new: str | None) -> str | None:
    return min((value for value in (known, new) if value), default=None)


def _worst(known: Failure | None, new: Failure | None) -> Failure | None:
    """One of the two, chosen the same way whichever came first."""
    return max((failure for failure in (known, new) if failure is not None), key=encode, default=None)
