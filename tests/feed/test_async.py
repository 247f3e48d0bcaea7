"""The lease, its end and its loss in async code; what comes in which order stands in `test_changes`."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from paycore import AsyncClient
from paycore.engine import feed
from paycore.errors import ConsumerTaken
from paycore.ledger import feed as ledger_feed
from paycore.ledger.api import FeedPlace
from paycore.ledger.reads import LedgerReads
from tests.feed.conftest import Shop, told
from tests.feed.test_leases import consumer, steal

WAIT_S = 20


async def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    for _ in range(WAIT_S * 50):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came to hold")


def on_loop(work: Callable[[AsyncClient], Awaitable[None]], shop: Shop) -> None:
    """Run `work` with a client, on a loop of its own."""

    async def run() -> None:
        async with shop.open_async() as pay:
            await asyncio.wait_for(work(pay), 3 * WAIT_S)

    asyncio.run(run())


def test_changes_of_another_process_wake_it_and_closing_ends_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the next look; the loop ends when the client closes, and the lease is free."""
    monkeypatch.setattr(feed, "IDLE_S", 3600.0)
    monkeypatch.setattr(feed, "SKIPPED_S", 3600.0)
    other = shop.open()
    seen: list[str] = []

    async def read(pay: AsyncClient) -> None:
        async for change in pay.changes("shop", from_start=True):
            seen.append(change.kind.value)  # noqa: PERF401 - each as it comes

    async def run() -> None:
        pay = shop.open_async()
        reading = asyncio.create_task(read(pay))
        await until(lambda: bool(shop.ledger().consumers().result()))
        await asyncio.to_thread(shop.paid, other, "order-1")
        await until(lambda: len(seen) == 3)
        await until(lambda: consumer(shop).place.position == 3)
        await pay.shutdown()
        await asyncio.wait_for(reading, WAIT_S)

    asyncio.run(run())
    assert seen == ["created", "pending", "paid"]
    assert consumer(shop).holder is None


def test_the_lease_is_renewed_while_a_change_is_worked_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop body that awaits may take as long as it likes."""
    monkeypatch.setattr(feed, "RENEW_S", 0.05)
    shop.paid(shop.open(), "order-1")

    async def work(pay: AsyncClient) -> None:
        async with aclosing(pay.changes("shop", from_start=True)) as changes:
            async for _ in changes:
                ends = {consumer(shop).leased_until}

                def is_renewed_twice(ends: set[object] = ends) -> bool:  # type: ignore[assignment]
                    ends.add(consumer(shop).leased_until)
                    return len(ends) >= 3

                await until(is_renewed_twice)
                break
        await until(lambda: consumer(shop).holder is None)

    on_loop(work, shop)
    assert consumer(shop).place == FeedPlace(0)


def test_acknowledging_after_a_takeover_is_refused(shop: Shop) -> None:
    """`ConsumerTaken` where the loop body is left; the change is handed over again with its key."""
    shop.paid(shop.open(), "order-1")
    seen = []

    async def read(pay: AsyncClient) -> None:
        async for change in pay.changes("shop", from_start=True):
            seen.append(change)
            await asyncio.to_thread(steal, shop)

    async def work(pay: AsyncClient) -> None:
        with pytest.raises(ConsumerTaken):
            await read(pay)
        seen.extend([change async for change in pay.changes("shop", follow=False)])

    on_loop(work, shop)
    assert told(seen) == [
        ("order-1", "created"),
        ("order-1", "created"),
        ("order-1", "pending"),
        ("order-1", "paid"),
    ]
    assert seen[0].key == seen[1].key


def test_a_cancelled_task_gives_the_lease_back(shop: Shop) -> None:
    """What it had in hand is handed over again."""
    shop.paid(shop.open(), "order-1")
    seen = []

    async def read(pay: AsyncClient) -> None:
        async for change in pay.changes("shop", from_start=True):
            seen.append(change.kind.value)
            await asyncio.sleep(3600)

    async def work(pay: AsyncClient) -> None:
        reading = asyncio.create_task(read(pay))
        await until(lambda: bool(seen))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        seen.extend([change.kind.value async for change in pay.changes("shop", follow=False)])

    on_loop(work, shop)
    assert seen == ["created", "created", "pending", "paid"]


def test_passing_over_many_changes_leaves_the_loop_to_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite a page is read in the caller's thread: between two pages other tasks have their turn."""
    monkeypatch.setattr(ledger_feed, "PAGE", 1)
    read_feed, turns, turns_at_pages = LedgerReads.read_feed, 0, []

    def counted(self: LedgerReads, *args: Any) -> Any:
        turns_at_pages.append(turns)
        return read_feed(self, *args)

    monkeypatch.setattr(LedgerReads, "read_feed", counted)
    for number in range(10):
        shop.order(shop.open(), f"order-{number}")

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def work(pay: AsyncClient) -> None:
        counting = asyncio.create_task(count())
        passed_over = pay.changes("shop", kinds=("review",), from_start=True, follow=False)
        assert [change async for change in passed_over] == []
        counting.cancel()

    on_loop(work, shop)
    assert len(turns_at_pages) > 20
    assert len(set(turns_at_pages)) == len(turns_at_pages)
