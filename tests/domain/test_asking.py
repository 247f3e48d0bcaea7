"""Which question tells most: by number or by a page of the list, and how a range is cut so that one page holds it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from paycore.domain.asking import (
    BY_NUMBER_FOR_MS,
    FILLED,
    GAP_MAX_MS,
    HALVED_AFTER_MS,
    Density,
    Due,
    Question,
    next_question,
)
from paycore.domain.capabilities import Capabilities, ListByTime, NumberFormat, RequestBudget

NOW_MS = 1_800_000_000_000
PAGE = 100
LIST = ListByTime(records_max=PAGE)
ABLE = Capabilities(
    products=(),
    number=NumberFormat(length_max=26),
    budget=RequestBudget(per_second=100, per_minute=400),
    query_batch_max=4,
    list_by_time=LIST,
)


def due(count: int, *, every_s: float = 0.2, ago_s: float = 300.0, asked_s: float = 10.0) -> list[Due]:
    """Orders made one after the other, the last `ago_s` ago; all asked about `asked_s` ago, and due."""
    last_ms = NOW_MS - round(ago_s * 1000)
    return [
        Due(
            id=f"P{index:05}",
            made_ms=last_ms - round((count - 1 - index) * every_s * 1000),
            asked_ms=NOW_MS - round(asked_s * 1000),
            is_listed=True,
            is_mentioned=False,
            due_ms=NOW_MS,
        )
        for index in range(count)
    ]


def ask(orders: Sequence[Due], density: Density | None = None, now_ms: int = NOW_MS) -> Question:
    """The next question about these."""
    return next_question(orders, ABLE, density or Density(), now_ms)


def learned(orders: Sequence[Due], records: int, *, is_whole: bool = True, unseen: int = 0) -> Density:
    """After one page that was asked for these orders."""
    density = Density()
    seen = {one.id for one in orders[unseen:]}
    density.learn(orders, seen, records, LIST, is_whole=is_whole, now_ms=NOW_MS)
    return density


def test_few_are_asked_about_by_number() -> None:
    """As many as one request takes; a page would tell of no more."""
    question = ask(due(4))
    assert (len(question.ids), question.range_ms) == (4, None)


def test_more_are_read_by_a_page() -> None:
    """From the first to the last of them."""
    orders = due(5)
    assert ask(orders) == Question(tuple(one.id for one in orders), (orders[0].made_ms, orders[-1].made_ms))


def test_by_number_those_that_waited_longest_come_first() -> None:
    """So that none waits for ever."""
    orders = [
        one._replace(is_listed=False, asked_ms=one.asked_ms + index) for index, one in enumerate(due(9))
    ]
    assert set(ask(orders[::-1]).ids) == {one.id for one in orders[:4]}


def test_what_is_due_soon_is_part_of_a_page_and_not_of_a_query() -> None:
    """A page shows it anyway; by number nothing is asked before it is due."""
    soon = [one._replace(due_ms=NOW_MS + 500) for one in due(20)]
    orders = [*soon[:10], soon[10]._replace(due_ms=NOW_MS), *soon[11:]]
    assert len(ask(orders).ids) == 20
    unlisted = [one._replace(is_listed=False) for one in orders]
    assert ask(unlisted).ids == (orders[10].id,)


def test_a_page_has_something_that_is_due() -> None:
    """However much is due soon elsewhere."""
    soon = [one._replace(due_ms=NOW_MS + 500) for one in due(60)]
    (late,) = due(1, ago_s=7200)
    question = ask([late, *soon])
    assert question.ids == (late.id,)


def test_a_mentioned_payment_comes_first() -> None:
    """Somebody said that it changed."""
    orders = [one._replace(is_listed=False) for one in due(8)]
    orders[6] = orders[6]._replace(is_mentioned=True, asked_ms=NOW_MS - 100)
    assert orders[6].id in ask(orders).ids


@pytest.mark.parametrize("others", [0, 1, 4])
def test_a_range_is_cut_to_what_a_page_holds(others: int) -> None:
    """Once a page has told how many records there are, those of others among them."""
    orders = due(400, every_s=1.0)
    some = orders[:40]
    records = (1 + others) * 44  # four seconds more than theirs
    density = learned(some, records)
    chosen = len(ask(orders, density).ids)
    assert (1 + others) * (chosen + 4) <= PAGE
    assert (1 + others) * (chosen + 8) > PAGE * FILLED


def test_records_do_not_follow_what_is_due() -> None:
    """With most of the orders paid a page of their range is as full as before, and so is one with all of them due."""
    orders = due(400, every_s=1.0)
    few = learned(orders[:80:16], 68)
    assert len(ask(orders, few).ids) == pytest.approx(PAGE * FILLED - 4, abs=2)


def test_a_full_page_makes_the_next_range_shorter() -> None:
    """There is more in it than it could show."""
    orders = due(200, every_s=1.0)
    lengths = []
    density = Density()
    for _ in range(4):
        question = ask(orders, density)
        lengths.append(len(question.ids))
        chosen = [one for one in orders if one.id in question.ids]
        density.learn(chosen, set(), PAGE, LIST, is_whole=False, now_ms=NOW_MS)
    assert lengths == sorted(set(lengths), reverse=True)


def test_where_a_page_shows_less_than_a_query_the_numbers_are_asked_for() -> None:
    """Too many records of others; when half of what was guessed is not expected any more, a page is tried again."""
    orders = due(12, every_s=0.4)
    crowded = learned(orders, PAGE, is_whole=False)
    assert ask(orders, crowded).range_ms is None
    assert ask(orders, learned(orders, 2 * PAGE), NOW_MS + 60 * HALVED_AFTER_MS).range_ms is None
    assert ask(orders, crowded, NOW_MS + 8 * HALVED_AFTER_MS).range_ms is not None


def test_what_a_whole_page_did_not_show_is_asked_about_by_number_for_a_while() -> None:
    """It may come late, or the list shows another time of making."""
    orders = due(3)
    density = learned(orders, 2, unseen=1)
    assert density.is_listed(orders[1], NOW_MS)
    assert not density.is_listed(orders[0], NOW_MS + BY_NUMBER_FOR_MS - 1)
    assert density.is_listed(orders[0], NOW_MS + BY_NUMBER_FOR_MS)


def test_what_a_full_page_did_not_show_may_be_on_the_next_one() -> None:
    """So it is still listed."""
    orders = due(60)
    assert learned(orders, PAGE, is_whole=False, unseen=60).is_listed(orders[0], NOW_MS)


@pytest.mark.parametrize(("gap_ms", "count"), [(GAP_MAX_MS, 10), (GAP_MAX_MS + 1, 5)])
def test_orders_far_apart_are_not_one_range(gap_ms: int, count: int) -> None:
    """It would hold mostly those of others."""
    late = due(5)
    early = [
        one._replace(id=f"E{one.id}", made_ms=one.made_ms - (late[-1].made_ms - late[0].made_ms) - gap_ms)
        for one in late
    ]
    assert len(ask([*early, *late]).ids) == count


def test_no_range_is_longer_than_the_list_takes() -> None:
    """Where the provider bounds it."""
    able = Capabilities(
        products=(),
        number=ABLE.number,
        budget=ABLE.budget,
        list_by_time=ListByTime(records_max=PAGE, span_max_s=10),
    )
    question = next_question(due(60, every_s=1.0), able, Density(), NOW_MS)
    assert len(question.ids) == 11


def test_without_a_list_all_are_asked_about_by_number() -> None:
    """As the provider takes them."""
    able = Capabilities(products=(), number=ABLE.number, budget=ABLE.budget, query_batch_max=7)
    assert len(next_question(due(60), able, Density(), NOW_MS).ids) == 7


def test_list_is_left_alone_only_where_questions_by_number_are_answered() -> None:
    """A provider that is away answers neither: once it is back, its list is read at once."""
    density = Density()
    for _ in range(10):  # away
        density.fail(NOW_MS)
        assert not density.is_readable(NOW_MS)
        density.hear(is_answered=False)
        assert density.is_readable(NOW_MS)
    density.fail(NOW_MS)  # back, and the list with it
    density.hear(is_answered=True)
    assert density.is_readable(NOW_MS)
    density.fail(NOW_MS)  # the list is not
    assert not density.is_readable(NOW_MS)
    assert density.is_readable(NOW_MS + BY_NUMBER_FOR_MS)
