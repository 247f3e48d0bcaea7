"""What a command's exit code says: the one table, used by every command, by `--help` and by the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from paycore import errors
from paycore.domain.payment import Payment, RefundStatus, Status, is_refunding
from paycore.domain.schedule import is_left_to_caller


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    BUG = 1
    USAGE = 2
    FAILED = 3
    PENDING = 4
    UNKNOWN = 5
    CONFIG = 6
    NOT_SENT = 7
    CONFLICT = 8
    REVIEW = 9
    INTERRUPTED = 130


MEANINGS: Mapping[Exit, str] = {
    Exit.DONE: "done: paid, succeeded, closed as asked, or a definite answer that is no failure",
    Exit.BUG: "internal error: a bug, with its traceback",
    Exit.USAGE: "usage: what was asked can't be done as asked; nothing was sent",
    Exit.FAILED: "failed, declined or closed",
    Exit.PENDING: "still pending, the payment or a refund of it; nothing is lost, await it again",
    Exit.UNKNOWN: "unknown outcome: money may have moved; `paycore query` settles it",
    Exit.CONFIG: "configuration, credentials, plugin or ledger can't be used",
    Exit.NOT_SENT: "nothing sent: provider unreachable, or never sent; the command that sends may be run again",
    Exit.CONFLICT: "conflict: the reference already names something else",
    Exit.REVIEW: "needs review: the facts contradict each other, a person must look",
    Exit.INTERRUPTED: "interrupted by Ctrl-C; what was recorded stays",
}

_WAITED: Mapping[Status, Exit] = {
    Status.CREATED: Exit.PENDING,
    Status.UNKNOWN: Exit.UNKNOWN,
    Status.PENDING: Exit.PENDING,
    Status.PAID: Exit.DONE,
    Status.FAILED: Exit.FAILED,
    Status.CLOSED: Exit.FAILED,
}

_REFUNDED: Mapping[RefundStatus, Exit] = {
    # Recorded, and another process is sending it right now: nobody here knows how that goes.
    RefundStatus.CREATED: Exit.UNKNOWN,
    RefundStatus.UNKNOWN: Exit.UNKNOWN,
    RefundStatus.PENDING: Exit.PENDING,
    RefundStatus.SUCCEEDED: Exit.DONE,
    RefundStatus.FAILED: Exit.FAILED,
}


_ANSWERED = (RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED)


def after_waiting(payment: Payment) -> Exit:
    """`await` exits by the state reached; a refund that is under way has not reached its own."""
    return Exit.NOT_SENT if is_left_to_caller(payment) else _by_state(payment)


def _by_state(payment: Payment) -> Exit:
    if payment.review:
        return Exit.REVIEW
    code = _WAITED[payment.status]
    if code is not Exit.DONE or not is_refunding(payment):
        return code
    are_answered = all(refund.status in _ANSWERED for refund in payment.refunds)
    return Exit.PENDING if are_answered else Exit.UNKNOWN


def after_asking(payment: Payment) -> Exit:
    """`create` and `query` are done once a definite answer that is no failure was obtained, pending included."""
    code = _by_state(payment)
    if code is not Exit.PENDING:
        return code
    is_being_sent = payment.status is Status.CREATED and payment.uncertain
    return Exit.UNKNOWN if is_being_sent else Exit.DONE


def after_refund(payment: Payment, reference: str) -> Exit:
    """`refund` exits by that refund's own status."""
    refund = payment.refund(reference)
    if payment.review:
        return Exit.REVIEW
    return Exit.UNKNOWN if refund is None else _REFUNDED[refund.status]


def after_closing(payment: Payment) -> Exit:
    """`close` is done when the provider confirmed that nobody can pay any more."""
    if payment.review:
        return Exit.REVIEW
    match payment.status:
        case Status.CLOSED | Status.FAILED:
            return Exit.DONE
        case Status.PAID:
            return Exit.FAILED
        case _:
            return Exit.UNKNOWN if payment.uncertain else Exit.PENDING


# From the particular to the general: the first class an error belongs to decides.
_ERRORS: tuple[tuple[type[errors.PaycoreError], Exit], ...] = (
    (errors.ReferenceConflict, Exit.CONFLICT),
    (errors.RequestError, Exit.USAGE),
    (errors.ConfigError, Exit.CONFIG),
    (errors.PluginError, Exit.CONFIG),
    (errors.LedgerError, Exit.CONFIG),
    (errors.NotSent, Exit.NOT_SENT),
    (errors.ProviderError, Exit.UNKNOWN),
    (errors.NotificationError, Exit.USAGE),
)


def of_error(error: errors.PaycoreError) -> Exit:
    """
    The exit code of a typed error.

    A plugin or ledger that breaks once a payment is under way leaves its outcome unknown, whoever has to mend it.
    """
    code = next((code for kind, code in _ERRORS if isinstance(error, kind)), Exit.BUG)
    is_under_way = error.payment_id is not None and error.money_moved == "maybe"
    return Exit.UNKNOWN if code is Exit.CONFIG and is_under_way else code


def table() -> str:
    """The table as `--help` prints it."""
    return "\n".join(f"{code.value:>4}  {meaning}" for code, meaning in MEANINGS.items())
