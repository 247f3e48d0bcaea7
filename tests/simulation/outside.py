"""The outside world: payers, the delivery of notifications, and forgers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from paycore.errors import LedgerError, NotificationError
from paycore.testing import toy
from tests.simulation.plan import FAULTS_END_S

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

RETRY_S = 15.0
TRIES_MAX = 5
FORGED_EVERY_S = 45.0


class Letter(msgspec.Struct, frozen=True):
    """A notification as sent: signed or forged."""

    body: bytes
    headers: dict[str, str]

    @property
    def digest(self) -> str:
        """Its digest in the ledger."""
        return hashlib.sha256(self.body).hexdigest()


class Outside:
    """Delivers notifications: late, twice, out of order, never, or forged."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng("outside")
        self._shown: set[str] = set()
        self._delivered = 0

    def start(self) -> None:
        """Start forging."""
        self._world.scheduler.after(self._rng.uniform(1, FORGED_EVERY_S), self._forge)

    def show(self, url: str, pays_in_s: float | None) -> None:
        """The payer gets this link, and pays after a while, or never."""
        if pays_in_s is not None and url not in self._shown:
            self._shown.add(url)
            self._world.scheduler.after(pays_in_s, self._world.gateway.pay, url)

    def announce(self, body: bytes, headers: dict[str, str]) -> None:
        """The gateway sends a notification until it is acknowledged, unless it is lost."""
        letter, weather = Letter(body, headers), self._world.weather
        if self._rng.random() >= weather.notification_lost:
            self._world.scheduler.after(self._rng.uniform(0.05, 8), self._deliver, letter, TRIES_MAX)
        if self._rng.random() < weather.notification_repeated:
            self._world.scheduler.after(self._rng.uniform(0.05, 120), self._deliver, letter, 1)

    def _deliver(self, letter: Letter, tries_left: int) -> None:
        if self._world.witness.has_acknowledged(letter.digest) and tries_left > 1:
            return
        if tries_left > 1:
            self._world.scheduler.after(RETRY_S, self._deliver, letter, tries_left - 1)
        web = self._world.web
        if web.is_alive and not web.is_stopping:
            self._delivered += 1
            name = f"notified-{self._delivered}"
            web.later(0.0, lambda: web.spawn(name, self._receive(web, letter)))

    async def _receive(self, web: Process, letter: Letter) -> None:
        """Like a web receiver: the client's result is the answer; an error is none."""
        try:
            reply = await web.client.receive("main", body=letter.body, headers=letter.headers)
        except (NotificationError, LedgerError) as error:
            self._world.scheduler.log("web", f"{type(error).__name__}: {error}")
        else:
            self._world.scheduler.log("web", reply.body.decode())
            self._world.witness.acknowledged(letter.digest, letter.body)

    def _forge(self) -> None:
        """A forged notification that an open order is paid."""
        open_orders = [order for order in self._world.gateway.orders if order.status == "pending"]
        if open_orders:
            order = self._rng.choice(open_orders)
            claim = {**order.record(), "status": "succeeded" if order.kind == "refund" else "paid"}
            body = msgspec.json.encode({**claim, "id": "FORGED"})
            signature = self._rng.choice(("", "0" * 64, toy.sign(body, "guess"), toy.sign(b"", "toy")))
            letter = Letter(body, {toy.SIGNATURE_HEADER: signature})
            self._world.witness.forged.add(letter.digest)
            self._world.scheduler.log("forger", body.decode())
            self._deliver(letter, 1)
        if self._world.scheduler.monotonic() < FAULTS_END_S:
            self._world.scheduler.after(self._rng.uniform(1, FORGED_EVERY_S), self._forge)
