"""
The query flow: what many orders and refunds have come to, in as few requests as QFPay's API takes.

Two ways to ask. By number: as many as fit into 128 characters, four of the core's. By time: all records
of a range, a hundred a page. Orders begun close together are read by time; the rest, and those a range did
not show, are asked for by number. Only an answer to the number itself proves that an order is absent.

Source: sdk.qfapi.com "Transaction Enquiry"; SOURCES.md §4. Undocumented and therefore not relied on: the
order of records, the reply past the last page, whether a range restricts a query by number.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from paycore.plugin import (
    FLOW_REQUESTS_MAX,
    Done,
    Flow,
    Found,
    Observation,
    OrderRef,
    QueryReply,
    Rejected,
    Request,
    Response,
    Status,
    Unknown,
)
from qfpay_alipay import messages
from qfpay_alipay.api import SIGNED_WRONG, Api
from qfpay_alipay.observations import read_payment, read_refund
from qfpay_alipay.respcodes import Verdict, failure_of, judge, problem_of

PAGE_SIZE = 100
NUMBERS_LENGTH_MAX = 128
"""`syssn` and `out_trade_no` are String(128), commas included."""

BY_NUMBER_REQUESTS_MAX = 2
"""Up to this many requests are made by number at once; beyond, reading by time may need fewer."""

GAP_MAX = timedelta(minutes=15)
"""Orders further apart are not read as one range: it would hold more of other orders than of ours."""

EARLY, LATE = timedelta(seconds=1), timedelta(seconds=3)
"""
How far a range reaches beyond its orders: a creation's way to QFPay, whose clock `sysdtm` is. Narrow, for a
wider one would hold more of other orders; a clock that is off by more costs requests, not answers.
"""

AHEAD, BEHIND = timedelta(hours=12), timedelta(minutes=15)
"""
How far our clock may be ahead of QFPay's, or behind, at the turn of a month: a number is asked for in both
months before it is absent, for absence is what lets an order be sent again.

A machine's clock is off by minutes where nobody sets it. Ahead it may be by hours: a wrong zone, or a ledger, whose
clock never goes back, after one payment of a machine that was. That costs a request only for what is not found
where it should be; asking in a month that may not have begun is kept shorter, for QFPay does not say what it answers.
"""

_KINDS = ("payment", "refund", "close")
"""`order_type`; "close" in the issue of 2018."""

TRIED_WITHIN = timedelta(days=31)
"""How long after it was begun an order may still get another record: far longer than any can be paid."""

Month = tuple[int, int]
_SYSSN_MONTH = re.compile(r"(20[0-9]{2})(0[1-9]|1[0-2])", re.ASCII)


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """
    One reply's records, each as it came and as it was read: of one that can't be, its number, perhaps empty.

    `is_whole` when that is all there is, no record could be anybody's, and the reply is not signed wrong.
    """

    records: tuple[tuple[bytes, messages.Record | str], ...]
    is_signed_wrong: bool
    is_full: bool
    is_whole: bool


class _Ended(Exception):
    """The provider's answer leaves nothing to go on with."""

    def __init__(self, outcome: Rejected | Unknown) -> None:
        super().__init__()
        self.outcome = outcome


def query_orders(
    api: Api, orders: Sequence[OrderRef], *, requests_max: int = FLOW_REQUESTS_MAX
) -> Flow[QueryReply]:
    """
    Ask about `orders`, in at most `requests_max` requests.

    Those that did not fit, or of which nothing definite was said, are in no part of the answer; who is left
    out moves on with `asked_at`, so that a later query reaches them. An answer that breaks off still tells
    what it had found; only one that found nothing is `Unknown`, or `Rejected` for the account's sake.

    One number may have several records. That no money was taken is said only by answers to the number itself, in
    every month, that are whole and agree: a range, or a `syssn`, may not show the record that counts.
    """
    run = _Query(api, orders, requests_max)
    try:
        yield from run.ask()
    except _Ended as ended:
        if not run.is_answered:
            return ended.outcome
    return Done(run.found())


