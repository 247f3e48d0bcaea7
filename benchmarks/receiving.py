"""
Notifications: verified and durable, by one core, and what a repeat costs.

CPU seconds of this process count, so that neither the disk nor what else the machine does is measured. 64 arrive at
once, as many as a receiver works on. As evidence each moves its payment; as a hint, which QFPay's are, it makes it due.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from itertools import count
from unittest import mock

from benchmarks.table import Row
from paycore import AsyncClient
from paycore.engine.config import Config
from paycore.ledger import open_ledger
from tests.support.postgres import embedded_postgres
from tests.support.toy_http import toy_config, toy_plugins
from tests.web.flood import notice, pending
from tests.web.process import NOWHERE

COUNT = 2000
ROUNDS = 3
AT_ONCE = 64
BAR = 4000

Told = tuple[bytes, dict[str, str]]


async def _rate(receive: Callable[[bytes, dict[str, str]], Awaitable[object]], told: Sequence[Told]) -> float:
    """Notifications per second of CPU."""
    left = iter(told)

    async def some() -> None:
        for body, headers in left:
            await receive(body, headers)

    begun = time.process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return len(told) / (time.process_time() - begun)


async def _rates(config: Config, told: Sequence[Told]) -> tuple[float, float]:
    """New ones, and the same again."""
    async with AsyncClient(config, plugins=toy_plugins()) as pay:

        async def receive(body: bytes, headers: dict[str, str]) -> None:
            await pay.receive("toy", body=body, headers=headers)

        # A worker's own work is not measured here.
        with mock.patch.object(pay._waiter.wanted, "_look_after"):
            await _rate(receive, [notice(f"WARM-{nth}", "W") for nth in range(200)])
            return await _rate(receive, told), await _rate(receive, told)


def _best(new_dsn: Callable[[], str], *, is_evidence: bool) -> tuple[float, float]:
    """The best of a few rounds: what else the machine does only ever slows it down."""
    rounds = []
    for _ in range(ROUNDS):
        dsn = new_dsn()
        with closing(open_ledger(dsn)) as ledger:
            payments = pending(ledger, COUNT)
        told = [notice(payment.order_number, f"C1-{payment.order_number}") for payment in payments]
        config = toy_config(NOWHERE, dsn, notifications_trusted=is_evidence)
        rounds.append(asyncio.run(_rates(config, told)))
    new, again = zip(*rounds, strict=True)
    return max(new), max(again)


def _measured(database: str, new_dsn: Callable[[], str]) -> list[Row]:
    hints, again = _best(new_dsn, is_evidence=False)
    evidence, _ = _best(new_dsn, is_evidence=True)
    return [
        _row(f"notifications verified + durable, hints, {database}", hints, "-"),
        _row(f"notifications verified + durable, evidence, {database}", evidence, "-"),
        _row(f"the same hints again, {database}", again, f"{hints:,.0f}/s new ones", again / hints),
    ]


def _row(what: str, rate: float, baseline: str, ratio: float | None = None) -> Row:
    return Row(
        what=what,
        figure=f"{rate:,.0f}/s",
        baseline=baseline,
        ratio="-" if ratio is None else f"{ratio:.1f}x",
        bar=f">= {BAR:,}/s of CPU",
        holds=rate >= BAR,
    )


def measure() -> list[Row]:
    """On SQLite and on PostgreSQL."""
    logging.getLogger("paycore").setLevel(logging.ERROR)  # those that warm up name no payment
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(durable=True) as server:
        names = count()
        return [
            *_measured("SQLite", lambda: f"sqlite:///{folder}/{next(names)}.db"),
            *_measured("PostgreSQL", server.create_database),
        ]
