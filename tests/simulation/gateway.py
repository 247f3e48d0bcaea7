"""The provider: the toy gateway, with slow refunds, declines, late money, charge backs and authorizations that end."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
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
from paycore.testing.toy import SessionToyProvider, ToyGateway, ToyOrder, ToyProvider
from paycore.testing.toy.toy_gateway import PAGE

if TYPE_CHECKING:
    from tests.simulation.world import World

PAYABLE = ("pending", "authorized", "paid")
NOT_RETURNED = ("failed", "reversed")

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


class TwoStepSessionProvider(TwoStepProvider, SessionToyProvider):
    """The same with a token."""

    info = msgspec.structs.replace(TwoStepProvider.info, name="toy-in-two-steps-session")


class SimOrder(ToyOrder):
    """An order or refund with the simulation's own data; `reference` is the payment's, or the refund's."""

    found_from_s = 0.0
    is_late_money = False


class SimGateway(ToyGateway):
    """
    Holds the true state of orders and refunds, and informs payers, notifications and the witness.

    One that charges blindly also refunds blindly: twice for one number, and more than was paid.
    Orders and refunds are found by a query only a while after they were made.
    """

    def __init__(self, world: World) -> None:
        further = world.plan.further
        super().__init__(
            duplicates=world.plan.duplicates,
            window_s=further.window_s,
            needs_token=further.needs_token,
            token_lasts_s=further.token_lasts_s,
            page=world.plan.shared.list_page or PAGE,
            clock=world.scheduler.now,
        )
        self.refused_numbers: set[str] = set()
        """Numbers of orders that were refused for the payer."""
        self._world = world
        self._rng = world.rng("gateway")
        self._still_to_come = 0
        self._made_with: dict[str, str] = {}
        """The key that each token was ever got with, by the header that has it."""
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
        """Whether anything was made, or captured, under this number."""
        return bool(self.with_number(number)) or any(made.number == number for made in self.captures)

    def number_of(self, url: str) -> str:
        """The number of the order that is paid by this link."""
        return self._behind(url).number

    def numbers_of(self, fields: dict[str, Any]) -> list[str]:
        """The numbers that a query asks about, by number or by id."""
        ids = set(fields.get("ids", ()))
        return [*fields.get("numbers", ()), *(order.number for order in self._all() if order.id in ids)]

    def is_payable(self, url: str) -> bool:
        """Whether the payer can still pay by this link."""
        return self._behind(url).status == "pending"

    def _behind(self, url: str) -> SimOrder:
        return next(order for order in self._all() if link(order) == url)

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

    def account_of(self, request: Request) -> str:
        """The account that sends this, by its token or the key it gets one with; the main one where there are none."""
        if request.path == "/token":
            return self._world.account_with(msgspec.json.decode(request.body)["key"])
        headers = {name.lower(): value for name, value in request.headers.items()}
        return self._world.account_with(self._made_with.get(headers.get("authorization", ""), ""))

    def make_foreign(self) -> None:
        """Another system of the merchant makes an order by the same account."""
        self._caller = self._world.key_of("main") if self.needs_token else ""
        order = self._add(SimOrder(f"FOREIGN{len(self.orders)}", "payment", 100, "HKD"))
        order.status = self._rng.choice(("paid", "pending", "closed"))

    def pay(self, url: str) -> None:
        """The payer opens the link, and pays the order if it is open, or agrees to it."""
        order = self._behind(url)
        if order.status == "pending":
            self._agree(order)
            self._announce_status(order)

    # --- requests ------------------------------------------------------------------------------------

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        others = self.orders_of(fields["reference"])
        payable = [o for o in others if o.status in PAYABLE and not o.is_late_money]
        known = self._newest(fields["number"])
        if known is None and self._happens(self._world.weather.declined):
            self.refused_numbers.add(fields["number"])
            return {"error": "declined"}
        count = len(self.orders)
        answer = super()._create(fields)
        for order in self._all()[count:]:
            self._world.witness.made(order, payable)
            if order.status != "pending":
                self._announce_status(order)
        return answer if not self._world.plan.two_steps or "error" in answer else {**answer, "url": None}

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        now_s = self._world.scheduler.monotonic()
        numbers = self.numbers_of(fields)
        for number in numbers:
            looks = self._looks[number]
            looks.append(now_s)
            if len(looks) == LOOKS_MAX and now_s - looks[0] < LOOKS_WITHIN_S:
                self._world.witness.violated(
                    "no tight loops", f"{LOOKS_MAX} queries about {number} in a moment"
                )
        own = [cast("SimOrder", order) for order in self._own()]
        found = [o for o in own if o.number in numbers and o.found_from_s <= now_s]
        return {"records": [order.record() for order in found]}

    def _listed(self) -> list[SimOrder]:
        """
        As in the provider's list: late, and of some orders that can still be paid an attempt that failed.

        A number may have several records, of which a list shows one.
        """
        now_s = self._world.scheduler.monotonic()
        return [
            order if order.status != "pending" or self._rng.random() < 0.8 else _failed_attempt(order)
            for order in (cast("SimOrder", one) for one in self._own())
            if order.kind == "payment" and order.found_from_s <= now_s
        ]

    def _token(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._token(fields)
        self._made_with[f"Bearer {answer['token']}"] = fields["key"]
        return answer

    def _capture(self, fields: dict[str, Any]) -> dict[str, Any]:
        self.declines_captures = self._happens(self._world.weather.capture_declined)
        count = len(self.captures)
        order = cast("SimOrder | None", self._of(fields["authorization"], fields["order"]))
        before = "" if order is None else order.status
        answer = super()._capture(fields)
        if order is None:
            return answer
        if len(self.captures) > count:
            taken = [made for made in self.captures if made.order_id == order.id]
            self._world.witness.captured(order, taken)
        if order.status != before:
            self._announce_status(order)
        if (before, order.status) == ("authorized", "pending"):
            self._ask_again(order)
        return answer

    def _ask_again(self, order: SimOrder) -> None:
        """The payer whose money could not be captured sees that, and perhaps agrees again, before it ends."""
        self._later(self._world.held_for_s(order.reference or ""), self._end_open, order)
        if order.channel == "hold" and self._happens(self._world.weather.payer_agrees_again):
            self._world.scheduler.after(self._rng.uniform(1, 30), self.pay, link(order))

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        known = self._remembered(fields["number"])
        if known is not None and self.duplicates != "charge_blindly":
            return {"error": "duplicate"} if self.duplicates == "refuse" else known.record()
        own = [cast("SimOrder", order) for order in self._own()]
        paid = next((o for o in own if o.number == fields["order"] and o.status == "paid"), None)
        asked = sum(o.minor for o in self.refunds_of(fields["order"]) if o.status not in NOT_RETURNED)
        is_too_much = paid is not None and asked + fields["minor"] > paid.paid_minor
        if paid is None or (is_too_much and self.duplicates != "charge_blindly"):
            return {"error": "too_much"}
        refund = self._add(SimOrder(fields["number"], "refund", fields["minor"], paid.currency))
        refund.of_number, refund.reference = paid.number, fields["reason"]
        others = [o for o in self.refunds_of(paid.number) if o is not refund and o.status not in NOT_RETURNED]
        self._world.witness.refunded(refund, [o for o in others if o.reference == refund.reference])
        if self._happens(self._world.weather.refund_waits):
            self._later(self._rng.uniform(1, 300), self._settle_refund, refund)
        else:
            self._settle_refund(refund)
        return refund.record()

    def _settle_refund(self, refund: SimOrder) -> None:
        if self._happens(self._world.weather.refund_fails):
            self._set(refund, "failed")
            return
        paid = self._newest(refund.of_number)
        if paid is not None:
            paid.refunded += refund.minor
        self._set(refund, "succeeded")
        if self._happens(self._world.weather.refund_reversed):
            self._later(self._rng.uniform(5, 900), self._reverse, refund)

    def _reverse(self, refund: SimOrder) -> None:
        """The payer's account was closed: the refund comes back."""
        paid = self._newest(refund.of_number)
        if paid is not None and not self._world.plan.further.counts_reversed:
            paid.refunded -= refund.minor
        self._set(refund, "reversed", is_told_surely=True)

    def _close(self, fields: dict[str, Any]) -> dict[str, Any]:
        own = [o for o in self._all() if o.number == fields["number"]]
        is_open = [o for o in own if o.status in ("pending", "authorized")]
        answer = super()._close(fields)
        for order in is_open:
            self._announce(order)
            if not order.is_held and self._happens(self._world.weather.late_money):
                comes_in_s = self._rng.uniform(1, self._rng.choice((60, 300, 3000)))
                self._later(comes_in_s, self._take_late_money, order)
        return answer

    def _take_late_money(self, order: SimOrder) -> None:
        """The payer had confirmed before the order was closed; the provider took the money."""
        if order.status == "closed":
            order.is_late_money = True
            self._set(order, "paid")

    # --- what happens without a request ----------------------------------------------------------------

    def _announce_status(self, order: SimOrder) -> None:
        """What the payer or a request made of this order is told; some of it ends or comes back later."""
        self._set(order, order.status)
        if order.status == "authorized":
            ends_in_s = self._world.held_for_s(order.reference or "")
            self._later(ends_in_s, self._end_authorization, order, order.authorized_at)
        if order.status == "paid" and self._happens(self._world.weather.charged_back):
            self._later(self._rng.uniform(5, 900), self._charge_back, order)

    def _end_authorization(self, order: SimOrder, authorized_at: object) -> None:
        if order.status == "authorized" and order.authorized_at == authorized_at:
            self._set(order, "closed")

    def _end_open(self, order: SimOrder) -> None:
        if order.status == "pending":
            self._set(order, "closed")

    def _charge_back(self, order: SimOrder) -> None:
        """The payer's bank takes a part or all of it back; perhaps more later, and perhaps the merchant wins."""
        left = order.paid_minor - order.charged_back
        order.charged_back += self._rng.choice((left, self._rng.randint(1, max(1, left)))) if left else 0
        self._set(order, order.status, is_told_surely=True)
        if self._happens(0.5):
            self._later(self._rng.uniform(5, 900), self._win_charge_back, order)
        if self._happens(0.3):
            self._later(self._rng.uniform(5, 900), self._charge_back, order)

    def _win_charge_back(self, order: SimOrder) -> None:
        order.charge_back_won = self._rng.randint(order.charge_back_won, order.charged_back)
        self._set(order, order.status, is_told_surely=True)

    def cancel_by_hand(self, order: SimOrder) -> None:
        """An operator cancels or voids it in the provider's portal."""
        self._set(order, "closed")

    # --- helpers -------------------------------------------------------------------------------------

    def _later(self, delay_s: float, call: Callable[..., None], *arguments: object) -> None:
        self._still_to_come += 1
        self._world.scheduler.after(delay_s, self._happen, call, arguments)

    def _happen(self, call: Callable[..., None], arguments: tuple[object, ...]) -> None:
        self._still_to_come -= 1
        call(*arguments)

    def _add(self, order: ToyOrder) -> SimOrder:
        own = SimOrder(order.number, order.kind, order.minor, order.currency)
        super()._add(own)
        own.found_from_s = self._world.scheduler.monotonic()
        if self._world.weather.late:
            own.found_from_s += self._rng.uniform(0, self._world.plan.proof_s * 0.45)
        return own

    def _set(self, order: SimOrder, status: str, *, is_told_surely: bool = False) -> None:
        order.status = status
        self._world.scheduler.log("gateway", f"{order.kind} {order.number} {order.id} is {status}")
        self._announce(order, is_told_surely=is_told_surely)

    def _announce(self, order: SimOrder, *, is_told_surely: bool = False) -> None:
        """
        Notify of it.

        `is_told_surely`: this notification is repeated until it is acknowledged, since nobody asks about a final order.
        """
        if self._world.plan.further.mentions:
            body, headers = msgspec.json.encode({"id": order.id}), {}
        else:
            body = msgspec.json.encode(order.record())
            headers = {toy.SIGNATURE_HEADER: toy.sign(body, order.owner or self.key)}
        # What is told long after the faults are over may be lost all the same.
        is_untold = order.is_late_money and self._happens(self._world.plan.weather.late_money_untold)
        if not is_untold or is_told_surely:
            account = self._addressee(order)
            self._world.outside.announce(account, body, headers, is_lost_never=is_told_surely)

    def _addressee(self, order: SimOrder) -> str:
        """The account whose URL is told: its own, or sometimes its neighbour's, where one URL serves both."""
        own = self._world.account_with(order.owner)
        has_neighbour = own == "main" and len(self._world.plan.further.accounts) > 1
        return "second" if has_neighbour and self._happens(0.6) else own

    def _happens(self, likelihood: float) -> bool:
        return self._rng.random() < likelihood


def _failed_attempt(order: SimOrder) -> SimOrder:
    """An attempt to pay the order, which failed."""
    attempt = SimOrder(order.number, order.kind, order.minor, order.currency)
    attempt.id, attempt.status, attempt.made_at = order.id, "failed", order.made_at
    attempt.channel, attempt.reference = order.channel, order.reference
    return attempt


def link(order: ToyOrder) -> str:
    """The payer's link to this order."""
    return f"https://toy.example/pay/{order.id}"
