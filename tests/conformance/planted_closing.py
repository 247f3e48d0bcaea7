"""Bugs for the checks of `closing`."""

from typing import Any

from msgspec.structs import replace

from paycore.plugin import (
    CloseReply,
    Done,
    Failure,
    Flow,
    OrderRef,
    PaymentObservation,
    Rejected,
    Status,
    Unknown,
)
from paycore.testing.toy import ToyGateway, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy
from tests.conformance.planting import Planted
from tests.conformance.retelling import Retelling


def closed(order: OrderRef) -> Done[PaymentObservation]:
    """The order is said to be closed."""
    return Done(PaymentObservation(number=order.number, status=Status.CLOSED, provider_id=order.provider_id))


class ClosesInItsOwnMind(ToyProvider):
    """Says of an unpaid order that it is closed, and sends nothing: it expires by itself."""

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """See `Provider`."""
        found = yield from super().query([order])
        seen = found.value.observations[0] if isinstance(found, Done) else None
        return Done(replace(seen, status=Status.CLOSED)) if isinstance(seen, PaymentObservation) else found  # type: ignore[return-value]


class IsPaidAllTheSame(ToyGateway):
    """Takes the money for an order that it closed, if its payer has the page open."""

    def pay(self, number: str) -> None:
        """See `ToyGateway`."""
        for order in self.orders:
            if order.number == number and order.status == "closed":
                order.status = "pending"
        super().pay(number)


class TakesRefusedForClosed(Retelling):
    """Takes the refusal of a close for a close that was done before."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        is_refused = isinstance(reply, Rejected) and isinstance(asked, OrderRef)
        return closed(asked) if is_refused else reply


class TakesUnknownForClosed(Retelling):
    """Takes an order that the provider does not know for one that is closed."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        is_unknown = isinstance(reply, Rejected) and reply.failure.code == "no_such_order"
        return closed(asked) if is_unknown else reply


class TakesErrorsForClosed(Retelling):
    """Takes an answer that can't be read for a close."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        is_unreadable = isinstance(reply, Unknown) and isinstance(asked, OrderRef)
        return closed(asked) if is_unreadable else reply


class ClosesTheNewest(ToyGateway):
    """Does not look at which order is to be closed."""

    def _close(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {**super()._close({**fields, "number": self._own()[-1].number}), "error": "no_such_order"}


class ClosesByIdOnly(ToyProvider):
    """Closes by the provider's id, and has no other way."""

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """See `Provider`."""
        if order.provider_id is None:
            return Rejected(failure=Failure(code="no_id", message="its id is not known"))
        return (yield from super().close(order))


class SaysPendingForClosed(Retelling):
    """Knows no word for an order that was cancelled."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        return replace(seen, status=Status.PENDING) if seen.status is Status.CLOSED else seen


class SaysPendingForDeclined(Retelling):
    """Knows no word for an order whose payer declined."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        return replace(seen, status=Status.PENDING) if seen.status is Status.FAILED else seen


BUGS = [
    Planted(
        "order_that_ended_by_itself_can_be_closed", "an expired order is pending", toy(SaysPendingForClosed)
    ),
    Planted(
        "order_that_ended_by_itself_can_be_closed", "a declined order is pending", toy(SaysPendingForDeclined)
    ),
    Planted("closed_order_cannot_be_paid", "nothing is closed", toy(ClosesInItsOwnMind)),
    Planted("closed_order_cannot_be_paid", "a cancelled order is pending", toy(SaysPendingForClosed)),
    Planted(
        "closed_order_cannot_be_paid",
        "the page is still open",
        toy(sandbox=ToySandbox(gateway=IsPaidAllTheSame)),
    ),
    Planted("paid_order_is_not_closed", "a refusal is a close", toy(TakesRefusedForClosed)),
    Planted("payment_paid_before_its_close_is_paid", "a refusal is a close", toy(TakesRefusedForClosed)),
    Planted("payment_paid_before_its_close_is_paid", "nothing is closed", toy(ClosesInItsOwnMind)),
    Planted("close_of_an_unknown_order_closes_nothing", "unknown is closed", toy(TakesUnknownForClosed)),
    Planted(
        "close_of_an_unknown_order_closes_nothing",
        "the newest order is closed",
        toy(sandbox=ToySandbox(gateway=ClosesTheNewest)),
    ),
    Planted("lost_order_is_closed_by_its_number", "it is closed by its id only", toy(ClosesByIdOnly)),
    Planted("lost_order_is_closed_by_its_number", "nothing is closed", toy(ClosesInItsOwnMind)),
    Planted("close_is_confirmed_whatever_is_lost", "an error is a close", toy(TakesErrorsForClosed)),
    Planted("close_is_confirmed_whatever_is_lost", "a cancelled order is pending", toy(SaysPendingForClosed)),
]
