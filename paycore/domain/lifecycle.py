"""
The state machine of a payment: what each change makes of it. Money facts change nowhere else.

Observations are merged by set union, so their order does not matter and a repeat changes nothing: each distinct one
is added to what is known, and status, totals and review reasons are computed from the whole set. So poll,
notification, reply and another process may bring the same facts in any order.

    created ──> unknown ──> pending ──> authorized ──> failed | closed ──> paid
        └──────────────────────┴───────────────────────────────────────────>┘

A status only moves to the right, except that a new number starts anew, and that a payer whose money could not be
captured must agree again. `failed | closed -> paid` is legal (late money) and raises `review`. Time alone changes no
status.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from typing import TypeVar, assert_never

from msgspec import UNSET
from msgspec.structs import replace

from paycore.domain import bounds
from paycore.domain.codec import encode
from paycore.domain.events import (
    Change,
    FoundUnresolvable,
    NamespaceGiven,
    Observed,
    OperationBegun,
    OperationChange,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
    Returned,
    ReviewAcknowledged,
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
    capture_of,
    has_earlier_number,
    numbered,
)
from paycore.domain.review import acknowledged, review_reasons

TextT = TypeVar("TextT", bound=str)


def evolve(payment: Payment | None, change: Change, at: datetime) -> Payment:
    """
    `payment` after `change`; the same object when the change brings nothing new.

    `payment` is None for `PaymentBegun` only. Pure: the ledger stores change and result together. `ValueError` or
    `KeyError` for a change that can't follow on this payment.
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
        ignored=change.ignored,
        operations=(change.operation,),
    )


def _apply(payment: Payment, change: Change, at: datetime) -> Payment:
    match change:
        case Observed():
            return _observe(payment, change)
        case NamespaceGiven():
            return replace(payment, namespace=change.namespace)
        case Returned():
            return replace(payment, returned=change.params)
        case ReviewAcknowledged():
            return acknowledged(payment, change.reason)
        case PaymentBegun():
            raise ValueError("a payment begins once")
        case _:
            return _apply_to_operation(payment, change, at)


def _apply_to_operation(payment: Payment, change: OperationChange, at: datetime) -> Payment:
    match change:
        case OperationBegun():
            return _begin_operation(payment, change)
        case OperationSent():
            return _with_operation(payment, _sent(payment.operation(change.operation_id), change))
        case OperationEnded():
            return _end_operation(payment, change)
        case ProvenAbsent():
            return _proven_absent(payment, change.number, at)
        case FoundUnresolvable():
            lost = payment.operation(change.operation_id)
            return _with_operation(payment, replace(lost, is_unresolvable=True))
        case _:
            assert_never(change)


# --- operations --------------------------------------------------------------------------------------


def _begin_operation(payment: Payment, change: OperationBegun) -> Payment:
    refunds = payment.refunds
    if change.refund is not None:
        others = (refund for refund in refunds if refund.reference != change.refund.reference)
        refunds = (*others, change.refund)
    # With a new order number, the link of the old order must not be given to the payer any more.
    is_new_number = change.operation.kind is OperationKind.CREATE
    return replace(
        payment,
        operations=(*payment.operations, change.operation),
        refunds=refunds,
        next_step=None if is_new_number else payment.next_step,
        next_step_at=None if is_new_number else payment.next_step_at,
        expires_at=payment.expires_at if change.expires_at is UNSET else change.expires_at,
    )


def _sent(operation: Operation, change: OperationSent) -> Operation:
    # Back in `intent` means that no earlier send left this machine: the next one is the first.
    is_first = operation.state is OperationState.INTENT
    is_first_to_arrive = is_first or operation.proven_absent_at is not None
    # Older histories have no nonce, and count every window from `begun_at`.
    first_sent_at = change.sent_at if is_first_to_arrive and change.nonce else operation.first_sent_at
    return replace(
        operation,
        state=OperationState.SENT,
        send_count=1 if is_first else operation.send_count + 1,
        sent_at=change.sent_at,
        first_sent_at=first_sent_at,
        nonce=change.nonce,
        in_flight_until=change.in_flight_until,
        proven_absent_at=None,
        is_unresolvable=False,
        problem="",
    )


