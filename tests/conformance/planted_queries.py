"""Bugs for the checks of `queries`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from paycore.plugin import (
    Created,
    CreateOrder,
    Done,
    Flow,
    Found,
    OrderRef,
    Response,
    Status,
)
from paycore.testing.toy import ToyProvider, post
from tests.conformance.bugs import misread
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class AsksByTheId(ToyProvider):
    """Asks by the company's id, which is not known after a lost reply."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        unheard = frozenset(order.number for order in orders if order.provider_id is None)
        if not unheard:
            return (yield from super().query(orders))
        yield post("/query", {"ids": []})
        return Done(Found(undecided=unheard))


class TellsThemInTurn(ToyProvider):
    """Takes the first record for the first number, and so on."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def in_turn(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            found: Found = outcome.value
            told = tuple(
                msgspec.structs.replace(seen, number=order.number)
                for order, seen in zip(orders, found.observations, strict=False)
            )
            absent = frozenset(order.number for order in orders[len(told) :])
            return Done(Found(observations=told, absent=absent))

        return (yield from misread(super().query(orders), in_turn))


class TellsTheFirstOnly(ToyProvider):
    """Declares a batch, and reads one record."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        return (yield from super().query(orders[:1]))


class BelievesAnyReply(ToyProvider):
    """Tells what it reads under the number and the id that it asked about."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        (order,) = orders

        def own(outcome: Any, _: Response) -> Any:
            if not (isinstance(outcome, Done) and outcome.value.observations):
                return outcome
            seen = outcome.value.observations[0]
            told = msgspec.structs.replace(
                seen, number=order.number, provider_id=order.provider_id or seen.provider_id
            )
            return Done(Found(observations=(told,)))

        return (yield from misread(super().query(orders), own))


class CapturesInTheQuery(ToyProvider):
    """Takes the money as soon as a query tells that it can."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        outcome = yield from super().query(orders)
        for order in orders:
            if order.channel == "hold" and isinstance(outcome, Done) and order.kind == "payment":
                seen = outcome.value.observations
                if seen and seen[0].status is Status.AUTHORIZED:
                    taken = {"number": f"C{order.number}", "order": order.number, "minor": order.amount.minor}
                    yield post("/captures", {**taken, "authorization": order.provider_id})
        return outcome


class ChangesItsId(ToyProvider):
    """Names the charge once there is one, where it named the order before."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def charged(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            told = tuple(
                msgspec.structs.replace(seen, provider_id=f"ch_{seen.provider_id}")
                if seen.status is Status.PAID
                else seen
                for seen in outcome.value.observations
            )
            return Done(msgspec.structs.replace(outcome.value, observations=told))

        return (yield from misread(super().query(orders), charged))


class MakesItsId(ToyProvider):
    """Tells its ids in small letters."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        def lower(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            created: Created = outcome.value
            seen = msgspec.structs.replace(
                created.observation, provider_id=(created.observation.provider_id or "").lower()
            )
            return Done(msgspec.structs.replace(created, observation=seen))

        return (yield from misread(super().create(order), lower))

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def lower(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            told = tuple(
                msgspec.structs.replace(seen, provider_id=(seen.provider_id or "").lower())
                for seen in outcome.value.observations
            )
            return Done(msgspec.structs.replace(outcome.value, observations=told))

        return (yield from misread(super().query(orders), lower))


BUGS = [
    Planted("new_order_is_found_by_its_number", "it is found by its id only", toy(AsksByTheId)),
    Planted(
        "each_order_is_told_under_its_own_number", "records are taken in their order", toy(TellsThemInTurn)
    ),
    Planted("each_order_is_told_under_its_own_number", "one of a batch is read", toy(TellsTheFirstOnly)),
    Planted("reply_about_another_order_is_not_believed", "any reply is believed", toy(BelievesAnyReply)),
    Planted("foreign_records_are_left_out", "records are taken in their order", toy(TellsThemInTurn)),
    Planted(
        "query_changes_nothing",
        "the money is taken in the query",
        toy(CapturesInTheQuery, captures="partial"),
    ),
    Planted("ids_stay_as_they_are", "the charge's id replaces the order's", toy(ChangesItsId)),
    Planted("ids_stay_as_they_are", "ids are in small letters", toy(MakesItsId)),
]
