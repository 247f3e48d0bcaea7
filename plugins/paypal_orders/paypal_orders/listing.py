"""
PayPal's own list of transactions, for reconciling: a page a request, at most 31 days of it at once.

Rows appear up to three hours late, and name captures and refunds, not orders. Source: SOURCES.md §10.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from paycore.plugin import (
    Attempt,
    Done,
    Flow,
    Listed,
    ListReply,
    Page,
    PaymentObservation,
    RefundObservation,
    RefundStatus,
    Status,
)
from paypal_orders import messages
from paypal_orders.requests import get

SPAN = timedelta(days=31)
PAGE_SIZE = 500
_PAYMENTS, _REFUNDS = "T00", "T11"
"""Beginnings of event codes: payments, captures of authorizations too; refunds and reversals. SOURCES.md §10."""

_STATUSES = {"S": Status.PAID, "V": Status.PAID, "D": Status.FAILED}
_REFUND_STATUSES = {"S": RefundStatus.SUCCEEDED, "D": RefundStatus.FAILED}


def list_transactions(
    since: datetime, until: datetime, cursor: str | None, attempt: Attempt
) -> Flow[ListReply]:
    """A page; `cursor` is the start of its range and its number there."""
    begins, page = since.astimezone(UTC), 1
    if cursor is not None:
        start, _, number = cursor.partition("|")
        begins, page = datetime.fromisoformat(start), int(number)
    ends = min(until.astimezone(UTC), begins + SPAN)
    asked = {"start_date": _written(begins), "end_date": _written(ends - datetime.resolution)}
    asked |= {"fields": "transaction_info", "page_size": str(PAGE_SIZE), "page": str(page)}
    report = yield from get(
        f"/v1/reporting/transactions?{urlencode(asked)}", attempt, messages.TransactionReport
    )
    if not isinstance(report, messages.TransactionReport):
        return report
    items = [_listed(row.transaction_info) for row in report.transaction_details]
    following = None
    if page < report.total_pages:
        following = f"{begins.isoformat()}|{page + 1}"
    elif ends < until:
        following = f"{ends.isoformat()}|1"
    return Done(Page(items=tuple(item for item in items if item is not None), cursor=following))


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _listed(row: messages.TransactionRow) -> Listed | None:
    """A row; None for what is neither a payment we got nor a refund we made. Money that went out is negative."""
    given = row.transaction_amount
    amount, partial = messages.read(
        given and messages.Amount(given.currency_code, given.value.removeprefix("-"))
    )
    number = messages.number_of(row.custom_field) or ""
    at, words = messages.read_time(row.transaction_initiation_date), {"event": row.transaction_event_code}
    told: dict[str, Any] = {
        "number": number,
        "provider_id": row.transaction_id,
        "amount": amount,
        "partial_amount": partial,
        "occurred_at": at,
        "words": words,
    }
    seen: PaymentObservation | RefundObservation
    is_out = given is None or given.value.startswith("-")
    if row.transaction_event_code.startswith(_REFUNDS) and is_out:
        refunded = _REFUND_STATUSES.get(row.transaction_status, RefundStatus.PENDING)
        seen = RefundObservation(status=refunded, **told)
    elif row.transaction_event_code.startswith(_PAYMENTS) and (given is None or not is_out):
        status = _STATUSES.get(row.transaction_status, Status.PENDING)
        seen = PaymentObservation(status=status, ids={"capture": row.transaction_id}, **told)
    else:
        return None
    is_of_payment = isinstance(seen, RefundObservation) and row.paypal_reference_id_type == "TXN"
    return Listed(
        observation=seen,
        reference=messages.reference_of(row.custom_field),
        made_at=at,
        payment_id=row.paypal_reference_id if is_of_payment else None,
    )
