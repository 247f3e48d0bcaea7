"""Bugs for the checks of `absence`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from paycore.plugin import Done, Flow, Found, OrderRef, PaymentObservation, Response, Status, Unknown
from paycore.testing.toy import ToyProvider
from tests.conformance.bugs import REFUSAL, misread
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class RefusesUnknownNumbers(ToyProvider):
    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def refused(outcome: Any, _: Response) -> Any:
            return REFUSAL if isinstance(outcome, Done) and outcome.value.absent else outcome

        return (yield from misread(super().query(orders), refused))


class TakesUnknownNumbersForPending(ToyProvider):
    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def pending(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            new = tuple(
                PaymentObservation(number=number, status=Status.PENDING) for number in outcome.value.absent
            )
            return Done(Found(observations=outcome.value.observations + new))

        return (yield from misread(super().query(orders), pending))


class NeverSaysAbsent(ToyProvider):
    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def found(outcome: Any, _: Response) -> Any:
            return (
                Done(Found(observations=outcome.value.observations)) if isinstance(outcome, Done) else outcome
            )

        return (yield from misread(super().query(orders), found))


class GivesUpItsSearch(ToyProvider):
    """Looks into the list too, and says absent though that was not answered."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        outcome = yield from super().query(orders)
        if not isinstance(outcome, Done) or not outcome.value.absent:
            return outcome
        since, until = orders[0].begun_at - timedelta(hours=1), orders[0].begun_at + timedelta(hours=1)
        page = yield from self.list(since, until, None, orders[0].attempt)
        items = page.value.items if isinstance(page, Done) else ()
        found = frozenset(item.observation.number for item in items)
        return Done(msgspec.structs.replace(outcome.value, absent=outcome.value.absent - found))


class AsksAboutThisMonth(ToyProvider):
    """Its query has a range of 30 days up to now, and says absent for what is older."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def found(outcome: Any, _: Response) -> Any:
            old = frozenset(
                order.number
                for order in orders
                if order.begun_at < order.attempt.sent_at - timedelta(days=30)
            )
            return Done(Found(absent=old)) if old and isinstance(outcome, Done) else outcome

        return (yield from misread(super().query(orders), found))


class SkipsWhatItCannotRead(ToyProvider):
    """Reads the records that it can, and takes every other number for absent."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def absent(outcome: Any, response: Response) -> Any:
            if not isinstance(outcome, Unknown) or b'"records"' not in response.body:
                return outcome
            return Done(Found(absent=frozenset(order.number for order in orders)))

        return (yield from misread(super().query(orders), absent))


BUGS = [
    Planted("unknown_number_is_absent", "an unknown number refuses the account", toy(RefusesUnknownNumbers)),
    Planted("unknown_number_is_absent", "an unknown number is pending", toy(TakesUnknownNumbersForPending)),
    Planted("unknown_number_is_absent", "nothing is ever absent, as is declared", toy(NeverSaysAbsent)),
    Planted("unfinished_search_is_no_absence", "half a search is enough", toy(GivesUpItsSearch)),
    Planted("old_order_is_not_absent", "the query has a range of a month", toy(AsksAboutThisMonth)),
    Planted("broken_record_is_no_absence", "a broken record is skipped", toy(SkipsWhatItCannotRead)),
]
