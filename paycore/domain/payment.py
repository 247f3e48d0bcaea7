"""
A payment and its parts: statuses, operations, charges, refunds, the caller's order.

All are frozen values. `lifecycle` has the rules that change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from paycore.domain.action import Action
from paycore.domain.money import Money

Capture = Literal["automatic", "manual"]
"""When an authorized payment is captured: at once, or on the caller's `capture`."""


class Status(StrEnum):
    """The status of a payment. Only evidence changes it, never time alone."""

    CREATED = "created"
    """The intent is recorded, nothing is confirmed."""
    UNKNOWN = "unknown"
    """Sent, and no definite answer came: the order may or may not exist at the provider."""
    PENDING = "pending"
    """The provider has it; the payer must act."""
    AUTHORIZED = "authorized"
    """The payer agreed; the money can be captured and is not taken yet."""
    PAID = "paid"
    """The provider says the money was taken. Never goes back; refunds are counted beside it."""
    FAILED = "failed"
    """Definitely refused or declined; no money was taken."""
    CLOSED = "closed"
    """Cancelled or expired, and the provider confirmed it."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected: paid, failed or closed."""
        return self in (Status.PAID, Status.FAILED, Status.CLOSED)


class RefundStatus(StrEnum):
    """The status of a refund; `succeeded` means that the money was returned, `reversed` that it then came back."""

    CREATED = "created"
    UNKNOWN = "unknown"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVERSED = "reversed"


class ReviewReason(StrEnum):
    """Why a payment needs review by a person: its facts contradict each other."""

    AMOUNT_DIFFERS = "amount_differs"
    AMOUNT_UNREADABLE = "amount_unreadable"
    CHARGE_OF_ANOTHER = "charge_of_another"
    CHARGED_BACK = "charged_back"
    IDS_DIFFER = "ids_differ"
    PAID_TWICE = "paid_twice"
    PAID_AFTER_CLOSING = "paid_after_closing"
    REFUND_AMOUNT_DIFFERS = "refund_amount_differs"
    REFUNDED_AFTER_FAILING = "refunded_after_failing"
    REFUNDED_TOO_MUCH = "refunded_too_much"
    SIGNATURE_WRONG = "signature_wrong"
    TOO_MANY_FACTS = "too_many_facts"
    UNRESOLVABLE = "unresolvable"


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Why something was refused: the provider's own code and message.

    `who_acts`: the payer, the caller, the operator (credentials, settings) or the provider. `advice` is one
    sentence. A refusal that may pass by itself is no failure but `NotNow`.
    """

    code: str
    message: str
    who_acts: Literal["payer", "caller", "operator", "provider"] = "payer"
    advice: str = ""


# --- operations --------------------------------------------------------------------------------------


class OperationKind(StrEnum):
    """The commands that move money, or prevent that it moves."""

    CREATE = "create"
    CAPTURE = "capture"
    REFUND = "refund"
    CLOSE = "close"


class OperationState(StrEnum):
    """How far an operation got."""

    INTENT = "intent"
    """Recorded, and certainly not sent."""
    SENT = "sent"
    """The request may have been sent, and no reply is recorded. After `in_flight_until` this means unknown."""
    DONE = "done"
    """The provider accepted it."""
    REJECTED = "rejected"
    """The provider refused it, definitely; nothing moved."""
    UNKNOWN = "unknown"
    """The attempt ended without a definite answer; only a query resolves it."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The durable record of one money-moving command.

    `number` is the provider-side number, fixed before the first send (a close has the number of the order it
    closes). `send_count` counts the sends that may have left this machine; `sent_at` is the last one, `nonce` belongs
    to it, and after `in_flight_until` no request of ours can still arrive. `first_sent_at` is the first of them, None
    where that was `begun_at`. `not_before`: the provider asked to send it no earlier. `proven_absent_at` is set once
    the provider has proven that it does not know the number. `is_unresolvable`: nothing that may be sent can tell any
    more whether it arrived.

    `observed` (for a refund: `refund_observed`) has every status the provider reported for this number, `ids` every
    pair of name and id. `authorized_at` is the last time at which the payer agreed, as reported. `charged_back_minor`
    and `charge_back_won_minor` are the greatest totals reported of it.

    `needs_action`: the payer can't pay without an action. `is_duplicate`: a resend was refused because the provider
    has the number. `replaces`: this close is followed by a new order number for the same payment. `order_number` and
    `amount_minor` are those of a capture: the order it takes the money of, and how much.
    """

    id: str
    kind: OperationKind
    number: str
    state: OperationState
    begun_at: datetime
    send_count: int = msgspec.field(name="sends", default=1)
    sent_at: datetime
    in_flight_until: datetime = msgspec.field(name="quiet_at")
    first_sent_at: datetime | None = None
    nonce: str = ""
    not_before: datetime | None = None
    refund_reference: str | None = None
    order_number: str | None = None
    amount_minor: int | None = None
    provider_id: str | None = None
    ids: tuple[tuple[str, str], ...] = ()
    authorized_at: datetime | None = None
    observed: tuple[Status, ...] = ()
    refund_observed: tuple[RefundStatus, ...] = ()
    charged_back_minor: int = 0
    charge_back_won_minor: int = 0
    proven_absent_at: datetime | None = msgspec.field(name="absent_at", default=None)
    is_unresolvable: bool = False
    is_duplicate: bool = False
    needs_action: bool = False
    replaces: bool = False
    failure: Failure | None = None
    problem: str = ""

    @property
    def is_uncertain(self) -> bool:
        """Whether the provider's answer is outstanding."""
        return self.state in (OperationState.SENT, OperationState.UNKNOWN)

    @property
    def awaits_finding(self) -> bool:
        """Whether only an operator can find out how it ended."""
        return self.is_uncertain and self.is_unresolvable and not self.is_observed

    @property
    def has_id(self) -> bool:
        """Whether the provider has told any id of it, by which it can be asked about."""
        return self.provider_id is not None or bool(self.ids)

    @property
    def provider_ids(self) -> set[str]:
        """All that the provider calls it."""
        ids = {value for _, value in self.ids}
        return ids if self.provider_id is None else ids | {self.provider_id}

    @property
    def is_observed(self) -> bool:
        """Whether the provider has reported any status for this number."""
        return bool(self.observed or self.refund_observed)

    @property
    def is_settled(self) -> bool:
        """Whether the provider has reported a final status of this order."""
        return any(status.is_final for status in self.observed)


