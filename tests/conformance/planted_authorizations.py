"""Bugs for the checks of `authorizations`."""

from typing import Any

from msgspec.structs import replace

from paycore.plugin import (
    CaptureOrder,
    CloseReply,
    Done,
    Flow,
    OrderRef,
    PaymentObservation,
    Rejected,
    Status,
    Unknown,
)
from paycore.testing.toy import ToyGateway, ToyOrder, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.capture_bugs import (
    PARTIAL,
    CapturesAll,
    CapturesWhenItLooks,
    NeverSeesItTaken,
    TakesAgreedForPending,
)
from tests.conformance.good import toy
from tests.conformance.planted_closing import TakesRefusedForClosed
from tests.conformance.planting import Planted
from tests.conformance.retelling import Retelling


class NeverLapses(Retelling):
    """Tells an authorization that lapsed as one that holds."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        return replace(seen, status=Status.AUTHORIZED) if seen.status is Status.CLOSED else seen


class VoidsInItsOwnMind(ToyProvider):
    """Says of an authorized order that it is closed, and sends nothing: an authorization lapses by itself."""

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """See `Provider`."""
        found = yield from super().query([order])
        seen = found.value.observations[0] if isinstance(found, Done) else None
        if isinstance(seen, PaymentObservation) and seen.status is Status.AUTHORIZED:
            return Done(replace(seen, status=Status.CLOSED))
        return (yield from super().close(order))


class CapturesWhatWasVoided(ToyGateway):
    """Does not look at what became of an order that it captures."""

    def _capture_problem(self, order: ToyOrder, minor: int) -> str | None:
        return None if order.status == "closed" else super()._capture_problem(order, minor)


class TakesDeclinedForFailed(Retelling):
    """Takes an instrument that is declined at the capture for the end of the order."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        if not (isinstance(reply, Rejected) and isinstance(asked, CaptureOrder)):
            return reply
        failed = PaymentObservation(
            number=asked.order.number, status=Status.FAILED, provider_id=asked.order.provider_id
        )
        return Done(failed)


class TakesErrorsForTheEnd(Retelling):
    """Takes an answer to a capture that can't be read for the end of the order."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        if not (isinstance(reply, Unknown) and isinstance(asked, CaptureOrder)):
            return reply
        failed = PaymentObservation(
            number=asked.order.number, status=Status.FAILED, provider_id=asked.order.provider_id
        )
        return Done(failed)


class BlamesTheCaller(Retelling):
    """Has nobody agree again after a declined capture."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        if not isinstance(reply, Rejected):
            return reply
        return Rejected(failure=replace(reply.failure, who_acts="caller"))


class ForgetsWhenTheyAgreed(Retelling):
    """Does not tell when the payer agreed."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        return replace(seen, occurred_at=None)


BUGS = [
    Planted("lapsed_authorization_takes_no_money", "it never lapses", toy(NeverLapses, **PARTIAL)),
    Planted("voided_order_takes_no_money", "nothing is voided", toy(VoidsInItsOwnMind, **PARTIAL)),
    Planted(
        "voided_order_takes_no_money",
        "what was voided is captured",
        toy(sandbox=ToySandbox(gateway=CapturesWhatWasVoided), **PARTIAL),
    ),
    Planted("captured_order_is_not_closed", "a refusal is a void", toy(TakesRefusedForClosed, **PARTIAL)),
    Planted("automatic_capture_needs_no_caller", "agreed is pending", toy(TakesAgreedForPending, **PARTIAL)),
    Planted(
        "manual_capture_waits_for_its_caller",
        "a query captures",
        toy(CapturesWhenItLooks, batch=1, **PARTIAL),
    ),
    Planted("manual_capture_waits_for_its_caller", "all is captured", toy(CapturesAll, **PARTIAL)),
    Planted("capture_is_made_once_whatever_is_lost", "it is never seen", toy(NeverSeesItTaken, **PARTIAL)),
    Planted(
        "capture_is_made_once_whatever_is_lost", "an error is the end", toy(TakesErrorsForTheEnd, **PARTIAL)
    ),
    Planted(
        "declined_capture_waits_for_the_payer", "declined is failed", toy(TakesDeclinedForFailed, **PARTIAL)
    ),
    Planted("declined_capture_waits_for_the_payer", "the caller is to act", toy(BlamesTheCaller, **PARTIAL)),
    Planted(
        "declined_capture_waits_for_the_payer", "nobody knows when", toy(ForgetsWhenTheyAgreed, **PARTIAL)
    ),
]
