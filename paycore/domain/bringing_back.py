"""
Brings a payment or a refund back that the ledger has lost and its provider lists: after an old backup was restored.

What is recorded is what the provider tells, and no more. Its operations are done already, so that none of them is ever
sent. What is not told of the order is named in `untold`, and is not compared when its caller repeats the call.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from paycore.domain.bounds import OPERATIONS_MAX
from paycore.domain.decisions import name_of
from paycore.domain.events import Change, Observed, OperationBegun, OperationEnded, PaymentBegun
from paycore.domain.money import Money
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import (
    Capture,
    Operation,
    OperationKind,
    OperationState,
    Order,
    Payment,
    Refund,
    RefundStatus,
    Status,
    numbered,
    refund_operation,
)


class FoundOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    An order as its provider lists it, and the names it gets here.

    `made_at`: when it was made there. `method`, `channel` and `capture` are None where they are not told.
    """

    payment_id: str
    operation_id: str
    capture_id: str
    capture_number: str
    account: str
    provider: str
    namespace: str
    reference: str
    amount: Money
    observation: PaymentObservation
    made_at: datetime
    method: str | None = None
    channel: str | None = None
    capture: Capture | None = None
    expires_at: datetime | None = None


class BroughtBack(NamedTuple):
    """A payment's first event, and those that follow in the same transaction."""

    begun: PaymentBegun
    changes: tuple[Change, ...]


def bring_back(now: datetime, *, found: FoundOrder) -> BroughtBack:
    """
    The payment of an order that is at its provider, with all that is told of it.

    Where `capture` is not told its caller captures it: nothing takes money that nobody asked for.
    """
    made_at = min(now, found.made_at)
    order = Order(
        reference=found.reference,
        amount=found.amount,
        method=found.method or "",
        channel=found.channel or "",
        capture=found.capture or "manual",
    )
    begun = PaymentBegun(
        payment_id=found.payment_id,
        account=found.account,
        provider=found.provider,
        namespace=found.namespace,
        order=order,
        operation=_done(OperationKind.CREATE, found.operation_id, found.observation.number, made_at),
        expires_at=found.expires_at,
        untold=_untold(found),
    )
    return BroughtBack(begun, (*_capture_of_part(found, made_at), Observed(observation=found.observation)))


def _done(kind: OperationKind, operation_id: str, number: str, at: datetime) -> Operation:
    """An operation that the provider has carried out: nothing sends it (again)."""
    return Operation(
        id=operation_id,
        kind=kind,
        number=number,
        state=OperationState.DONE,
        begun_at=at,
        sent_at=at,
        in_flight_until=at,
    )


def _untold(found: FoundOrder) -> tuple[str, ...]:
    told = {"reference", "amount"}
    told |= {name for name in ("method", "channel", "capture") if getattr(found, name) is not None}
    return tuple(sorted(name_of(field) for field in Order.__struct_fields__ if field not in told))


def _capture_of_part(found: FoundOrder, at: datetime) -> tuple[Change, ...]:
    """The capture there must have been, where less than the whole was taken."""
    seen = found.observation
    if seen.status is not Status.PAID or seen.paid_minor is None:
        return ()
    if not 0 < seen.paid_minor < found.amount.minor:
        return ()
    capture = msgspec.structs.replace(
        _done(OperationKind.CAPTURE, found.capture_id, found.capture_number, at),
        order_number=seen.number,
        amount_minor=seen.paid_minor,
    )
    return (OperationBegun(operation=capture),)


# --- a refund ----------------------------------------------------------------------------------------


class FoundRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as its provider lists it; `reference` is the caller's for it, `operation_id` its name here."""

    operation_id: str
    reference: str
    amount: Money
    observation: RefundObservation
    made_at: datetime


def bring_back_refund(payment: Payment, now: datetime, *, found: FoundRefund) -> list[Change]:
    """
    The refund as one of this payment's; nothing where it can't be recorded as that.

    That is: the payment has its number already or, where the provider may still carry it out, its reference; or was
    not paid by exactly one charge, or has too many. One that was refused or not sent, as far as this ledger knows, was
    made under another number since: by that it is known from now on.
    """
    number = found.observation.number
    refunds = sum(op.kind is OperationKind.REFUND for op in payment.operations)
    if numbered(payment, number) is not None or len(payment.charges) != 1 or refunds >= OPERATIONS_MAX:
        return []
    if found.amount.currency != payment.amount.currency or found.amount.minor <= 0:
        return []
    made_at = min(now, found.made_at)
    operation = msgspec.structs.replace(
        _done(OperationKind.REFUND, found.operation_id, number, made_at), refund_reference=found.reference
    )
    known = payment.refund(found.reference)
    if known is not None:
        given_up = _given_up(payment, known, now)
        if given_up is None or known.amount != found.amount:
            return []
        return [*given_up, OperationBegun(operation=operation), Observed(observation=found.observation)]
    refund = Refund(
        reference=found.reference,
        amount=found.amount,
        status=RefundStatus.CREATED,
        number=number,
        created_at=made_at,
        charge_id=payment.charges[0].provider_id,
        is_brought_back=True,
    )
    return [OperationBegun(operation=operation, refund=refund), Observed(observation=found.observation)]


def _given_up(payment: Payment, known: Refund, now: datetime) -> list[Change] | None:
    """What ends the number that this ledger has for a refund; None where the provider may have carried that one out."""
    operation = refund_operation(payment, known.reference)
    if known.status is not RefundStatus.CREATED:
        return None
    if operation.state is OperationState.REJECTED:
        return []
    if operation.state is OperationState.INTENT:
        return [OperationEnded(operation_id=operation.id, state=OperationState.REJECTED, in_flight_until=now)]
    return None


# --- an operation that is known, and was not sent as far as this ledger knows ------------------------------


def note_listed(
    payment: Payment,
    now: datetime,
    *,
    number: str,
    observation: PaymentObservation | RefundObservation | None,
) -> list[Change]:
    """
    What the list shows of a number of this payment; `observation` is None where what it says is not believed.

    One that was not sent by all this ledger knows was sent all the same, after the backup that was restored: it is
    done, and is not sent again.
    """
    operation = numbered(payment, number)
    if operation is None:
        return []
    if operation.state is not OperationState.INTENT:
        return [] if observation is None else [Observed(observation=observation)]
    return [
        OperationEnded(
            operation_id=operation.id,
            state=OperationState.DONE,
            in_flight_until=now,
            observation=observation,
        )
    ]
