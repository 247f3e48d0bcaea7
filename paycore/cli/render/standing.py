"""How a payment stands, in sentences: what happened to the money, and what is owed next and by whom."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from paycore.cli.render.text import duration, major, moment
from paycore.domain.action import Action, ClientCall, Instructions, QRCode, Redirect
from paycore.domain.money import render_minor
from paycore.domain.payment import (
    Operation,
    OperationKind,
    OperationState,
    Payment,
    RefundStatus,
    ReviewReason,
    Status,
    refund_operation,
)
from paycore.domain.schedule import is_left_to_caller, is_needless

ToType = Callable[..., str]
"""Makes a command to suggest of its words."""

_WHAT_HAPPENED = {
    Status.UNKNOWN: "nobody knows whether the order arrived",
    Status.PENDING: "not paid yet",
    Status.AUTHORIZED: "the payer agreed, nothing is taken yet",
    Status.FAILED: "nothing was taken",
    Status.CLOSED: "nobody can pay it any more",
}


def plainly(*words: str) -> str:
    """Return the command of these words."""
    return shlex.join(["paycore", *words])


def is_scanned(action: Action | None) -> bool:
    """Whether the payer scans it as a QR code."""
    return isinstance(action, QRCode) or (isinstance(action, Redirect) and action.show_as == "qr")


# --- what happened -----------------------------------------------------------------------------------


def sentence(payment: Payment) -> str:
    """Return what goes behind the status: the amount, and what happened to the money."""
    amount = str(payment.amount)
    match payment.status:
        case Status.PAID:
            return ", ".join(_paid(payment))
        case Status.CREATED:
            return f"{amount}, {'being sent' if payment.uncertain else 'nothing was sent'}"
        case status:
            return f"{amount}, {_WHAT_HAPPENED[status]}"


def _paid(payment: Payment) -> Iterator[str]:
    amount = payment.amount
    at = "" if payment.paid_at is None else f" at {moment(payment.paid_at)}"
    if payment.paid_minor == amount.minor:
        yield f"{amount}{at}"
    elif payment.paid_minor < amount.minor:
        yield f"{_minor(payment, payment.paid_minor)} of {amount}{at}"
    else:
        yield f"{major(payment, payment.paid_minor)}{at}, where {amount.text} was asked for"
    if payment.refunded_minor:
        yield f"of which {_minor(payment, payment.refunded_minor)} went back"
    if payment.charged_back_minor:
        yield f"charged back {_minor(payment, payment.charged_back_minor)}"
    if payment.charge_back_won_minor:
        yield f"won back {_minor(payment, payment.charge_back_won_minor)}"


def _minor(payment: Payment, minor: int) -> str:
    return render_minor(minor, payment.amount.exponent)


# --- what is owed next -------------------------------------------------------------------------------


def next_steps(payment: Payment, to_type: ToType = plainly) -> list[str]:
    """Return what is owed next and by whom, what cannot wait first; where it is over, that it is."""
    steps = [*_by_person(payment), *_of_operations(payment, to_type), *_of_status(payment, to_type)]
    steps += _of_refunds(payment, to_type)
    return steps or [_nothing(payment)]


def _by_person(payment: Payment) -> Iterator[str]:
    if payment.review:
        yield "a person must look into the review below; deliver nothing until then"


def _nothing(payment: Payment) -> str:
    if payment.status is Status.PAID:
        return "nothing is owed"
    return "nothing is owed; to try again, create a payment with another reference"


def _of_operations(payment: Payment, to_type: ToType) -> Iterator[str]:
    for operation in payment.operations:
        if _is_waiting(operation):
            yield _waits(payment, operation, to_type)
        elif operation.is_uncertain and not operation.awaits_finding:
            query = to_type("query", payment.id)
            yield f"the provider owes an answer to {_thing(operation)}: `{query}` asks for it"


def _is_waiting(operation: Operation) -> bool:
    """Whether nothing of its last attempt moved, and it is to be sent later."""
    is_unsent = operation.state in (OperationState.INTENT, OperationState.UNKNOWN)
    return operation.not_before is not None and is_unsent


def _waits(payment: Payment, operation: Operation, to_type: ToType) -> str:
    who = f"a worker, or `{to_type('await', payment.id)}`, sends"
    if operation.kind is OperationKind.CREATE and operation.state is OperationState.INTENT:
        who = "you must create the payment again, which sends"
    at = "" if operation.not_before is None else f" from {moment(operation.not_before)} on"
    return f"{who} {_thing(operation)}{at}: {operation.problem}"


def _thing(operation: Operation) -> str:
    match operation.kind:
        case OperationKind.CREATE:
            return "the order"
        case OperationKind.REFUND:
            return f"the refund {operation.refund_reference}"
        case OperationKind.CAPTURE:
            return "the capture"
        case OperationKind.CLOSE:
            return "the closing"


def _of_status(payment: Payment, to_type: ToType) -> Iterator[str]:
    match payment.status:
        case Status.CREATED if is_left_to_caller(payment) and not _is_waiting(payment.creation):
            yield "you must create the payment again, with the same reference: nothing was sent"
        case Status.PENDING:
            yield (
                _by_payer(payment) if payment.action or not payment.is_being_replaced else _replaced(to_type)
            )
        case Status.AUTHORIZED if is_left_to_caller(payment):
            capture, close = to_type("capture", payment.id), to_type("close", payment.id)
            yield f"you must take the money by `{capture}`, or let it go by `{close}`{_expiry(payment)}"
        case Status.AUTHORIZED if not any(map(_is_open_capture, payment.operations)):
            yield f"a worker, or `{to_type('await', payment.id)}`, takes the money"
        case _:
            pass
    if is_needless(payment):
        yield "a worker closes a second order that can still be paid"


def _is_open_capture(operation: Operation) -> bool:
    return operation.kind is OperationKind.CAPTURE and (operation.is_uncertain or _is_waiting(operation))


def _replaced(to_type: ToType) -> str:
    return f"a worker, or `{to_type('resolve')}`, puts a new order in the place of one whose link was lost"


def _by_payer(payment: Payment) -> str:
    return f"the payer {_what_payer_does(payment.action)}{_expiry(payment)}"


def _what_payer_does(action: Action | None) -> str:
    if is_scanned(action):
        return "must scan the link below as a QR code"
    if isinstance(action, Instructions):
        return "pays elsewhere, with what follows"
    if isinstance(action, ClientCall):
        return "goes on in your page, which loads the script"
    return "must act"


def _expiry(payment: Payment) -> str:
    if payment.expires_at is None:
        return ""
    left_s = (payment.expires_at - datetime.now(UTC)).total_seconds()
    return f", within {duration(left_s)}" if left_s > 0 else "; the time for it is over"


def _of_refunds(payment: Payment, to_type: ToType) -> Iterator[str]:
    for refund in payment.refunds:
        operation = refund_operation(payment, refund.reference)
        if _is_waiting(operation) or operation.is_uncertain:
            continue  # said already
        if refund.status is RefundStatus.PENDING:
            yield f"the provider has the refund {refund.reference} of {refund.amount} under way"
        elif refund.status is RefundStatus.CREATED:
            again = to_type(
                "refund", payment.id, "--reference", refund.reference, "--amount", refund.amount.text
            )
            yield f"you must send the refund {refund.reference} again, nothing of it moved: `{again}`"


# --- what to do about a review -----------------------------------------------------------------------

_ADVICE = {
    ReviewReason.AMOUNT_DIFFERS: "compare it with the order in the provider's portal, and correct the money there",
    ReviewReason.AMOUNT_UNREADABLE: "look the amount up in the provider's portal",
    ReviewReason.CHARGE_OF_ANOTHER: "find out in the provider's portal which of the two payments was paid",
    ReviewReason.CHARGED_BACK: "answer the dispute in the provider's portal in time, or write {charged_back} off",
    ReviewReason.IDS_DIFFER: "find out in the provider's portal which id is this order's",
    ReviewReason.PAID_TWICE: "give one charge back, by `{refund}`; with no amount that is one whole charge",
    ReviewReason.PAID_AFTER_CLOSING: "deliver after all, or give the money back by `{refund}`",
    ReviewReason.REFUND_AMOUNT_DIFFERS: "compare the refund with the provider's portal, and correct it there",
    ReviewReason.REFUNDED_AFTER_FAILING: "the money went back after all: take back what you returned another way",
    ReviewReason.REFUNDED_TOO_MUCH: "find out in the provider's portal who gave back more than was paid",
    ReviewReason.SIGNATURE_WRONG: "check the account's keys and base_url: an answer was not signed by the provider",
    ReviewReason.TOO_MANY_FACTS: "read the rest in the provider's portal; it is not kept here",
    ReviewReason.UNRESOLVABLE: "record what the provider's portal says: `{paid}`, or with --absent if it has none",
}


def advice(payment: Payment, reason: ReviewReason, to_type: ToType = plainly) -> str:
    """Return what a person does about this reason, and the command that says it is done."""
    refund = to_type("refund", payment.id, "--reference", "REFUND")
    paid = to_type("review", "record", payment.id, "--paid", "--provider-id", "ID", "--note", "TEXT")
    charged_back = major(payment, payment.charged_back_minor)
    what = _ADVICE[reason].format(refund=refund, paid=paid, charged_back=charged_back)
    if reason is ReviewReason.UNRESOLVABLE:
        return what
    done = to_type("review", "acknowledge", payment.id, "--reason", reason.value, "--note", "TEXT")
    return f"{what}; then `{done}`"
