"""Bugs in what is shared by all processes: the request budget, claims, the list by time, the change feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from paycore.domain.asking import Due, Question
from paycore.domain.budget import Spent
from paycore.domain.changes import PaymentChange
from paycore.engine import contract, recovery
from paycore.engine.effects import Program
from paycore.engine.feed import Feed
from paycore.ledger import feed as ledger_feed
from paycore.ledger import verbs
from paycore.ledger.api import FeedPlace
from paycore.ledger.group import Group
from tests.simulation.ledgers import ASKING, SimLedger
from tests.simulation.mutations import Patch, patched

NEWEST = 2
"""Payments of a question by number, where the newest are asked about first."""


def budget_is_not_spent() -> Patch:
    """What a request costs is not kept."""
    return mock.patch.object(Group, "keep_spent", return_value=None)


def budget_is_not_shared() -> Patch:
    """Each process has a budget of its own."""
    own: WeakKeyDictionary[Any, dict[str, Spent]] = WeakKeyDictionary()

    def spent(_group: Group, account: str) -> Spent:
        return own.setdefault(ASKING.get(), {}).get(account, Spent())

    def keep_spent(_group: Group, account: str, spent: Spent) -> None:
        own.setdefault(ASKING.get(), {})[account] = spent

    return mock.patch.multiple(Group, spent=spent, keep_spent=keep_spent)


def further_requests_are_free() -> Patch:
    """Only the first request of a flow takes its turn."""

    def free(*_: object) -> Program[None]:
        yield from ()

    return mock.patch.object(contract, "take_turn", free)


def refusal_is_ignored() -> Patch:
    """Too many requests, says the provider, and nobody rests."""

    def nothing(unit: Group, account: str, retry_after_s: float | None) -> None:
        pass

    return mock.patch.object(verbs, "rest", nothing)


def oldest_starve() -> Patch:
    """What was made last is asked about first."""

    def newest(due: Sequence[Due], now_ms: int) -> Question:
        now_due = [one for one in due if one.due_ms <= now_ms]
        chosen = sorted(now_due, key=lambda one: one.made_ms, reverse=True)[:NEWEST]
        return Question(tuple(one.id for one in chosen))

    def make(claim: Any) -> Any:
        return lambda unit, claiming: claim(unit, replace(claiming, choose=newest, weighed=1000))

    return patched(verbs, "claim", make)


def failed_is_taken_from_the_list() -> Patch:
    """A page of the list that shows a failed attempt is believed."""

    def make(counted: Any) -> Any:
        def credulous(refs: Any, found: Any, capabilities: Any) -> Any:
            return counted(refs, replace(found, undecided=frozenset()), capabilities)

        return credulous

    return patched(recovery, "counted_found", make)


def change_is_acknowledged_before_the_body() -> Patch:
    """A change counts as handled as soon as it is handed over."""
    next_, acknowledge = Feed.next, Feed.acknowledge

    def hasty(self: Feed) -> Program[PaymentChange | None]:
        change = yield from next_(self)
        if change is not None:
            yield from acknowledge(self)
        return change

    def nothing(_self: Feed) -> Program[None]:
        yield from ()

    return mock.patch.multiple(Feed, next=hasty, acknowledge=nothing)


def lost_consumer_acknowledges() -> Patch:
    """Whoever held the consumer's lease once may acknowledge."""
    unchecked = ledger_feed._ACKNOWLEDGE.replace("holder = ?", "coalesce(?, name) IS NOT NULL")
    return mock.patch.object(ledger_feed, "_ACKNOWLEDGE", unchecked)


def acknowledgement_reaches_too_far() -> Patch:
    """With one change the event after it is acknowledged too."""

    def make(acknowledge: Any) -> Any:
        def generous(self: SimLedger, name: str, *, place: FeedPlace, **options: Any) -> Any:
            return acknowledge(self, name, place=FeedPlace(place.position + 1, place.taken), **options)

        return generous

    return patched(SimLedger, "acknowledge", make)


MUTANTS = {
    mutant.__name__: mutant
    for mutant in (
        budget_is_not_spent,
        budget_is_not_shared,
        further_requests_are_free,
        refusal_is_ignored,
        oldest_starve,
        failed_is_taken_from_the_list,
        change_is_acknowledged_before_the_body,
        lost_consumer_acknowledges,
        acknowledgement_reaches_too_far,
    )
}
