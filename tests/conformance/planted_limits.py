"""Bugs for the checks of `limits`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec

from paycore.plugin import CreateOrder, Done, Flow, Found, OrderRef
from paycore.testing.toy import ToyGateway, ToyProvider, ToySettings
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy
from tests.conformance.planted_products import Ordering
from tests.conformance.planting import Planted


class Declares(ToyProvider):
    """Declares something else of its account."""

    changes: ClassVar[Mapping[str, Any]] = {}

    @property
    def capabilities(self) -> Any:
        """See `Provider`."""
        return msgspec.structs.replace(super().capabilities, **self.changes)


def declaring(**changes: Any) -> type[ToyProvider]:
    """A provider that declares this."""
    return type("Declaring", (Declares,), {"changes": changes})


class LeavesDashesOut(Declares):
    """Declares characters that it leaves out."""

    changes: ClassVar[Mapping[str, Any]] = {
        "number": msgspec.structs.replace(
            ToyProvider(ToySettings(key=())).capabilities.number,
            characters="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
        )
    }

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        plain = order.number.replace("-", "").replace("_", "")
        return (yield from super().create(msgspec.structs.replace(order, number=plain)))


class OneByOne(ToyProvider):
    """Asks about each number of a batch by itself."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        told: list[Found] = []
        for order in orders:
            outcome = yield from super().query([order])
            if not isinstance(outcome, Done):
                return outcome
            told.append(outcome.value)
        observations = tuple(one for found in told for one in found.observations)
        return Done(
            Found(observations=observations, absent=frozenset().union(*(found.absent for found in told)))
        )


class Pages(ToyGateway):
    """Answers a query with three records at most."""

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._query(fields)
        return {**answer, "records": answer["records"][:3]}


class TellsTheLast(ToyGateway):
    """Answers with the newest order, whatever it was asked about."""

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._query(fields)
        others = [
            {**order.record(), "number": number}
            for order in self._own()[-1:]
            for number in fields.get("numbers", ())[-1:]
        ]
        return {"records": [*answer["records"], *others]}


class Slow(ToyGateway):
    """Takes ten requests a second."""

    count, seconds = 10, 1

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._seen: list[datetime] = []

    def _answer(self, request: Any, fields: dict[str, Any]) -> dict[str, Any]:
        now = self.clock()
        self._seen = [at for at in self._seen if at > now - timedelta(seconds=self.seconds)]
        self._seen.append(now)
        if len(self._seen) > self.count:
            return {"error": "not_now", "retry_after_s": 1.0}
        return super()._answer(request, fields)


class SlowByTheMinute(Slow):
    """Takes two hundred requests a minute."""

    count, seconds = 200, 60


class TellsALifetime(ToyProvider):
    """Tells a lifetime that the gateway does not know of."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        outcome = yield from super().create(order)
        if isinstance(outcome, Done) and order.expires_in_s is None:
            return Done(msgspec.structs.replace(outcome.value, expires_in_s=1800))
        return outcome


def lasting(seconds: Callable[[int], int]) -> type[Ordering]:
    """A provider that sends another lifetime."""

    class Lasting(Ordering):
        def alter(self, order: CreateOrder) -> CreateOrder:
            """See `Ordering`."""
            if order.expires_in_s is None:
                return order
            return msgspec.structs.replace(order, expires_in_s=seconds(order.expires_in_s))

    return Lasting


class HalfAnHourAtLeast(ToyGateway):
    """Takes lifetimes of half an hour and more."""

    def _create_problem(self, fields: dict[str, Any]) -> str | None:
        is_short = fields.get("expires_in_s", 1800) < 1800
        return "expires_too_soon" if is_short else super()._create_problem(fields)


BUGS = [
    Planted(
        "numbers_as_declared_are_taken",
        "longer numbers are declared than the company takes",
        toy(declaring(number=msgspec.structs.replace(LeavesDashesOut.changes["number"], length_max=64))),
    ),
    Planted("numbers_as_declared_are_taken", "characters of a number are left out", toy(LeavesDashesOut)),
    Planted("batch_is_answered_in_one_query", "each number is asked about by itself", toy(OneByOne, batch=8)),
    Planted(
        "batch_is_answered_in_one_query",
        "the company answers for three numbers only",
        toy(sandbox=ToySandbox(gateway=Pages)),
    ),
    Planted(
        "batch_is_answered_in_one_query",
        "another order is told under a number",
        toy(sandbox=ToySandbox(gateway=TellsTheLast)),
    ),
    Planted(
        "gateway_takes_the_declared_rate",
        "ten times the company's rate is declared",
        toy(sandbox=ToySandbox(gateway=Slow)),
    ),
    Planted(
        "gateway_takes_the_declared_rate",
        "ten times the company's rate of a minute is declared",
        toy(sandbox=ToySandbox(gateway=SlowByTheMinute)),
    ),
    Planted(
        "lifetimes_are_the_gateways", "minutes are sent as seconds", toy(lasting(lambda s: max(1, s // 60)))
    ),
    Planted("lifetimes_are_the_gateways", "seconds are sent as minutes", toy(lasting(lambda s: s * 60))),
    Planted(
        "lifetimes_are_the_gateways",
        "the shortest lifetime is shorter than the company's",
        toy(sandbox=ToySandbox(gateway=HalfAnHourAtLeast)),
    ),
    Planted("lifetimes_are_the_gateways", "a lifetime is made up", toy(TellsALifetime)),
    Planted(
        "lifetimes_are_the_gateways",
        "an order never expires",
        toy(sandbox=ToySandbox(expires=False)),
    ),
]