class _Query:
    """One run of the query flow: what is sought, what was told, and how many requests are left."""

    def __init__(self, api: Api, orders: Sequence[OrderRef], requests_max: int) -> None:
        self._api = api
        self._orders = {order.number: order for order in orders}
        self._told: dict[str, list[Observation | None]] = {}  # None: a record that can't be read or decided
        self._heard: set[tuple[bytes, bool]] = set()
        self._absent: set[str] = set()
        self._asked_whole: set[str] = set()
        self._requests_left = requests_max

    @property
    def is_answered(self) -> bool:
        """Whether anything was told yet."""
        return bool(self._told or self._absent)

    def ask(self) -> Generator[Request, Response, None]:
        """All requests, those that answer most first. Raises `_Ended`."""
        for cluster in sorted(_clusters(self._orders.values()), key=len, reverse=True):
            if len(_packed([order.number for order in cluster])) > BY_NUMBER_REQUESTS_MAX:
                yield from self._ask_by_time(cluster)
        yield from self._ask_by_number()

    def found(self) -> Found:
        """What all replies together come to."""
        undecided = {
            number
            for number, told in self._told.items()
            if None in told or (number not in self._asked_whole and self._lacks_proof(number))
        }
        seen = (one for told in self._told.values() for one in told if one is not None)
        found = Found(
            observations=tuple(seen), absent=frozenset(self._absent), undecided=frozenset(undecided)
        )
        return found.agreed()

    def _lacks_proof(self, number: str) -> bool:
        """Whether nothing shows yet that the number can still be paid, was, or that its records don't agree."""
        return all(
            one is not None and one.status in (Status.FAILED, Status.CLOSED)
            for one in self._told.get(number, ())
        )

    def _ask_by_time(self, cluster: Sequence[OrderRef]) -> Generator[Request, Response, None]:
        """Read the cluster's range page by page, while pages tell of more orders than numbers would."""
        start, end = _range(cluster)
        sought = {order.number for order in cluster} - self._told.keys()
        by_number_at_once = len(cluster) / len(_packed(sorted(order.number for order in cluster)))
        pages = 0
        while self._requests_left:
            pages += 1
            page = yield from self._request(start_time=_text(start), end_time=_text(end), page=str(pages))
            told = len(sought & self._told.keys())
            if told == len(sought) or not page.is_full or told <= pages * by_number_at_once:
                return

    def _ask_by_number(self) -> Generator[Request, Response, None]:
        """Ask for what is still missing, or said to be unpaid, each in every month it may have been made in."""
        missing = [order for order in self._orders.values() if self._lacks_proof(order.number)]
        waiting = [_Sought.of(order) for order in _in_turn(missing)]
        while waiting and self._requests_left:
            first = waiting[0]
            alike = [one for one in waiting if (one.field, one.months[0]) == (first.field, first.months[0])]
            batch = _packed([one.key for one in alike])[0]
            asked = [one for one in alike if one.key in batch]
            start, end = _bounds(first.months[0])
            page = yield from self._request(
                start_time=_text(start), end_time=_text(end), **{first.field: ",".join(batch)}
            )
            waiting = [one for one in waiting if one not in asked]
            waiting += self._next_months(asked, page)

    def _next_months(self, asked: Iterable[_Sought], page: _Page) -> list[_Sought]:
        """What must be asked again, in a later month or by number; what no month knows is absent."""
        again = []
        for one in asked:
            if not page.is_whole or not self._lacks_proof(one.number):
                continue
            order, is_told = self._orders[one.number], one.number in self._told
            last = _month(order.begun_at + TRIED_WITHIN)
            further = tuple(month for month in one.months[1:] if not is_told or month <= last)
            if further:
                again.append(msgspec.structs.replace(one, months=further))
            elif one.field == "syssn":
                again += [_Sought.by_number(order)] if is_told else []
            elif is_told:
                self._asked_whole.add(one.number)
            else:
                self._absent.add(one.number)
        return again

    def _request(self, **fields: str) -> Generator[Request, Response, _Page]:
        """One request; keeps the records of the numbers sought. Raises `_Ended` when it tells nothing."""
        self._requests_left -= 1
        response = yield self._api.request("query", messages.QueryRequest(**fields))
        try:
            page = self._read(response)
        except messages.Malformed as malformed:
            raise _Ended(Unknown(problem=str(malformed))) from None
        for raw, record in page.records:
            number = record if isinstance(record, str) else record.number
            if number in self._orders and (raw, page.is_signed_wrong) not in self._heard:
                self._heard.add((raw, page.is_signed_wrong))
                told = self._told.setdefault(number, [])
                told += (None,) if isinstance(record, str) else self._seen(record, page)
        return page

    def _seen(self, record: messages.Record, page: _Page) -> tuple[Observation | None, ...]:
        """What a record says of the number it has: nothing where it is of another kind of trade."""
        order, kind = self._orders[record.number], _kind(record)
        if kind != order.kind:
            return () if kind in _KINDS else (None,)
        try:
            if kind == "refund":
                return (read_refund(record, is_signed_wrong=page.is_signed_wrong),)
            return (read_payment(record, is_signed_wrong=page.is_signed_wrong, asked=order.amount),)
        except messages.Malformed:
            return (None,)

    def _read(self, response: Response) -> _Page:
        reply, is_signed_wrong = self._api.read(response, messages.QueryReply)
        if is_signed_wrong and not reply.data:
            raise messages.Malformed(SIGNED_WRONG)
        verdict, code = judge("query", reply)
        if verdict is Verdict.REJECTED:
            raise _Ended(Rejected(failure=failure_of(reply, code)))
        if verdict is not Verdict.ACCEPTED:
            raise _Ended(Unknown(problem=problem_of(reply, code)))
        if reply.data is None:
            raise messages.Malformed("data is missing")
        records = [(bytes(raw), _record(raw)) for raw in reply.data]
        is_full = len(reply.data) >= PAGE_SIZE
        is_anybodys = any(not (one if isinstance(one, str) else one.number) for _, one in records)
        return _Page(
            records=tuple(records),
            is_signed_wrong=is_signed_wrong,
            is_full=is_full,
            is_whole=not (is_full or is_anybodys or is_signed_wrong),
        )


