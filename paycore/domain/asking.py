"""
Which question tells most: of the payments of an account that are due, those that one request asks about. Pure.

A request is worth the sum, over its payments, of the square of the time since each was last asked about. So many go
before few, and none waits for ever. By number a request tells of as many as the provider takes. Where the provider's
list can be read by time, a page of it tells of all that were made in a range, of those that are settled by now, and of
those that other systems of the merchant made. How many records there are is learned from the pages, for each minute of
orders, and a range is cut so that one page holds it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import NamedTuple

from paycore.domain.capabilities import Capabilities, ListByTime

FILLED = 0.9
"""The part of a page that a range is expected to fill: more may have been made meanwhile."""

HALVED_AFTER_MS = 60_000
"""After so long without a page, half as many records of others are expected."""

BY_NUMBER_FOR_MS = 60_000
"""How long an order that the list did not show is asked about by its number."""

MENTIONED_MS = 30_000
"""A payment that was mentioned counts as waiting at least so long: something has changed."""

GAP_MAX_MS = 15 * 60_000
"""Orders made further apart are not read as one range: it would hold mostly those of others."""

WEIGHED_MAX = 5_000
"""Payments that are weighed against each other where a list tells of many, the most overdue ones."""

MINUTE_MS = 60_000
MINUTES_MAX = 5_000
"""Minutes of orders that are remembered, the latest read."""


class Due(NamedTuple):
    """
    A payment that is due: when it was made, and last asked about (0: never), in UTC milliseconds.

    `is_listed`: what the provider's list says of it is all there is to ask. `is_mentioned`: somebody said that it
    changed.
    """

    id: str
    made_ms: int
    asked_ms: int
    is_listed: bool
    is_mentioned: bool


class Question(NamedTuple):
    """
    One request about these payments: by their numbers; or, with a range, by a page of the provider's list.

    `range_ms`: the first and the last time of making, both included.
    """

    ids: tuple[str, ...]
    range_ms: tuple[int, int] | None = None


class Density:
    """How many records the list of one account has for each order that is due; in memory: it is soon learned again."""

    def __init__(self) -> None:
        self._minutes: dict[int, tuple[float, int]] = {}
        self._by_number: dict[str, int] = {}
        self._latest = 1.0

    def learn(
        self, asked: Sequence[Due], seen: Collection[str], records: int, *, is_whole: bool, now_ms: int
    ) -> None:
        """
        A page asked for these had so many records, and showed those in `seen`.

        What a whole page did not show is asked about by number for a while.
        """
        shown = len(asked) if is_whole else max(0.5, len(seen))
        self._latest = max(1.0, records / shown)
        for due in asked:
            self._minutes.pop(due.made_ms // MINUTE_MS, None)
            self._minutes[due.made_ms // MINUTE_MS] = (self._latest, now_ms)
        while len(self._minutes) > MINUTES_MAX:
            del self._minutes[next(iter(self._minutes))]
        if is_whole:
            self._by_number = {one: until for one, until in self._by_number.items() if until > now_ms}
            missing = {due.id for due in asked}.difference(seen)
            self._by_number.update(dict.fromkeys(missing, now_ms + BY_NUMBER_FOR_MS))

    def is_listed(self, due: Due, now_ms: int) -> bool:
        """Whether the list is expected to show it."""
        return due.is_listed and self._by_number.get(due.id, 0) <= now_ms

    def records(self, due: Due, now_ms: int) -> float:
        """The records that are expected for one order that is due, itself included."""
        learned, at_ms = self._minutes.get(due.made_ms // MINUTE_MS, (self._latest, now_ms))
        return 1 + (learned - 1) * 0.5 ** ((now_ms - at_ms) // HALVED_AFTER_MS)


def weighed(capabilities: Capabilities) -> int:
    """How many of what is due are weighed against each other: as many as one question takes, where only that counts."""
    return capabilities.query_batch_max if capabilities.list_by_time is None else WEIGHED_MAX


def next_question(due: Sequence[Due], capabilities: Capabilities, density: Density, now_ms: int) -> Question:
    """The question that tells most of what is due, which is at least one payment."""
    weighed = [(_worth(one, now_ms), one) for one in due]
    longest = heapq.nlargest(capabilities.query_batch_max, weighed, key=itemgetter(0))
    by_number = Question(tuple(one.id for _, one in longest))
    if capabilities.list_by_time is None:
        return by_number
    listed = [(worth, one) for worth, one in weighed if density.is_listed(one, now_ms)]
    listed.sort(key=lambda pair: pair[1].made_ms)
    records = [density.records(one, now_ms) for _, one in listed]
    worth, first, end = _best_range(listed, records, capabilities.list_by_time)
    if worth <= sum(worth for worth, _ in longest):
        return by_number
    chosen = [one for _, one in listed[first:end]]
    return Question(tuple(one.id for one in chosen), (chosen[0].made_ms, chosen[-1].made_ms))


def _worth(due: Due, now_ms: int) -> int:
    """The square of how long it has waited to be asked about."""
    waited_ms = now_ms - (due.asked_ms or due.made_ms)
    return (max(waited_ms, MENTIONED_MS) if due.is_mentioned else waited_ms) ** 2


def _best_range(
    listed: Sequence[tuple[int, Due]], records: Sequence[float], by_time: ListByTime
) -> tuple[int, int, int]:
    """
    What the range is worth that is worth most, and its bounds in `listed`, which is in the order of making.

    Of the ranges that one page is expected to hold, with so many `records` for each order.
    """
    records_max = by_time.records_max * FILLED
    span_max_ms = None if by_time.span_max_s is None else by_time.span_max_s * 1000
    best = (0, 0, 0)
    first, worth, held, before_ms = 0, 0, 0.0, 0
    for last, (gain, one) in enumerate(listed):
        if one.made_ms - before_ms > GAP_MAX_MS:
            first, worth, held = last, 0, 0.0
        before_ms = one.made_ms
        worth += gain
        held += records[last]
        while first <= last and (
            held > records_max
            or (span_max_ms is not None and one.made_ms - listed[first][1].made_ms > span_max_ms)
        ):
            worth -= listed[first][0]
            held -= records[first]
            first += 1
        if worth > best[0]:
            best = (worth, first, last + 1)
    return best