def _end_operation(payment: Payment, change: OperationEnded) -> Payment:
    operation, creation = payment.operation(change.operation_id), payment.creation
    ended = replace(
        operation,
        state=OperationState.DONE if operation.state is OperationState.DONE else change.state,
        in_flight_until=change.in_flight_until,
        failure=change.failure or operation.failure,
        problem=change.problem,
        is_duplicate=change.is_duplicate or operation.is_duplicate,
        not_before=change.not_before,
    )
    if change.state is OperationState.REJECTED and _is_refusal(change.failure):
        ended = _mark_failed(ended)
    payment = _with_operation(payment, ended)
    if change.action is not None and operation.id == creation.id:
        # What an observation brought is later than any reply to the order itself.
        is_known_later = payment.next_step_at is not None
        payment = replace(
            payment,
            next_step=payment.next_step if is_known_later else change.action,
            expires_at=change.expires_at or payment.expires_at,
        )
    return _observe(payment, change)


def _is_refusal(failure: Failure | None) -> bool:
    """Whether a rejection is final for the payment: not one that the account's operator can correct."""
    return failure is None or failure.who_acts != "operator"


def _mark_failed(operation: Operation) -> Operation:
    match operation.kind:
        case OperationKind.CREATE:
            return replace(operation, observed=_union(operation.observed, Status.FAILED))
        case OperationKind.REFUND:
            return replace(operation, refund_observed=_union(operation.refund_observed, RefundStatus.FAILED))
        case OperationKind.CAPTURE | OperationKind.CLOSE:
            return operation
        case _:
            assert_never(operation.kind)


def _proven_absent(payment: Payment, number: str, at: datetime) -> Payment:
    own = (op for op in payment.operations if op.number == number and op.kind is not OperationKind.CLOSE)
    operation = next(own, None)
    if operation is None or not operation.is_uncertain or operation.is_observed:
        return payment
    absent = replace(operation, state=OperationState.UNKNOWN, proven_absent_at=at, is_unresolvable=False)
    return _with_operation(payment, absent)


# --- observations ------------------------------------------------------------------------------------


def bounded(payment: Payment, change: Change) -> Change:
    """`change` as it is recorded: with `is_beyond` set where its observation exceeds what one payment keeps."""
    match change:
        case Observed(observation=observation) | OperationEnded(observation=observation) if observation:
            return replace(change, is_beyond=_is_beyond(payment, observation))
        case _:
            return change


def _is_beyond(payment: Payment, observation: Observation) -> bool:
    is_full = len(payment.evidence) >= bounds.FACTS_MAX or _are_ids_too_many(payment, observation)
    if not is_full and not _is_charge_too_many(payment, observation):
        return False
    return digest(observation) not in payment.evidence


def _is_charge_too_many(payment: Payment, observation: Observation) -> bool:
    if not isinstance(observation, PaymentObservation) or observation.status is not Status.PAID:
        return False
    ids = {charge.provider_id for charge in payment.charges}
    return len(ids) >= bounds.CHARGES_MAX and observation.provider_id not in ids


def _are_ids_too_many(payment: Payment, observation: Observation) -> bool:
    operation = numbered(payment, observation.number)
    known = set[tuple[str, str]]() if operation is None else {*operation.ids}
    return len(known.union(observation.ids.items())) > bounds.IDS_MAX


