"""The provider's own list: QFPay's query by time range, month by month. Source: SOURCES.md §4."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paycore.plugin import (
    Done,
    Listed,
    ListReply,
    Money,
    NotNow,
    Page,
    PaymentObservation,
    RefundObservation,
    RefundStatus,
    Rejected,
    Status,
    Unknown,
)
from plugins.qfpay_alipay.tests.bank import EMPTY, Bank, page, record, refs
from plugins.qfpay_alipay.tests.support import (
    KEY,
    NUMBER,
    SYSSN,
    Gateway,
    Recorder,
    always,
    answer,
    attempt_at,
    make_provider,
    run,
)

NOW = attempt_at(datetime(2026, 3, 15, 4, 0, tzinfo=UTC))
JANUARY = datetime(2025, 12, 31, 16, 0, tzinfo=UTC)
"""The first moment of January 2026 on QFPay's clock."""


def list_page(
    gateway: Gateway, since: datetime, until: datetime, *, cursor: str | None = None, **settings: Any
) -> ListReply:
    """Run the list flow against `gateway`, in the middle of March."""
    return run(make_provider(**settings).list(since, until, cursor, NOW), gateway)


def list_all(gateway: Gateway, since: datetime, until: datetime) -> list[Page]:
    """Every page."""
    pages: list[Page] = []
    while not pages or pages[-1].cursor is not None:
        outcome = list_page(gateway, since, until, cursor=pages[-1].cursor if pages else None)
        assert isinstance(outcome, Done)
        pages.append(outcome.value)
    return pages


def listed(*records: object) -> tuple[Listed, ...]:
    """The items of a page with these records."""
    outcome = list_page(always(page(*records)), JANUARY, JANUARY + timedelta(days=1))
    assert isinstance(outcome, Done)
    return outcome.value.items


def ranges(recorder: Recorder) -> list[tuple[str, str, str]]:
    """What was asked for: first second, last second, page."""
    return [(form["start_time"], form["end_time"], form["page"]) for form in recorder.forms]


def test_list_has_payments_and_refunds_with_what_qfpay_knows() -> None:
    """Our number, QFPay's, the amount, of a refund its order; never the caller's reference: QFPay does not carry it."""
    refund = record(order_type="refund", out_trade_no="R1", syssn="S2", origssn=SYSSN, txamt="200")
    assert listed(record(), refund) == (
        Listed(
            observation=PaymentObservation(
                number=NUMBER,
                status=Status.PAID,
                provider_id=SYSSN,
                amount=Money("10.99", "HKD"),
                occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
                words={"respcd": "0000", "errmsg": "success", "cancel": "0", "pay_type": "801514"},
            ),
            made_at=datetime(2026, 1, 1, 4, 0, 1, tzinfo=UTC),
        ),
        Listed(
            observation=RefundObservation(
                number="R1",
                status=RefundStatus.SUCCEEDED,
                provider_id="S2",
                amount=Money("2.00", "HKD"),
                occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
                words={
                    "respcd": "0000",
                    "errmsg": "success",
                    "cancel": "0",
                    "pay_type": "801514",
                    "origssn": SYSSN,
                },
            ),
            made_at=datetime(2026, 1, 1, 4, 0, 1, tzinfo=UTC),
            payment_id=SYSSN,
        ),
    )


