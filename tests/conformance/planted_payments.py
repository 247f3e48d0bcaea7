"""Bugs for the checks of `payments`."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from paycore.plugin import (
    CreateOrder,
    Done,
    Flow,
    Money,
    OrderRef,
    Response,
    Status,
)
from paycore.testing.toy import ToyProvider
from tests.conformance.bugs import misread
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class TakesLess(ToyProvider):
    """Orders one minor unit less than it was told."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        less = Money.from_minor(order.amount.minor - 1, order.amount.currency)
        return (yield from super().create(msgspec.structs.replace(order, amount=less)))


class Renamed(ToyProvider):
    """Takes one state for pending."""

    state: Status

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def renamed(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            seen = tuple(
                msgspec.structs.replace(one, status=Status.PENDING) if one.status == self.state else one
                for one in outcome.value.observations
            )
            return Done(msgspec.structs.replace(outcome.value, observations=seen))

        return (yield from misread(super().query(orders), renamed))


class TakesDeclinedForPending(Renamed):
    state = Status.FAILED


class TakesExpiredForPending(Renamed):
    state = Status.CLOSED


class AsksTwiceInALoop(ToyProvider):
    """Depends on who runs it."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return (yield from super().query(orders))
        yield from super().query(orders)
        return (yield from super().query(orders))


BUGS = [
    Planted("paid_order_is_paid_once", "the order is for a minor unit less", toy(TakesLess)),
    Planted("declined_order_has_failed", "a declined order is pending", toy(TakesDeclinedForPending)),
    Planted("expired_order_is_over", "an expired order is pending", toy(TakesExpiredForPending)),
    Planted("sync_and_async_are_the_same", "a flow asks twice in an event loop", toy(AsksTwiceInALoop)),
]
