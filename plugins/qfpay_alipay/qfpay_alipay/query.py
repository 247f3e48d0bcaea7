"""
The query flow: asks for orders and refunds by their numbers.

QFPay's query takes as many numbers as fit into 128 characters: four of paycore's. Only an answer to the number itself
proves that an order is absent or unpaid. What was made in a range of time is read by `listing`.

Source: sdk.qfapi.com "Transaction Enquiry"; SOURCES.md §4. Undocumented, so not relied on: the order of records,
the reply past the last page, whether a range restricts a query by number.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from datetime import datetime, timedelta

from paycore.plugin import (
    FLOW_REQUESTS_MAX,
    Done,
    Flow,
    Found,
    Observation,
    OrderRef,
    QueryReply,
    Request,
    Response,
    Status,
)
from qfpay_alipay import messages, pages
from qfpay_alipay.api import Api
from qfpay_alipay.observations import read_payment, read_refund
from qfpay_alipay.pages import BEHIND, Ended, Month, RecordPage, bounds_of, month_of, months_between

NUMBERS_LENGTH_MAX = 128
"""`out_trade_no` is String(128), commas included."""

NUMBERS_MAX = 4
"""So many of the core's numbers, 26 characters each, fit into that."""

AHEAD = timedelta(hours=12)
"""
How far our clock may be ahead of QFPay's at the turn of a month, as it may be behind by `BEHIND`: a number is asked
for in both months before it counts as absent, because an absent order may be sent again.

Ahead it may be by hours (a wrong time zone, or a ledger whose clock never goes back), behind by minutes. Asking in a
month that may not have begun is kept shorter, because QFPay does not say what it answers.
"""

TRIED_WITHIN = timedelta(days=31)
"""How long after it was begun an order may still get another record: far longer than any can be paid."""

_SYSSN_MONTH = re.compile(r"(20[0-9]{2})(0[1-9]|1[0-2])", re.ASCII)
"""A `syssn` begins with the date QFPay made it on."""


def query_orders(
    api: Api, orders: Sequence[OrderRef], *, requests_max: int = FLOW_REQUESTS_MAX
) -> Flow[QueryReply]:
    """
    Ask about `orders`, in at most `requests_max` requests.

    Orders that did not fit, or of which nothing definite was said, are in no part of the answer; a later query,
    with another `attempt`, starts with others. If a reply ends the flow, what was found before is still
    returned; a flow that found nothing is `Unknown`, `NotNow` after too many requests, or `Rejected` where QFPay
    refused the account.

    One number may have several records. That no money was taken is said only when whole answers to the number
    itself, in every month, agree on it.
    """
    run = _Query(api, orders, requests_max)
    try:
        yield from run.ask()
    except Ended as ended:
        if not run.is_answered:
            return ended.outcome
    return Done(run.found())


