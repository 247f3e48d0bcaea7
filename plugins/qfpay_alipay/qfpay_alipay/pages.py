"""
One page of a query: its records, and the months it is asked in.

QFPay's query reads within one calendar month of its own clock, at most a hundred records a page.
Source: sdk.qfapi.com "Transaction Enquiry"; SOURCES.md §4.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import datetime, timedelta

import msgspec

from paycore.plugin import NotNow, Rejected, Request, Response, Unknown
from qfpay_alipay import messages
from qfpay_alipay.api import QUERY, SIGNED_WRONG, Api
from qfpay_alipay.respcodes import Judgement, failure_of, judge, problem_of

PAGE_SIZE = 100

BEHIND = timedelta(minutes=15)
"""How far our clock may be behind QFPay's."""

Month = tuple[int, int]


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """
    One reply's records, each with its number; None in place of a record that can't be read.

    `is_full` when there may be another page. `is_whole` when there is none, every record has a number, and the
    reply is not signed wrong: only then does a record that is missing prove anything.
    """

    records: tuple[tuple[str, messages.Record | None], ...]
    is_signed_wrong: bool

    @property
    def is_full(self) -> bool:
        return len(self.records) >= PAGE_SIZE

    @property
    def is_whole(self) -> bool:
        return not (self.is_full or self.is_signed_wrong) and all(number for number, _ in self.records)


class Ended(Exception):
    """A reply that ends the flow."""

    def __init__(self, outcome: Rejected | NotNow | Unknown) -> None:
        super().__init__()
        self.outcome = outcome


def ask(api: Api, start: datetime, end: datetime, **fields: str) -> Generator[Request, Response, RecordPage]:
    """
    Read one page of what was made from `start` to `end`, both seconds included and within one month.

    `fields` are further ones of the query: `page`, `out_trade_no`. Raises `Ended` when the reply can't be used.
    """
    query = messages.QueryRequest(
        start_time=messages.render_time(start, messages.QFPAY_ZONE),
        end_time=messages.render_time(end, messages.QFPAY_ZONE),
        page_size=str(PAGE_SIZE),
        **fields,
    )
    response = yield api.request(QUERY, query)
    try:
        return _read(api, response)
    except messages.NoAnswer as error:
        raise Ended(error.outcome) from None


def _read(api: Api, response: Response) -> RecordPage:
    reply, is_signed_wrong = api.read(response, messages.QueryReply)
    if is_signed_wrong and not reply.data:
        raise messages.Malformed(SIGNED_WRONG)
    judgement, code = judge("query", reply)
    if judgement is Judgement.REJECTED:
        raise Ended(Rejected(failure=failure_of(reply, code)))
    if judgement is not Judgement.ACCEPTED:
        raise Ended(Unknown(problem=problem_of(reply, code)))
    if reply.data is None:
        raise messages.Malformed("data is missing")
    records = tuple(messages.read_record(raw) for raw in reply.data)
    return RecordPage(records=records, is_signed_wrong=is_signed_wrong)


def months_between(first: Month, last: Month) -> Iterator[Month]:
    """All months from `first` to `last`, both included."""
    while first <= last:
        yield first
        first = month_after(first)


def month_after(month: Month) -> Month:
    """The following month."""
    year, number = month
    return year + number // 12, number % 12 + 1


def month_of(at: datetime) -> Month:
    """The month on QFPay's clock."""
    local = at.astimezone(messages.QFPAY_ZONE)
    return local.year, local.month


def bounds_of(month: Month) -> tuple[datetime, datetime]:
    """The first and the last second of a month on QFPay's clock."""
    first, following = (datetime(*one, 1, tzinfo=messages.QFPAY_ZONE) for one in (month, month_after(month)))
    return first, following - timedelta(seconds=1)
