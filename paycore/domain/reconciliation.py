"""
What reconciling finds: where the ledger and a provider's own list differ, and what a person has to do about it.

Pure comparisons; which facts count is decided by `lifecycle`, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from paycore.domain.money import Money
from paycore.domain.observation import PaymentObservation, RefundObservation, told_ids
from paycore.domain.payment import Operation, OperationKind, Payment, RefundStatus, Status


class DiscrepancyKind(StrEnum):
    """How the ledger and the provider's list differ."""

    MISSING_HERE = "missing_here"
    """The provider has an order or a refund of ours that the ledger does not have."""
    MISSING_THERE = "missing_there"
    """The provider does not know an order or a refund that the ledger has from it."""
    AMOUNT_DIFFERS = "amount_differs"
    STATE_DIFFERS = "state_differs"
    PAID_TWICE = "paid_twice"
    """One reference was paid by two orders or charges; one of them may be missing here."""
    REFUNDED_ELSEWHERE = "refunded_elsewhere"
    """Money went back by a refund that the ledger can't name: made in a portal, or lost with its reference."""
    UNREADABLE = "unreadable"
    """The list has an entry that can't be read."""


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True):
    """
    One difference between the ledger and the provider's list.

    `is_settled`: nobody has to look, the ledger knows it by now. `payment_id` is the payment's here, None where there
    is none; `reference` is the payment's, `refund` that of the refund it is about, each None where nobody knows it.
    `number` is ours at the provider. `status_here` is the status before reconciling; statuses are words of `Status` or
    `RefundStatus`, None where there is none. `at`: when it was made, as told. `advice`: what was done or is to be done.
    """

    kind: DiscrepancyKind
    is_settled: bool
    advice: str
    is_refund: bool = False
    payment_id: str | None = None
    number: str | None = None
    provider_id: str | None = None
    ids: Mapping[str, str] = {}
    reference: str | None = None
    refund: str | None = None
    amount_here: Money | None = None
    amount_there: Money | None = None
    status_here: str | None = None
    status_there: str | None = None
    at: datetime | None = None


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of reconciling an account with its provider's list of [since, until).

    `orders` and `refunds` count the entries of the list, `foreign` those among them that paycore did not make. Money
    that moved is in no count: see `discrepancies`.
    """

    account: str
    since: datetime
    until: datetime
    orders: int
    refunds: int
    foreign: int
    discrepancies: tuple[Discrepancy, ...]

    @property
    def needs_person(self) -> bool:
        """Whether a person must look at any of it."""
        return any(not one.is_settled for one in self.discrepancies)


UNMOVED = (Status.FAILED, Status.CLOSED)
"""No money was taken, and none will be."""


def status_of_order(payment: Payment, order: Operation) -> Status:
    """What the ledger has of one order of a payment."""
    if any(charge.number == order.number for charge in payment.charges):
        return Status.PAID
    for status in (Status.CLOSED, Status.FAILED):
        if status in order.observed:
            return status
    if order.id == payment.creation.id and not payment.charges:
        return payment.status
    return Status.PENDING if order.is_observed else Status.UNKNOWN


def is_same_status(here: Status, there: Status) -> bool:
    """Whether two statuses mean the same for the money: which word says that none was taken does not matter."""
    return here is there or (here in UNMOVED and there in UNMOVED)


def differs_in_amount(payment: Payment, order: Operation, seen: PaymentObservation) -> bool:
    """Whether the list has another amount than the ledger, of the order or of what was taken."""
    taken = [charge.amount_minor for charge in payment.charges if charge.number == order.number]
    if seen.partial_amount is not None and seen.partial_amount.contradicts(payment.amount):
        return True
    if seen.amount is not None:
        # A list of transactions has the money that was taken, which may be a part.
        is_whole = seen.amount == payment.amount
        is_taken = seen.amount.currency == payment.amount.currency and seen.amount.minor in taken
        if not (is_whole or is_taken):
            return True
    is_paid = seen.status is Status.PAID and bool(taken)
    return is_paid and seen.paid_minor not in (None, *taken)


def is_unreadable(seen: PaymentObservation | RefundObservation) -> bool:
    """Whether an entry of a list says too little to be an order or a refund, or has an amount that is none."""
    partial = seen.partial_amount
    if seen.is_signed_wrong or (partial is not None and partial.unreadable is not None):
        return True
    return seen.amount is None and partial is None and not seen.provider_id


def operation_with_id(
    payment: Payment, kind: OperationKind, seen: PaymentObservation | RefundObservation
) -> Operation | None:
    """The order or refund of this payment that has an id of the provider's in `seen`, None where none has."""
    ids = told_ids(seen)
    operations = (op for op in payment.operations if op.kind is kind)
    return next((op for op in operations if ids & op.provider_ids), None)


def has_id(payment: Payment, provider_id: str) -> bool:
    """Whether the provider has called any order or charge of this payment by that id."""
    if any(charge.provider_id == provider_id for charge in payment.charges):
        return True
    orders = (op for op in payment.operations if op.kind is OperationKind.CREATE)
    return any(provider_id in op.provider_ids for op in orders)


def is_promise(seen: PaymentObservation | RefundObservation) -> bool:
    """Whether it says that no money moved or will, which is not believed of a list alone."""
    return seen.status in (*UNMOVED, RefundStatus.FAILED)
