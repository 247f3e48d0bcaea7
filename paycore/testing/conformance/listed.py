"""The provider's own list, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from paycore.domain.observation import PaymentObservation
from paycore.domain.provider import Done, Listed, Page
from paycore.testing.conformance.check import Failed, require
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig

PAGES_MAX = 60
"""More pages than any list of a check has."""


def is_of(item: Listed, placed: PlacedOrder) -> bool:
    """Whether it is this order, by our number, or by its id where the list has none."""
    seen = item.observation
    if not isinstance(seen, PaymentObservation):
        return False
    return seen.number == placed.order.number if seen.number else seen.provider_id == placed.seen.provider_id


def listed(rig: Rig, since: datetime, until: datetime) -> Iterator[Listed]:
    """What the list has of that time."""
    for page in pages(rig, since, until):
        yield from page.items


def pages(rig: Rig, since: datetime, until: datetime) -> Iterator[Page]:
    """Its pages; `Failed` where they do not end."""
    cursor, known = None, set[str]()
    for _ in range(PAGES_MAX):
        attempt = rig.attempt()
        page = page_in(rig.converse(lambda: rig.provider.list(since, until, cursor, attempt)))  # noqa: B023
        yield page
        cursor = page.cursor
        if cursor is None:
            return
        require(
            cursor not in known,
            f"the list returned the cursor {cursor!r} again",
            "return the cursor of the next page",
        )
        known.add(cursor)
    raise Failed(f"the list goes on after {PAGES_MAX} pages", "return None as cursor after the last page")


def page_in(outcome: Any) -> Page:
    """The page that this outcome of `list` has; `Failed` where it has none."""
    if not (isinstance(outcome, Done) and isinstance(outcome.value, Page)):
        raise Failed(f"list returned {said(outcome)}", "return Done(Page(...)), also where there is nothing")
    page: Page = outcome.value
    return page
