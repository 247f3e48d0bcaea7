"""
The request budget of an account: what it has spent, and when the next request may leave. Pure.

A provider takes so many requests a second and a minute; more are refused. What was spent is counted in slices of time,
so that no window of a second or a minute, wherever it begins, holds more. Commands come first: they take the earliest
free place, also one some seconds ahead. Questions take only what is free now beside the commands of the last minute,
evenly spread, so that they have not spent everything when a command comes.

When the provider refuses a request all the same (429: somebody else uses the account), nothing is sent before the time
it names, and the rate of questions is halved at once; it grows back over `GROWS_BACK_S` seconds.

All times are UTC milliseconds of the ledger's clock.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from paycore.domain.capabilities import RequestBudget

GROWS_BACK_S = 600.0
"""Seconds in which the rate of questions grows from a half to the whole."""

HALVED_EVERY_S = 10.0
"""Refusals within so many seconds count as one: those under way when the first came are no news."""

REST_S = 2.0
"""Seconds in which no question is asked after a refusal that names no time."""

REST_MAX_S = 60.0
"""Seconds that one refusal can make an account rest, whatever time it names."""

PROBE_MAX_S = 3.0
"""Seconds between questions to a provider that gives no answer; they grow to this from one."""

BURST = 4
"""Questions that may leave at once after a rest."""

SPARE = 2
"""Requests a minute that are kept for commands, beside what those of the last minute say is needed."""

LEAST_PART = 50
"""The pace of questions is never slower than this part of the budget, however many commands there were."""


class Window(NamedTuple):
    """
    A span in which at most so many requests are sent, counted in slices.

    Somewhat longer than what the provider counts: requests take a while to arrive, some longer than others.
    """

    slice_ms: int
    slices: int

    @property
    def ms(self) -> int:
        """Its length in milliseconds."""
        return self.slice_ms * self.slices


SECOND = Window(slice_ms=50, slices=24)
MINUTE = Window(slice_ms=500, slices=124)


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """How many requests each slice of time holds, from slice `first` on."""

    first: int = 0
    sent: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """All that are counted."""
        return sum(self.sent)

    def since(self, first: int) -> Counts:
        """Without the slices before `first`."""
        return self if first <= self.first else Counts(first, self.sent[first - self.first :])

    def plus_one(self, place: int) -> Counts:
        """With one more request in slice `place`, or in the first one if that is later."""
        first = self.first if self.sent else place
        place = max(place, first)
        sent = [*self.sent, *(0,) * (place - first + 1 - len(self.sent))]
        sent[place - first] += 1
        return Counts(first, tuple(sent))

    def free_from(self, place: int, slices: int, limit: int) -> int:
        """A slice from `place` on, the first if it is free, where one more leaves each window within `limit`."""
        if self.total < limit:
            return place
        sums = (0, *accumulate(self.sent))

        def until(last: int) -> int:
            """The requests up to and with slice `last`."""
            return sums[min(max(last + 1 - self.first, 0), len(self.sent))]

        def is_full(last: int) -> bool:
            """Whether the window that ends with slice `last` takes no more."""
            return until(last) - until(last - slices) >= limit

        full = [last for last in range(place, self.first + len(self.sent)) if is_full(last)]
        if full and full[0] < place + slices:
            place = full[-1] + 1
        while is_full(place):
            place += 1
        return place


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one account has spent, as stored. `commands` are counted for themselves too: how many may come."""

    second: Counts = Counts()
    minute: Counts = Counts()
    commands: Counts = Counts()
    next_question_ms: float = 0.0
    rests_until_ms: int = 0
    share: float = 1.0
    share_at_ms: int = 0
    unanswered: int = 0
    probe_at_ms: int = 0


class Slot(NamedTuple):
    """What is spent once a request has taken its place, and when it may leave."""

    spent: Spent
    at_ms: int


