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

from datetime import datetime
from typing import assert_never

from msgspec import UNSET
from msgspec.structs import replace

from paycore.domain import bounds
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
from paycore.domain.merging import (
    is_refused,
    merge_order,
    merge_refund,
    union,
    with_mismatch,
    with_operation,
    without_new_details,
)
from paycore.domain.observation import Observation, PaymentObservation, digest
from paycore.domain.payment import (
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
    since = _SINCE.get(changed.status)
    if since is not None and changed.status is not payment.status and getattr(changed, since) is None:
        changed = replace(changed, **{since: at})
    return replace(changed, version=payment.version + 1, updated_at=at)


_SINCE = {Status.AUTHORIZED: "authorized_at", Status.PAID: "paid_at", Status.CLOSED: "closed_at"}
"""Where the time is kept at which a payment first had this status."""


def _begun(change: PaymentBegun, at: datetime) -> Payment:
    # One that is brought back was made when its order was: its age says when it is due, and where it is looked for.
    made_at = min(at, change.operation.begun_at) if change.untold else at
    return Payment(
        id=change.payment_id,
        account=change.account,
        provider=change.provider,
        namespace=change.namespace,
        order=change.order,
        status=Status.CREATED,
        version=1,
        created_at=made_at,
        updated_at=at,
        expires_at=change.expires_at,
        ignored=change.ignored,
        untold=change.untold,
        operations=(change.operation,),
    )


def _apply(payment: Payment, change: Change, at: datetime) -> Payment:
    match change:
        case Observed():
            return _observe(payment, change)
        case NamespaceGiven():
            return replace(payment, namespace=change.namespace)
        case Returned():
            return _returned(payment, change)
        case ReviewAcknowledged():
            return acknowledged(payment, change.reason)
        case PaymentBegun():
            raise ValueError("a payment begins once")
        case _:
            return _apply_to_operation(payment, change, at)


def _returned(payment: Payment, change: Returned) -> Payment:
    if change.params == payment.returned:
        return payment
    return replace(payment, returned=change.params, return_count=payment.return_count + 1)


def _apply_to_operation(payment: Payment, change: OperationChange, at: datetime) -> Payment:
    match change:
        case OperationBegun():
            return _begin_operation(payment, change)
        case OperationSent():
            return with_operation(payment, _sent(payment.operation(change.operation_id), change))
        case OperationEnded():
            return _end_operation(payment, change)
        case ProvenAbsent():
            return _proven_absent(payment, change.number, at)
        case FoundUnresolvable():
            lost = payment.operation(change.operation_id)
            return with_operation(payment, replace(lost, is_unresolvable=True))
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
    payment = with_operation(payment, ended)
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
            return replace(operation, observed=union(operation.observed, Status.FAILED))
        case OperationKind.REFUND:
            return replace(operation, refund_observed=union(operation.refund_observed, RefundStatus.FAILED))
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
    return with_operation(payment, absent)


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
    if not observation.ids:
        return False
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
    evidence = union(payment.evidence, digest(observation))
    if evidence is payment.evidence:
        return payment
    if change.is_beyond:
        payment = with_mismatch(payment, ReviewReason.TOO_MANY_FACTS)
        observation = without_new_details(payment, operation, observation)
    else:
        payment = replace(payment, evidence=evidence)
    if observation.is_signed_wrong:
        return with_mismatch(payment, ReviewReason.SIGNATURE_WRONG)
    if isinstance(observation, PaymentObservation):
        return merge_order(payment, operation, observation, change.charge_of)
    return merge_refund(payment, operation, observation)


# --- what follows from the facts ---------------------------------------------------------------------


def _derive(payment: Payment) -> Payment:
    """Recompute everything that follows from operations, charges and mismatches."""
    operations = tuple([_resolve(payment, operation) for operation in payment.operations])
    payment = replace(payment, operations=operations)
    creation = payment.creation
    status = _status(payment, creation)
    failure = creation.failure if status is Status.FAILED else None
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
    if is_settled and is_without_answer and not is_refused(capture):
        is_paid = Status.PAID in order.observed
        return replace(capture, state=OperationState.DONE if is_paid else OperationState.REJECTED)
    return capture


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
