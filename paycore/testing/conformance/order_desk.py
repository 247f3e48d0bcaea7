"""Makes orders at the gateway by the provider's own flows, and has them paid, looked at, captured and refunded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from paycore.domain.action import Action
from paycore.domain.money import Money
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Status
from paycore.domain.provider import (
    Attempt,
    CaptureOrder,
    CaptureReply,
    Created,
    CreateOrder,
    Done,
    Found,
    OrderRef,
    Product,
    RefundOrder,
    Rejected,
    Secret,
)
from paycore.engine.orders import new_id
from paycore.errors import InvalidField
from paycore.sandbox.api import Gateway
from paycore.testing.conformance.check import Failed, NotApplicable, require
from paycore.testing.conformance.flow_runner import FlowRunner
from paycore.testing.conformance.notification_receiver import Receiver
from paycore.testing.conformance.problem_words import place_of, said
from paycore.testing.conformance.subject import Subject

MINOR = 7391
"""The amount of an order, in minor units, where a product takes it: no other number looks like it."""

COINS = (1, 10, 100, 1000)
"""An amount is a multiple of one of these, in minor units, where a company has no smaller coin."""

CURRENCIES = ("EUR", "USD", "HKD", "GBP")
"""What an order is in, where the product takes it."""

LIFETIME_S = 3600
"""How long the payer has, where that can be said."""


class PlacedOrder(msgspec.Struct, kw_only=True):
    """
    An order at the gateway, made by the provider's own flow; `seen` is what was observed of it last.

    `lasts_s` is its lifetime in seconds, None where it was not told.
    """

    product: Product
    order: CreateOrder
    seen: PaymentObservation
    action: Action | None
    ids: dict[str, str]
    lasts_s: int | None = None

    def ref(self, attempt: Attempt) -> OrderRef:
        """The order as a query, a refund, a capture or a close is given it."""
        return OrderRef(
            kind="payment",
            number=self.order.number,
            provider_id=self.seen.provider_id,
            begun_at=self.order.begun_at,
            attempt=attempt,
            amount=self.order.amount,
            method=self.order.method,
            channel=self.order.channel,
            ids=self.ids,
        )


class OrderDesk(FlowRunner):
    """An account where orders are made, whose notifications go to `receiver`."""

    def __init__(
        self, subject: Subject, folder: Path, url: str, gateway: Gateway, receiver: Receiver
    ) -> None:
        super().__init__(subject, folder, url, gateway)
        self.receiver = receiver
        self._numbers = itertools.count(1)

    def product(self, wanted: Callable[[Product], bool], what: str) -> Product:
        """The first product of that kind; `NotApplicable` where there is none."""
        found = next(filter(wanted, self.products), None)
        if found is None:
            raise NotApplicable(f"no product of this account {what}")
        return found

    def waiting_product(self) -> Product:
        """A product whose payer does something; the first one where there is none. It takes the money by itself."""
        return min(self.products, key=lambda one: (not one.needs_action, one.capture != "none"))

    def arguments(self, product: Product, **changes: Any) -> dict[str, Any]:
        """Arguments of `create()` for a new payment: what the product requires, and what helps to test it."""
        made_up = {
            "subject": "Two tickets! #5",
            "return_url": "https://shop.example/thanks",
            "notify_url": self.receiver.url,
            "payer_id": "payer-0001",
            "auth_code": "281234567890123456",
            "device_id": "till-1",
        }
        if product.expires_in_s is not None:
            shortest, longest = product.expires_in_s
            made_up["expires_in_s"] = min(max(LIFETIME_S, shortest), longest)  # type: ignore[assignment]
        wanted = product.required | (product.optional & {"notify_url", "expires_in_s", "return_url"})
        fields = {
            "reference": f"kit-{next(self._numbers):04d}",
            "method": product.method,
            "channel": product.channel,
            **{name: made_up[name] for name in made_up if name in wanted},
            **self.given(product),
            **changes,
        }
        return {"amount": self._amount(product, fields), **fields}

    def _amount(self, product: Product, fields: Mapping[str, Any]) -> Money:
        """An amount that the product takes: rounded where `check` refuses it for its coins."""
        currency = next((one for one in CURRENCIES if one in product.currencies), min(product.currencies))
        least, largest = product.currencies[currency]
        rounded = [Money.from_minor(min(max(MINOR // c * c, least), largest), currency) for c in COINS]
        for amount in rounded if hasattr(self.provider, "check") and "amount" not in fields else ():
            try:
                self.provider.check(self._ordered({**fields, "amount": amount}))
            except InvalidField as refusal:
                if refusal.field == "amount":
                    continue
            except Exception as error:
                raise Failed(
                    f"`check` raised {type(error).__name__} at {place_of(error)}: {error}",
                    "let `check` raise InvalidField with the field, the value's size and the bound, and nothing else",
                ) from error
            return amount
        return rounded[0]

    def given(self, product: Product) -> Mapping[str, Any]:
        """The arguments of `create()` that only the sandbox knows for this product."""
        told: Mapping[str, Any] = getattr(self.gateway, "order_arguments", _nothing)(
            product.method, product.channel
        )
        return told

    def create_order(self, product: Product, **changes: Any) -> CreateOrder:
        """An order as the core gives it to `create`; `changes` are arguments of `create()`."""
        return self._ordered(self.arguments(product, **changes))

    def _ordered(self, fields: Mapping[str, Any]) -> CreateOrder:
        code = fields.get("auth_code")
        secret = {"auth_code": Secret(code)} if isinstance(code, str) else {}
        return CreateOrder(
            number=new_id(), begun_at=self.now(), attempt=self.attempt(), **{**fields, **secret}
        )

    def never_sent(self) -> OrderRef:
        """A number that was fixed for an order and never sent, as a query is given it."""
        order = self.create_order(self.waiting_product())
        return OrderRef(
            kind="payment",
            number=new_id(),
            provider_id=None,
            begun_at=order.begun_at,
            attempt=self.attempt(),
            amount=order.amount,
            method=order.method,
            channel=order.channel,
        )

    def place(self, product: Product, **changes: Any) -> PlacedOrder:
        """A new order at the gateway; `Failed` where its `create` does not make one."""
        order = self.create_order(product, **changes)
        return self.placed(product, order, self.converse(lambda: self.provider.create(order)))

    def accepted(self, product: Product, order: CreateOrder, what: str, advice: str) -> PlacedOrder:
        """This order at the gateway; `Failed` where it is not made: with `advice` where the company refuses it."""
        self._require_checked(order, what)
        outcome = self.converse(lambda: self.provider.create(order))
        try:
            return self.placed(product, order, outcome)
        except Failed as failed:
            is_refused = isinstance(outcome, Rejected)
            raise Failed(f"{what}: {failed.problem}", advice if is_refused else failed.advice) from failed

    def _require_checked(self, order: CreateOrder, what: str) -> None:
        """`Failed` where the provider's own `check` refuses the order."""
        if not hasattr(self.provider, "check"):
            return
        try:
            self.provider.check(order)
        except InvalidField as error:
            raise Failed(
                f"{order.method}/{order.channel}: `check` refuses an order {what}: {error}",
                "let `check` refuse only what the company's manual refuses; shorten texts, and require what is needed",
            ) from error

    def placed(self, product: Product, order: CreateOrder, outcome: Any) -> PlacedOrder:
        """The order that this outcome of `create` speaks of; `Failed` where it speaks of none."""
        if not (isinstance(outcome, Done) and isinstance(outcome.value, Created)):
            raise Failed(
                f"create of {product.method}/{product.channel} returned {said(outcome)} from its own sandbox",
                "return Done(Created(...)) for an order that was accepted; give the arguments it needs by the"
                " gateway's order_arguments",
            )
        created = outcome.value
        return PlacedOrder(
            product=product,
            order=order,
            seen=created.observation,
            action=created.action,
            ids=dict(created.observation.ids),
            lasts_s=created.expires_in_s,
        )

    def look(self, placed: PlacedOrder) -> PaymentObservation:
        """Query the order; `Failed` where it is not found under its number."""
        outcome = self.converse(lambda: self.provider.query([placed.ref(self.attempt())]))
        found = (
            outcome.value.observations
            if isinstance(outcome, Done) and isinstance(outcome.value, Found)
            else ()
        )
        seen = next((one for one in found if one.number == placed.order.number), None)
        if not isinstance(seen, PaymentObservation):
            raise Failed(
                f"query of an order that exists returned {said(outcome)}",
                "return Done(Found(observations=...)) with one observation under the number that was asked about",
            )
        placed.seen = seen
        placed.ids = {**seen.ids, **placed.ids}
        return seen

    def pay(self, placed: PlacedOrder) -> PaymentObservation:
        """Have the payer pay, or agree, and query the order."""
        if placed.seen.status is Status.PENDING:
            self.controls.pay(placed.order.number)
        return self.look(placed)

    def paid(self, product: Product, **changes: Any) -> PlacedOrder:
        """A new order that was paid: captured too, where its product captures."""
        placed = self.place(product, **changes)
        if self.pay(placed).status is Status.AUTHORIZED:
            outcome = self.capture(placed, placed.order.amount.minor)
            require(
                isinstance(outcome, Done),
                f"capture of an authorized order returned {said(outcome)}",
                "return Done with the order's observation once the money is taken",
            )
            self.look(placed)
        require(
            placed.seen.status is Status.PAID,
            f"an order that its payer paid is {placed.seen.status}",
            "map the provider's word for a paid order to Status.PAID, or let the sandbox's `pay` take the money",
        )
        return placed

    def capture(self, placed: PlacedOrder, minor: int, number: str | None = None) -> CaptureReply:
        """Capture so much of an authorized order, by its own flow."""
        capture = self.capture_order(placed, minor, number)
        return self.converse(lambda: self.provider.capture(capture))

    def capture_order(self, placed: PlacedOrder, minor: int, number: str | None = None) -> CaptureOrder:
        """A capture of so much, as the core gives it to `capture`."""
        return CaptureOrder(
            number=number or new_id(),
            begun_at=self.now(),
            attempt=self.attempt(),
            amount=Money.from_minor(minor, placed.order.amount.currency),
            order=placed.ref(self.attempt()),
        )

    def refund_order(self, placed: PlacedOrder, minor: int, number: str | None = None) -> RefundOrder:
        """A refund of so much, as the core gives it to `refund`."""
        return RefundOrder(
            number=number or new_id(),
            begun_at=self.now(),
            attempt=self.attempt(),
            amount=Money.from_minor(minor, placed.order.amount.currency),
            order=placed.ref(self.attempt()),
            reason=None,
        )

    def refund_ref(self, refund: RefundOrder, seen: RefundObservation | None) -> OrderRef:
        """A refund as `query` is given it."""
        return OrderRef(
            kind="refund",
            number=refund.number,
            provider_id=None if seen is None else seen.provider_id,
            ids={} if seen is None else seen.ids,
            begun_at=refund.begun_at,
            attempt=self.attempt(),
            amount=refund.amount,
            method=refund.order.method,
            channel=refund.order.channel,
            payment=refund.order,
        )


def _nothing(method: str, channel: str) -> Mapping[str, Any]:
    del method, channel
    return {}
