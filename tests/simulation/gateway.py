"""The provider: the toy gateway, with slow refunds, declines and late money."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, cast

import msgspec

from paycore.plugin import (
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Flow,
    Redirect,
    Request,
    Response,
    Unknown,
)
from paycore.testing import toy
from paycore.testing.toy import ToyGateway, ToyOrder, ToyProvider

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOKS_MAX = 30
LOOKS_WITHIN_S = 10.0
"""This many queries about one number in this time mean a busy loop: all callers together query half as often."""


class TwoStepProvider(ToyProvider):
    """Gets the link by a second request: a conversation that can fail half-way."""

    info = msgspec.structs.replace(ToyProvider.info, name="toy-in-two-steps")

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """Make the order, then fetch its link."""
        reply = yield from super().create(order)
        if not isinstance(reply, Unknown) or reply.observation is None:
            return reply
        response = yield toy.post("/link", {"number": order.number}, order.attempt.session)
        try:
            url = msgspec.json.decode(response.body, type=dict[str, str])["url"]
        except (msgspec.MsgspecError, KeyError):
            return reply
        return Done(Created(observation=reply.observation, action=Redirect(url=url)))  # type: ignore[arg-type]


class SimOrder(ToyOrder):
    """An order or refund with the simulation's own data."""

    reference = ""
    """The payment's reference, or the refund's."""
    of_number = ""
    """A refund's order."""
    found_from_s = 0.0
    is_late_money = False


