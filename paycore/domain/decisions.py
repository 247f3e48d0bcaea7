"""
Decides the changes a command makes to a payment, or refuses it with a typed error.

Each decision is made inside the ledger transaction that writes its changes, on the state read there. Of two
concurrent commands the second one decides on what the first one wrote.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from paycore.domain.bounds import check_operations
from paycore.domain.events import (
    Change,
    Finding,
    OperationBegun,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
)
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Order,
    Payment,
    Status,
    numbered,
)
from paycore.domain.provider import Created, Done, Lookup, NotNow, Rejected, Resend, Unknown
from paycore.domain.schedule import INTERVAL_MIN_S, interval_s, resend_pause_s

Outcome = Done[Created] | Done[PaymentObservation] | Done[RefundObservation] | Rejected | NotNow | Unknown


class Numbering(msgspec.Struct, frozen=True, kw_only=True):
    """Drawn before the transaction: a new operation's own id and provider-side number, and the nonce of a send."""

    operation_id: str
    number: str
    nonce: str = ""


def name_of(field: str) -> str:
    """What the caller of `create` calls a field of the order."""
    return "auth_code" if field == "auth_code_hash" else field


def first_difference(known: Order, given: Order, untold: Collection[str] = ()) -> str | None:
    """The first field in which two orders with one reference differ, but for `untold` ones; None when none does."""
    for field in known.__struct_fields__:
        name = name_of(field)
        if name not in untold and getattr(known, field) != getattr(given, field):
            return name
    return None


def named(found: Iterable[Payment], account: str, namespace: str) -> Payment | None:
    """
    Which of the payments with a reference it names for this account; None when that may still make one.

    Its own, in whatever namespace its configuration puts it by now; else the one of its namespace.
    """
    known: Payment | None = None
    for payment in found:
        if payment.account == account:
            return payment
        if payment.namespace == namespace:
            known = payment
    return known


def new_operation(
    kind: OperationKind,
    numbering: Numbering,
    now: datetime,
    deadline: timedelta,
    *,
    needs_action: bool = False,
) -> Operation:
    """An operation that is about to be sent for the first time; it must be answered within `deadline`."""
    return Operation(
        id=numbering.operation_id,
        kind=kind,
        number=numbering.number,
        state=OperationState.SENT,
        begun_at=now,
        sent_at=now,
        in_flight_until=now + deadline,
        nonce=numbering.nonce,
        needs_action=needs_action,
    )


def begin_payment(
    now: datetime,
    *,
    payment_id: str,
    account: str,
    provider: str,
    namespace: str,
    order: Order,
    numbering: Numbering,
    deadline: timedelta,
    needs_action: bool,
    ignored: tuple[str, ...] = (),
) -> PaymentBegun:
    """A new payment whose order is about to be sent."""
    return PaymentBegun(
        payment_id=payment_id,
        account=account,
        provider=provider,
        namespace=namespace,
        order=order,
        operation=new_operation(OperationKind.CREATE, numbering, now, deadline, needs_action=needs_action),
        expires_at=ends_at(now, order.expires_in_s),
        ignored=ignored,
    )


def can_be_found(operation: Operation, lookup: Lookup) -> bool:
    """Whether the provider can be told which order or refund is meant: its reply is not needed, or has come."""
    return lookup is Lookup.BY_NUMBER or operation.has_id


def is_unfinished(operation: Operation) -> bool:
    """Whether an operation still has to be sent, or still lacks an answer."""
    return operation.state is OperationState.INTENT or operation.is_uncertain


def is_overdue(operation: Operation, now: datetime) -> bool:
    """Whether an operation has no answer, and no request of ours for it can still be under way."""
    return operation.is_uncertain and now >= operation.in_flight_until


def may_send(operation: Operation, now: datetime) -> bool:
    """
    Whether an operation may be sent (again) without racing an earlier send.

    None may before the time the provider asked for. Those certainly unsent may then. Overdue ones too: the first time
    at once, since one reply may get lost, then with a pause that grows each time, whatever the provider answers.
    """
    if operation.not_before is not None and now < operation.not_before:
        return False
    if operation.state is OperationState.INTENT:
        return True
    rests_until = operation.sent_at + timedelta(seconds=resend_pause_s(operation.send_count - 1))
    return is_overdue(operation, now) and now >= rests_until


def is_in_window(operation: Operation, resend: Resend, now: datetime, deadline: timedelta) -> bool:
    """
    Whether the same request may be sent now because the provider answers with what the first one made.

    The last byte of it must arrive before the provider forgets the number.
    """
    if resend.effect != "same_result" or operation.is_duplicate:
        return False
    first_sent_at = operation.first_sent_at or operation.begun_at
    return resend.window_s is None or now + deadline < first_sent_at + timedelta(seconds=resend.window_s)


