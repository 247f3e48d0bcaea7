"""
What the ledger holds of a payment, as its provider is given it: orders, refunds, and the numbers to ask about.

Ids and numbers are UUIDv7 (RFC 9562) as 26 characters of Crockford base32, ordered by the time they were made.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from paycore.domain.decisions import can_be_found
from paycore.domain.money import Money
from paycore.domain.payment import (
    Operation,
    OperationKind,
    OperationState,
    Order,
    Payment,
    Refund,
    RefundStatus,
    first_ids,
    numbered,
    refund_operation,
)
from paycore.domain.provider import (
    Attempt,
    CaptureOrder,
    CreateOrder,
    Lookup,
    OrderRef,
    Product,
    RefundOrder,
    Secret,
)
from paycore.engine.accounts import Account
from paycore.engine.checks import CreateRequest
from paycore.engine.declared import NUMBER_CHARACTERS
from paycore.errors import NotSupported

QUESTIONS_MAX = 10
"""Queries made in one pass; the remaining numbers are asked about in the next."""

_PAIRS = tuple(high + low for high in NUMBER_CHARACTERS for low in NUMBER_CHARACTERS)
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62


def new_id() -> str:
    """
    A new id: 26 upper-case letters and digits.

    48 bits of milliseconds, 12 of the fraction of one (RFC 9562, section 6.2, method 3), so that a process's
    ids are in the order they were made, and 62 random ones. It keeps no state that a forked child would share.
    """
    ms, rest_ns = divmod(time.time_ns(), 1_000_000)
    fraction = (rest_ns << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    value = ms << 80 | _VERSION_7 | fraction << 64 | _VARIANT | random
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


_NUMBER = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")


def is_number(text: str) -> bool:
    """Whether it has the form of an id or number that paycore makes."""
    return _NUMBER.fullmatch(text) is not None


def made_at(number: str) -> datetime:
    """When an id or number of that form was made, by the clock of the process that made it."""
    value = 0
    for character in number:
        value = value << 5 | NUMBER_CHARACTERS.index(character)
    return datetime.fromtimestamp((value >> 80) / 1000, UTC)


def content_of(request: CreateRequest, account: str) -> Order:
    """The content that must be the same for the same reference; a scanned code enters as a hash only."""
    order, code = request.order, request.auth_code
    if code is None:
        return order
    return structs.replace(order, auth_code_hash=_hash_code(account, order.reference, code))


def _hash_code(account: str, reference: str, code: Secret) -> str:
    return hashlib.sha256(f"{account}\0{reference}\0{code.reveal()}".encode()).hexdigest()


def provider_order(
    order: Order,
    number: str,
    begun_at: datetime,
    attempt: Attempt,
    *,
    auth_code: Secret | None,
    ignored: Sequence[str],
) -> CreateOrder:
    """The order as its provider is given it: without the fields its product has no use for."""
    content = structs.asdict(order)
    for field in ("auth_code_hash", *ignored):
        del content[field]
    return CreateOrder(number=number, begun_at=begun_at, attempt=attempt, auth_code=auth_code, **content)


def product_of(account: Account, payment: Payment) -> Product:
    """What the account offers for this payment; `NotSupported` when it no longer does."""
    product = account.capabilities.product_of_order(payment.method, payment.channel)
    if product is None:
        raise NotSupported(
            f"account {account.name} no longer offers {payment.method}/{payment.channel}",
            payment_id=payment.id,
        )
    return product


def order_ref(payment: Payment, operation: Operation, attempt: Attempt) -> OrderRef:
    """The order this create operation made, as its provider is asked about it."""
    return OrderRef(
        kind="payment",
        number=operation.number,
        provider_id=operation.provider_id,
        ids=first_ids(operation),
        begun_at=operation.begun_at,
        attempt=attempt,
        amount=payment.amount,
        method=payment.method,
        channel=payment.channel,
        returned=payment.returned,
    )


def in_session(ref: OrderRef, session: Any) -> OrderRef:
    """What is asked about, and the order it belongs to, with the account's open session."""
    if session is None:
        return ref
    return structs.replace(
        ref,
        attempt=structs.replace(ref.attempt, session=session),
        payment=None if ref.payment is None else in_session(ref.payment, session),
    )


