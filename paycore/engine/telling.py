"""
The log of a client: one line for each operation, and one for each of its requests.

The loggers are `paycore.operations` (INFO) and `paycore.requests` (DEBUG). Neither says what is in a request or an
answer; words of others are on one line, and without secrets.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from paycore.domain.payment import Payment, refund_operation
from paycore.domain.provider import Secret
from paycore.domain.safe_text import printable
from paycore.domain.wire import Request, Response
from paycore.engine.effects import Program, in_ledger
from paycore.engine.secrecy import mask
from paycore.engine.timing import Stopwatch
from paycore.errors import PaycoreError

T = TypeVar("T")

operations_log = logging.getLogger("paycore.operations")
requests_log = logging.getLogger("paycore.requests")


class Given(NamedTuple):
    """What is known of an operation before it is begun; `refund` is a refund's own reference."""

    account: str | None = None
    reference: str | None = None
    payment_id: str | None = None
    refund: str | None = None


def telling(verb: str, program: Program[T], given: Given) -> Program[T]:
    """What the program returns; and one line of what came of it, under the name of the verb."""
    watch = Stopwatch()
    try:
        result = yield from program
    except PaycoreError as error:
        payment = yield from _known(given.payment_id or error.payment_id)
        outcome = f"{type(error).__name__}: {error}"
        tell(verb, () if payment is None else (payment,), watch, given, outcome)
        raise
    is_repeat = not isinstance(result, Payment) and getattr(result, "is_repeat", False)
    tell(verb, _payments(result), watch, given, "received again" if is_repeat else None)
    return result


def _payments(result: Any) -> Sequence[Payment]:
    return (result,) if isinstance(result, Payment) else result.payments


def _known(payment_id: str | None) -> Program[Payment | None]:
    """The payment an error is about, if the ledger has it and can be read."""
    if payment_id is None:
        return None
    try:
        return (yield from in_ledger(lambda ledger: ledger.get(payment_id)))
    except PaycoreError:
        return None


def tell(
    verb: str,
    payments: Sequence[Payment],
    watch: Stopwatch,
    given: Given = Given(),  # noqa: B008 - it is frozen
    outcome: str | None = None,
) -> None:
    """One line: which payment, what came of it (None: what it is now), and how long that took."""
    payment = payments[0] if len(payments) == 1 else None
    if payment is None:
        named = f"names {len(payments)} payments" if payments else "names no payment here"
        operations_log.info(
            "%s: account %s, reference %s, number -: %s (%d ms)",
            verb,
            _word(given.account),
            _quoted(given.refund or given.reference),
            printable(outcome or named),
            watch.ms,
        )
        return
    operations_log.info(
        "%s: account %s, reference %s, number %s: %s (%d ms)",
        verb,
        payment.account,
        _quoted(given.refund or payment.reference)
        + (f" of {_quoted(payment.reference)}" if given.refund else ""),
        *_number_and_outcome(payment, given.refund, outcome),
        watch.ms,
    )


def _number_and_outcome(payment: Payment, refund: str | None, outcome: str | None) -> tuple[str, str]:
    known = None if refund is None else payment.refund(refund)
    number = payment.order_number if known is None else refund_operation(payment, known.reference).number
    stands = payment.status.value if known is None else known.status.value
    return number, printable(outcome or stands + (", needs review" if payment.review else ""))


def _word(text: str | None) -> str:
    return "-" if text is None else printable(text)


def _quoted(text: str | None) -> str:
    """In quotes, for it may hold spaces; what is not printable is escaped."""
    return "-" if text is None else repr(text)


def tell_request(
    account: str, request: Request, came: Response | PaycoreError, watch: Stopwatch, secrets: Sequence[Secret]
) -> None:
    """One line: what was asked for, without query string and body, and the HTTP status or the error that came."""
    path = printable(mask(request.path.partition("?")[0], secrets))
    status = came.status if isinstance(came, Response) else type(came).__name__
    requests_log.debug("account %s: %s %s: %s (%d ms)", account, request.method, path, status, watch.ms)
