"""
How soon a shop knows that an order was paid, on one QFPay account with its limits, on a virtual clock.

    python -m benchmarks.awaiting          every row
    python -m benchmarks.awaiting 500 120/min ...    those whose name has one of these words

Orders are made by `create()` and paid by their payers 2 to 10 minutes later. What counts is the time from the gateway
taking the money to the ledger having it, to a tenth of a second. The figures are exact: the same seed gives the same
ones.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.table import Row, render
from benchmarks.virtual import World, opened
from paycore import Money, Status
from paycore.errors import PaycoreError
from paycore.sandbox.posts import Post, PostResult
from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES
from qfpay_alipay.sandbox.rules import PaymentParams

PAID_AFTER_S = (120.0, 600.0)
ORDERS_EVERY_S = 0.16
"""Somewhat slower than the limit, so that none of those made beforehand waits."""

ARRIVING_S = 18 * 60.0
ENDS_AFTER_S = 400.0
"""Seconds after the last payer paid by which everything is known."""

NOTICE_S = (0.2, 2.0)
LOST = 5
"""One notification in so many is lost."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """
    One row. `pending`: orders made before anybody looks after them; `per_minute`: orders that arrive.

    `others`: records of other systems of the merchant for each order of ours. `notified`: with notifications, of which
    one in five is lost. `bar_s`: median and 99th percentile, in seconds; None: no bar.
    """

    name: str
    pending: int = 0
    per_minute: int = 0
    others: int = 0
    notified: bool = False
    bar_s: tuple[float | None, float] | None = None


CASES = (
    Case(name="100 pending", pending=100, bar_s=(1, 2)),
    Case(name="500 pending", pending=500, bar_s=(1, 2)),
    Case(name="2,000 pending", pending=2_000),
    Case(name="5,000 pending", pending=5_000, bar_s=(6, 14)),
    Case(name="500 pending, notified", pending=500, notified=True, bar_s=(1, 2)),
    Case(name="5,000 pending, notified", pending=5_000, notified=True, bar_s=(6, 14)),
    Case(name="500 pending, as many of others", pending=500, others=1),
    Case(name="500 pending, ten times as many of others", pending=500, others=10),
    Case(name="30/min arriving", per_minute=30),
    Case(name="60/min arriving", per_minute=60, bar_s=(None, 6)),
    Case(name="120/min arriving", per_minute=120, bar_s=(None, 13)),
    Case(name="250/min arriving", per_minute=250, bar_s=(None, 50)),
    Case(name="120/min arriving, notified", per_minute=120, notified=True, bar_s=(None, 13)),
    Case(name="120/min arriving, as many of others", per_minute=120, others=1),
    Case(name="120/min arriving, ten times as many of others", per_minute=120, others=10),
)


class Shop:
    """One case, under way."""

    def __init__(self, world: World, case: Case) -> None:
        self.world = world
        self.case = case
        self.paid_ms: dict[str, int] = {}
        self.known_ms: dict[str, int] = {}
        self.refused = 0
        self._ids: dict[str, str] = {}
        self._others = count()
        self._tasks: set[asyncio.Task[Any]] = set()
        world.ledger.watch(self._changed)
        world.on_post = self._posted

    @property
    def stats(self) -> Any:
        """The gateway's counts."""
        return self.world.gateway.controls.stats()

    async def run(self) -> None:
        """Make the orders, have them paid, and look after them until all are known."""
        if self.case.pending:
            await self._make(self.case.pending, lambda: ORDERS_EVERY_S)
        worker = asyncio.create_task(self.world.client.run_worker())
        if self.case.per_minute:
            rate, rng = self.case.per_minute / 60, self.world.rng
            await self._make(round(rate * ARRIVING_S), lambda: rng.expovariate(rate))
        else:
            for number in tuple(self._ids):
                self._pay_later(number)
        await asyncio.sleep(PAID_AFTER_S[1])
        for _ in range(round(ENDS_AFTER_S)):
            if len(self.known_ms) == len(self._ids):
                break
            await asyncio.sleep(1)
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    async def _make(self, orders: int, gap_s: Callable[[], float]) -> None:
        for number in range(orders):
            self._later(self._create(f"order-{number}"))
            gap = gap_s()
            for _ in range(self.case.others):
                self.world.scheduler.after(self.world.rng.uniform(0, gap), self._create_elsewhere)
            await asyncio.sleep(gap)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _later(self, program: Any) -> None:
        task = asyncio.create_task(program)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _create(self, reference: str) -> None:
        notify_url = "https://shop.example/notify" if self.case.notified else None
        try:
            payment = await self.world.client.create(
                reference=reference,
                amount=Money("88.00", "HKD"),
                method="alipay",
                channel="qr",
                notify_url=notify_url,
            )
        except PaycoreError:
            self.refused += 1
            return
        self._ids[payment.order_number] = payment.id
        if self.case.per_minute:
            self._pay_later(payment.order_number)

    def _create_elsewhere(self) -> None:
        """An order of another system of the merchant: not by this application, and not within its limits."""
        with self.world.foreign():
            empty: dict[str, Any] = dict.fromkeys(PaymentParams.__struct_fields__, "")
            order = {
                "pay_type": PAY_TYPES["801501"],
                "txamt": 100,
                "txcurrcd": "HKD",
                "out_trade_no": f"TILL{next(self._others):022}",
                "txdtm": "2026-01-01 00:00:00",
                "life_min": 30,
            }
            self.world.gateway.orders.create(PaymentParams(**empty | order))

    # --- payers ----------------------------------------------------------------------------------------

    def _pay_later(self, number: str) -> None:
        self.world.scheduler.after(self.world.rng.uniform(*PAID_AFTER_S), self._pay, number)

    def _pay(self, number: str) -> None:
        self.paid_ms[self._ids[number]] = self.world.now_ms()
        self.world.gateway.orders.pay(number)

    def _posted(self, post: Post, done: Callable[[PostResult], None]) -> None:
        """A notification leaves the gateway, and may be lost."""
        rng = self.world.rng
        if rng.randrange(LOST):
            self.world.scheduler.after(rng.uniform(*NOTICE_S), self._receive, post)

    def _receive(self, post: Post) -> None:
        self.world.loop.call_soon(self._later_receive, post)

    def _later_receive(self, post: Post) -> None:
        self._later(self.world.client.receive("shop", body=post.body, headers=post.headers))

    # --- what is known ---------------------------------------------------------------------------------

    def _changed(self, ids: Collection[str]) -> None:
        for payment_id in ids:
            if payment_id in self.known_ms or payment_id not in self.paid_ms:
                continue
            if self.world.ledger.get(payment_id).result().status is Status.PAID:
                self.known_ms[payment_id] = self.world.now_ms()

    def latencies_s(self) -> list[float]:
        """Of all orders, sorted; those that are not known count as long as the run."""
        end = self.world.now_ms()
        return sorted((self.known_ms.get(one, end) - paid_ms) / 1000 for one, paid_ms in self.paid_ms.items())


