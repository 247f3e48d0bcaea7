"""Programs that use paycore: callers with retries, the worker's loop, the notification receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from paycore.domain.action import Redirect
from paycore.domain.money import Money
from paycore.domain.payment import Payment, RefundStatus
from paycore.engine.worker import Everything
from paycore.errors import (
    AccountRefused,
    LedgerError,
    NotFound,
    PaycoreError,
    ProviderError,
    ReferenceConflict,
    RequestError,
    WrongState,
)
from tests.simulation.plan import CallerPlan, Purchase, RefundPlan, Step
from tests.support.due import next_due

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

TRIES_MAX = 6
WAITS_MAX = 4
NAP_MAX_S = 9.0
LONG_NAP_S = 3600.0
WORTH_RETRYING = (ProviderError, LedgerError, AccountRefused, WrongState)

Ask = Callable[[], Awaitable[Payment]]


async def tend(process: Process) -> None:
    """A worker process: handles due payments for ever."""
    core, runner = process.client._core, process.client._runner
    everything = Everything(list(core.config.accounts))
    while True:
        try:
            if process.world.plan.shared.is_crowded and process.world.is_busy:
                await _work(process)
                continue
            while await runner.run(core.worker.look_once(everything)):
                pass
            nap_s = process.rng.uniform(1, NAP_MAX_S)
            if not process.world.is_busy:
                due = next_due(process.world.ledger)
                nap_s = LONG_NAP_S if due is None else (due - process.door.now()).total_seconds()
        except PaycoreError as error:
            process.world.scheduler.log(process.name, f"goes on later: {error}")
            nap_s = NAP_MAX_S
        await asyncio.sleep(max(0.1, nap_s))


async def _work(process: Process) -> None:
    """As `paycore worker`, for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(process.rng.uniform(10, 60)):
            await process.client.run_worker()


class Caller:
    """
    A caller that repeats its commands after errors and after its process was killed.

    Sometimes it cancels a call and repeats it.
    """

    def __init__(self, world: World, purchase: Purchase, plan: CallerPlan, name: str) -> None:
        self.name = name
        self.is_finished = False
        self.purchase = purchase
        self.plan = plan
        self._world = world
        self._rng = world.rng(f"caller {name}")

    async def script(self, process: Process) -> None:
        """Create, then each further step; from the beginning again after every restart."""
        if process.life == 1:
            await asyncio.sleep(self.plan.starts_in_s)
        payment = await self._create(process)
        if payment is not None:
            for step in self.plan.steps:
                payment = await self._take(process, step, payment)
        self.is_finished = True
        self._world.scheduler.log(self.name, "is finished")

    async def _take(self, process: Process, step: Step, payment: Payment) -> Payment:
        client = process.client
        match step:
            case "create":
                return await self._create(process) or payment
            case "wait":
                await self._wait(process, payment)
            case "query":
                await self._patiently(process, lambda: client.query(payment.id))
            case "close":
                await asyncio.sleep(self._rng.uniform(0, self._rng.choice((3, 60))))
                await self._patiently(process, lambda: client.close(payment.id))
            case "capture":
                await self._capture(process, payment)
            case "return":
                params = {"token": self._rng.choice("ABC")}
                await self._patiently(process, lambda: client.returned(payment.id, params))
            case "refund":
                for refund in self.plan.refunds:
                    await self._refund(process, payment, refund)
        return payment

    # --- the verbs -----------------------------------------------------------------------------------

    async def _create(self, process: Process) -> Payment | None:
        try:
            payment = await self._patiently(
                process,
                lambda: process.client.create(
                    reference=self.purchase.reference,
                    amount=Money.from_minor(self.plan.amount_minor, "HKD"),
                    method="toy",
                    channel=self.purchase.channel,
                    expires_in_s=self.purchase.expires_in_s,
                    account=self.purchase.account,
                    capture=self.purchase.capture,
                ),
            )
        except ReferenceConflict as conflict:
            self._world.witness.conflicted(self, conflict)
            return None
        if payment is not None:
            self._world.witness.created(self, payment)
            self._show(payment)
        return payment

    async def _wait(self, process: Process, payment: Payment) -> None:
        """Repeat the wait as often as its patience allows."""
        for _ in range(self._rng.randint(1, WAITS_MAX)):
            timeout_s = self._rng.uniform(5, self._rng.choice((20, 100, 300)))
            now = await self._patiently(
                process, partial(self._wait_once, process, payment, timeout_s), timeout_s
            )
            if now is not None:
                self._show(now)
                if now.status.is_final:
                    return

    async def _wait_once(self, process: Process, payment: Payment, timeout_s: float) -> Payment:
        wait = self._world.waits.begin(process, timeout_s)
        now = await process.client.wait(payment.id, timeout_s)
        self._world.waits.end(wait, process, now)
        return now

    async def _capture(self, process: Process, payment: Payment) -> None:
        """Capture once the payer has agreed; who can't capture in the end gives up."""
        minor = self.plan.capture_minor
        amount = None if minor is None else Money.from_minor(minor, "HKD")
        for _ in range(TRIES_MAX):
            now = await self._patiently(process, lambda: process.client.capture(payment.id, amount=amount))
            if now is not None and now.status.is_final:
                return
            await asyncio.sleep(self._rng.uniform(0.1, 30))

    def _show(self, payment: Payment) -> None:
        if isinstance(payment.action, Redirect):
            self._world.outside.show(payment.action.url, self.purchase.payer_pays_in_s)

    async def _refund(self, process: Process, payment: Payment, refund: RefundPlan) -> None:
        """Repeat the refund by its reference until its result is known, within its patience."""
        minor = refund.amount_minor
        amount = None if minor is None else Money.from_minor(minor, "HKD")
        for _ in range(TRIES_MAX):
            now = await self._patiently(
                process,
                lambda: process.client.refund(
                    payment.id, reference=refund.reference, amount=amount, reason=refund.reference
                ),
            )
            found = None if now is None else now.refund(refund.reference)
            if found is None or found.status in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
                return
            await asyncio.sleep(self._rng.uniform(0.1, 30))

    # --- patience ------------------------------------------------------------------------------------

    async def _patiently(self, process: Process, ask: Ask, timeout_s: float = 0.0) -> Payment | None:
        """The command's result, repeated while that makes sense; None if it refuses or never works."""
        for _ in range(TRIES_MAX):
            try:
                return await self._once(process, ask, timeout_s)
            except (NotFound, ReferenceConflict) as error:
                if isinstance(error, NotFound):
                    self._world.witness.violated("nothing is forgotten", f"{self.name}: {error}")
                raise
            except (*WORTH_RETRYING, TimeoutError) as error:
                self._world.scheduler.log(self.name, f"{type(error).__name__}: {error}")
            except RequestError as error:
                self._world.scheduler.log(self.name, f"refused: {error}")
                return None
            await asyncio.sleep(self._rng.uniform(0.1, 20))
        return None

    async def _once(self, process: Process, ask: Ask, timeout_s: float) -> Payment:
        """One call, sometimes cancelled."""
        witness, waits = self._world.witness, self._world.waits
        gives_up = self._rng.random() < self._world.weather.gives_up
        patience_s = self._rng.uniform(0.005, self._rng.choice((0.5, 4))) if gives_up else None
        async with asyncio.timeout(patience_s):
            try:
                with waits.in_time(process, timeout_s + self._world.plan.call_max_s):
                    payment = await ask()
            except asyncio.CancelledError:
                self._world.scheduler.log(self.name, "is cancelled")
                witness.never_learns(process, process.who())
                raise
        witness.told(self.name, payment)
        return payment