class Charge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Money the provider says it took: one per provider-side order; less than its amount after a partial capture."""

    number: str
    provider_id: str
    amount_minor: int


class Refund(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Money to be returned, keyed by the caller's own `reference` within the payment's namespace.

    `status` follows from its operation and the provider's reports; `failure` says why it was refused. `charge_id` is
    the provider's id of the charge that is refunded, fixed when the refund begins; None in older histories, where
    it was the first charge. `is_brought_back`: it was found in the provider's list, which does not tell its `reason`.
    """

    reference: str
    amount: Money
    status: RefundStatus
    number: str
    created_at: datetime
    reason: str | None = None
    provider_id: str | None = None
    failure: Failure | None = None
    charge_id: str | None = None
    is_brought_back: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the provider has not reported its final status yet."""
        return self.status in (RefundStatus.UNKNOWN, RefundStatus.PENDING)


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What the caller wants paid: a repeated call with the same reference must have the same content.

    `expires_in_s` is the time the payer has, in seconds. `auth_code_hash` is the hash of a scanned code; the code
    itself is never stored. `extra` holds the provider's own fields. `capture`: whether the money is taken as soon as
    the payer agreed, or when the caller says so.
    """

    reference: str
    amount: Money
    method: str
    channel: str
    subject: str | None = None
    return_url: str | None = None
    notify_url: str | None = None
    expires_in_s: int | None = None
    payer_id: str | None = None
    device_id: str | None = None
    auth_code_hash: str | None = None
    extra: Mapping[str, str] = {}
    capture: Capture = "automatic"


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """A reason for review that an operator has looked at; `facts` are those it had then, as text."""

    reason: ReviewReason
    facts: str


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What the caller wants paid once, and everything known about it. An immutable value.

    `namespace` and `reference` together are unique in the ledger; the namespace is the one its account had when the
    payment was made, usually empty. `version` grows by one with every change. `authorized_at`, `paid_at` and
    `closed_at` are the ledger's times at which its status first was that; None where it never was. `charges` are the
    provider-side orders that took money. `ignored` names the fields of the order that its product has no use for.
    `untold` names those that nobody told when the payment was brought back from its provider's list, empty for others.
    `returned` is what the payer came back with last, `return_count` how often that was something new. `mismatches` are
    contradictions found in single observations, `review_reasons` all reasons for review that nobody has acknowledged.
    `evidence` has a digest of every distinct observation, so that a repeat changes nothing.
    """

    id: str
    account: str
    provider: str
    namespace: str = ""
    order: Order
    status: Status
    version: int
    created_at: datetime
    updated_at: datetime
    authorized_at: datetime | None = None
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    expires_at: datetime | None = None
    ignored: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    returned: Mapping[str, str] = {}
    return_count: int = 0
    next_step: Action | None = None
    next_step_at: datetime | None = None
    charges: tuple[Charge, ...] = ()
    refunded_seen_minor: int = 0
    mismatches: tuple[ReviewReason, ...] = ()
    review_reasons: tuple[ReviewReason, ...] = ()
    acknowledged: tuple[Acknowledged, ...] = ()
    failure: Failure | None = None
    operations: tuple[Operation, ...] = ()
    refunds: tuple[Refund, ...] = ()
    evidence: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The caller's key for this payment."""
        return self.order.reference

    @property
    def amount(self) -> Money:
        """What is to be paid."""
        return self.order.amount

    @property
    def method(self) -> str:
        """What the payer pays with."""
        return self.order.method

    @property
    def channel(self) -> str:
        """Where the payer stands."""
        return self.order.channel

    @property
    def is_brought_back(self) -> bool:
        """Whether it was recorded from its provider's list (`reconcile`), not by the call that made its order."""
        return bool(self.untold)

    @property
    def action(self) -> Action | None:
        """
        What the payer must do next; None when there is nothing to do, or when it is not known.

        It belongs to the current order. An order that is being replaced must not be paid any more.
        """
        is_payable = self.status is Status.PENDING and not self.is_being_replaced
        return self.next_step if is_payable else None

    @property
    def creation(self) -> Operation:
        """The current create operation."""
        for operation in reversed(self.operations):
            if operation.kind is OperationKind.CREATE:
                return operation
        raise KeyError(f"payment {self.id} has no create operation")

    @property
    def is_being_replaced(self) -> bool:
        """Whether the current order is closed, or being closed, so that a new number can follow."""
        number = self.creation.number
        return any(
            op.replaces and op.number == number and op.state is not OperationState.REJECTED
            for op in self.operations
        )

    @property
    def order_number(self) -> str:
        """Our number for the order at the provider."""
        return self.creation.number

    @property
    def provider_id(self) -> str | None:
        """The provider's own id of the order, None until it is reported."""
        return self.charges[0].provider_id if self.charges else self.creation.provider_id

    @property
    def ids(self) -> Mapping[str, str]:
        """Further ids of the current order at the provider, by name; where two contradict, the lesser text."""
        return first_ids(self.creation)

    @property
    def authorized_minor(self) -> int:
        """What can be captured now, in minor units."""
        return self.amount.minor if self.status is Status.AUTHORIZED else 0

    @property
    def capture_failure(self) -> Failure | None:
        """Why the last capture of the current order was refused; None when it was not."""
        capture = capture_of(self, self.order_number)
        if capture is None or capture.state is not OperationState.REJECTED:
            return None
        return capture.failure

    @property
    def paid_minor(self) -> int:
        """The total the provider reports as taken, in minor units; a charge back does not lessen it."""
        return sum(charge.amount_minor for charge in self.charges)

    @property
    def charged_back_minor(self) -> int:
        """The total the payer's bank took back, in minor units, in disputes and returned debits."""
        return sum(op.charged_back_minor for op in self.operations)

    @property
    def charge_back_won_minor(self) -> int:
        """What came back to the merchant of that, in minor units."""
        return sum(op.charge_back_won_minor for op in self.operations)

    @property
    def refunded_minor(self) -> int:
        """The total the provider reports as returned, in minor units, without refunds that were reversed."""
        ours = sum(r.amount.minor for r in self.refunds if r.status is RefundStatus.SUCCEEDED)
        return max(ours, self._refunded_elsewhere_too)

    @property
    def _refunded_elsewhere_too(self) -> int:
        reversed_minor = sum(r.amount.minor for r in self.refunds if r.status is RefundStatus.REVERSED)
        return max(0, self.refunded_seen_minor - reversed_minor)

    @property
    def refundable_minor(self) -> int:
        """
        What can still be refunded, in minor units.

        That is paid, less every refund that was not definitely refused or reversed, less what was charged back and not
        won. Each refund is of one charge, so a payment that was paid twice needs two refunds.
        """
        asked = sum(r.amount.minor for r in self.refunds if r.status not in _NOT_RETURNED)
        lost = self.charged_back_minor - self.charge_back_won_minor
        return max(0, self.paid_minor - lost - max(asked, self._refunded_elsewhere_too))

    def charge_for(self, refund: Refund) -> Charge:
        """The charge that this refund returns."""
        own = (charge for charge in self.charges if charge.provider_id == refund.charge_id)
        return next(own, self.charges[0])

    def left_of(self, charge: Charge) -> int:
        """What can still be refunded of this charge, in minor units."""
        refunds = (refund for refund in self.refunds if refund.status not in _NOT_RETURNED)
        own = (refund for refund in refunds if self.charge_for(refund).provider_id == charge.provider_id)
        asked = sum(refund.amount.minor for refund in own)
        orders = [op for op in self.operations if op.number == charge.number]
        lost = sum(op.charged_back_minor - op.charge_back_won_minor for op in orders)
        return max(0, min(charge.amount_minor - lost - asked, self.refundable_minor))

    @property
    def uncertain(self) -> bool:
        """Whether the answer to any operation is outstanding, so that money may have moved."""
        return any(op.is_uncertain for op in self.operations)

    @property
    def review(self) -> bool:
        """Whether a person must review it, because its facts contradict each other (`review_reasons`)."""
        return bool(self.review_reasons)

    def operation(self, operation_id: str) -> Operation:
        """The operation with this id; KeyError when there is none."""
        for operation in self.operations:
            if operation.id == operation_id:
                return operation
        raise KeyError(operation_id)

    def refund(self, reference: str) -> Refund | None:
        """The refund with this reference, None when there is none."""
        return next((refund for refund in self.refunds if refund.reference == reference), None)