def _observe(payment: Payment, change: Observed | OperationEnded) -> Payment:
    """
    Add a change's observation to what is known; unchanged without one, or if its number is not this payment's.

    One that `is_beyond` the bounds is not added to the evidence, adds no second id, failure or charge for its number,
    and makes the payment need review. So the size of a payment is limited whatever a provider reports.
    """
    observation = change.observation
    operation = None if observation is None else numbered(payment, observation.number)
    if observation is None or operation is None:
        return payment
    evidence = _union(payment.evidence, digest(observation))
    if evidence is payment.evidence:
        return payment
    if change.is_beyond:
        payment = _mismatch(payment, ReviewReason.TOO_MANY_FACTS)
        observation = _without_new_details(payment, operation, observation)
    else:
        payment = replace(payment, evidence=evidence)
    if observation.is_signed_wrong:
        return _mismatch(payment, ReviewReason.SIGNATURE_WRONG)
    if isinstance(observation, PaymentObservation):
        return _observe_order(payment, operation, observation, change.charge_of)
    return _observe_refund(payment, operation, observation)


def _observe_order(
    payment: Payment, operation: Operation, seen: PaymentObservation, charge_of: str | None
) -> Payment:
    amount, taken_minor = payment.order.amount, _taken_minor(payment, seen)
    if operation.kind is not OperationKind.CREATE or taken_minor is None or _differs(seen, amount):
        return _mismatch(payment, ReviewReason.AMOUNT_DIFFERS)
    if _is_unreadable(seen):
        return _mismatch(payment, ReviewReason.AMOUNT_UNREADABLE)
    if charge_of is not None:
        return _mismatch(payment, ReviewReason.CHARGE_OF_ANOTHER)
    operation = replace(
        operation,
        observed=_union(operation.observed, seen.status),
        charged_back_minor=max(operation.charged_back_minor, seen.charged_back_minor or 0),
        charge_back_won_minor=max(operation.charge_back_won_minor, seen.charge_back_won_minor or 0),
        authorized_at=_authorized_at(operation, seen),
    )
    payment = _with_operation(payment, _with_details(operation, seen))
    if seen.status is Status.PAID and seen.provider_id is not None:
        charge = Charge(number=seen.number, provider_id=seen.provider_id, amount_minor=taken_minor)
        payment = replace(payment, charges=tuple(sorted({*payment.charges, charge}, key=encode)))
    payment = replace(payment, refunded_seen_minor=max(payment.refunded_seen_minor, seen.refunded_minor or 0))
    return _with_next_step(payment, operation, seen)


def _taken_minor(payment: Payment, seen: PaymentObservation) -> int | None:
    """
    What a paid order took: what is reported, else what was to be taken; None where that differs.

    To be taken is the amount of its capture where one was sent and not refused, else the whole amount.
    """
    capture = capture_of(payment, seen.number)
    is_captured = capture is not None and not (_is_refused(capture) or capture.state is OperationState.INTENT)
    due_minor = capture.amount_minor if capture is not None and is_captured else payment.amount.minor
    if seen.status is not Status.PAID or seen.paid_minor in (None, due_minor):
        return due_minor
    return None


def _authorized_at(operation: Operation, seen: PaymentObservation) -> datetime | None:
    times = [operation.authorized_at, seen.occurred_at if seen.status is Status.AUTHORIZED else None]
    return max((at for at in times if at is not None), default=None)


def _with_next_step(payment: Payment, operation: Operation, seen: PaymentObservation) -> Payment:
    """
    With the action it brings, for the order in force only, and only if it is later than the known one.

    One without a time is as old as the order. Of two with the same time one is kept, whichever came first.
    """
    if seen.action is None or operation.id != payment.creation.id:
        return payment
    known_at, at = payment.next_step_at, seen.occurred_at or operation.begun_at
    if known_at is not None and (at, encode(seen.action)) <= (known_at, encode(payment.next_step)):
        return payment
    return replace(payment, next_step=seen.action, next_step_at=at)


