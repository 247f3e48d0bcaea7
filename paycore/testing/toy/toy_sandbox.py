"""The toy's gateway as a sandbox, so that the conformance kit can be tried on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from paycore.plugin import Request
from paycore.sandbox.api import Document, NotPossible, SandboxOptions, UnknownOrder
from paycore.sandbox.posts import Post
from paycore.sandbox.scripted import GatewayAnswer, GatewayRequest, ScriptedGateway
from paycore.testing.toy.toy_answers import SIGNATURE_HEADER, sign
from paycore.testing.toy.toy_gateway import ToyGateway, ToyOrder


class ToySandbox:
    """
    Opens gateways of that class; the arguments are those of `ToyGateway`.

    `mentions`: notifications have an id only.
    """

    def __init__(
        self,
        name: str = "toy",
        *,
        mentions: bool = False,
        gateway: type[ToyGateway] = ToyGateway,
        **options: Any,
    ) -> None:
        self.name = name
        self._mentions = mentions
        self._gateway = gateway
        self._options = options

    def open(self, options: SandboxOptions) -> ScriptedToy:
        """See `paycore.sandbox.api.Sandbox`."""
        return ScriptedToy(options, partial(self._gateway, **self._options), mentions=self._mentions)


class ScriptedToy(ScriptedGateway):
    """A `ToyGateway` behind the controls of a sandbox."""

    name = "toy"
    settings: Mapping[str, Any] = {"key": "toy-key-0001"}

    def __init__(self, options: SandboxOptions, make: Callable[..., ToyGateway], *, mentions: bool) -> None:
        super().__init__(options)
        self.toy = make(key=self.settings["key"], clock=self._now)
        self._mentions = mentions
        self._urls: dict[str, str] = {}

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """The toy's answer."""
        request = Request(method="POST", path=asked.path, headers=asked.headers, body=asked.body)
        if asked.path == "/orders":
            self.requests[asked.document["number"]] += 1
        response = self.toy.handle(request)
        return GatewayAnswer(response.body, status=response.status)

    # --- controls ----------------------------------------------------------------------------------------

    def list_orders(self, limit: int) -> list[Document]:
        """See `Controls`."""
        orders = [order for order in self.toy.orders if order.kind == "payment"]
        return [self.show_order(order.number) for order in orders[::-1][:limit]]

    def show_order(self, number: str) -> Document:
        """See `Controls`."""
        self.toy.end_refunds()
        order = self._order(number)
        same = [one for one in self.toy.orders if one.number == order.number and one.kind == "payment"]
        paid = [one for one in same if one.status == "paid"]
        return {
            "number": order.number,
            "state": order.status,
            "orders": [one.id for one in same],
            "charges": len(paid),
            "requests": self.requests[order.number],
            "paid_minor": sum(one.paid_minor for one in paid),
            "refunded_minor": sum(one.refunded for one in same),
        }

    def pay(self, number: str) -> Document:
        """See `Controls`."""
        return self._done(number, self.toy.pay)

    def decline(self, number: str) -> Document:
        """See `Controls`."""
        return self._ended(number, "failed")

    def expire(self, number: str) -> Document:
        """See `Controls`."""
        return self._ended(number, "closed")

    def decline_capture(self, number: str) -> Document:
        """See `FullControls`."""
        order = self._order(number)
        if not order.is_held:
            raise NotPossible("its money is taken without a capture")
        shown = self.pay(number)
        self.toy.to_decline.add(order.number)
        return shown

    def charge_back(self, number: str, minor: int | None) -> Document:
        """See `FullControls`."""
        return self._done(number, lambda known: self.toy.charge_back(known, minor))

    def win_charge_back(self, number: str, minor: int | None) -> Document:
        """See `FullControls`."""
        return self._done(number, lambda known: self.toy.win_charge_back(known, minor))

    def fail_refund(self, number: str) -> Document:
        """See `FullControls`."""
        refund = next((one for one in self.toy.orders if one.number == number and one.kind == "refund"), None)
        if refund is None:
            raise UnknownOrder(f"no refund {number!r}")
        try:
            self.toy.reverse(number)
        except RuntimeError as error:
            raise NotPossible(str(error)) from None
        self._notify(refund)
        return self.show_order(refund.of_number)

    def notify(self, number: str, *, kind: str, seconds: float) -> Document:
        """See `Controls`; a late one is sent at once."""
        del seconds
        if not self._notify(self._order(number), is_forged=kind == "forged"):
            raise NotPossible("there is no URL to send it to")
        return self.show_order(number)

    def stats(self) -> Document:
        """See `Controls`."""
        made = [one for one in self.toy.orders if one.kind == "payment"]
        charges = sum(one.status == "paid" for one in made)
        return {**super().stats(), "orders": len(made), "charges": charges}

    # --- inside ------------------------------------------------------------------------------------------

    def _order(self, number: str) -> ToyOrder:
        found = [one for one in self.toy.orders if number in (one.number, one.id) and one.kind == "payment"]
        if not found:
            raise UnknownOrder(f"no order {number!r}")
        return found[-1]

    def _done(self, number: str, act: Callable[[str], None]) -> Document:
        order = self._order(number)
        try:
            act(order.number)
        except RuntimeError as error:
            raise NotPossible(str(error)) from None
        self._notify(order)
        return self.show_order(number)

    def _ended(self, number: str, status: str) -> Document:
        order = self._order(number)
        if order.status != "pending":
            raise NotPossible(f"the order is {order.status}")
        order.status = status
        self._notify(order)
        return self.show_order(number)

    def _notify(self, order: ToyOrder, *, is_forged: bool = False) -> bool:
        if self.options.notify_url is None:
            return False
        body, headers = (
            self.toy.mention(order.number) if self._mentions else self.toy.notification(order.number)
        )
        if is_forged and not self._mentions:
            headers = {SIGNATURE_HEADER: sign(body, "another-key")}
        self._posts.send(Post(url=self.options.notify_url, headers=headers, body=body), lambda _result: None)
        return True