class _Query:
    """One run of the query flow: the orders, what was found, and how many requests are left."""

    def __init__(self, api: Api, orders: Sequence[OrderRef], requests_max: int) -> None:
        self._api = api
        self._orders = {order.number: order for order in orders}
        self._told: dict[str, list[Observation | None]] = {}  # None: a record that can't be read or decided
        self._complete: set[str] = set()  # numbers with a whole answer for every month
        self._requests_left = requests_max

    @property
    def is_answered(self) -> bool:
        """Whether anything was found yet."""
        return bool(self._told or self._complete)

    def ask(self) -> Generator[Request, Response, None]:
        """Ask for each number, in every month it may have been made in while that may tell more. Raises `Ended`."""
        months = {order.number: _months(order) for order in _rotated(list(self._orders.values()))}
        while months and self._requests_left:
            month = next(iter(months.values()))[0]
            batch = _packed([number for number, left in months.items() if left[0] == month])[0]
            page = yield from self._request(*bounds_of(month), out_trade_no=",".join(batch))
            for number in batch:
                left = self._months_left(number, months.pop(number)[1:], page)
                if left:
                    months[number] = left

    def found(self) -> Found:
        """What all replies together say."""
        undecided = {
            number
            for number, told in self._told.items()
            if None in told or (number not in self._complete and self._may_be_contradicted(number))
        }
        return Found(
            observations=tuple(one for told in self._told.values() for one in told if one is not None),
            absent=frozenset(self._complete - self._told.keys()),
            undecided=frozenset(undecided),
        ).agreed()

    def _may_be_contradicted(self, number: str) -> bool:
        """Whether all records so far, if any, say that no money was taken: another one may say that it was."""
        return all(
            one is not None and one.status in (Status.FAILED, Status.CLOSED)
            for one in self._told.get(number, ())
        )

    def _months_left(self, number: str, months: tuple[Month, ...], page: RecordPage) -> tuple[Month, ...]:
        """The months of `months` to ask in after `page`; none where the number is decided or can't be."""
        if not page.is_whole or not self._may_be_contradicted(number):
            return ()
        if number in self._told:
            last = month_of(self._orders[number].begun_at + TRIED_WITHIN)
            months = tuple(month for month in months if month <= last)
        if not months:
            self._complete.add(number)
        return months

    def _request(
        self, start: datetime, end: datetime, **fields: str
    ) -> Generator[Request, Response, RecordPage]:
        """Send one request and keep its records of our numbers. Raises `Ended` when the reply can't be used."""
        self._requests_left -= 1
        page = yield from pages.ask(self._api, start, end, **fields)
        for number, record in page.records:
            if number in self._orders:
                self._keep(self._orders[number], record, page)
        return page

    def _keep(self, order: OrderRef, record: messages.Record | None, page: RecordPage) -> None:
        """Keep what a record says of `order`, once; a record of another known kind says nothing of it."""
        told = self._told.setdefault(order.number, [])
        if record is None or record.kind == order.kind or record.kind not in messages.ORDER_TYPES:
            seen = _observation(order, record, page)
            if seen not in told:
                told.append(seen)


def _observation(order: OrderRef, record: messages.Record | None, page: RecordPage) -> Observation | None:
    """What a record says of `order`; None when it can't be read, or is of an unknown kind."""
    if record is None or record.kind != order.kind:
        return None
    try:
        if record.kind == "refund":
            return read_refund(record, is_signed_wrong=page.is_signed_wrong)
        return read_payment(record, is_signed_wrong=page.is_signed_wrong, asked=order.amount)
    except messages.Malformed:
        return None


def _packed(keys: Sequence[str]) -> list[list[str]]:
    """`keys` in groups that fit, comma separated, into one field."""
    groups: list[list[str]] = []
    length = NUMBERS_LENGTH_MAX
    for key in keys:
        length += 1 + len(key)
        if length > NUMBERS_LENGTH_MAX:
            groups.append([])
            length = len(key)
        groups[-1].append(key)
    return groups


def _rotated(orders: Sequence[OrderRef]) -> list[OrderRef]:
    """`orders`, starting at another one each time they are asked about, so that none is always left out."""
    if not orders:
        return []
    start = int(orders[0].attempt.sent_at.timestamp() * 1000) % len(orders)
    return [*orders[start:], *orders[:start]]


def _months(order: OrderRef) -> tuple[Month, ...]:
    """
    The months an order may have been made in, the most likely first.

    That of its `syssn`, those from when its number was fixed until it is asked about, and the months next to these
    if our clock and QFPay's may disagree (`AHEAD`, `BEHIND`).
    """
    dated = _SYSSN_MONTH.match(order.provider_id or "")
    first = [(int(dated[1]), int(dated[2]))] if dated else []
    begun, asked = month_of(order.begun_at), month_of(max(order.begun_at, order.attempt.sent_at) + BEHIND)
    before = months_between(month_of(order.begun_at - AHEAD), begun)
    return tuple(dict.fromkeys([*first, *months_between(begun, asked), *before]))