class _Sought(msgspec.Struct, frozen=True):
    """One number to ask for: by which field, and in which months."""

    number: str
    field: str
    key: str
    months: tuple[Month, ...]

    @classmethod
    def of(cls, order: OrderRef) -> _Sought:
        """
        By our own number, which also finds an order paid twice; by `syssn` where that is known and shorter.

        A `syssn` begins with its date on QFPay's clock, and its month is the first one asked.
        """
        syssn = order.provider_id or ""
        dated = _SYSSN_MONTH.match(syssn)
        month = ((int(dated[1]), int(dated[2])),) if dated else ()
        if month and len(syssn) < len(order.number):
            return cls(order.number, "syssn", syssn, month)
        return cls.by_number(order, *month)

    @classmethod
    def by_number(cls, order: OrderRef, *first: Month) -> _Sought:
        """By our own number, in the month `first` before the others."""
        months = dict.fromkeys((*first, *_months(order)))
        return cls(order.number, "out_trade_no", order.number, tuple(months))


def _record(raw: msgspec.Raw) -> messages.Record | str:
    """One record, or the number of one that can't be read, empty where that can't be either; the others count."""
    try:
        return messages.decode(raw, messages.Record)
    except messages.Malformed:
        return messages.number_in(raw)


def _kind(record: messages.Record) -> str:
    """What kind of trade a record is; old ones do not say and are payments."""
    return messages.trimmed(record.order_type) or "payment"


def _packed(keys: Sequence[str]) -> list[list[str]]:
    """`keys` in as few groups as fit, comma separated, into one field."""
    groups: list[list[str]] = []
    length = NUMBERS_LENGTH_MAX
    for key in keys:
        length += 1 + len(key)
        if length > NUMBERS_LENGTH_MAX:
            groups.append([])
            length = len(key)
        groups[-1].append(key)
    return groups


def _clusters(orders: Iterable[OrderRef]) -> list[list[OrderRef]]:
    """Orders begun close together, within one month of QFPay's clock."""
    clusters: list[list[OrderRef]] = []
    for order in sorted(orders, key=lambda order: order.begun_at):
        last = clusters[-1][-1] if clusters else None
        if (
            last
            and order.begun_at - last.begun_at <= GAP_MAX
            and _month(order.begun_at) == _month(last.begun_at)
        ):
            clusters[-1].append(order)
        else:
            clusters.append([order])
    return clusters


def _in_turn(orders: Sequence[OrderRef]) -> list[OrderRef]:
    """`orders`, beginning at another one at every time of asking, so that no one is left out for good."""
    if not orders:
        return []
    start = int(orders[0].asked_at.timestamp() * 1000) % len(orders)
    return [*orders[start:], *orders[:start]]


def _range(cluster: Sequence[OrderRef]) -> tuple[datetime, datetime]:
    """The range a cluster is read in: a little wider than it, and within its month."""
    first, last = _bounds(_month(cluster[0].begun_at))
    return max(first, cluster[0].begun_at - EARLY), min(last, cluster[-1].begun_at + LATE)


def _months(order: OrderRef) -> Iterator[Month]:
    """
    The months an order may have been made in: from when its number was fixed until it is asked about.

    By our clock first; then what lies beyond, should that differ from QFPay's.
    """
    begun, asked = _month(order.begun_at), _month(max(order.begun_at, order.asked_at) + BEHIND)
    yield from _months_between(begun, asked)
    yield from _months_between(_month(order.begun_at - AHEAD), begun)


def _months_between(first: Month, last: Month) -> Iterator[Month]:
    """Both included."""
    year, month = first
    while (year, month) <= last:
        yield year, month
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def _month(at: datetime) -> Month:
    local = at.astimezone(messages.QFPAY_ZONE)
    return local.year, local.month


def _bounds(month: Month) -> tuple[datetime, datetime]:
    """The first and the last second of a month on QFPay's clock."""
    year, number = month
    first = datetime(year, number, 1, tzinfo=messages.QFPAY_ZONE)
    following = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=messages.QFPAY_ZONE)
    return first, following - timedelta(seconds=1)


def _text(at: datetime) -> str:
    return messages.render_time(at, messages.QFPAY_ZONE)
