"""
Who is told what a client does: its log, what counts it, and the application's traces.

The loggers are `paycore.operations` (INFO), with one line for each operation, and `paycore.requests` (DEBUG), with one
for each of its requests. Neither says what is in a request or an answer; words of others are on one line, and without
secrets.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from paycore.domain.payment import Payment, refund_operation
from paycore.domain.provider import Secret
from paycore.domain.safe_text import printable
from paycore.domain.wire import Request, Response
from paycore.engine.effects import Program, in_ledger
from paycore.engine.secrecy import mask
from paycore.engine.timing import Stopwatch
from paycore.errors import PaycoreError
from paycore.ledger.api import Committed

T = TypeVar("T")

operations_log = logging.getLogger("paycore.operations")
requests_log = logging.getLogger("paycore.requests")

TRACING = "opentelemetry.trace"
"""The module that an application which traces has imported; paycore does not import it of itself."""


class Given(NamedTuple):
    """What is known of an operation before it is begun; `refund` is a refund's own reference."""

    account: str | None = None
    reference: str | None = None
    payment_id: str | None = None
    refund: str | None = None


class Came(NamedTuple):
    """
    What came of an operation: "done", the verdict on a notification, or the name of an error.

    `problem` are the words of the error, None where there was none.
    """

    outcome: str = "done"
    problem: str | None = None


class Counter(Protocol):
    """What counts the operations and requests of a client; called in whichever thread does them."""

    def operated(self, verb: str, given: Given, outcome: str, seconds: float) -> None:
        """An operation has ended."""
        ...

    def requested(self, account: str, came: Response | PaycoreError, seconds: float) -> None:
        """A request was sent; or was not, or nobody knows."""
        ...

    def committed(self, payments: Sequence[Committed]) -> None:
        """A transaction has ended, and may have changed these payments."""
        ...


class Listening:
    """Who counts what a client does: nobody, until its metrics are asked for."""

    __slots__ = ("counter",)

    def __init__(self) -> None:
        self.counter: Counter | None = None


def telling(verb: str, program: Program[T], given: Given, counter: Counter | None = None) -> Program[T]:
    """What the program returns; what came of it is logged, counted and traced, under the name of the verb."""
    watch = Stopwatch()
    try:
        result: Any = yield from traced(verb, program)
    except PaycoreError as error:
        came = Came(type(error).__name__, str(error))
        if operations_log.isEnabledFor(logging.INFO):
            payment = yield from _known(given.payment_id or error.payment_id)
            _tell(verb, () if payment is None else (payment,), watch, given, came)
        if counter is not None:
            counter.operated(verb, given, came.outcome, watch.seconds)
        raise
    came = Came(getattr(result, "verdict", "done"))
    payments = (result,) if isinstance(result, Payment) else getattr(result, "payments", ())
    _tell(verb, payments, watch, given, came)
    if counter is not None:
        counter.operated(verb, given, came.outcome, watch.seconds)
    return result  # type: ignore[no-any-return]


def traced(verb: str, program: Program[T]) -> Program[T]:
    """The program, in a span of its own where the application traces."""
    if TRACING not in sys.modules:
        return program
    from paycore.engine.spans import is_traced, spanned

    return spanned(verb, program) if is_traced() else program


def _known(payment_id: str | None) -> Program[Payment | None]:
    """The payment an error is about, if the ledger has it and can be read."""
    if payment_id is None:
        return None
    try:
        return (yield from in_ledger(lambda ledger: ledger.get(payment_id)))
    except PaycoreError:
        return None


def tell(verb: str, payments: Sequence[Payment], watch: Stopwatch) -> None:
    """One line: which payment, what it is now, and how long that took."""
    _tell(verb, payments, watch, Given(), Came())


def _tell(verb: str, payments: Sequence[Payment], watch: Stopwatch, given: Given, came: Came) -> None:
    """One line: which payment, what came of it, and how long that took; the same as fields of the record."""
    if not operations_log.isEnabledFor(logging.INFO):
        return
    fields = {
        "verb": verb,
        **_named(payments, given),
        "outcome": came.outcome,
        "problem": None if came.problem is None else printable(came.problem),
        "duration_ms": watch.ms,
    }
    operations_log.info(
        "%s: account %s, reference %s, number %s: %s (%d ms)",
        verb,
        fields["account"] or "-",
        _references(fields),
        fields["number"] or "-",
        _said(fields, payments),
        fields["duration_ms"],
        extra=fields,
    )


def _named(payments: Sequence[Payment], given: Given) -> dict[str, Any]:
    """Which payment it was, as far as is known, and what it or its refund is now."""
    if len(payments) != 1:
        return {
            "account": _printable(given.account),
            "reference": _printable(given.reference),
            "refund": _printable(given.refund),
            "payment_id": _printable(given.payment_id),
            "number": None,
            "status": None,
            "needs_review": False,
        }
    (payment,) = payments
    refund = None if given.refund is None else payment.refund(given.refund)
    return {
        "account": payment.account,
        "reference": payment.reference,
        "refund": _printable(given.refund),
        "payment_id": payment.id,
        "number": payment.order_number
        if refund is None
        else refund_operation(payment, refund.reference).number,
        "status": (payment if refund is None else refund).status.value,
        "needs_review": bool(payment.review),
    }


def _references(fields: dict[str, Any]) -> str:
    """In quotes, for they may hold spaces."""
    reference, refund = fields["reference"], fields["refund"]
    if refund is None:
        return "-" if reference is None else repr(reference)
    return f"{refund!r} of {reference!r}" if reference is not None else repr(refund)


def _said(fields: dict[str, Any], payments: Sequence[Payment]) -> str:
    """What came of it, in words."""
    if fields["problem"] is not None:
        return f"{fields['outcome']}: {fields['problem']}"
    if fields["outcome"] == "again":
        return "received again"
    if fields["verb"] == "reconcile":
        return str(fields["outcome"])  # it is about an account, not about a payment
    if fields["status"] is None:
        return f"names {len(payments)} payments" if payments else "names no payment here"
    # What an operator looks at is the payment, not its refund.
    is_shown = fields["needs_review"] and fields["refund"] is None
    return f"{fields['status']}{', needs review' if is_shown else ''}"


def _printable(text: str | None) -> str | None:
    return None if text is None else printable(text)


def tell_request(
    account: str, request: Request, came: Response | PaycoreError, watch: Stopwatch, secrets: Sequence[Secret]
) -> None:
    """One line: what was asked for, without query string and body, and the HTTP status or the error that came."""
    path = printable(mask(request.path.partition("?")[0], secrets))
    status = came.status if isinstance(came, Response) else type(came).__name__
    requests_log.debug("account %s: %s %s: %s (%d ms)", account, request.method, path, status, watch.ms)