def _observe_refund(payment: Payment, operation: Operation, seen: RefundObservation) -> Payment:
    refund = payment.refund(operation.refund_reference or "")
    if refund is None or _differs(seen, refund.amount):
        return _mismatch(payment, ReviewReason.REFUND_AMOUNT_DIFFERS)
    if _is_unreadable(seen):
        return _mismatch(payment, ReviewReason.AMOUNT_UNREADABLE)
    operation = replace(operation, refund_observed=_union(operation.refund_observed, seen.status))
    return _with_operation(payment, _with_details(operation, seen))


def _with_details(operation: Operation, seen: Observation) -> Operation:
    """The operation with the observed id and failure; of two different ones, the same is kept in either order."""
    ids = [known for known in (operation.provider_id, seen.provider_id) if known]
    failures = [known for known in (operation.failure, seen.failure) if known is not None]
    return replace(
        operation,
        ids=tuple(sorted({*operation.ids, *seen.ids.items()})) if seen.ids else operation.ids,
        provider_id=min(ids, default=None),
        failure=max(failures, key=encode, default=None),
    )


def _without_new_details(payment: Payment, operation: Operation, observation: Observation) -> Observation:
    """The observation with the id and failure that are known already; a first charge keeps its own id."""
    charge = next((charge for charge in payment.charges if charge.number == operation.number), None)
    known = charge.provider_id if charge is not None else operation.provider_id
    is_first = charge is None and observation.status is Status.PAID
    return replace(
        observation,
        provider_id=observation.provider_id if is_first or known is None else known,
        ids={},
        failure=operation.failure or observation.failure,
    )


def _differs(seen: Observation, amount: Money) -> bool:
    """Whether the reported amount, or a part of it, differs from `amount`; no report is no difference."""
    if seen.amount is not None and seen.amount != amount:
        return True
    return seen.partial_amount is not None and seen.partial_amount.contradicts(amount)


def _is_unreadable(seen: Observation) -> bool:
    return seen.partial_amount is not None and seen.partial_amount.unreadable is not None


# --- what follows from the facts ---------------------------------------------------------------------


def _derive(payment: Payment) -> Payment:
    """Recompute everything that follows from operations, charges and mismatches."""
    operations = tuple([_resolve(payment, operation) for operation in payment.operations])
    payment = replace(payment, operations=operations)
    creation = payment.creation
    status = _status(payment, creation)
    failure = _failure(payment, creation, status)
    in_force = {operation.refund_reference: operation for operation in operations}
    refunds = tuple([_refund(refund, in_force[refund.reference]) for refund in payment.refunds])
    payment = replace(payment, status=status, failure=failure, refunds=refunds)
    return replace(payment, review_reasons=review_reasons(payment))


def _resolve(payment: Payment, operation: Operation) -> Operation:
    """`done` for an uncertain order or refund that the provider reports: its request has arrived."""
    if operation.kind is OperationKind.CAPTURE:
        return _resolve_capture(payment, operation)
    if not operation.is_uncertain:
        return operation
    if operation.kind is OperationKind.REFUND and operation.refund_observed:
        return replace(operation, state=OperationState.DONE)
    is_past_action = any(status.is_final or status is Status.AUTHORIZED for status in operation.observed)
    if is_past_action or (operation.observed and not _lacks_action(payment, operation)):
        return replace(operation, state=OperationState.DONE)
    return operation


def _resolve_capture(payment: Payment, capture: Operation) -> Operation:
    """
    `done` once its order is paid; `rejected` once that was closed or failed: no money was taken.

    A certainly unsent one is given up as soon as there is nothing to capture any more.
    """
    order = numbered(payment, capture.order_number or "")
    if order is None:
        return capture
    is_settled = order.is_settled
    if capture.state is OperationState.INTENT and (is_settled or payment.charges):
        return replace(capture, state=OperationState.REJECTED, failure=_NEVER_CAPTURED)
    is_without_answer = capture.is_uncertain or capture.state is OperationState.REJECTED
    if is_settled and is_without_answer and not _is_refused(capture):
        is_paid = Status.PAID in order.observed
        return replace(capture, state=OperationState.DONE if is_paid else OperationState.REJECTED)
    return capture