def has_rested(operation: Operation, now: datetime) -> bool:
    """
    Whether recovery may retry what could not be sent; its caller may at any time.

    The pause grows with the time it has been retried, up to a minute.
    """
    tried_for_s = (operation.sent_at - operation.begun_at).total_seconds()
    return now >= operation.sent_at + timedelta(seconds=interval_s(tried_for_s))


def send_again(
    payment: Payment, now: datetime, operation_id: str, deadline: timedelta, nonce: str = ""
) -> list[Change]:
    """
    The same operation with the same number once more; nothing when it has an answer or is still under way.

    Nor when it `is_moot`, or only an operator can tell how it ended.
    """
    operation = payment.operation(operation_id)
    if operation.awaits_finding or is_moot(payment, operation) or not may_send(operation, now):
        return []
    return [
        OperationSent(operation_id=operation_id, sent_at=now, in_flight_until=now + deadline, nonce=nonce)
    ]


def is_moot(payment: Payment, operation: Operation) -> bool:
    """
    Whether it would do harm, or nothing, if it was sent now.

    That is: an order of a payment that is paid, since an earlier order took the money after it was closed; the
    capture of what is not authorized any more; the close of an order that is paid, closed or failed.
    """
    if operation.kind is OperationKind.CREATE:
        return bool(payment.charges)
    if operation.kind is OperationKind.CAPTURE:
        is_in_force = operation.order_number == payment.order_number
        return not is_in_force or payment.status is not Status.AUTHORIZED
    order = numbered(payment, operation.number)
    return operation.kind is OperationKind.CLOSE and order is not None and order.is_settled


def renumber(payment: Payment, now: datetime, numbering: Numbering, deadline: timedelta) -> list[Change]:
    """
    A new order number for the same payment, when the present one can't be paid any more and none was.

    That is: refused because of the account (since mended), or closed by us with confirmation.
    """
    if payment.charges:
        return []
    creation = payment.creation
    refused = creation.state is OperationState.REJECTED and Status.FAILED not in creation.observed
    replaced = payment.status is Status.PENDING and Status.CLOSED in creation.observed
    if not (refused or replaced):
        return []
    check_operations(payment, OperationKind.CREATE)
    operation = new_operation(
        OperationKind.CREATE, numbering, now, deadline, needs_action=creation.needs_action
    )
    return [OperationBegun(operation=operation, expires_at=ends_at(now, payment.order.expires_in_s))]


def ends_at(begun_at: datetime, expires_in_s: int | None) -> datetime | None:
    """When an order that was begun then ends on our own clock; None when nobody said how long it lasts."""
    return None if expires_in_s is None else begun_at + timedelta(seconds=expires_in_s)


def given_up(
    operation: Operation, now: datetime, failure: Failure, finding: Finding | None = None
) -> OperationEnded:
    """The end of an operation that never arrived and is not sent any more; an operator may have found that out."""
    return OperationEnded(
        operation_id=operation.id,
        state=OperationState.REJECTED,
        in_flight_until=now,
        failure=failure,
        finding=finding,
    )


def end_attempt(payment: Payment, now: datetime, *, sent: Operation, outcome: Outcome) -> list[Change]:
    """
    What an answer makes of the operation it belongs to, `sent` being the operation when it was sent.

    Whatever came back, this attempt's request is not under way any more. A number refused as duplicate
    means an earlier send may have arrived: not a refusal. An answer that comes after somebody else has
    gone on says nothing of what they did, unless it shows that the order is there.
    """
    known = payment.operation(sent.id)
    if _was_overtaken(known, sent) and not isinstance(outcome, Done):
        return []
    # Somebody else's request of this operation, sent since, is under way all the same.
    in_flight_until = now if known.send_count == sent.send_count else max(now, known.in_flight_until)
    ended = OperationEnded(operation_id=sent.id, state=OperationState.DONE, in_flight_until=in_flight_until)
    match outcome:
        case Done(Created(observation=observation, action=action) as created):
            expires_at = _expires_at(payment, sent, created)
            ended = replace(ended, observation=observation, action=action, expires_at=expires_at)
        case Done(observation):
            ended = replace(ended, observation=observation)
        case Rejected(is_duplicate=True):
            problem = "the provider already has this number"
            ended = replace(ended, state=OperationState.UNKNOWN, is_duplicate=True, problem=problem)
        case Rejected(failure=failure) if _is_only_of_resend(known, sent, failure):
            problem = f"sending it again was refused: {failure.code}"
            ended = replace(ended, state=OperationState.UNKNOWN, problem=problem)
        case Rejected(failure=failure):
            ended = replace(ended, state=OperationState.REJECTED, failure=failure)
        case NotNow(problem=problem, retry_after_s=retry_after_s):
            state = OperationState.INTENT if sent.send_count == 1 else OperationState.UNKNOWN
            at_first_s = 0.0 if retry_after_s else INTERVAL_MIN_S
            rests_until = _rests_until(sent, now, at_first_s) or now
            not_before = max(now + timedelta(seconds=retry_after_s), rests_until)
            ended = replace(ended, state=state, problem=problem, not_before=not_before)
        case Unknown(problem=problem, observation=observation):
            ended = replace(ended, state=OperationState.UNKNOWN, observation=observation, problem=problem)
    return [ended]


