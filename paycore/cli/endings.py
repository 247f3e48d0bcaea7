"""
How a command ends: its exit code, the command line's own errors, the report of an error, and Ctrl-C.

`Exit` is the one table of exit codes; every command, `--help` and the documentation use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, ClassVar

from paycore import errors
from paycore.cli.options import GlobalOptions, to_type
from paycore.domain.payment import (
    OperationState,
    Payment,
    Refund,
    RefundStatus,
    Status,
    capture_of,
    refund_operation,
)
from paycore.domain.schedule import is_awaited, is_left_to_caller, is_put_off


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
    Exit.DONE: "done: paid, authorized, refunded or closed as asked, or a definite answer that is no failure",
    Exit.BUG: "internal error: a bug, with its traceback",
    Exit.USAGE: "usage: what was asked can't be done as asked; nothing was sent",
    Exit.FAILED: "failed, declined or closed; of `plugins check`: a check failed",
    Exit.PENDING: "still pending, the payment, its capture or a refund; nothing is lost, await it again",
    Exit.UNKNOWN: "unknown outcome: money may have moved; `paycore query` resolves it",
    Exit.CONFIG: "configuration, credentials, plugin or ledger can't be used",
    Exit.NOT_SENT: "nothing moved: the provider was not reached, or put it off; the sending command may be run again",
    Exit.CONFLICT: "conflict: the reference already names something else, or the consumer is read by another process",
    Exit.REVIEW: "needs review: the facts contradict each other, a person must look",
    Exit.INTERRUPTED: "interrupted by Ctrl-C; what was recorded stays",
}


# --- exit codes of commands that did their work --------------------------------------------------------

_WAITED: Mapping[Status, Exit] = {
    Status.CREATED: Exit.PENDING,
    Status.UNKNOWN: Exit.UNKNOWN,
    Status.PENDING: Exit.PENDING,
    Status.PAID: Exit.DONE,
    Status.FAILED: Exit.FAILED,
    Status.CLOSED: Exit.FAILED,
}

_REFUNDED: Mapping[RefundStatus, Exit] = {
    # Recorded, and another process is sending it: its outcome is not known here.
    RefundStatus.CREATED: Exit.UNKNOWN,
    RefundStatus.UNKNOWN: Exit.UNKNOWN,
    RefundStatus.PENDING: Exit.PENDING,
    RefundStatus.SUCCEEDED: Exit.DONE,
    RefundStatus.FAILED: Exit.FAILED,
    RefundStatus.REVERSED: Exit.FAILED,
}


def after_waiting(payment: Payment) -> Exit:
    """Exit code of `await`: by the payment's status, and by refunds that are under way."""
    if payment.status is Status.AUTHORIZED or not is_left_to_caller(payment):
        return _by_state(payment)
    return Exit.NOT_SENT


def _by_state(payment: Payment) -> Exit:
    if payment.review:
        return Exit.REVIEW
    if payment.status is Status.AUTHORIZED:
        return _by_capture(payment)
    code = _WAITED[payment.status]
    if code is not Exit.DONE or not is_awaited(payment):
        return code
    refunds = {_by_refund(payment, refund) for refund in payment.refunds}
    return Exit.UNKNOWN if Exit.UNKNOWN in refunds else Exit.PENDING


def _by_refund(payment: Payment, refund: Refund) -> Exit:
    waits = is_put_off(payment, refund_operation(payment, refund.reference))
    return Exit.PENDING if waits else _REFUNDED[refund.status]


def _by_capture(payment: Payment) -> Exit:
    """Done where its caller captures it: it is authorized, as was asked; failed where no capture goes on by itself."""
    if payment.uncertain:
        return Exit.UNKNOWN
    if not is_left_to_caller(payment):
        return Exit.PENDING
    return Exit.DONE if payment.order.capture == "manual" else Exit.FAILED


def after_asking(payment: Payment) -> Exit:
    """Exit code of `create` and `query`: a definite answer that is no failure is done, pending included."""
    code = _by_state(payment)
    if code is not Exit.PENDING:
        return code
    is_being_sent = payment.status is Status.CREATED and payment.uncertain
    return Exit.UNKNOWN if is_being_sent else Exit.DONE


def after_capture(payment: Payment) -> Exit:
    """Exit code of `capture`: done once the money is taken, failed once that was refused."""
    if payment.review:
        return Exit.REVIEW
    capture = capture_of(payment, payment.order_number)
    is_refused = capture is not None and capture.state is OperationState.REJECTED
    match payment.status:
        case Status.PAID:
            return Exit.DONE
        case Status.FAILED | Status.CLOSED:
            return Exit.FAILED
        case _ if payment.uncertain:
            return Exit.UNKNOWN
        case _:
            return Exit.FAILED if is_refused else Exit.PENDING


def after_refund(payment: Payment, reference: str) -> Exit:
    """Exit code of `refund`: by the status of the refund with this reference."""
    refund = payment.refund(reference)
    if payment.review:
        return Exit.REVIEW
    return Exit.UNKNOWN if refund is None else _by_refund(payment, refund)


def after_closing(payment: Payment) -> Exit:
    """Exit code of `close`: done once the provider confirmed that nobody can pay any more."""
    if payment.review:
        return Exit.REVIEW
    match payment.status:
        case Status.CLOSED | Status.FAILED:
            return Exit.DONE
        case Status.PAID:
            return Exit.FAILED
        case _:
            return Exit.UNKNOWN if payment.uncertain else Exit.PENDING


