"""The query flow: what a record says, what is absent, and how many orders share a request. Reference section 4."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore.plugin import (
    Done,
    Found,
    Money,
    Observation,
    OrderRef,
    PaymentObservation,
    QueryReply,
    RefundObservation,
    RefundStatus,
    Rejected,
    Request,
    Response,
    Secret,
    Status,
    Unknown,
)
from plugins.qfpay_alipay.tests.support import (
    BEGUN_AT,
    KEY,
    NUMBER,
    SYSSN,
    Recorder,
    always,
    answer,
    fields_in,
    make_provider,
    make_ref,
    run,
)
from qfpay_alipay.provider import QUERY_BATCH_MAX
from qfpay_alipay.signing import sign_body, sign_request

EMPTY: dict[str, Any] = {"respcd": "0000", "data": []}


def record(**fields: Any) -> dict[str, Any]:
    """One record of the order as QFPay sends it, paid."""
    return {
        "respcd": "0000", "errmsg": "success", "order_type": "payment", "syssn": SYSSN, "out_trade_no": NUMBER,
        "txamt": "1099", "txcurrcd": "HKD", "cancel": "0", "pay_type": "801514", "chnlsn": "20260101220014",
        "sysdtm": "2026-01-01 12:00:01", "txdtm": "2026-01-01 12:00:00", "paydtm": "2026-01-01 12:00:20",
        "cardcd": "2088802811715388", "clisn": "000001", "origssn": None, **fields,
    }  # fmt: skip


def page(*records: object, **fields: Any) -> dict[str, Any]:
    """A query's reply."""
    return {
        "respcd": "0000",
        "resperr": "",
        "respmsg": "",
        "page": "1",
        "page_size": 100,
        "data": records,
        **fields,
    }


def query(gateway: Any, *orders: OrderRef, **settings: Any) -> QueryReply:
    """Run the query flow against `gateway`."""
    return run(make_provider(**settings).query(orders or [make_ref()]), gateway)


def found(outcome: QueryReply) -> Found:
    """What a `Done` holds."""
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Found)
    return outcome.value


def seen(*records: object, **ref: Any) -> tuple[Observation, ...]:
    """The observations of one order with these records; it is never absent then."""
    value = found(query(always(page(*records)), make_ref(**ref)))
    assert value.absent == frozenset()
    return value.observations


# --- what a record says --------------------------------------------------------------------------------


