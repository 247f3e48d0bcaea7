"""An application that reads the change feed and delivers once; and what must hold of what it reads."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from paycore.domain.changes import PaymentChange, change_key, changes_of
from paycore.domain.events import Event
from paycore.domain.lifecycle import evolve
from paycore.errors import LedgerError, PaycoreError

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from tests.simulation.processes import Process
    from tests.simulation.world import World

CONSUMER = "fulfilment"
READS_MAX_S = 90.0
LOOKS_EVERY_S = 700.0
"""How often it looks for changes once the faults are over."""
HANDLES_MAX_S = 0.4
HANDLES_LONG_S = 15.0
"""Longer than a lease, which is renewed meanwhile."""


class Deliveries:
    """The changes that were recorded, in order, and those that were handled; in a table of the application's own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._recorded: list[str] = []
        self._handled: list[str] = []
        self._holder = ""

    def held_by(self, holder: str) -> None:
        """This reader has taken or renewed the consumer's lease."""
        self._holder = holder

    def acknowledged_by(self, holder: str) -> None:
        """This reader has acknowledged: it must be the one that holds the consumer."""
        if holder != self._holder:
            what = f"{holder} acknowledges, and {self._holder} has the lease"
            self._world.witness.violated("who lost the consumer acknowledges nothing", what)

    def recorded(self, events: tuple[Event, ...], before: Payment | None) -> None:
        """These events of one payment were committed."""
        for event in events:
            after = evolve(before, event.change, event.at)
            self._recorded += [
                change_key(event.payment_id, event.seq, kind, refund)
                for kind, refund in changes_of(event, before, after)
            ]
            before = after

    def handled(self, who: str, change: PaymentChange) -> None:
        """The application has acted on this change, and stored its key with that."""
        if change.key in self._handled:
            return  # again after a crash: it has acted already
        expected = self._recorded[len(self._handled)] if not self.is_complete else "nothing more"
        if change.key != expected:
            what = f"{who} got {change.key}, and the next one is {expected}"
            self._world.witness.violated("every change is delivered in order", what)
        self._handled.append(change.key)

    @property
    def is_complete(self) -> bool:
        """Whether everything recorded was handled."""
        return len(self._handled) == len(self._recorded)


async def deliver(process: Process) -> None:
    """Read the feed, handle each change, and leave off at any moment."""
    world = process.world
    while True:
        try:
            if world.is_busy:
                async with asyncio.timeout(process.rng.uniform(0.5, 1) * READS_MAX_S):
                    await _read(process, follow=True)
            else:
                await _read(process, follow=False)
                await asyncio.sleep(LOOKS_EVERY_S)
        except (PaycoreError, LedgerError, TimeoutError) as error:
            world.scheduler.log(process.name, f"leaves off: {type(error).__name__}")
        await asyncio.sleep(process.rng.uniform(0.1, 20))


async def _read(process: Process, *, follow: bool) -> None:
    async with aclosing(process.client.changes(CONSUMER, from_start=True, follow=follow)) as changes:
        async for change in changes:
            takes_s = process.rng.uniform(0, HANDLES_MAX_S)
            if process.world.is_busy and process.rng.random() < 0.02:
                takes_s += HANDLES_LONG_S
            await asyncio.sleep(takes_s)
            process.risk(2.0)
            await asyncio.sleep(0)
            process.world.deliveries.handled(process.name, change)
