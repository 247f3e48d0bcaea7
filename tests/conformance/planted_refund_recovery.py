"""Bugs for the checks of `refund_recovery`."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from paycore.plugin import (
    Done,
    Failure,
    Flow,
    Found,
    Notice,
    Notification,
    OrderRef,
    PaymentObservation,
    QueryReply,
    RefundObservation,
    RefundOrder,
    RefundReply,
    RefundStatus,
    Rejected,
    Response,
)
from paycore.testing.toy import ToyGateway, ToyOrder, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy
from tests.conformance.planting import Planted
from tests.conformance.retelling import Retelling

SLOW = ToySandbox(refund_takes_s=100_000.0)


WINDOWED: dict[str, Any] = {"refund_resend": "same_result", "window_s": 3500.0}


class NumbersSends(ToyProvider):
    """Makes the key of a refund new at each send."""

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """See `Provider`."""
        key = f"{refund.number}-{refund.attempt.nonce}"
        reply = yield from super().refund(replace(refund, number=key))
        return Done(replace(reply.value, number=refund.number)) if isinstance(reply, Done) else reply


class TakesDuplicatesForRefusals(Retelling):
    """Does not tell a number in use from any other refusal."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        return replace(reply, is_duplicate=False) if isinstance(reply, Rejected) else reply


class TakesErrorsForRefusals(ToyProvider):
    """Takes every HTTP error for a refusal."""

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """See `Provider`."""
        flow = super().refund(refund)
        response: Response = yield next(flow)
        if response.status >= 400:
            return Rejected(failure=Failure(code=str(response.status), message="refused"))
        try:
            flow.send(response)
        except StopIteration as stop:
            reply: RefundReply = stop.value
            return reply
        raise AssertionError("the toy's refund is one request")


class FindsNoRefunds(ToyProvider):
    """Looks for payments only."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """See `Provider`."""
        reply = yield from super().query(orders)
        if not isinstance(reply, Done):
            return reply
        seen = tuple(one for one in reply.value.observations if isinstance(one, PaymentObservation))
        return Done(replace(reply.value, observations=seen))


class FindsAnyRefund(ToyProvider):
    """Finds the refund of a payment, whatever its number."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """See `Provider`."""
        (order,) = orders
        reply = yield from super().query(orders)
        if order.kind == "refund" and isinstance(reply, Done) and not reply.value.observations:
            seen = RefundObservation(
                number=order.number, status=RefundStatus.SUCCEEDED, amount=order.amount, provider_id="T000002"
            )
            return Done(Found(observations=(seen,)))
        return reply


class TakesAcceptedForMade(Retelling):
    """Takes a refund that was accepted for one that was made."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        is_refund = isinstance(seen, RefundObservation)
        return replace(seen, status=RefundStatus.SUCCEEDED) if is_refund else seen


class TakesPendingForFailed(Retelling):
    """Takes every word for a refund but that of success for a failure."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        is_made = not isinstance(seen, RefundObservation) or seen.status is RefundStatus.SUCCEEDED
        return seen if is_made else replace(seen, status=RefundStatus.FAILED)


class NeverLooksAgain(Retelling):
    """Takes a refund that came back for one that was made."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        came_back = isinstance(seen, RefundObservation) and seen.status is RefundStatus.REVERSED
        return replace(seen, status=RefundStatus.SUCCEEDED) if came_back else seen


class KeepsWhatCameBack(ToyGateway):
    """Counts a refund that came back as returned in what it tells."""

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._query(fields)
        for record in answer["records"]:
            record["refunded"] = sum(map(_asked, self._refunds_of(record["number"])))
        return answer

    def _refunds_of(self, number: str) -> list[ToyOrder]:
        return [one for one in self.orders if one.of_number == number]


def _asked(refund: ToyOrder) -> int:
    return refund.minor


class IgnoresWhatComesBack(ToyProvider):
    """Makes nothing of a notification of a refund that came back."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        return [one for one in super().verify(notification) if getattr(one, "status", "") != "reversed"]


class CountsWhatIsAccepted(ToyGateway):
    """Counts a refund as returned as soon as it is accepted."""

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._refund(fields)
        self._count(fields["number"], 1)
        return answer

    def end_refunds(self) -> None:
        """See `ToyGateway`."""
        waiting = [one.number for one in self.orders if one.ends_at is not None]
        super().end_refunds()
        for number in waiting:
            if (self._newest(number) or ToyOrder("", "refund", 0, "")).ends_at is None:
                self._count(number, -1)

    def _count(self, number: str, times: int) -> None:
        refund = self._newest(number)
        for order in self.orders:
            if refund is not None and order.id == refund.of_id:
                order.refunded += times * refund.minor


BUGS = [
    Planted(
        "repeated_refund_returns_its_money_once",
        "its key is new at each send",
        toy(NumbersSends, ToySandbox(duplicates="same_result"), **WINDOWED),
    ),
    Planted(
        "repeated_refund_returns_its_money_once",
        "the window is longer than the key is kept",
        toy(sandbox=ToySandbox(duplicates="same_result", window_s=3000.0), **WINDOWED),
    ),
    Planted(
        "repeated_refund_returns_its_money_once",
        "the same result is declared, and a repeat is refused",
        toy(refund_resend="same_result"),
    ),
    Planted(
        "repeated_refund_returns_its_money_once",
        "a number in use is a refusal as any other",
        toy(TakesDuplicatesForRefusals, refund_resend="refused_as_duplicate"),
    ),
    Planted("refund_is_found_by_its_number_alone", "only payments are found", toy(FindsNoRefunds)),
    Planted("refund_is_found_by_its_number_alone", "any refund is found", toy(FindsAnyRefund, batch=1)),
    Planted("refund_is_told_as_far_as_it_got", "accepted is taken for made", toy(TakesAcceptedForMade, SLOW)),
    Planted(
        "refund_is_told_as_far_as_it_got",
        "accepted is taken for made, and the sandbox counts it at once",
        toy(TakesAcceptedForMade, ToySandbox(refund_takes_s=100_000.0, gateway=CountsWhatIsAccepted)),
    ),
    Planted(
        "refund_is_told_as_far_as_it_got", "pending is taken for failed", toy(TakesPendingForFailed, SLOW)
    ),
    Planted("refund_that_comes_back_is_reversed", "it stays succeeded", toy(NeverLooksAgain)),
    Planted("refund_that_comes_back_is_reversed", "it is told as failed", toy(TakesPendingForFailed)),
    Planted(
        "refund_that_comes_back_is_reversed",
        "the total counts it still",
        toy(sandbox=ToySandbox(gateway=KeepsWhatCameBack)),
    ),
    Planted("refund_that_comes_back_is_noticed", "nothing is made of it", toy(IgnoresWhatComesBack)),
    Planted("refund_is_made_once_whatever_is_lost", "its key is new at each send", toy(NumbersSends)),
    Planted("refund_is_made_once_whatever_is_lost", "an error is a refusal", toy(TakesErrorsForRefusals)),
    Planted("refund_is_made_once_whatever_is_lost", "refunds are not found", toy(FindsNoRefunds)),
]
