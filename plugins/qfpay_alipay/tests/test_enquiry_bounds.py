"""The query flow at its bounds: what fits into a field, what is one range, and which records are of another kind."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from plugins.qfpay_alipay.tests.bank import Bank, found, page, query, record, refs
from plugins.qfpay_alipay.tests.support import BEGUN_AT, always, make_ref


@pytest.mark.parametrize(("lengths", "requests"), [((63, 64), 1), ((64, 64), 2)])
def test_query_by_number_fills_128_characters_and_no_more(lengths: tuple[int, int], requests: int) -> None:
    """`out_trade_no` is String(128), the comma included."""
    orders = [make_ref(number=letter * length) for letter, length in zip("AB", lengths, strict=True)]
    bank = Bank(orders)
    assert len(found(query(bank, *orders)).observations) == 2
    assert len(bank.requests) == requests
    assert all(len(asked["out_trade_no"]) <= 128 for asked in bank.requests)


@pytest.mark.parametrize(("gap", "ranges"), [(timedelta(0), 1), (timedelta(milliseconds=1), 2)])
def test_query_a_quarter_of_an_hour_apart_is_still_one_range(gap: timedelta, ranges: int) -> None:
    """Further apart the range would hold more of other orders than of ours."""
    early = refs(10, every_s=0)
    late = [
        msgspec.structs.replace(
            order, number=f"N{index:025}", begun_at=BEGUN_AT + timedelta(minutes=15) + gap
        )
        for index, order in enumerate(early)
    ]
    bank = Bank([*early, *late])
    assert len(found(query(bank, *early, *late)).observations) == 20
    assert len(bank.requests) == ranges
    assert not any("out_trade_no" in asked for asked in bank.requests)


@pytest.mark.parametrize("kind", ["payment", "close", None, ""])
def test_query_record_of_another_known_kind_is_not_the_refunds(kind: str | None) -> None:
    """It says nothing of the refund, and leaves nothing undecided; an old record that names none is a payment."""
    value = found(query(always(page(record(order_type=kind))), make_ref(kind="refund")))
    assert (value.observations, value.undecided) == ((), frozenset())


def test_query_record_of_an_unknown_kind_leaves_the_number_undecided() -> None:
    """It might be the one that counts."""
    order = make_ref()
    value = found(query(always(page(record(order_type="transfer"))), order))
    assert (value.observations, value.undecided) == ((), {order.number})
    refund = found(query(always(page(record(order_type="refund"))), order))
    assert (refund.observations, refund.undecided) == ((), frozenset())