def _part(values: Sequence[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))]


def measure_one(case: Case, seed: int = 1) -> Row:
    """One row."""
    with tempfile.TemporaryDirectory() as name, opened(Path(name), seed) as world:
        shop = Shop(world, case)
        began = time.process_time()
        world.run(shop.run(), until_s=6 * 3600)
        cpu_s = time.process_time() - began - world.foreign_cpu_s
        latencies, stats = shop.latencies_s(), shop.stats
        p50, p99 = (round(_part(latencies, part), 1) for part in (0.5, 0.99))
        limited, unknown = stats["limited"], len(latencies) - len(shop.known_ms)
        queries = stats["requests"].get("/trade/v1/query", 0)
    bars = [limited == 0, shop.refused == 0, unknown == 0]
    bar = "0 refused"
    if case.bar_s is not None:
        low, high = case.bar_s
        bars += [low is None or p50 <= low, p99 <= high]
        bar = f"{'p99' if low is None else f'{low} /'} {high} s, {bar}"
    return Row(
        what=f"paid to known, {case.name}",
        figure=f"p50 {p50:.1f} s, p99 {p99:.1f} s, max {latencies[-1]:.1f} s",
        baseline=f"{queries:,} queries for {len(latencies):,}, {limited} refused, {shop.refused} creates refused"
        + (f", {unknown} NOT KNOWN" if unknown else ""),
        ratio=f"{cpu_s / len(latencies) * 1000:.0f} ms CPU each",
        bar=bar,
        holds=all(bars),
    )


def measure() -> list[Row]:
    """Those cases that have a bar."""
    return [measure_one(case) for case in CASES if case.bar_s is not None]


def main() -> None:
    """Print each row as it is measured."""
    words = sys.argv[1:]
    for case in CASES:
        if not words or any(word in case.name for word in words):
            began = time.monotonic()
            print(
                render([measure_one(case)]).splitlines()[-1],
                f"({time.monotonic() - began:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
