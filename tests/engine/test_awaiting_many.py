"""A worker and many payments of one QFPay account, on a virtual clock: how soon what was paid is known."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from benchmarks.awaiting import Case, measure_one

FEW = Case(name="few", pending=24, bar_s=(1.1, 2.1))


def test_paid_is_known_within_two_seconds_and_the_figures_are_exact() -> None:
    """Half of what is paid is known in one second, all in two, and none is refused; the same seed, the same figures."""
    first, again = measure_one(FEW), measure_one(FEW)
    assert first.holds, first
    assert (first.figure, first.baseline) == (again.figure, again.baseline)
    assert measure_one(FEW, seed=2).figure != first.figure


@pytest.mark.parametrize("others", [3, 12])
def test_records_of_others_keep_nothing_from_being_known(others: int) -> None:
    """Where a page holds mostly those, the numbers are asked for."""
    row = measure_one(replace(FEW, others=others, bar_s=(2.0, 8.0)))
    assert row.holds, row


def test_orders_that_arrive_are_never_refused() -> None:
    """While they are paid and asked about, with notifications of which some are lost."""
    row = measure_one(Case(name="arriving", per_minute=2, notified=True, bar_s=(2.0, 4.0)))
    assert row.holds, row
