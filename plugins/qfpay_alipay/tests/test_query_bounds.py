"""The query flow at its bounds: the width of a field, the gaps of a range, and records of other kinds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec
import pytest

from paycore.plugin import Status, Unknown
from plugins.qfpay_alipay.tests.bank import EMPTY, Bank, found, page, query, record, refs
from plugins.qfpay_alipay.tests.support import BEGUN_AT, Recorder, always, answer, attempt_at, make_ref


@pytest.mark.parametrize(("lengths", "requests"), [((63, 64), 1), ((64, 64), 2)])
def test_query_by_number_fills_128_characters_and_no_more(lengths: tuple[int, int], requests: int) -> None:
    """`out_trade_no` is String(128), with the commas."""
    orders = [make_ref(number=letter * length) for letter, length in zip("AB", lengths, strict=True)]
    bank = Bank(orders)
    assert len(found(query(bank, *orders)).observations) == 2
    assert len(bank.requests) == requests
    assert all(len(asked["out_trade_no"]) <= 128 for asked in bank.requests)


@pytest.mark.parametrize("kind", ["payment", "close", None, ""])
def test_query_record_of_another_known_kind_is_not_the_refunds(kind: str | None) -> None:
    """It neither decides the refund nor leaves it undecided; an old record without a kind is a payment."""
    value = found(query(always(page(record(order_type=kind))), make_ref(kind="refund")))
    assert (value.observations, value.undecided) == ((), frozenset())


def test_query_record_of_an_unknown_kind_leaves_the_number_undecided() -> None:
    """It might be the deciding one."""
    order = make_ref()
    value = found(query(always(page(record(order_type="transfer"))), order))
    assert (value.observations, value.undecided) == ((), frozenset([order.number]))
    refund = found(query(always(page(record(order_type="refund"))), order))
    assert (refund.observations, refund.undecided) == ((), frozenset())


# --- answers that break off --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ({"respcd": "1100", "resperr": "busy"}, r"^respcd 1100: busy\. "),
        ({"respcd": "0000"}, "^data is missing$"),
    ],
)
def test_query_without_results_gives_the_reason(reply: dict[str, object], problem: str) -> None:
    """With QFPay's code and message, or what is missing."""
    outcome = query(always(reply))
    assert isinstance(outcome, Unknown)
    assert re.search(problem, outcome.problem)


@pytest.mark.parametrize("is_known", [True, False])
def test_query_that_breaks_off_keeps_what_it_found(*, is_known: bool) -> None:
    """A failed next request does not revoke what was found, or absent."""
    orders = refs(8)
    first = page(*(record(out_trade_no=order.number) for order in orders[:4])) if is_known else EMPTY
    gateway = Recorder([first, answer(status=500)])
    orders = [msgspec.structs.replace(order, attempt=attempt_at(BEGUN_AT)) for order in orders]
    value = found(query(gateway, *orders))
    asked = set(gateway.forms[0]["out_trade_no"].split(","))
    assert len(asked) == 4
    assert {seen.number for seen in value.observations} == (asked if is_known else set())
    assert value.absent == (set() if is_known else asked)


# --- what is asked again -----------------------------------------------------------------------------


def test_query_unpaid_order_is_asked_about_in_every_month_it_may_have_been_tried_in() -> None:
    """Until 31 days after it was begun: later records can't be its payer's."""
    begun_at = datetime(2026, 3, 30, tzinfo=UTC)
    order = make_ref(begun_at=begun_at, attempt=attempt_at(datetime(2026, 7, 1, tzinfo=UTC)))
    failed = record(respcd="1201", out_trade_no=order.number)
    gateway = Recorder([page(failed), EMPTY])
    (observation,) = found(query(gateway, order)).observations
    assert observation.status is Status.FAILED
    assert [form["start_time"][:7] for form in gateway.forms] == ["2026-03", "2026-04"]


def test_query_refund_signed_wrong_is_told_as_such() -> None:
    """It changes nothing by itself, like a payment."""
    gateway = always(page(record(order_type="refund")), headers={"x-qf-sign": "0" * 32})
    (observation,) = found(query(gateway, make_ref(kind="refund"))).observations
    assert observation.is_signed_wrong
