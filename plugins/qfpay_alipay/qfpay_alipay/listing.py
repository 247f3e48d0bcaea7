"""
The provider's own list: what QFPay has of a time range, a page a request.

QFPay has our number and its own of each trade, and not the caller's reference: no field of an order carries it.
Source: sdk.qfapi.com "Transaction Enquiry"; SOURCES.md §4.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from paycore.plugin import (
    Attempt,
    Done,
    Flow,
    Listed,
    ListReply,
    Observation,
    Page,
    PaymentObservation,
    RefundObservation,
    RefundStatus,
    Status,
    Unknown,
)
from qfpay_alipay import messages, pages
from qfpay_alipay.api import SIGNED_WRONG, Api
from qfpay_alipay.observations import payment_observation, read_payment, read_refund, refund_observation
from qfpay_alipay.pages import BEHIND, Ended, Month, bounds_of, month_after, month_of

MONTHS_MAX = 2
"""Months of which one page has records."""

_UNREADABLE = {"problem": "the record can't be read"}


def list_trades(
    api: Api, since: datetime, until: datetime, cursor: str | None, attempt: Attempt
) -> Flow[ListReply]:
    """
    A page of the payments and refunds that were made in [since, until) by QFPay's clock, which has whole seconds.

    Each month is read by itself; where one has no more, a page goes on with the first records of the next month, so
    that a short range is one page at the turn of a month too. A page may be empty and not the last. Months that have
    not begun at the time of `attempt` are not read. A trade that can't be read or decided is listed as pending, with
    what is known of it. One may be listed twice where trades are made while the list is read.
    """
    last = min(until, attempt.sent_at + BEHIND) - datetime.resolution  # a time is sent without its fraction
    if last < since:
        return Done(Page(items=()))
    items: list[Listed] = []
    place: _Place | None = _Place(month_of(since), 1) if cursor is None else _place_of(cursor)
    for _ in range(MONTHS_MAX):
        if place is None:
            break
        begins, ends = bounds_of(place.month)
        try:
            page = yield from pages.ask(api, max(begins, since), min(ends, last), page=str(place.page))
        except Ended as ended:
            return ended.outcome
        if page.is_signed_wrong:
            return Unknown(problem=SIGNED_WRONG)
        items += [item for number, record in page.records if (item := _listed(number, record)) is not None]
        place = _next(place, is_full=page.is_full, last=month_of(last))
        if page.is_full:
            break
    return Done(Page(items=tuple(items), cursor=None if place is None else place.cursor))


class _Place(NamedTuple):
    """A page of a month."""

    month: Month
    page: int

    @property
    def cursor(self) -> str:
        return f"{self.month[0]}-{self.month[1]}-{self.page}"


def _place_of(cursor: str) -> _Place:
    year, month, page = map(int, cursor.split("-"))
    return _Place((year, month), page)


def _next(place: _Place, *, is_full: bool, last: Month) -> _Place | None:
    """The page after this one; None after the last month."""
    if is_full:
        return _Place(place.month, place.page + 1)
    return None if place.month >= last else _Place(month_after(place.month), 1)


def _listed(number: str, record: messages.Record | None) -> Listed | None:
    """A record, with the order of a refund; None where the order it is about has a record of its own."""
    seen = _observation(number, record)
    if seen is None:
        return None
    return Listed(
        observation=seen,
        made_at=None if record is None else messages.parse_time(record.sysdtm),
        payment_id=seen.words.get("origssn") if isinstance(seen, RefundObservation) else None,
    )


def _observation(number: str, record: messages.Record | None) -> Observation | None:
    """What a record says; None where the order it is about has a record of its own."""
    if record is None:
        return PaymentObservation(number=number, status=Status.PENDING, words=_UNREADABLE)
    if record.kind == "close":
        return None
    is_refund = record.kind == "refund"
    try:
        seen = read_refund(record) if is_refund else read_payment(record)
    except messages.Malformed:
        seen = None
    if seen is not None and record.kind in messages.ORDER_TYPES:
        return seen
    pending: Observation = (
        refund_observation(record, RefundStatus.PENDING, number=number)
        if is_refund
        else payment_observation(record, Status.PENDING, number=number)
    )
    return replace(pending, words={**pending.words, "order_type": record.kind})