@pytest.mark.parametrize(
    ("fields", "status", "undecided"),
    [
        ({"respcd": "1143"}, Status.PENDING, None),
        ({"respcd": "1142"}, Status.CLOSED, None),
        ({"respcd": "1201"}, Status.FAILED, None),
        ({"respcd": "9999"}, Status.PENDING, "payment"),
        ({"syssn": ""}, Status.PENDING, "payment"),
        ({"order_type": "unfreeze"}, Status.PENDING, "unfreeze"),
        ({"order_type": "refund", "respcd": "1143"}, RefundStatus.PENDING, None),
        ({"order_type": "refund", "respcd": "9999"}, RefundStatus.PENDING, "refund"),
        ({"order_type": "refund", "respcd": "1269"}, RefundStatus.FAILED, None),
        ({"out_trade_no": None}, Status.PAID, None),
    ],
)
def test_list_leaves_out_no_trade(
    fields: dict[str, Any], status: Status | RefundStatus, undecided: str | None
) -> None:
    """One that is undecided is pending, with QFPay's own words; one without our number is listed without."""
    (item,) = listed(record(**fields))
    assert item.observation.status is status
    assert item.observation.number == ("" if "out_trade_no" in fields else NUMBER)
    assert item.observation.amount == Money("10.99", "HKD")
    assert item.observation.words["respcd"] == fields.get("respcd", "0000")
    assert item.observation.words.get("order_type") == undecided


def test_list_says_so_where_a_record_can_not_be_read() -> None:
    """It is listed with its number, if that can be read."""
    items = listed(record(cancel=False), {"respcd": None})
    assert [item.observation.number for item in items] == [NUMBER, ""]
    assert [item.observation.status for item in items] == [Status.PENDING] * 2
    assert {item.observation.words["problem"] for item in items} == {"the record can't be read"}


def test_list_leaves_out_records_of_closings() -> None:
    """The order that was closed has a record of its own."""
    assert (
        listed(record(order_type="close"), record(respcd="1142", syssn="X"))[0].observation.provider_id == "X"
    )


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_list_reads_every_page_once(count: int, *, newest_first: bool) -> None:
    """A hundred records a request; a full page may be the last, which only the next request tells."""
    orders = refs(count, every_s=60)
    bank = Bank(orders, newest_first=newest_first)
    pages = list_all(bank, JANUARY, JANUARY + timedelta(days=10))
    numbers = [item.observation.number for one in pages for item in one.items]
    assert sorted(numbers) == [order.number for order in orders]
    assert len(bank.requests) == count // 100 + 1
    assert {request["page_size"] for request in bank.requests} == {"100"}


def test_list_reads_each_month_by_itself() -> None:
    """A range stays within one month of QFPay's clock; one may be empty, and a page has two at most."""
    gateway = Recorder([page(record()), EMPTY, page(record(syssn="X"))])
    pages = list_all(gateway, JANUARY - timedelta(days=1), datetime(2026, 2, 10, tzinfo=UTC))
    assert [len(one.items) for one in pages] == [1, 1]
    assert ranges(gateway) == [
        ("2025-12-31 00:00:00", "2025-12-31 23:59:59", "1"),
        ("2026-01-01 00:00:00", "2026-01-31 23:59:59", "1"),
        ("2026-02-01 00:00:00", "2026-02-10 07:59:59", "1"),
    ]


def test_list_after_a_full_page_goes_on_in_the_same_month() -> None:
    """Pages are counted anew in each month."""
    full = page(*[record(syssn=f"S{index}") for index in range(100)])
    gateway = Recorder([full, full, EMPTY, full, EMPTY])
    pages = list_all(gateway, JANUARY, JANUARY + timedelta(days=40))
    assert [len(one.items) for one in pages] == [100, 100, 100, 0]
    months = [(start[:7], number) for start, _, number in ranges(gateway)]
    january, february = "2026-01", "2026-02"
    assert months == [(january, "1"), (january, "2"), (january, "3"), (february, "1"), (february, "2")]


def test_list_range_across_the_turn_of_a_month_is_one_page() -> None:
    """Some seconds of the month before do not keep what follows from the first page."""
    gateway = Recorder([page(record(syssn="X")), page(*[record(syssn=f"S{index}") for index in range(99)])])
    turn = datetime(2026, 1, 31, 16, 0, tzinfo=UTC)
    (only,) = list_all(gateway, turn - timedelta(seconds=1), turn + timedelta(seconds=4))
    assert len(only.items) == 100
    assert ranges(gateway) == [
        ("2026-01-31 23:59:59", "2026-01-31 23:59:59", "1"),
        ("2026-02-01 00:00:00", "2026-02-01 00:00:03", "1"),
    ]