def _is_only_of_resend(known: Operation, sent: Operation, failure: Failure) -> bool:
    """
    Whether a refusal says nothing of an earlier send, which may have arrived.

    That is: one that has arrived all the same; or one of the account, for instance of its key, which the provider
    judges before it looks whether it knows the number.
    """
    if sent.send_count == 1:
        return False
    is_first_to_arrive = sent.first_sent_at == sent.sent_at  # all earlier ones were proven absent
    return known.is_observed or (failure.who_acts == "operator" and not is_first_to_arrive)


def _expires_at(payment: Payment, sent: Operation, created: Created) -> datetime | None:
    """
    Until when an accepted order lives: its time on our own clock or on the provider's, whichever ends later.

    The two may be hours apart, and an order that is taken for expired is closed.
    """
    lasts_s = payment.order.expires_in_s if created.expires_in_s is None else created.expires_in_s
    ends = (created.expires_at, ends_at(sent.begun_at, lasts_s))
    return max((at for at in ends if at is not None), default=None)


def end_unsent(payment: Payment, now: datetime, *, sent: Operation, problem: str) -> list[Change]:
    """
    Nothing left this machine: back to intent, unless another send may have arrived, or it was given up.

    A capture or refund that goes on by itself, since the provider had put it off, does so after a pause.
    """
    if _was_overtaken(payment.operation(sent.id), sent):
        return []
    return [
        OperationEnded(
            operation_id=sent.id,
            state=OperationState.INTENT if sent.send_count == 1 else OperationState.UNKNOWN,
            in_flight_until=now,
            problem=problem,
            not_before=None if sent.not_before is None else _rests_until(sent, now, INTERVAL_MIN_S),
        )
    ]


def _rests_until(sent: Operation, now: datetime, at_first_s: float) -> datetime | None:
    """Until when what goes on by itself rests, longer the older it is; None for what its caller sends again."""
    if sent.kind not in (OperationKind.CAPTURE, OperationKind.REFUND):
        return None
    longer_s = interval_s((now - sent.begun_at).total_seconds()) - INTERVAL_MIN_S
    return now + timedelta(seconds=at_first_s + longer_s)


def _was_overtaken(known: Operation, sent: Operation) -> bool:
    """Whether somebody else has sent this operation again, proven it absent or given it up since."""
    was_given_up = known.state is OperationState.REJECTED
    return known.send_count != sent.send_count or known.proven_absent_at is not None or was_given_up


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a query says without an observation that is new: numbers it does not know, orders that are still authorized.

    `asked_at` is when it was asked. `proves_after`: how long after our last request may have arrived this is proof;
    None means never.
    """

    asked_at: datetime
    absent: Collection[str] = ()
    authorized: Collection[str] = ()
    proves_after: timedelta | None = None


def conclude_from_query(payment: Payment, answered: Answered) -> list[Change]:
    """What follows from a query without an observation: requests that never arrived, closes that took effect."""
    changes: list[Change] = []
    for operation in payment.operations:
        if operation.kind is OperationKind.CLOSE:
            changes += _take_effect(payment, operation, answered.asked_at)
        elif operation.kind is OperationKind.CAPTURE:
            if operation.order_number in answered.authorized:
                changes += _take_absence(operation, answered)
        elif operation.number in answered.absent:
            changes += _take_absence(operation, answered)
    return changes


def _take_absence(operation: Operation, answered: Answered) -> list[Change]:
    is_open = operation.is_uncertain and not operation.is_observed and operation.proven_absent_at is None
    if not is_open or answered.proves_after is None:
        return []
    is_proof = answered.asked_at >= operation.in_flight_until + answered.proves_after
    return [ProvenAbsent(number=operation.number)] if is_proof else []


def _take_effect(payment: Payment, closing: Operation, asked_at: datetime) -> list[Change]:
    """An unanswered close succeeded if a query made after its deadline shows the order in a final state."""
    order = numbered(payment, closing.number)
    if order is None or asked_at < closing.in_flight_until or not closing.is_uncertain:
        return []
    if not order.is_settled:
        return []
    return [OperationEnded(operation_id=closing.id, state=OperationState.DONE, in_flight_until=asked_at)]
