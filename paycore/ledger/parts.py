"""
Splits one call's work into several transactions, so that other writers run in between.

For observations, which are merged by set union: an interrupted call can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

import msgspec

from paycore.ledger.api import Committed

T = TypeVar("T")

PART_MAX = 64
"""The maximum number of observations merged in one transaction."""


def in_parts(
    submit: Callable[[Sequence[T]], Future[tuple[Committed, ...]]], items: Sequence[T]
) -> Future[tuple[Committed, ...]]:
    """
    Submit `items` in parts, each once the one before is durable.

    The result has one entry for each payment, ordered by id. The first error ends it; the parts before are
    committed.
    """
    if len(items) <= PART_MAX:
        return submit(items)
    whole: Future[tuple[Committed, ...]] = Future()
    whole.set_running_or_notify_cancel()
    starts = iter(range(0, len(items), PART_MAX))
    known: dict[str, Committed] = {}

    def take(part: Future[tuple[Committed, ...]]) -> None:
        for committed in part.result():
            before = known.get(committed.payment.id)
            known[committed.payment.id] = committed if before is None else _after(before, committed)

    def go_on(part: Future[tuple[Committed, ...]] | None = None) -> None:
        try:
            while part is None or part.done():
                if part is not None:
                    take(part)
                start = next(starts, None)
                if start is None:
                    whole.set_result(tuple(known[payment_id] for payment_id in sorted(known)))
                    return
                part = submit(items[start : start + PART_MAX])
            part.add_done_callback(go_on)
        except Exception as error:  # noqa: BLE001 - the caller takes it out of the future
            whole.set_exception(error)

    go_on()
    return whole


def _after(before: Committed, later: Committed) -> Committed:
    return msgspec.structs.replace(later, events=before.events + later.events)