# --- derived from a payment --------------------------------------------------------------------------


_NOT_RETURNED = (RefundStatus.FAILED, RefundStatus.REVERSED)
_OF_AN_ORDER = (OperationKind.CREATE, OperationKind.REFUND)


def numbered(payment: Payment, number: str) -> Operation | None:
    """The create or refund operation with this provider-side number, None when there is none."""
    for operation in payment.operations:
        if operation.number == number and operation.kind in _OF_AN_ORDER:
            return operation
    return None


def may_have_arrived(operation: Operation) -> bool:
    """Whether a request of it may have reached the provider and was not refused."""
    return operation.is_uncertain or operation.state is OperationState.DONE


def capture_of(payment: Payment, order_number: str) -> Operation | None:
    """The last capture of this order, None when there was none."""
    for operation in reversed(payment.operations):
        if operation.kind is OperationKind.CAPTURE and operation.order_number == order_number:
            return operation
    return None


def close_of(payment: Payment, number: str) -> Operation | None:
    """The last close of this order number, None when there was none."""
    for operation in reversed(payment.operations):
        if operation.kind is OperationKind.CLOSE and operation.number == number:
            return operation
    return None


def standing_closes(payment: Payment, number: str) -> list[Operation]:
    """Every close of this order that was not refused: one that was accepted stands whatever became of a later one."""
    return [
        op
        for op in payment.operations
        if op.kind is OperationKind.CLOSE and op.number == number and op.state is not OperationState.REJECTED
    ]


def first_ids(operation: Operation) -> Mapping[str, str]:
    """The ids of an order or refund by name; of two with one name the lesser, whichever came first."""
    return dict(reversed(operation.ids))


def refund_operation(payment: Payment, reference: str) -> Operation:
    """The latest operation for this refund reference."""
    return next(op for op in reversed(payment.operations) if op.refund_reference == reference)


def has_earlier_number(payment: Payment) -> bool:
    """Whether the current order replaced one that can't be paid any more."""
    return sum(op.kind is OperationKind.CREATE for op in payment.operations) > 1