def test_list_page_is_none_where_its_second_month_has_no_answer() -> None:
    """The records of the first month are asked for again with it."""
    gateway = Recorder([page(record()), answer(status=500)])
    outcome = list_page(gateway, JANUARY - timedelta(days=1), JANUARY + timedelta(days=1))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize(
    ("since_s", "until_s", "seconds"),
    [
        (0.0, 1.0, ("00:00:00", "00:00:00")),
        (0.0, 0.000001, ("00:00:00", "00:00:00")),
        (0.5, 1.5, ("00:00:00", "00:00:01")),
        (0.0, 60.0, ("00:00:00", "00:00:59")),
        (0.9, 60.000001, ("00:00:00", "00:01:00")),
    ],
)
def test_list_range_has_whole_seconds_and_loses_no_part_of_one(
    since_s: float, until_s: float, seconds: tuple[str, str]
) -> None:
    """QFPay's times are whole seconds, and both ends of its range are included."""
    gateway = Recorder([EMPTY])
    list_all(gateway, JANUARY + timedelta(seconds=since_s), JANUARY + timedelta(seconds=until_s))
    (asked,) = ranges(gateway)
    assert asked[:2] == tuple(f"2026-01-01 {second}" for second in seconds)


@pytest.mark.parametrize("until_s", [0.0, -1.0])
def test_list_of_an_empty_range_asks_nothing(until_s: float) -> None:
    """There is nothing between a time and itself."""
    gateway = Recorder([])
    assert list_all(gateway, JANUARY, JANUARY + timedelta(seconds=until_s)) == [Page(items=())]


def test_list_does_not_ask_for_months_to_come() -> None:
    """What QFPay answers for them is not documented; its clock may be a quarter of an hour ahead of ours."""
    gateway = Recorder([EMPTY])
    list_all(gateway, datetime(2026, 3, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert ranges(gateway) == [("2026-03-01 08:00:00", "2026-03-15 12:14:59", "1")]
    gateway = Recorder([])
    later = NOW.sent_at + timedelta(minutes=16)
    assert list_all(gateway, later, later + timedelta(days=1)) == [Page(items=())]


def test_list_request_is_signed_and_safe() -> None:
    """Reading a list moves no money."""
    request = next(make_provider(mchid="M1").list(JANUARY, JANUARY + timedelta(days=1), None, NOW))
    assert (request.method, request.path, request.is_safe) == ("POST", "/trade/v1/query", True)
    assert b"mchid=M1" in request.body
    assert KEY not in repr(request)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(b"", status=429), NotNow),
        (answer(b"", status=500), Unknown),
        (answer(b"<html>"), Unknown),
        (answer({"respcd": "0000"}), Unknown),
        (answer({"respcd": "1100"}), Unknown),
        (answer({"respcd": "1108"}), Rejected),
        (answer(page(record()), headers={"x-qf-sign": "0" * 32}), Unknown),
        (answer(EMPTY, headers={"x-qf-sign": "0" * 32}), Unknown),
    ],
)
def test_list_without_an_answer_is_no_page(reply: Any, kind: type) -> None:
    """A page that did not come, or is signed wrong, is never an empty one."""
    outcome = list_page(lambda request: reply, JANUARY, JANUARY + timedelta(days=1))
    assert isinstance(outcome, kind)


def test_list_signed_wrong_says_so() -> None:
    """With records and without."""
    for reply in (page(record()), EMPTY):
        gateway = always(reply, headers={"x-qf-sign": "0" * 32})
        outcome = list_page(gateway, JANUARY, JANUARY + timedelta(days=1))
        assert outcome == Unknown(problem="the reply's signature is wrong")
