"""
Which question tells most: of the payments of an account that are due, those that one request asks about. Pure.

A request is worth the sum, over its payments, of the square of the time since each was last asked about. So many go
before few, and none waits for ever. By number a request tells of as many as the provider takes. Where the provider's
list can be read by time, a page of it tells of all that were made in a range, of those that are settled by now, and of
those that other systems of the merchant made. How many records there are is learned from the pages, for each step of
time, and a range is cut so that one page holds it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Literal, NamedTuple

from paycore.domain.capabilities import Capabilities, ListByTime

FILLED = 0.95
"""The part of a page that a range is expected to fill."""

GUESSED, GUESSED_AGAIN = 1.1, 1.5
"""
A page that is not the last was full: so many times its records are taken to be in its range.

A little more where a whole page was expected, since records come unevenly; else much more, to find out soon.
"""

HALVED_AFTER_MS = 60_000
"""After so long half of what was guessed beyond a full page is expected no more: it may have been too much."""

BY_NUMBER_FOR_MS = 60_000
"""How long an order that the list did not show is asked about by its number."""

MENTIONED_MS = 30_000
"""A payment that was mentioned counts as waiting at least so long: something has changed."""

GAP_MAX_MS = 15 * 60_000
"""Orders made further apart are not read as one range: it would hold mostly those of others."""

WEIGHED_MAX = 5_000
"""Payments that are weighed against each other where a list tells of many, the most overdue ones."""

STEP_MS = 5_000
STEPS_MAX = 20_000
"""Steps of time of which the records are remembered, the latest read: a day."""


class Due(NamedTuple):
    """
    A payment that is due, or soon: when it was made, and last asked about (0: never), in UTC milliseconds.

    `is_listed`: what the provider's list says of it is all there is to ask. `is_mentioned`: somebody said that it
    changed. `due_ms`: from when on it is to be asked about.
    """

    id: str
    made_ms: int
    asked_ms: int
    is_listed: bool
    is_mentioned: bool
    due_ms: int = 0


class Question(NamedTuple):
    """
    One request about these payments: by their numbers; or, with a range, by a page of the provider's list.

    `range_ms`: the first and the last time of making, both included. A page shows as well what is due soon, so that is
    part of the question: it need not be asked about then, and what was made together stays together.
    """

    ids: tuple[str, ...]
    range_ms: tuple[int, int] | None = None


class Rate(NamedTuple):
    """Records a millisecond: what a page has shown, what is taken to be there, and when that was."""

    at_least: float
    guessed: float
    at_ms: int

    def at(self, now_ms: int) -> float:
        """What is expected by now."""
        return self.at_least + (self.guessed - self.at_least) * 0.5 ** (
            (now_ms - self.at_ms) // HALVED_AFTER_MS
        )


class Density:
    """
    How many records the list of one account has, by the time they were made; in memory: it is soon learned again.

    Records do not go away, whoever made them: a whole page tells how many there are in its range.
    """

    def __init__(self) -> None:
        self._rates: dict[int, Rate] = {}
        self._by_number: dict[str, int] = {}
        self._latest = Rate(0.0, 0.0, 0)
        self._doubt: Literal["none", "page failed", "number answered"] = "none"
        self._left_alone_until_ms = 0

    def learn(
        self,
        asked: Sequence[Due],
        seen: Collection[str],
        records: int,
        by_time: ListByTime,
        *,
        is_whole: bool,
        now_ms: int,
    ) -> None:
        """
        A page asked for these had so many records, and showed those in `seen`.

        What a whole page did not show is asked about by number for a while.
        """
        first_ms, last_ms = min(due.made_ms for due in asked), max(due.made_ms for due in asked)
        late_ms = min(round(by_time.late_s * 1000), max(0, now_ms - last_ms))
        rate = records / max(1, late_ms + last_ms - first_ms + round(by_time.early_s * 1000))
        steps = range(first_ms // STEP_MS, last_ms // STEP_MS + 1)
        guessed = rate if is_whole else self._guessed(steps, rate, now_ms)
        self._latest = Rate(rate, guessed, now_ms)
        for step in steps:
            self._rates.pop(step, None)
            self._rates[step] = self._latest
        while len(self._rates) > STEPS_MAX:
            del self._rates[next(iter(self._rates))]
        self._doubt = "none"
        if is_whole:
            self.withhold({due.id for due in asked}.difference(seen), now_ms)

    def fail(self, now_ms: int) -> None:
        """
        A page got no answer; the next question is by number, which tells whether the provider is away.

        Where that is answered and the next page is not, either, the list is left alone for a while.
        """
        if self._doubt == "number answered":
            self._left_alone_until_ms = now_ms + BY_NUMBER_FOR_MS
        self._doubt = "none" if self._doubt == "number answered" else "page failed"

    def hear(self, *, is_answered: bool) -> None:
        """A question by number was answered, or not."""
        if self._doubt == "page failed":
            self._doubt = "number answered" if is_answered else "none"

    def is_readable(self, now_ms: int) -> bool:
        """Whether a page may be asked for."""
        return self._doubt != "page failed" and now_ms >= self._left_alone_until_ms

    def _guessed(self, steps: range, rate: float, now_ms: int) -> float:
        """What is taken to be there after a page that was full."""
        known = [self._rates[step] for step in steps if step in self._rates]
        if any(one.guessed <= one.at_least for one in known):
            return rate * GUESSED
        return max([rate, *(one.at(now_ms) for one in known)]) * GUESSED_AGAIN

    def withhold(self, payment_ids: Collection[str], now_ms: int) -> None:
        """The list does not show these, or was refused: they are asked about by number for a while."""
        self._by_number = {one: until for one, until in self._by_number.items() if until > now_ms}
        self._by_number.update(dict.fromkeys(payment_ids, now_ms + BY_NUMBER_FOR_MS))

    def is_listed(self, due: Due, now_ms: int) -> bool:
        """Whether the list is expected to show it."""
        return due.is_listed and self._by_number.get(due.id, 0) <= now_ms

    def rate(self, step: int, now_ms: int) -> float:
        """The records a millisecond that are expected in this step of time."""
        return self._rates.get(step, self._latest).at(now_ms)


def weighed(capabilities: Capabilities) -> int:
    """How many of what is due are weighed against each other: as many as one question takes, where only that counts."""
    return capabilities.query_batch_max if capabilities.list_by_time is None else WEIGHED_MAX


def next_question(due: Sequence[Due], capabilities: Capabilities, density: Density, now_ms: int) -> Question:
    """The question that tells most; at least one payment of it is due."""
    waiting = [(_worth(one, now_ms), one) for one in due]
    now_due = [pair for pair in waiting if pair[1].due_ms <= now_ms]
    longest = heapq.nlargest(capabilities.query_batch_max, now_due, key=itemgetter(0))
    by_number = Question(tuple(one.id for _, one in longest))
    if capabilities.list_by_time is None or not density.is_readable(now_ms):
        return by_number
    listed = [(worth, one) for worth, one in waiting if density.is_listed(one, now_ms)]
    listed.sort(key=lambda pair: pair[1].made_ms)
    worth, first, end = _best_range(listed, density, capabilities.list_by_time, now_ms)
    if worth <= sum(worth for worth, _ in longest):
        return by_number
    chosen = [one for _, one in listed[first:end]]
    return Question(tuple(one.id for one in chosen), (chosen[0].made_ms, chosen[-1].made_ms))


def _worth(due: Due, now_ms: int) -> int:
    """The square of how long it has waited to be asked about."""
    waited_ms = now_ms - (due.asked_ms or due.made_ms)
    return (max(waited_ms, MENTIONED_MS) if due.is_mentioned else waited_ms) ** 2


def _best_range(
    listed: Sequence[tuple[int, Due]], density: Density, by_time: ListByTime, now_ms: int
) -> tuple[int, int, int]:
    """
    What the range is worth that is worth most, and its bounds in `listed`, which is in the order of making.

    Of the ranges that have something due and that one page is expected to hold.
    """
    records_max = by_time.records_max * FILLED
    early_ms, late_ms = by_time.early_s * 1000, by_time.late_s * 1000
    span_max_ms = math.inf if by_time.span_max_s is None else by_time.span_max_s * 1000
    rates, before = _rates(listed, density, now_ms)
    best = (0, 0, 0)
    first, worth, before_ms, last_due = 0, 0, 0, -1
    for last, (gain, one) in enumerate(listed):
        if one.made_ms - before_ms > GAP_MAX_MS:
            first, worth = last, 0
        before_ms = one.made_ms
        last_due = last if one.due_ms <= now_ms else last_due
        worth += gain
        after = rates[last] * min(late_ms, max(0, now_ms - one.made_ms))
        while first <= last and (
            max(before[last] - before[first], last - first) + 1 + rates[first] * early_ms + after
            > records_max
            or one.made_ms - listed[first][1].made_ms > span_max_ms
        ):
            worth -= listed[first][0]
            first += 1
        if worth > best[0] and last_due >= first:
            best = (worth, first, last + 1)
    return best


def _rates(
    listed: Sequence[tuple[int, Due]], density: Density, now_ms: int
) -> tuple[list[float], list[float]]:
    """For each, the records a millisecond around it, and those that are expected from the first one to it."""
    known: dict[int, float] = {}

    def rate(step: int) -> float:
        if step not in known:
            known[step] = density.rate(step, now_ms)
        return known[step]

    rates: list[float] = []
    sums: list[float] = []
    held, before_ms = 0.0, 0
    for _, one in listed:
        made_ms = one.made_ms
        here = rate(made_ms // STEP_MS)
        if made_ms - before_ms <= GAP_MAX_MS:
            if before_ms // STEP_MS == made_ms // STEP_MS:
                held += here * (made_ms - before_ms)
            else:
                held += rate(before_ms // STEP_MS) * (STEP_MS - before_ms % STEP_MS)
                held += (
                    sum(rate(step) for step in range(before_ms // STEP_MS + 1, made_ms // STEP_MS)) * STEP_MS
                )
                held += here * (made_ms % STEP_MS)
        before_ms = made_ms
        rates.append(here)
        sums.append(held)
    return rates, sums