def refs_to_ask(payment: Payment, lookup: Lookup, attempt: Attempt) -> Iterator[OrderRef]:
    """
    Every number whose state can still tell something: all orders sent, open refunds, and those that may be reversed.

    Refunds that succeeded too, whatever else is open: a mention that one was reversed comes only once. Where orders are
    found by the provider's ids only, those that have one.
    """
    for operation in payment.operations:
        was_sent = operation.kind is OperationKind.CREATE and operation.state is not OperationState.INTENT
        if was_sent and can_be_found(operation, lookup):
            yield order_ref(payment, operation, attempt)
    for refund in payment.refunds:
        operation = refund_operation(payment, refund.reference)
        is_awaited = refund.is_open or (operation.is_uncertain and refund.status is RefundStatus.CREATED)
        may_come_back = refund.status is RefundStatus.SUCCEEDED
        if (is_awaited or may_come_back) and can_be_found(operation, lookup):
            yield _refund_ref(payment, operation, refund, attempt)


def questions(refs: Sequence[OrderRef], size: int, asked_at: datetime) -> list[Sequence[OrderRef]]:
    """
    What is asked about in one flow each, at most `size` numbers: `QUESTIONS_MAX` of them.

    Another one comes first each time, so that none is kept from being asked by those before it.
    """
    batches = [refs[start : start + size] for start in range(0, len(refs), size)]
    first = int(asked_at.timestamp() * 1000) % max(1, len(batches))
    return [*batches[first:], *batches[:first]][:QUESTIONS_MAX]


def _refund_ref(payment: Payment, operation: Operation, refund: Refund, attempt: Attempt) -> OrderRef:
    return OrderRef(
        kind="refund",
        number=operation.number,
        provider_id=operation.provider_id,
        ids=first_ids(operation),
        begun_at=operation.begun_at,
        attempt=attempt,
        amount=refund.amount,
        method=payment.method,
        channel=payment.channel,
        payment=_charged_order(payment, refund, attempt),
    )


def _charged_order(payment: Payment, refund: Refund, attempt: Attempt) -> OrderRef:
    """The order a refund goes back from, by the id of its charge."""
    charge = payment.charge_for(refund)
    order = next(op for op in payment.operations if op.number == charge.number)
    return structs.replace(order_ref(payment, order, attempt), provider_id=charge.provider_id)


def refund_order(payment: Payment, operation: Operation, attempt: Attempt) -> RefundOrder:
    """The refund this operation makes, as its provider is given it: of the charge it goes back from."""
    refund = payment.refund(operation.refund_reference or "")
    if refund is None:
        raise LookupError(f"operation {operation.id} has no refund")
    return RefundOrder(
        number=operation.number,
        begun_at=operation.begun_at,
        attempt=attempt,
        amount=refund.amount,
        order=_charged_order(payment, refund, attempt),
        reference=refund.reference,
        reason=refund.reason,
    )


def capture_order(payment: Payment, operation: Operation, attempt: Attempt) -> CaptureOrder:
    """The capture this operation makes, as its provider is given it."""
    order = numbered(payment, operation.order_number or "")
    if order is None or operation.amount_minor is None:
        raise LookupError(f"operation {operation.id} has no order")
    amount = payment.amount
    return CaptureOrder(
        number=operation.number,
        begun_at=operation.begun_at,
        attempt=attempt,
        amount=Money.from_minor(operation.amount_minor, amount.currency, exponent=amount.exponent),
        order=order_ref(payment, order, attempt),
    )


def close_order(payment: Payment, operation: Operation, attempt: Attempt) -> OrderRef:
    """The order this close cancels, as its provider is given it."""
    return order_ref(payment, numbered(payment, operation.number) or payment.creation, attempt)


def flow_of(payment: Payment, operation: Operation, account: Account) -> Any:
    """The provider's flow that makes this operation."""
    provider, attempt = account.full, account.attempt(operation.sent_at, operation.nonce)
    match operation.kind:
        case OperationKind.CREATE:
            order = provider_order(
                payment.order,
                operation.number,
                operation.begun_at,
                attempt,
                auth_code=account.auth_code,
                ignored=payment.ignored,
            )
            return provider.create(order)
        case OperationKind.CAPTURE:
            return provider.capture(capture_order(payment, operation, attempt))
        case OperationKind.REFUND:
            return provider.refund(refund_order(payment, operation, attempt))
        case OperationKind.CLOSE:
            return provider.close(close_order(payment, operation, attempt))