def spend_command(spent: Spent, budget: RequestBudget, now_ms: int, until_ms: int) -> Slot:
    """Take the earliest place for a command; where that is later than `until_ms`, nothing is spent."""
    spent = _counted_at(spent, now_ms)
    at_ms = _free_at(spent, budget, max(now_ms, spent.rests_until_ms))
    if at_ms > until_ms:
        return Slot(spent, at_ms)
    spent = replace(_taken(spent, at_ms), commands=spent.commands.plus_one(at_ms // MINUTE.slice_ms))
    return Slot(spent, at_ms)


def spend_question(spent: Spent, budget: RequestBudget, now_ms: int) -> Slot:
    """Take a place for a question now; where there is none, nothing is spent: try again then."""
    spent = _counted_at(spent, now_ms)
    spare = _spare(spent)
    apart_ms = MINUTE.ms / _questions_a_window(spent, budget, now_ms, spare)
    paced_ms = spent.next_question_ms - max((BURST - 1) * apart_ms, SECOND.slice_ms)
    earliest_ms = max(now_ms, spent.rests_until_ms, spent.probe_at_ms, math.ceil(paced_ms))
    at_ms = _free_at(spent, budget, earliest_ms, spare)
    if at_ms > now_ms:
        return Slot(spent, at_ms)
    return Slot(
        replace(
            _taken(spent, now_ms),
            next_question_ms=max(spent.next_question_ms, now_ms) + apart_ms,
            # One at a time tries whether the provider answers again.
            probe_at_ms=now_ms + _probe_pause_ms(spent.unanswered) if spent.unanswered else 0,
        ),
        now_ms,
    )


def refused(spent: Spent, now_ms: int, retry_after_s: float | None) -> Spent:
    """
    After a request that the provider refused because there were too many.

    Nothing is sent before the time it names. Where it names none, only questions wait for a while.
    """
    rest_ms = round(min(REST_MAX_S, REST_S if retry_after_s is None else retry_after_s) * 1000)
    spent = replace(spent, probe_at_ms=max(spent.probe_at_ms, now_ms + rest_ms))
    if retry_after_s is not None:
        spent = replace(spent, rests_until_ms=max(spent.rests_until_ms, now_ms + rest_ms))
    if spent.share < 1 and now_ms - spent.share_at_ms < HALVED_EVERY_S * 1000:
        return spent
    return replace(spent, share=share(spent, now_ms) / 2, share_at_ms=now_ms)


def asked(spent: Spent, now_ms: int, *, is_answered: bool, rests_s: float | None = None) -> Spent:
    """
    After a question: without an answer the next ones wait, longer each time; with one they wait no more.

    Where the provider answered that it takes none for `rests_s` seconds, they wait for that long, at most
    `REST_MAX_S`; for `REST_S` where it named no time.
    """
    if is_answered:
        return replace(spent, unanswered=0, probe_at_ms=0) if spent.unanswered else spent
    if rests_s is not None:
        return replace(spent, probe_at_ms=now_ms + round(min(REST_MAX_S, rests_s or REST_S) * 1000))
    unanswered = spent.unanswered + 1
    return replace(spent, unanswered=unanswered, probe_at_ms=now_ms + _probe_pause_ms(unanswered))


def share(spent: Spent, now_ms: int) -> float:
    """The part of the budget that questions may use: 1, or less after a refusal."""
    grown = max(0, now_ms - spent.share_at_ms) / (GROWS_BACK_S * 1000) / 2
    return min(1.0, spent.share + grown)


def used(spent: Spent, now_ms: int) -> int:
    """The requests that count against the minute, those that have a place ahead included."""
    return _counted_at(spent, now_ms).minute.total


def _counted_at(spent: Spent, now_ms: int) -> Spent:
    """Without the slices that no window from now on holds; of a clock that was far ahead nothing counts."""
    if spent.minute.first > (now_ms + 2 * MINUTE.ms) // MINUTE.slice_ms:
        spent = Spent()
    minute, second = (now_ms // window.slice_ms - window.slices + 1 for window in (MINUTE, SECOND))
    return replace(
        spent,
        second=spent.second.since(second),
        minute=spent.minute.since(minute),
        commands=spent.commands.since(minute),
    )


def _free_at(spent: Spent, budget: RequestBudget, at_ms: int, spare: int = 0) -> int:
    """A time from `at_ms` on at which one more request keeps both bounds; `at_ms` itself if it does."""
    limit = max(1, budget.per_minute - spare)
    while True:
        by_minute_ms = _next_free(at_ms, spent.minute, MINUTE, limit)
        by_second_ms = _next_free(by_minute_ms, spent.second, SECOND, budget.per_second)
        if by_second_ms == at_ms:
            return at_ms
        at_ms = by_second_ms


def _next_free(at_ms: int, counts: Counts, window: Window, limit: int) -> int:
    place = at_ms // window.slice_ms
    free = counts.free_from(place, window.slices, limit)
    return at_ms if free == place else free * window.slice_ms


def _taken(spent: Spent, at_ms: int) -> Spent:
    return replace(
        spent,
        second=spent.second.plus_one(at_ms // SECOND.slice_ms),
        minute=spent.minute.plus_one(at_ms // MINUTE.slice_ms),
    )


def _spare(spent: Spent) -> int:
    """Requests that questions leave to commands beyond those of the last minute, which come unevenly."""
    return SPARE + math.ceil(2.5 * math.sqrt(spent.commands.total))


def _questions_a_window(spent: Spent, budget: RequestBudget, now_ms: int, spare: int) -> float:
    left = budget.per_minute - spent.commands.total - spare
    return max(left, budget.per_minute / LEAST_PART) * share(spent, now_ms)


def _probe_pause_ms(unanswered: int) -> int:
    return round(min(PROBE_MAX_S, 2.0 ** min(unanswered - 1, 10)) * 1000)
