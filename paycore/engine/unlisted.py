"""Finds what the ledger has and the provider's list has not: asked about by a query before anything is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from paycore.domain.events import Source
from paycore.domain.payment import Operation, OperationKind, Payment, RefundStatus, Status, refund_operation
from paycore.domain.reconciliation import Discrepancy, DiscrepancyKind
from paycore.engine.effects import Program, in_ledger
from paycore.engine.patience import patiently
from paycore.engine.reconciled import Books
from paycore.engine.recovery import Recovery
from paycore.ledger.api import Filter
from paycore.ledger.lists import next_page

MARGIN = timedelta(minutes=5)
"""What was made so close to the ends of the range may be in the list of another one: its clock is not ours."""

AT_ONCE = 200
ASKED_AT_ONCE = 5
ROUNDS_MAX = 10
"""Payments that are asked about in one go, and how often: each may have many numbers."""

_LIVE = (Status.PAID, Status.AUTHORIZED, Status.PENDING)


def find_unlisted(recovery: Recovery, books: Books) -> Program[None]:
    """
    Note each order and refund of the range that the provider has told of before, and does not know any more.

    A list may lag, and leaves out orders of some kinds: only the answer to a query counts.
    """
    since, until = books.since + MARGIN, books.until - MARGIN
    if since >= until:
        return
    which: Filter | None = Filter(account=books.account.name, since=since, until=until, limit=AT_ONCE)
    while which is not None:
        page = yield from in_ledger(lambda ledger, which=which: ledger.list(which))  # type: ignore[misc]
        unlisted = [payment for payment in page if any(_unlisted(payment, books, since, until))]
        for start in range(0, len(unlisted), ASKED_AT_ONCE):
            yield from _ask(recovery, books, unlisted[start : start + ASKED_AT_ONCE])
        which = next_page(which, page)


def _unlisted(payment: Payment, books: Books, since: datetime, until: datetime) -> Iterator[Operation]:
    """The orders and refunds that should be in the list and are not."""
    if payment.status in _LIVE and (payment.paid_at is None or since <= payment.paid_at < until):
        for operation in payment.operations:
            is_order = operation.kind is OperationKind.CREATE and operation.is_observed
            if (
                is_order
                and not (operation.is_settled and not payment.charges)
                and not books.is_listed(operation)
            ):
                yield operation
    for refund in payment.refunds:
        operation = refund_operation(payment, refund.reference)
        is_returned = refund.status in (RefundStatus.SUCCEEDED, RefundStatus.PENDING)
        if is_returned and since <= refund.created_at < until and not books.is_listed(operation):
            yield operation


def _ask(recovery: Recovery, books: Books, payments: Sequence[Payment]) -> Program[None]:
    since, until = books.since + MARGIN, books.until - MARGIN
    told, denied = set[str](), set[str]()
    for _ in range(ROUNDS_MAX):  # one asks about so many numbers only
        asking = partial(recovery.ask_and_tell, books.account, payments, Source.QUERY)
        after, found = yield from patiently(asking)
        payments = tuple(after)
        told |= {one.number for one in found.observations}
        denied |= found.absent | found.undecided
        wanted = {op.number for payment in payments for op in _unlisted(payment, books, since, until)}
        if wanted <= told | denied:
            break
    for payment in payments:
        for operation in _unlisted(payment, books, since, until):
            if operation.number not in told:
                books.note(_missing_there(payment, operation, is_denied=operation.number in denied))


def _missing_there(payment: Payment, operation: Operation, *, is_denied: bool) -> Discrepancy:
    is_refund = operation.kind is OperationKind.REFUND
    refund = payment.refund(operation.refund_reference or "") if is_refund else None
    says = "does not find it" if is_denied else "tells nothing of it"
    return Discrepancy(
        kind=DiscrepancyKind.MISSING_THERE,
        is_settled=False,
        advice=(
            f"it is not in the provider's list, and asked about it the provider {says}: check the account's mode, host"
            " and credentials, then look it up in the portal"
        ),
        is_refund=is_refund,
        payment_id=payment.id,
        number=operation.number,
        provider_id=operation.provider_id,
        ids=dict(operation.ids),
        reference=payment.reference,
        refund=operation.refund_reference,
        amount_here=payment.amount if refund is None else refund.amount,
        status_here=str(payment.status if refund is None else refund.status),
        at=operation.begun_at,
    )
