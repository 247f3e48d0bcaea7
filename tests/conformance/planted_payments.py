"""Bugs for the checks of `payments`."""

from typing import Any

import msgspec

from paycore.plugin import CreateOrder, Flow, Money
from paycore.testing.toy import ToyProvider
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class TakesLess(ToyProvider):
    """Orders one minor unit less than it was told."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        less = Money.from_minor(order.amount.minor - 1, order.amount.currency)
        return (yield from super().create(msgspec.structs.replace(order, amount=less)))


BUGS = [Planted("paid_order_is_paid_once", "the order is for a minor unit less", toy(TakesLess))]
