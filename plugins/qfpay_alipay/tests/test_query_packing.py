"""The query flow: how many orders share a request, and in what order they are queried. Source: SOURCES.md §4."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore.plugin import Secret
from plugins.qfpay_alipay.tests.bank import Bank, found, query, refs
from plugins.qfpay_alipay.tests.support import (
    BEGUN_AT,
    KEY,
    NUMBER,
    SYSSN,
    attempt_at,
    fields_in,
    make_provider,
    make_ref,
)
from qfpay_alipay.signing import sign_request


def test_query_one_order_is_asked_by_number_within_its_month() -> None:
    """The range is needed outside the current month, and harmless otherwise."""
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


@pytest.mark.parametrize("provider_id", ["20261301000300020012345678", "abc"])
def test_query_syssn_without_a_date_is_not_used(provider_id: str) -> None:
    """Its month is unknown: the first month queried is the order's."""
    order = make_ref(number="9" * 60, provider_id=provider_id)
    asked = fields_in(next(make_provider().query([order])))
    assert (asked["out_trade_no"], asked["start_time"]) == (order.number, "2026-01-01 00:00:00")


def test_query_as_many_as_declared_take_one_request() -> None:
    """What the account declares is what one request of the core's numbers takes."""
    most = make_provider().capabilities.query_batch_max
    bank = Bank(refs(most + 1))
    found(query(bank, *refs(most)))
    assert len(bank.requests) == 1
    found(query(bank, *refs(most + 1)))
    assert len(bank.requests) == 3


def test_query_what_does_not_fit_takes_another_turn_next_time() -> None:
    """At most ten requests; what was left out is in neither part of the answer, and the next query starts elsewhere."""
    orders = refs(48, every_s=1800)
    bank = Bank(orders)
    first = found(query(bank, *orders))
    assert len(bank.requests) == 10
    assert len(first.observations) == 40
    assert first.absent == frozenset()
    later = [
        msgspec.structs.replace(o, attempt=attempt_at(o.attempt.sent_at + timedelta(milliseconds=40)))
        for o in orders
    ]
    second = found(query(Bank(orders), *later))
    assert {o.number for o in second.observations} != {o.number for o in first.observations}


def test_query_absent_is_looked_for_in_every_month_it_may_be_in() -> None:
    """Begun in November, queried in January: an order sent again later is in a later month."""
    order = make_ref(begun_at=datetime(2025, 11, 20, tzinfo=UTC))
    bank = Bank([])
    assert found(query(bank, order)).absent == {NUMBER}
    assert [asked["start_time"][:7] for asked in bank.requests] == ["2025-11", "2025-12", "2026-01"]
    found_late = Bank([msgspec.structs.replace(order, begun_at=datetime(2025, 12, 2, tzinfo=UTC))])
    assert len(found(query(found_late, order)).observations) == 1
    assert len(found_late.requests) == 2


TURN = datetime(2025, 12, 31, 16, 0, 0, tzinfo=UTC)
"""The first second of 2026 in Hong Kong."""


@pytest.mark.parametrize("begun_s", [-600, -170, -5, 0, 5, 170, 600])
@pytest.mark.parametrize("off_s", [-3600, -180, -60, -20, 20, 60, 180, 600])
@pytest.mark.parametrize("asked_s", [1, 60])
def test_query_finds_an_order_at_the_turn_of_a_month_whatever_the_clocks(
    begun_s: int, off_s: int, asked_s: int
) -> None:
    """With QFPay's clock behind or ahead the order is found from the first second on."""
    begun_at = TURN + timedelta(seconds=begun_s)
    order = make_ref(begun_at=begun_at, attempt=attempt_at(begun_at + timedelta(seconds=asked_s)))
    value = found(query(Bank([order], late_s=off_s), order))
    assert (len(value.observations), value.absent) == (1, frozenset())


@pytest.mark.parametrize(
    ("begun", "asked", "months"),
    [
        (timedelta(seconds=5), timedelta(seconds=6), ["2026-01", "2025-12"]),
        (timedelta(hours=11), timedelta(hours=11), ["2026-01", "2025-12"]),
        (timedelta(hours=13), timedelta(hours=13), ["2026-01"]),
        (timedelta(minutes=-14), timedelta(minutes=-14), ["2025-12", "2026-01"]),
        (timedelta(minutes=-16), timedelta(minutes=-16), ["2025-12"]),
        (timedelta(minutes=-16), timedelta(minutes=-14), ["2025-12", "2026-01"]),
    ],
)
def test_query_absent_is_looked_for_beyond_the_turn_of_a_month(
    begun: timedelta, asked: timedelta, months: list[str]
) -> None:
    """Last, and only what was not found in its own month is queried in the adjacent one."""
    order = make_ref(begun_at=TURN + begun, attempt=attempt_at(TURN + asked))
    bank = Bank([])
    assert found(query(bank, order)).absent == {NUMBER}
    assert [request["start_time"][:7] for request in bank.requests] == months
    there = Bank([order], late_s=0)
    assert len(found(query(there, order)).observations) == 1
    assert len(there.requests) == 1


def test_query_by_number_begins_in_the_month_of_a_known_syssn() -> None:
    """QFPay made the order in that month; the others are queried before it is absent."""
    begun_at = datetime(2026, 2, 10, tzinfo=UTC)
    order = make_ref(
        begun_at=begun_at, attempt=attempt_at(begun_at), provider_id="20251231235959020012345678"
    )
    bank = Bank([msgspec.structs.replace(order, begun_at=TURN)], late_s=-1)
    assert len(found(query(bank, order)).observations) == 1
    assert len(bank.requests) == 1
    bank = Bank([])
    assert found(query(bank, order)).absent == {NUMBER}
    assert [asked["start_time"][:7] for asked in bank.requests] == ["2025-12", "2026-02"]


@given(
    begun=st.lists(st.integers(0, 40 * 86_400), min_size=1, max_size=60, unique=True),
    known=st.sets(st.integers(0, 59)),
    newest_first=st.booleans(),
)
def test_query_any_batch_is_answered_truly(begun: list[int], known: set[int], *, newest_first: bool) -> None:
    """For any batch: at most ten requests, and found and absent are correct."""
    orders = [
        make_ref(
            number=f"N{index:025}",
            begun_at=BEGUN_AT + timedelta(seconds=at),
            attempt=attempt_at(BEGUN_AT + timedelta(days=41)),
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
