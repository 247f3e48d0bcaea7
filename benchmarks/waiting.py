"""
What waiting costs one process: memory for each waiter, and how soon all of them know when everything changes at once.

`python -m benchmarks.waiting`. The payments change by the ledger itself, as when another part of the process records
what a provider says, so nothing else than waking is measured: its time is that of the changes with waiters less that of
as many changes without. CPU seconds of this process count, so that what else the machine does is not measured.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import tempfile
import time
import tracemalloc
from collections.abc import Sequence

from benchmarks.table import Row, render
from paycore import AsyncClient, Payment, Status
from paycore.domain.events import Source
from paycore.ledger.base import SqlLedger
from tests.ledger.workload import accepted, answered, begun, seen
from tests.support.toy_http import ACCOUNT, toy_config, toy_plugins

WAITERS = 10_000
TIMEOUT_S = 3600.0
NOWHERE = "http://127.0.0.1:9"
BAR_KIB, BAR_S = 5.7, 1.1


def _pending(ledger: SqlLedger, name: str) -> list[Payment]:
    """So many payments that are pending, and not due for long."""
    made = [ledger.begin(*begun(f"{name}-{nth}", account=ACCOUNT)) for nth in range(WAITERS)]
    payments = [one.result().payment for one in made]
    told = [ledger.change(one.id, answered(accepted(one.order_number)), Source.REPLY) for one in payments]
    return [one.result().payment for one in told]


def _pay(ledger: SqlLedger, payments: Sequence[Payment]) -> float:
    """All are paid; the CPU seconds it took."""
    begun_at = time.process_time()
    ledger.observe(
        ACCOUNT, [seen(payment.order_number, Status.PAID) for payment in payments], Source.POLL
    ).result()
    return time.process_time() - begun_at


def _until_all_wait(pay: AsyncClient) -> None:
    while len(pay._waiter.hub._calls) < WAITERS:
        time.sleep(0.05)


async def _measured(ledger_dsn: str) -> tuple[float, float]:
    """KiB for each waiter, and the CPU seconds until all are woken."""
    async with AsyncClient(toy_config(NOWHERE, ledger_dsn), plugins=toy_plugins()) as pay:
        ledger = pay._core.ledger
        alone, payments = _pending(ledger, "alone"), _pending(ledger, "waited")
        pay._waiter.wanted._look_after = lambda _wanted: None  # a worker's own work is not measured here
        without_s = await asyncio.to_thread(_pay, ledger, alone)
        del alone
        ids = [payment.id for payment in payments]
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        waiting = [asyncio.create_task(pay.wait(one, TIMEOUT_S)) for one in ids]
        await asyncio.to_thread(_until_all_wait, pay)
        gc.collect()
        kib = (tracemalloc.get_traced_memory()[0] - before) / WAITERS / 1024
        tracemalloc.stop()
        begun_at = time.process_time()
        paying = asyncio.create_task(asyncio.to_thread(_pay, ledger, payments))
        await asyncio.gather(*waiting)
        woken_s = time.process_time() - begun_at
        await paying
        return kib, max(0.0, woken_s - without_s)


def measure() -> list[Row]:
    """The rows on waiting."""
    level = logging.getLogger("paycore").level
    logging.getLogger("paycore").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        kib, woken_s = asyncio.run(_measured(f"sqlite:///{folder}/paycore.db"))
    logging.getLogger("paycore").setLevel(level)
    return [
        Row(
            what=f"memory for each of {WAITERS:,} waiters in one event loop, their tasks included",
            figure=f"{kib:.1f} KiB",
            baseline="",
            ratio="",
            bar=f"{BAR_KIB} KiB",
            holds=kib <= BAR_KIB,
        ),
        Row(
            what=f"{WAITERS:,} waiters woken at once, beyond the changes themselves",
            figure=f"{woken_s:.2f} s",
            baseline="",
            ratio="",
            bar=f"{BAR_S} s",
            holds=woken_s <= BAR_S,
        ),
    ]


if __name__ == "__main__":
    print(render(measure()))