def _is_refused(capture: Operation) -> bool:
    """Whether it was refused or given up; not only left without an answer by an order that was closed."""
    return capture.state is OperationState.REJECTED and capture.failure is not None


_NEVER_CAPTURED = Failure(
    code="never_sent", message="the payment was settled before this was sent", who_acts="caller"
)


def _lacks_action(payment: Payment, operation: Operation) -> bool:
    if payment.charges:
        return False  # an earlier order was paid: the payer needs no link for this one
    return operation.needs_action and (payment.next_step is None or operation.id != payment.creation.id)


def _status(payment: Payment, creation: Operation) -> Status:
    if payment.charges:
        return Status.PAID
    if Status.CLOSED in creation.observed:
        # We closed the order to replace it by one with a new number: the payment goes on.
        return Status.PENDING if payment.is_being_replaced else Status.CLOSED
    if Status.FAILED in creation.observed:
        return Status.FAILED
    if creation.observed or creation.state is OperationState.DONE:
        return _status_of_open(payment, creation)
    was_sent_before = creation.send_count > 1 or has_earlier_number(payment)
    is_unknown = creation.state is OperationState.UNKNOWN
    is_unknown_again = creation.state is OperationState.SENT and was_sent_before
    return Status.UNKNOWN if is_unknown or is_unknown_again else Status.CREATED


def _failure(payment: Payment, creation: Operation, status: Status) -> Failure | None:
    """Why it failed, or while it is open why the last capture was refused."""
    if status is Status.FAILED:
        return creation.failure
    capture = capture_of(payment, creation.number)
    is_open = status in (Status.AUTHORIZED, Status.PENDING)
    return capture.failure if capture is not None and is_open and _is_refused(capture) else None


def _status_of_open(payment: Payment, creation: Operation) -> Status:
    is_authorized = Status.AUTHORIZED in creation.observed and not _must_agree_again(payment, creation)
    return Status.AUTHORIZED if is_authorized else Status.PENDING


def _must_agree_again(payment: Payment, creation: Operation) -> bool:
    """Whether the capture of what the payer had agreed to was refused for them, and they did not agree since."""
    capture = capture_of(payment, creation.number)
    if capture is None or capture.state is not OperationState.REJECTED or capture.failure is None:
        return False
    ended_at, agreed_at = capture.in_flight_until, creation.authorized_at
    return capture.failure.who_acts == "payer" and (agreed_at is None or agreed_at <= ended_at)


def _refund(refund: Refund, operation: Operation) -> Refund:
    return replace(
        refund,
        status=_refund_status(operation),
        number=operation.number,
        provider_id=operation.provider_id,
        failure=operation.failure,
    )


_FIRST_TO_LAST = (
    RefundStatus.REVERSED,
    RefundStatus.SUCCEEDED,
    RefundStatus.FAILED,
    RefundStatus.PENDING,
)
"""Which of several reported statuses of a refund counts."""


def _refund_status(operation: Operation) -> RefundStatus:
    for status in _FIRST_TO_LAST:
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


def _with_operation(payment: Payment, changed: Operation) -> Payment:
    operations = [changed if op.id == changed.id else op for op in payment.operations]
    return replace(payment, operations=tuple(operations))


def _mismatch(payment: Payment, reason: ReviewReason) -> Payment:
    return replace(payment, mismatches=_union(payment.mismatches, reason))


def _union(known: tuple[TextT, ...], new: TextT) -> tuple[TextT, ...]:
    """The sorted set of both, so that the order of arrival does not matter; `known` itself if it has `new`."""
    place = bisect_left(known, new)
    if place < len(known) and known[place] == new:
        return known
    return (*known[:place], new, *known[place:])
