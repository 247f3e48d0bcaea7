"""
Everything that can happen to a payment, as values: its append-only history, from which its state is computed.

A `Change` is one fact; an `Event` is a change as the ledger stores it, chained to the event before by hash.
`lifecycle.evolve` folds changes into a `Payment`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from paycore.domain.action import Action
from paycore.domain.observation import Observation
from paycore.domain.payment import Failure, Operation, OperationState, Order, Refund, ReviewReason, Status


class Source(StrEnum):
    """Where the fact came from."""

    CALLER = "caller"
    REPLY = "reply"
    QUERY = "query"
    POLL = "poll"
    NOTIFICATION = "notification"
    RECOVERY = "recovery"
    OPERATOR = "operator"
    LIST = "list"
    """The provider's own list of orders and refunds, read by `reconcile`."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who recorded by hand what no query could tell, and their note."""

    by: str
    note: str


class PaymentBegun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="payment_begun"):
    """
    The caller's intent and the first create operation, committed before anything is sent.

    `namespace` is that of its account: (namespace, reference) names one payment. `ignored` names the fields of
    the order that its product has no use for.

    With `untold` the payment was found in its provider's list, and brought back: its operation is done already, and is
    never sent. These fields of the order nobody told.
    """

    payment_id: str
    account: str
    provider: str
    order: Order
    operation: Operation
    expires_at: datetime | None = None
    namespace: str = ""
    ignored: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()


class OperationBegun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="operation_begun"):
    """
    A further operation, committed before it is sent; `refund` when it is a refund's first one.

    `expires_at`: when the order with a new number expires, None until the provider reports it; unset for other
    operations, and in older histories, where a new number kept the expiry of the previous one.
    """

    operation: Operation
    refund: Refund | None = None
    expires_at: datetime | UnsetType | None = UNSET


class OperationSent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="operation_sent"):
    """An operation is about to be sent again with the same number."""

    operation_id: str
    sent_at: datetime
    in_flight_until: datetime = msgspec.field(name="quiet_at")
    nonce: str = ""


class OperationEnded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="operation_ended"):
    """
    How an attempt ended.

    After `in_flight_until` no request of this attempt can still arrive. `is_duplicate`: the provider refused the
    number as already used, so an earlier send may have arrived. `not_before`: the provider refused it for now, and
    asked to send it no earlier. `finding`: an operator found out how it ended. `is_beyond` and `charge_of` are as in
    `Observed`.
    """

    operation_id: str
    state: OperationState
    in_flight_until: datetime = msgspec.field(name="quiet_at")
    observation: Observation | None = None
    action: Action | None = None
    expires_at: datetime | None = None
    failure: Failure | None = None
    problem: str = ""
    is_duplicate: bool = False
    not_before: datetime | None = None
    finding: Finding | None = None
    is_beyond: bool = False
    charge_of: str | None = None


class Observed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="observed"):
    """
    The provider reported something about an order or a refund.

    `is_beyond`: the payment already has as many facts as `bounds` allows, so this one makes it need review, and only
    its status and totals are used. `charge_of` is the id of another payment that already has a charge with this
    provider id: one charge can't pay two payments. Only the ledger knows, so it is recorded in the change.
    `finding`: not the provider reported it, but an operator who looked there.
    """

    observation: Observation
    is_beyond: bool = False
    charge_of: str | None = None
    finding: Finding | None = None


class ProvenAbsent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="proven_absent"):
    """The provider does not know this number, at a time when that proves that the request never arrived."""

    number: str


class NamespaceGiven(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="namespace_given"):
    """Another payment already had the reference: a ledger from when references were unique per account only."""

    namespace: str


class Returned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="returned"):
    """The payer came back with these parameters. They prove nothing, and are handed to the provider's flows."""

    params: Mapping[str, str]


class FoundUnresolvable(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="found_unresolvable"
):
    """The operation can't be looked up, and it is too late to send it again: only an operator can resolve it."""

    operation_id: str


class ReviewAcknowledged(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="review_acknowledged"
):
    """An operator has looked at the payment for this reason; only a new fact raises it again."""

    reason: ReviewReason
    finding: Finding


OperationChange = OperationBegun | OperationSent | OperationEnded | ProvenAbsent | FoundUnresolvable
Change = PaymentBegun | OperationChange | Observed | NamespaceGiven | Returned | ReviewAcknowledged


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """
    One change as the ledger stores it: append-only, numbered from 1 within its payment.

    `hash` is `chain_hash` of this event and the one before, so that tampering is detected.
    """

    payment_id: str
    seq: int
    at: datetime
    source: Source
    status_from: Status | None
    status_to: Status
    change: Change
    prev_hash: bytes
    hash: bytes

    @property
    def kind(self) -> str:
        """The change's kind, for instance `observed`."""
        return str(self.change.__struct_config__.tag)


GENESIS = b"\x00" * 32
"""`prev_hash` of the first event of a payment."""


def chain_hash(prev_hash: bytes, payment_id: str, seq: int, at_ms: int, source: str, change: bytes) -> bytes:
    """SHA-256 over the previous hash and all stored fields of this event; `change` is its stored JSON."""
    head = f"{payment_id}\n{seq}\n{at_ms}\n{source}\n".encode()
    return hashlib.sha256(prev_hash + head + change).digest()
