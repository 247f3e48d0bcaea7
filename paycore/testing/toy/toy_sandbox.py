"""The toy's gateway as a sandbox, so that the conformance kit can be tried on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from paycore.plugin import Request
from paycore.sandbox.api import Document, NotPossible, SandboxOptions, UnknownOrder
from paycore.sandbox.posts import Post, PostResult
from paycore.sandbox.scripted import GatewayAnswer, GatewayRequest, ScriptedGateway
from paycore.testing.toy.toy_answers import SIGNATURE_HEADER, TIME_HEADER, sign, signed_form
from paycore.testing.toy.toy_gateway import ToyGateway, ToyOrder

ATTEMPTS_MAX = 8
RESENT_AFTER_S = 60
"""How often a notification is sent that is not answered with `ok`, and how long after one another."""


class ToyNotifying(msgspec.Struct, frozen=True, kw_only=True):
    """
    How the toy notifies. `mentions`: unsigned, an id only. `times`: the time of signing is signed, in a header.

    `batches`: each has the records of every order and refund that was notified of before. `is_silent`: it does not.
    `in_query`: the signature is in the query string. `forms`: a form with its signature inside, see `signed_form`.
    """

    mentions: bool = False
    times: bool = False
    batches: bool = False
    is_silent: bool = False
    in_query: bool = False
    forms: bool = False


class ToySandbox:
    """Opens gateways of that class; the arguments are those of `ToyGateway`, and of `ToyNotifying`."""

    def __init__(self, name: str = "toy", *, gateway: type[ToyGateway] = ToyGateway, **options: Any) -> None:
        self.name = name
        how = {field: options.pop(field) for field in ToyNotifying.__struct_fields__ if field in options}
        self._notifying = ToyNotifying(**how)
        self._gateway = gateway
        self._options = {"expires": True, **options}

    def open(self, options: SandboxOptions) -> ScriptedToy:
        """See `paycore.sandbox.api.Sandbox`."""
        return ScriptedToy(options, partial(self._gateway, **self._options), self._notifying)


class ScriptedToy(ScriptedGateway):
    """A `ToyGateway` behind the controls of a sandbox."""

    name = "toy"
    settings: Mapping[str, Any] = {"key": "toy-key-0001"}

    def __init__(
        self, options: SandboxOptions, make: Callable[..., ToyGateway], notifying: ToyNotifying
    ) -> None:
        super().__init__(options)
        self.toy = make(key=self.settings["key"], clock=self._now)
        self._notifying = notifying
        self._told: dict[str, ToyOrder] = {}

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """The toy's answer."""
        request = Request(method="POST", path=asked.path, headers=asked.headers, body=asked.body)
        if asked.path == "/orders":
            self.requests[asked.document["number"]] += 1
        if asked.path == "/token" and asked.document["key"] != self.settings["key"]:
            return GatewayAnswer({"error": "bad_key"})
        response = self.toy.handle(request)
        if asked.path == "/refunds" and b'"error"' not in response.body:
            self._notify(self.toy.orders[-1])
        return GatewayAnswer(response.body, status=response.status)

    # --- controls ----------------------------------------------------------------------------------------

    def list_orders(self, limit: int) -> list[Document]:
        """See `Controls`."""
        orders = [order for order in self.toy.orders if order.kind == "payment"]
        return [self.show_order(order.number) for order in orders[::-1][:limit]]

    def show_order(self, number: str) -> Document:
        """See `Controls`."""
        self.toy.end_refunds()
        self.toy.end_orders()
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
            "refunds": [
                {"number": one.number, "id": one.id, "minor": one.minor, "state": one.status}
                for one in self.toy.orders
                if one.kind == "refund" and one.of_number == order.number
            ],
        }

    def pay(self, number: str) -> Document:
        """See `Controls`."""
        return self._done(number, self.toy.pay)

    def decline(self, number: str) -> Document:
        """See `Controls`."""
        return self._ended(number, "failed")

    def expire(self, number: str) -> Document:
        """See `Controls`."""
        return self._ended(number, "closed", of=("pending", "authorized"))

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

    def sign_notification(self, body: bytes) -> Mapping[str, str]:
        """See `paycore.sandbox.api.FullGateway`."""
        is_beside = not (self._notifying.mentions or self._notifying.forms or self._notifying.in_query)
        return self._signed(body, self.toy.key) if is_beside else {}

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

    def _ended(self, number: str, status: str, of: Collection[str] = ("pending",)) -> Document:
        order = self._order(number)
        if order.status not in of:
            raise NotPossible(f"the order is {order.status}")
        order.status = status
        self._notify(order)
        return self.show_order(number)

    def _notify(self, order: ToyOrder, *, is_forged: bool = False) -> bool:
        if self.options.notify_url is None or self._notifying.is_silent:
            return False
        self._told[order.id] = order
        url, key = self.options.notify_url, "another-key" if is_forged else self.toy.key
        body, headers = self._written(order), {}
        if self._notifying.forms:
            body = signed_form(msgspec.json.decode(body), key)
        elif self._notifying.in_query:
            url += f"?sign={sign(body, key)}"
        elif not self._notifying.mentions:
            headers = self._signed(body, key)
        self._post(Post(url=url, headers=headers, body=body), 1)
        return True

    def _written(self, order: ToyOrder) -> bytes:
        if self._notifying.mentions:
            return msgspec.json.encode({"id": order.id})
        if self._notifying.batches:
            return msgspec.json.encode([one.record() for one in self._told.values()])
        return msgspec.json.encode(order.record())

    def _signed(self, body: bytes, key: str) -> dict[str, str]:
        if not self._notifying.times:
            return {SIGNATURE_HEADER: sign(body, key)}
        time = str(self.clock.now_ms() // 1000)
        return {SIGNATURE_HEADER: sign(body, key, time), TIME_HEADER: time}

    def _post(self, post: Post, attempt: int) -> None:
        def posted(result: PostResult) -> None:
            is_taken = result.status == 200 and result.body == b"ok"
            if not is_taken and attempt < ATTEMPTS_MAX:
                again_ms = self.clock.now_ms() + RESENT_AFTER_S * 1000
                self.clock.call_at(again_ms, lambda: self._post(post, attempt + 1))

        self._posts.send(post, posted)