def test_query_paid_record_is_paid_with_its_time() -> None:
    """payment + 0000: paid, at paydtm, UTC+8."""
    assert seen(record()) == (
        PaymentObservation(
            number=NUMBER,
            status=Status.PAID,
            provider_id=SYSSN,
            amount=Money("10.99", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
            words={"respcd": "0000", "errmsg": "success", "cancel": "0", "pay_type": "801514"},
        ),
    )


@pytest.mark.parametrize("respcd", ["1143", "1145"])
def test_query_unpaid_record_is_pending(respcd: str) -> None:
    """Unpaid: 1143 or 1145, with an empty paydtm; its time is that of creation."""
    (observation,) = seen(record(respcd=respcd, paydtm=""))
    assert observation.status is Status.PENDING
    assert observation.occurred_at == datetime(2026, 1, 1, 4, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("respcd", ["1142", "1181"])
def test_query_ended_record_is_closed(respcd: str) -> None:
    """Closed or expired: final, and at a time nobody tells."""
    (observation,) = seen(record(respcd=respcd, cancel="2", errmsg="closed"))
    assert observation.status is Status.CLOSED
    assert observation.occurred_at is None
    assert observation.failure is not None
    assert (observation.failure.code, observation.failure.message) == (respcd, "closed")


def test_query_failed_record_is_failed_with_its_reason() -> None:
    """Anything else definite: failed."""
    (observation,) = seen(record(respcd="1201", errmsg="balance too low"))
    assert observation.status is Status.FAILED
    assert observation.failure is not None
    assert observation.failure.who_acts == "payer"


@pytest.mark.parametrize(
    ("cancel", "refunded_minor"),
    [
        ("0", None),
        (0, None),
        ("1", 1099),
        ("2", 1099),
        ("3", 1099),
        (3, 1099),
        ("4", None),
        ("5", None),
        (None, None),
    ],
)
def test_query_cancel_of_a_paid_record_is_what_went_back(cancel: object, refunded_minor: int | None) -> None:
    """A refunded payment keeps 0000: look at cancel. 5 is partly refunded, by an amount not told."""
    (observation,) = seen(record(cancel=cancel))
    assert isinstance(observation, PaymentObservation)
    assert observation.status is Status.PAID
    assert observation.refunded_minor == refunded_minor


def test_query_old_record_decodes() -> None:
    """Numbers for amounts, an empty currency, a 24-digit syssn, no order_type, null fields."""
    old = record(syssn="2" * 24, txamt=1099, txcurrcd="", order_type=None, errmsg=None, cancel=3)
    (observation,) = seen(old)
    assert isinstance(observation, PaymentObservation)
    assert (observation.status, observation.provider_id) == (Status.PAID, "2" * 24)
    assert (observation.amount, observation.refunded_minor) == (None, 1099)


def test_query_official_sample_with_unquoted_zeros_is_malformed() -> None:
    """The printed samples have `"respcd": 0000`, which is no JSON."""
    outcome = query(always(b'{"respcd": 0000, "data": []}'))
    assert outcome == Unknown(problem="not a QueryReply in JSON")


def test_query_several_records_the_payment_counts() -> None:
    """Tabs and retries: any payment + 0000 decides."""
    (observation,) = seen(record(respcd="1201"), record(), record(respcd="1143", syssn="X"), record())
    assert observation.status is Status.PAID


def test_query_paid_twice_is_told_twice() -> None:
    """Several 0000 with different syssn: the payer paid twice."""
    observations = seen(record(), record(syssn="OTHER"))
    assert [observation.provider_id for observation in observations] == [SYSSN, "OTHER"]
    assert {observation.status for observation in observations} == {Status.PAID}


@pytest.mark.parametrize(
    ("respcds", "status"),
    [
        (["1201", "1143", "1142"], Status.PENDING),
        (["1201", "1142"], Status.CLOSED),
        (["1201", "1205"], Status.FAILED),
        (["9999", "1142"], Status.CLOSED),
    ],
)
def test_query_several_unpaid_records_the_open_one_counts(respcds: list[str], status: Status) -> None:
    """As long as one can still be paid, the order waits."""
    (observation,) = seen(*(record(respcd=respcd, syssn=respcd) for respcd in respcds))
    assert observation.status is status


def test_query_refund_is_told_by_its_own_number() -> None:
    """order_type refund, with origssn: a refund's state, never a payment's."""
    refunded = record(order_type="refund", origssn="ORIGINAL", txamt=200)
    assert seen(refunded, kind="refund") == (
        RefundObservation(
            number=NUMBER,
            status=RefundStatus.SUCCEEDED,
            provider_id=SYSSN,
            amount=Money("2.00", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
            words={"respcd": "0000", "errmsg": "success", "cancel": "0", "pay_type": "801514"},
        ),
    )
    assert seen(refunded) == ()
    assert seen(record(), kind="refund") == ()
    assert seen(record(order_type="close")) == ()


def test_query_failed_refund_has_its_reason() -> None:
    """A refused refund found by query."""
    (observation,) = seen(record(order_type="refund", respcd="1269"), kind="refund")
    assert observation.status is RefundStatus.FAILED
    assert observation.failure is not None
    assert observation.failure.retryable


@pytest.mark.parametrize("broken", [{"txamt": "10.99"}, {"txcurrcd": "XXX"}, {"syssn": ""}])
def test_query_record_that_can_not_be_read_says_nothing(broken: dict[str, Any]) -> None:
    """Neither found nor absent, even beside a good one: it might be the one that counts."""
    assert seen(record(**broken)) == ()
    assert seen(record(), record(**broken)) == ()


def test_query_words_note_a_signature_that_does_not_hold() -> None:
    """Accepted by default, and kept with the evidence."""
    (observation,) = found(query(always(page(record()), headers={"x-qf-sign": "0" * 32}))).observations
    assert observation.words["signature"] == "mismatch"
    reply = answer(page(record()))
    signed = Response(
        status=200, body=reply.body, headers={"x-qf-sign": sign_body(reply.body, key=Secret(KEY))}
    )
    (observation,) = found(query(lambda request: signed, require_signed_replies=True)).observations
    assert "signature" not in observation.words
    assert isinstance(query(always(page(record())), require_signed_replies=True), Unknown)


# --- absent or unanswered ------------------------------------------------------------------------------


def test_query_empty_data_is_absent() -> None:
    """An unknown order is 0000 with an empty list; that is "not found", not failed."""
    assert found(query(always(EMPTY))) == Found(absent=frozenset({NUMBER}))


def test_query_record_of_another_number_is_ignored() -> None:
    """Only what was asked for counts, whatever the filter did."""
    assert found(query(always(page(record(out_trade_no="ANOTHER"))))) == Found(absent=frozenset({NUMBER}))


def test_query_unreadable_record_leaves_absence_open() -> None:
    """It might be the one that was asked for."""
    assert found(query(always(page({"respcd": None})))) == Found()


def test_query_full_page_leaves_absence_open() -> None:
    """A hundred records of others: the one asked for may be on the next page."""
    assert found(query(always(page(*[record(out_trade_no="ANOTHER")] * 100)))) == Found()


@pytest.mark.parametrize(
    "reply",
    [
        answer({"respcd": "0000"}),
        answer({"respcd": "0000", "data": None}),
        answer({"respcd": "0000", "data": {}}),
        answer({"respcd": "1136"}),
        answer({"respcd": "1268"}),
        answer({"respcd": "1143"}),
        answer(EMPTY, status=429),
        answer(EMPTY, status=500),
        answer(b"<html>"),
    ],
)
def test_query_without_an_answer_is_unknown(reply: Response) -> None:
    """Nothing is absent because a query failed."""
    assert isinstance(query(lambda request: reply), Unknown)


def test_query_refused_account_is_rejected() -> None:
    """1108: a wrong key is the operator's, not the order's."""
    outcome = query(always({"respcd": "1108", "resperr": "signature error"}))
    assert isinstance(outcome, Rejected)
    assert outcome.failure.who_acts == "operator"


def test_query_that_breaks_off_tells_what_it_had() -> None:
    """Two requests by number; the second gets no answer."""
    orders = refs(8)
    gateway = Recorder([page(record(out_trade_no=orders[0].number)), answer(b"")])
    value = found(query(gateway, *orders))
    assert [observation.number for observation in value.observations] == [orders[0].number]
    assert value.absent == {order.number for order in orders[1:4]}


def test_query_of_nothing_asks_nothing() -> None:
    """No orders, no request."""
    assert run(make_provider().query([]), always(EMPTY)) == Done(Found())


# --- requests ------------------------------------------------------------------------------------------


def refs(count: int, *, every_s: float = 1.0, **fields: Any) -> list[OrderRef]:
    """`count` orders begun one after the other; asked about at a time that starts with the first."""
    return [
        make_ref(
            number=f"01JGFJJZ00QFPAYA1IPAY{index:05}",
            begun_at=BEGUN_AT + timedelta(seconds=index * every_s),
            asked_at=datetime(2026, 1, 1, 8, 0, 0, tzinfo=UTC),
            **fields,
        )
        for index in range(count)
    ]


class Bank:
    """A gateway that knows orders, and answers queries by number and by range as QFPay does."""

    def __init__(self, known: Sequence[OrderRef], *, newest_first: bool = True, late_s: float = 0.5) -> None:
        self.requests: list[dict[str, str]] = []
        rows = [(order.begun_at + timedelta(seconds=late_s), order) for order in known]
        self._rows = sorted(rows, key=lambda row: row[0], reverse=newest_first)

    def __call__(self, request: Request) -> Response:
        """Answer one query."""
        asked = fields_in(request)
        self.requests.append(asked)
        rows = [row for row in self._rows if self._matches(asked, *row)]
        size, number = int(asked["page_size"]), int(asked["page"])
        return answer(
            page(*(self._record(at, order) for at, order in rows[size * (number - 1) : size * number]))
        )

    @staticmethod
    def _matches(asked: dict[str, str], at: datetime, order: OrderRef) -> bool:
        if "syssn" in asked:
            return order.provider_id in asked["syssn"].split(",")
        local = (at + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
        if not asked["start_time"] <= local <= asked["end_time"]:
            return False
        return "out_trade_no" not in asked or order.number in asked["out_trade_no"].split(",")

    @staticmethod
    def _record(at: datetime, order: OrderRef) -> dict[str, Any]:
        local = (at + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
        return record(out_trade_no=order.number, syssn=order.provider_id or f"S{order.number}", sysdtm=local)


def test_query_one_order_is_asked_by_number_within_its_month() -> None:
    """The range is needed to look outside the current month, and harmless otherwise."""
    request = next(make_provider(mchid="M1").query([make_ref(provider_id=SYSSN)]))
    assert (request.method, request.path) == ("POST", "/trade/v1/query")
    sent = fields_in(request)
    assert sent == {
        "out_trade_no": NUMBER,
        "start_time": "2026-01-01 00:00:00",
        "end_time": "2026-01-31 23:59:59",
        "page": "1",
        "page_size": "100",
        "mchid": "M1",
    }
    assert request.headers["X-QF-SIGN"] == sign_request(sent, key=Secret(KEY))


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (4, 1), (5, 2), (8, 2)])
def test_query_few_orders_share_a_request_by_number(count: int, requests: int) -> None:
    """String(128), commas included: four numbers of 26 characters."""
    orders = refs(count)
    bank = Bank(orders)
    assert len(found(query(bank, *orders)).observations) == count
    assert len(bank.requests) == requests
    assert all(len(asked["out_trade_no"]) <= 128 for asked in bank.requests)


def test_query_long_numbers_are_asked_by_syssn_where_that_is_shorter() -> None:
    """Four of QFPay's ids fit where two of such numbers do."""
    orders = [
        make_ref(number=f"{index:060}", provider_id=f"2026010100030002{index:010}") for index in range(4)
    ]
    bank = Bank(orders)
    assert len(found(query(bank, *orders)).observations) == 4
    (asked,) = bank.requests
    assert asked["syssn"].count(",") == 3
    assert "out_trade_no" not in asked
    assert asked["start_time"] == "2026-01-01 00:00:00"


def test_query_syssn_not_found_proves_nothing_of_the_number() -> None:
    """Only an answer to the number itself does."""
    order = make_ref(number="9" * 60, provider_id=SYSSN)
    assert found(query(always(EMPTY), order)) == Found()


@pytest.mark.parametrize("provider_id", ["20261301000300020012345678", "abc"])
def test_query_syssn_without_a_date_is_not_used(provider_id: str) -> None:
    """Its month would be a guess."""
    order = make_ref(number="9" * 60, provider_id=provider_id)
    assert "out_trade_no" in fields_in(next(make_provider().query([order])))


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(("count", "requests"), [(9, 1), (85, 1), (100, 1), (150, 2), (QUERY_BATCH_MAX, 3)])
def test_query_many_orders_are_read_by_time(count: int, requests: int, *, newest_first: bool) -> None:
    """A hundred a page; the order of records is not relied on."""
    orders = refs(count)
    bank = Bank(orders, newest_first=newest_first)
    value = found(query(bank, *orders))
    assert {observation.number for observation in value.observations} == {order.number for order in orders}
    assert len(bank.requests) == requests
    assert [asked["page"] for asked in bank.requests] == [str(index + 1) for index in range(requests)]


def test_query_range_is_that_of_the_orders() -> None:
    """A little before the first and after the last, on QFPay's clock."""
    asked = fields_in(next(make_provider().query(refs(60))))
    assert (asked["start_time"], asked["end_time"]) == ("2026-01-01 11:59:55", "2026-01-01 12:01:09")
    assert "out_trade_no" not in asked


def test_query_range_stays_within_one_month() -> None:
    """At the turn of a month, on QFPay's clock: two ranges."""
    turn = datetime(2026, 1, 31, 16, 0, 0, tzinfo=UTC)
    asked_at = turn + timedelta(hours=1)
    orders = [
        msgspec.structs.replace(order, begun_at=turn + timedelta(seconds=index - 12), asked_at=asked_at)
        for index, order in enumerate(refs(24))
    ]
    bank = Bank(orders, late_s=0)
    assert len(found(query(bank, *orders)).observations) == 24
    assert [(asked["start_time"], asked["end_time"]) for asked in bank.requests] == [
        ("2026-01-31 23:59:43", "2026-01-31 23:59:59"),
        ("2026-02-01 00:00:00", "2026-02-01 00:00:21"),
    ]


def test_query_missing_in_a_range_is_asked_by_number_before_it_is_absent() -> None:
    """A range proves nothing of a number: its clock may differ, or the order was sent again later."""
    orders = refs(20)
    bank = Bank(orders[:-2])
    value = found(query(bank, *orders))
    assert len(value.observations) == 18
    assert value.absent == {order.number for order in orders[-2:]}
    assert [("out_trade_no" in asked) for asked in bank.requests] == [False, True]


def test_query_clock_far_off_costs_requests_and_not_answers() -> None:
    """QFPay's clock an hour ahead: the range is empty, the numbers are found."""
    orders = refs(20)
    bank = Bank(orders, late_s=3600)
    assert len(found(query(bank, *orders)).observations) == 20
    assert len(bank.requests) == 1 + 5


def test_query_crowded_range_is_left_for_numbers() -> None:
    """A full page with fewer of ours than a request by number would tell: ask by number."""
    orders = refs(12, every_s=60)
    crowd = [
        make_ref(number=f"C{index}", begun_at=BEGUN_AT + timedelta(seconds=index)) for index in range(700)
    ]
    bank = Bank([*orders, *crowd], newest_first=False)
    assert len(found(query(bank, *orders)).observations) == 12
    assert sum("out_trade_no" not in asked for asked in bank.requests) == 1


def test_query_orders_far_apart_are_not_one_range() -> None:
    """A quarter of an hour between them is a gap: each part is read for itself, the larger first."""
    orders = [
        *refs(10),
        *(
            msgspec.structs.replace(o, number=f"L{o.number[1:]}", begun_at=o.begun_at + timedelta(hours=2))
            for o in refs(30)
        ),
    ]
    bank = Bank(orders)
    assert len(found(query(bank, *orders)).observations) == 40
    assert [asked["start_time"] for asked in bank.requests] == ["2026-01-01 13:59:55", "2026-01-01 11:59:55"]


def test_query_scattered_orders_take_ten_requests_and_another_turn_next_time() -> None:
    """What does not fit is in neither part of the answer; the next time begins elsewhere."""
    orders = refs(120, every_s=1800)
    bank = Bank(orders)
    first = found(query(bank, *orders))
    assert len(bank.requests) == 10
    assert len(first.observations) == 40
    assert first.absent == frozenset()
    later = [msgspec.structs.replace(o, asked_at=o.asked_at + timedelta(milliseconds=60)) for o in orders]
    second = found(query(Bank(orders), *later))
    assert {o.number for o in second.observations} != {o.number for o in first.observations}


def test_query_stops_reading_ranges_when_no_request_is_left() -> None:
    """Eleven separate ranges: ten are read."""
    orders = [
        msgspec.structs.replace(
            order, number=f"{part:02}{order.number[2:]}", begun_at=order.begun_at + timedelta(hours=part)
        )
        for part in range(11)
        for order in refs(9)
    ]
    bank = Bank(orders)
    assert len(found(query(bank, *orders)).observations) == 90
    assert len(bank.requests) == 10


def test_query_absent_is_looked_for_in_every_month_it_may_be_in() -> None:
    """Begun in November, asked about in January: an order sent again later is in a later month."""
    order = make_ref(begun_at=datetime(2025, 11, 20, tzinfo=UTC))
    bank = Bank([])
    assert found(query(bank, order)).absent == {NUMBER}
    assert [asked["start_time"][:7] for asked in bank.requests] == ["2025-11", "2025-12", "2026-01"]
    found_late = Bank([msgspec.structs.replace(order, begun_at=datetime(2025, 12, 2, tzinfo=UTC))])
    assert len(found(query(found_late, order)).observations) == 1
    assert len(found_late.requests) == 2


def test_query_begun_at_the_turn_of_a_month_is_sought_on_both_sides() -> None:
    """Our clock may be a little ahead of QFPay's."""
    turn = datetime(2025, 12, 31, 16, 0, 5, tzinfo=UTC)
    order = make_ref(begun_at=turn, asked_at=turn)
    bank = Bank([order], late_s=-10)
    assert len(found(query(bank, order)).observations) == 1
    assert [asked["end_time"] for asked in bank.requests] == ["2025-12-31 23:59:59"]
    bank = Bank([])
    assert found(query(bank, order)).absent == {NUMBER}
    assert len(bank.requests) == 2


@given(
    begun=st.lists(st.integers(0, 40 * 86_400), min_size=1, max_size=60, unique=True),
    known=st.sets(st.integers(0, 59)),
    newest_first=st.booleans(),
)
def test_query_any_batch_is_answered_truly(begun: list[int], known: set[int], *, newest_first: bool) -> None:
    """Whatever the batch: at most ten requests, what is found is known, what is absent is not known."""
    orders = [
        make_ref(
            number=f"N{index:025}",
            begun_at=BEGUN_AT + timedelta(seconds=at),
            asked_at=BEGUN_AT + timedelta(days=41),
        )
        for index, at in enumerate(begun)
    ]
    there = [order for index, order in enumerate(orders) if index in known]
    bank = Bank(there, newest_first=newest_first)
    value = found(query(bank, *orders))
    numbers = {order.number for order in there}
    assert len(bank.requests) <= 10
    assert {observation.number for observation in value.observations} <= numbers
    assert value.absent.isdisjoint(numbers)