class SimGateway(ToyGateway):
    """
    Holds the true state of orders and refunds, and informs payers, notifications and the witness.

    One that charges blindly also refunds blindly: twice for one number, and more than was paid.
    Orders and refunds are found by a query only a while after they were made.
    """

    def __init__(self, world: World) -> None:
        super().__init__(duplicates=world.plan.duplicates)
        self._world = world
        self._rng = world.rng("gateway")
        self._still_to_come = 0
        self._looks: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=LOOKS_MAX))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing more happens here without a request."""
        return not self._still_to_come

    def orders_of(self, reference: str) -> list[SimOrder]:
        """The orders made for the payment with this reference."""
        return [order for order in self._all() if order.kind == "payment" and order.reference == reference]

    def refunds_of(self, number: str) -> list[SimOrder]:
        """The refunds made of the order with this number."""
        return [order for order in self._all() if order.kind == "refund" and order.of_number == number]

    def with_number(self, number: str) -> list[SimOrder]:
        """The orders or refunds made under this number."""
        return [order for order in self._all() if order.number == number]

    def knows(self, number: str) -> bool:
        """Whether anything was made under this number."""
        return bool(self.with_number(number))

    def number_of(self, url: str) -> str:
        """The number of the order that is paid by this link."""
        return next(order.number for order in self._all() if link(order) == url)

    def _all(self) -> list[SimOrder]:
        return cast("list[SimOrder]", self.orders)  # `_add` makes every one of them

    def handle(self, request: Request) -> Response:
        """Answer one request, or refuse it while the account is refused."""
        refused_s = self._world.plan.account_refused_s
        if refused_s is not None and refused_s[0] <= self._world.scheduler.monotonic() < refused_s[1]:
            return Response(status=200, body=b'{"error": "bad_key"}')
        if request.path == "/link":
            order = self._newest(msgspec.json.decode(request.body)["number"])
            url = "" if order is None else link(order)
            return Response(status=200, body=msgspec.json.encode({"url": url}))
        return super().handle(request)

    def pay(self, url: str) -> None:
        """The payer opens the link, and pays the order if it is open."""
        order = next(order for order in self._all() if link(order) == url)
        if order.status == "pending":
            self._set(order, "paid")

    # --- requests ------------------------------------------------------------------------------------

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        others = self.orders_of(fields["reference"])
        payable = [o for o in others if o.status in ("pending", "paid") and not o.is_late_money]
        known = self._newest(fields["number"])
        if known is None and self._happens(self._world.weather.declined):
            return {"error": "declined"}
        count = len(self.orders)
        answer = super()._create(fields)
        for order in self._all()[count:]:
            order.reference = fields["reference"]
            self._world.witness.made(order, payable)
            if order.status == "paid":
                self._announce(order)
        return answer if not self._world.plan.two_steps or "error" in answer else {**answer, "url": None}

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        now_s = self._world.scheduler.monotonic()
        for number in fields["numbers"]:
            looks = self._looks[number]
            looks.append(now_s)
            if len(looks) == LOOKS_MAX and now_s - looks[0] < LOOKS_WITHIN_S:
                self._world.witness.violated(
                    "no tight loops", f"{LOOKS_MAX} queries about {number} in a moment"
                )
        wanted = set(fields["numbers"])
        found = [o for o in self._all() if o.number in wanted and o.found_from_s <= now_s]
        return {"records": [order.record() for order in found]}

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        known = self._newest(fields["number"])
        if known is not None and self.duplicates != "charge_blindly":
            return {"error": "duplicate"} if self.duplicates == "refuse" else known.record()
        paid = next((o for o in self._all() if o.number == fields["order"] and o.status == "paid"), None)
        asked = sum(o.minor for o in self.refunds_of(fields["order"]) if o.status != "failed")
        is_too_much = paid is not None and asked + fields["minor"] > paid.minor
        if paid is None or (is_too_much and self.duplicates != "charge_blindly"):
            return {"error": "too_much"}
        refund = self._add(SimOrder(fields["number"], "refund", fields["minor"], paid.currency))
        refund.of_number, refund.reference = paid.number, fields["reason"]
        others = [o for o in self.refunds_of(paid.number) if o is not refund and o.status != "failed"]
        self._world.witness.refunded(refund, [o for o in others if o.reference == refund.reference])
        if self._happens(self._world.weather.refund_waits):
            self._still_to_come += 1
            self._world.scheduler.after(self._rng.uniform(1, 300), self._settle_late_refund, refund)
        else:
            self._settle_refund(refund)
        return refund.record()

    def _settle_late_refund(self, refund: SimOrder) -> None:
        self._still_to_come -= 1
        self._settle_refund(refund)

    def _settle_refund(self, refund: SimOrder) -> None:
        if self._happens(self._world.weather.refund_fails):
            self._set(refund, "failed")
            return
        paid = self._newest(refund.of_number)
        if paid is not None:
            paid.refunded += refund.minor
        self._set(refund, "succeeded")

    def _close(self, fields: dict[str, Any]) -> dict[str, Any]:
        is_open = [o for o in self._all() if o.number == fields["number"] and o.status == "pending"]
        answer = super()._close(fields)
        for order in is_open:
            self._announce(order)
            if self._happens(self._world.weather.late_money):
                comes_in_s = self._rng.uniform(1, self._rng.choice((60, 3000)))
                self._still_to_come += 1
                self._world.scheduler.after(comes_in_s, self._take_late_money, order)
        return answer

    def _take_late_money(self, order: SimOrder) -> None:
        """The payer had confirmed before the order was closed; the provider took the money."""
        self._still_to_come -= 1
        if order.status == "closed":
            order.is_late_money = True
            self._set(order, "paid")

    # --- helpers -------------------------------------------------------------------------------------

    def _add(self, order: ToyOrder) -> SimOrder:
        own = SimOrder(order.number, order.kind, order.minor, order.currency)
        super()._add(own)
        own.found_from_s = self._world.scheduler.monotonic()
        if self._world.weather.late:
            own.found_from_s += self._rng.uniform(0, self._world.plan.proof_s * 0.45)
        return own

    def _set(self, order: SimOrder, status: str) -> None:
        order.status = status
        self._world.scheduler.log("gateway", f"{order.kind} {order.number} {order.id} is {status}")
        self._announce(order)

    def _announce(self, order: SimOrder) -> None:
        body = msgspec.json.encode(order.record())
        headers = {toy.SIGNATURE_HEADER: toy.sign(body, self.key)}
        # What is told long after the faults are over may be lost all the same.
        is_untold = order.is_late_money and self._happens(self._world.plan.weather.late_money_untold)
        if not is_untold:
            self._world.outside.announce(body, headers)

    def _happens(self, likelihood: float) -> bool:
        return self._rng.random() < likelihood


def link(order: ToyOrder) -> str:
    """The payer's link to this order."""
    return f"https://toy.example/pay/{order.id}"
