"""The outside world: payers, the delivery of notifications, and forgers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from paycore.errors import AccountRefused, LedgerError, NotificationError, ProviderError
from paycore.testing import toy

if TYPE_CHECKING:
    from paycore.testing.toy import ToyOrder
    from tests.simulation.processes import Process
    from tests.simulation.world import World

RETRY_S = 15.0
TRIES_MAX = 5
FORGED_EVERY_S = 45.0


class Letter(msgspec.Struct, frozen=True):
    """A notification as sent to an account: signed, forged, or unsigned where it has an id only."""

    account: str
    body: bytes
    headers: dict[str, str]

    @property
    def digest(self) -> str:
        """Its digest in the ledger."""
        return hashlib.sha256(self.body).hexdigest()


class Delivery:
    """One notification on its way, until it is acknowledged."""

    is_acknowledged = False


class Outside:
    """Delivers notifications: late, twice, out of order, never, or forged."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng("outside")
        self._shown: set[str] = set()
        self._letters: list[Letter] = []
        self._delivered = 0
        self._still_to_deliver = 0

    def start(self) -> None:
        """Start forging, and what happens to tokens."""
        for at_s in self._world.plan.further.tokens_refused_s:
            self._world.scheduler.after(at_s, self.refuse_tokens)
        self._world.scheduler.after(self._rng.uniform(1, FORGED_EVERY_S), self._forge)
        for at_s in self._world.plan.shared.storms_s:
            self._world.scheduler.after(at_s, self._send_all_again)
        for at_s in self._world.plan.shared.foreign_s:
            self._world.scheduler.after(at_s, self._world.gateway.make_foreign)

    def show(self, url: str, pays_in_s: float | None) -> None:
        """The payer gets this link, and pays after a while, or never."""
        if pays_in_s is not None and url not in self._shown:
            self._shown.add(url)
            self._world.scheduler.after(pays_in_s, self._world.gateway.pay, url)

    def refuse_tokens(self) -> None:
        """The provider forgets every token it gave."""
        self._world.scheduler.log("gateway", "no token holds any more")
        self._world.gateway.refuse_tokens()

    def announce(self, account: str, body: bytes, headers: dict[str, str], *, is_lost_never: bool) -> None:
        """The gateway sends a notification until it is acknowledged, unless it is lost."""
        letter, weather = Letter(account, body, headers), self._world.weather
        self._letters.append(letter)
        if is_lost_never:
            self._world.scheduler.after(self._rng.uniform(0.05, 8), self._deliver_surely, letter)
        elif self._rng.random() >= weather.notification_lost:
            self._world.scheduler.after(self._rng.uniform(0.05, 8), self._deliver, letter, TRIES_MAX)
        if self._rng.random() < weather.notification_repeated:
            self._world.scheduler.after(self._rng.uniform(0.05, 120), self._deliver, letter, 1)

    def _send_all_again(self) -> None:
        """A storm of duplicates."""
        for letter in self._letters:
            self._world.scheduler.after(self._rng.uniform(0, 5), self._deliver, letter, 1)

    def _deliver(self, letter: Letter, tries_left: int) -> None:
        if self._world.witness.has_acknowledged(letter.digest) and tries_left > 1:
            return
        if tries_left > 1:
            self._world.scheduler.after(RETRY_S, self._deliver, letter, tries_left - 1)
        self._hand_over(letter, Delivery())

    def _deliver_surely(self, letter: Letter, earlier: Delivery | None = None) -> None:
        """Again and again until this very delivery is acknowledged, whatever was answered to one like it before."""
        if earlier is not None and earlier.is_acknowledged:
            self._still_to_deliver -= 1
            return
        self._still_to_deliver += earlier is None
        delivery = earlier or Delivery()
        self._world.scheduler.after(RETRY_S, self._deliver_surely, letter, delivery)
        self._hand_over(letter, delivery)

    def _hand_over(self, letter: Letter, delivery: Delivery) -> None:
        web = self._world.web
        if web.is_alive and not web.is_stopping:
            self._delivered += 1
            name = f"notified-{self._delivered}"
            web.later(0.0, lambda: web.spawn(name, self._receive(web, letter, delivery)))

    async def _receive(self, web: Process, letter: Letter, delivery: Delivery) -> None:
        """Like a web receiver: the client's result is the answer; an error is none, also one of opening a session."""
        try:
            reply = await web.client.receive(letter.account, body=letter.body, headers=letter.headers)
        except (NotificationError, LedgerError, ProviderError, AccountRefused) as error:
            self._world.scheduler.log("web", f"{type(error).__name__}: {error}")
        else:
            self._world.scheduler.log("web", reply.body.decode())
            delivery.is_acknowledged = True
            self._world.witness.acknowledged(letter.digest, letter.body)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing that must be delivered is on its way."""
        return not self._still_to_deliver

    def _forge(self) -> None:
        """A forged notification that an open order is paid."""
        open_orders = [
            o for o in self._world.gateway.orders if o.status in ("pending", "authorized") and o.reference
        ]
        if open_orders:
            order = self._rng.choice(open_orders)
            account = self._world.account_with(order.owner)
            letter = self._forged_letter(account, order)
            self._world.scheduler.log("forger", letter.body.decode())
            self._deliver(letter, 1)
        if self._world.scheduler.monotonic() < self._world.plan.faults_end_s:
            self._world.scheduler.after(self._rng.uniform(1, FORGED_EVERY_S), self._forge)

    def _forged_letter(self, account: str, order: ToyOrder) -> Letter:
        """An unsigned id is taken from anybody; whatever else is said must be signed."""
        if self._world.plan.further.mentions and self._rng.random() < 0.5:
            return Letter(account, msgspec.json.encode({"id": self._rng.choice((order.id, "FORGED"))}), {})
        claim = {**order.record(), "status": "succeeded" if order.kind == "refund" else "paid"}
        body = msgspec.json.encode({**claim, "id": "FORGED"})
        signature = self._rng.choice(("", "0" * 64, toy.sign(body, "guess"), toy.sign(b"", "toy")))
        letter = Letter(account, body, {toy.SIGNATURE_HEADER: signature})
        self._world.witness.forged.add(letter.digest)
        return letter