# --- errors ------------------------------------------------------------------------------------------


class CommandEnded(Exception):
    """
    An error of the command line itself, beside those of `paycore.errors`.

    The message is one line that says why the command ended and, where it matters, what to run next.
    """

    kind: ClassVar[str]
    who_acts: ClassVar[errors.Actor] = "caller"
    exit: Exit

    def __init__(
        self, message: str, *, money_moved: errors.MoneyMoved = "no", payment_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.money_moved: errors.MoneyMoved = money_moved
        self.payment_id = payment_id


class UsageProblem(CommandEnded):
    """The arguments are invalid."""

    kind = "Usage"
    exit = Exit.USAGE


class Unwritable(CommandEnded):
    """Stdout can't be written; `payment_id` is set once the provider of that payment was sent a request."""

    kind = "Unwritable"
    exit = Exit.USAGE

    def __init__(self, message: str, *, payment_id: str | None = None) -> None:
        super().__init__(message, money_moved="no" if payment_id is None else "maybe", payment_id=payment_id)
        if payment_id is not None:
            self.exit = Exit.UNKNOWN  # 2 promises that nothing was sent


class Interrupted(CommandEnded):
    """Ctrl-C; `money_moved` is "maybe" where a request may have been sent."""

    kind = "Interrupted"
    exit = Exit.INTERRUPTED


# The first class that an error is an instance of decides.
_ERRORS: tuple[tuple[type[errors.PaycoreError], Exit], ...] = (
    (errors.ReferenceConflict, Exit.CONFLICT),
    (errors.ConsumerTaken, Exit.CONFLICT),
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
    Exit code of an error of `paycore.errors`.

    A plugin or ledger that fails once a payment is under way leaves its outcome unknown: 5, not 6. So does a provider
    that is not reached about a payment whose outcome is unknown already: 5, not 7.
    """
    code = next((code for kind, code in _ERRORS if isinstance(error, kind)), Exit.BUG)
    is_under_way = error.payment_id is not None and error.money_moved == "maybe"
    return Exit.UNKNOWN if code in (Exit.CONFIG, Exit.NOT_SENT) and is_under_way else code


def report(
    error: errors.PaycoreError | CommandEnded,
    options: GlobalOptions,
    fail: Callable[[str, dict[str, Any]], None],
) -> Exit:
    """Pass what happened and what to do next to `fail`, as one line and as a document; return the exit code."""
    if isinstance(error, CommandEnded):
        kind, message, code = error.kind, str(error), error.exit
    else:
        message = error.message + _advice(error, options)
        kind, code = type(error).__name__, of_error(error)
    document = {
        "kind": kind,
        "message": message,
        "who_acts": error.who_acts,
        "money_moved": error.money_moved,
        "payment_id": error.payment_id,
        "retry_after_s": getattr(error, "retry_after_s", None),
    }
    fail(message, document)
    return code


def _advice(error: errors.PaycoreError, options: GlobalOptions) -> str:
    if error.payment_id is None:
        return " with --account" if isinstance(error, errors.ReferenceAmbiguous) else ""
    is_broken_plugin = isinstance(error, errors.PluginError)
    if isinstance(error, errors.NotSent):
        return _advice_unsent(error, options)
    if is_broken_plugin and error.money_moved == "no":
        return f"; nothing was sent for payment {error.payment_id}: run the same command again"
    if isinstance(error, errors.IncompleteReply):
        return f"; payment {error.payment_id} is known: run the same command again to recover it"
    if is_broken_plugin or isinstance(error, errors.ProviderError):
        return f"; `{to_type(options, 'query', error.payment_id)}` resolves it"
    return ""


def _advice_unsent(error: errors.NotSent, options: GlobalOptions) -> str:
    if error.money_moved == "maybe":
        query = to_type(options, "query", str(error.payment_id))
        return f"; what became of payment {error.payment_id} is still unknown: `{query}` asks again"
    if error.retry_after_s is not None:
        return f"; nothing moved for payment {error.payment_id}: run the same command again then"
    return f"; payment {error.payment_id} is unchanged: run the same command again"


# --- Ctrl-C ------------------------------------------------------------------------------------------


@contextmanager
def on_ctrl_c(message: str) -> Iterator[None]:
    """Messages for an interrupted command that can't move money."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {message}") from None


@contextmanager
def on_ctrl_c_name(find_id: Callable[[], str], message: Callable[[str], str]) -> Iterator[None]:
    """
    Messages for an interrupted command that may have sent a request: they name the payment.

    `find_id` returns the payment's id, or raises as a look-up in the ledger does; `message` is given that id.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise _interrupted(find_id, message) from None


def _interrupted(find_id: Callable[[], str], message: Callable[[str], str]) -> Interrupted:
    try:
        payment_id = find_id()
    except errors.NotFound:
        # Every request is recorded before it is sent.
        return Interrupted("interrupted before anything was recorded or sent; run the same command again")
    except (errors.PaycoreError, KeyboardInterrupt):
        return Interrupted(
            "interrupted; the ledger can't tell now whether anything was sent: run the same command again",
            money_moved="maybe",
        )
    return Interrupted(f"interrupted; {message(payment_id)}", money_moved="maybe", payment_id=payment_id)
