"""Bugs that are planted for the checks of `captures` and for those of `authorizations`."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from paycore.plugin import (
    CaptureOrder,
    CaptureReply,
    Done,
    Flow,
    OrderRef,
    QueryReply,
    Status,
)
from paycore.testing.toy import ToyProvider
from tests.conformance.retelling import Retelling

PARTIAL: dict[str, Any] = {"captures": "partial"}


class TakesAgreedForPending(Retelling):
    """Knows no word for an order whose payer has agreed."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        return replace(seen, status=Status.PENDING) if seen.status is Status.AUTHORIZED else seen


class CapturesWhenItLooks(ToyProvider):
    """Captures in its query, whoever is to capture."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """See `Provider`."""
        reply = yield from super().query(orders)
        for order in orders:
            seen = reply.value.observations[:1] if isinstance(reply, Done) else ()
            if order.kind == "payment" and any(one.status is Status.AUTHORIZED for one in seen):
                told = replace(order, provider_id=seen[0].provider_id)
                capture = CaptureOrder(
                    number=f"K{order.number}",
                    begun_at=order.begun_at,
                    attempt=order.attempt,
                    amount=order.amount,
                    order=told,
                )
                yield from super().capture(capture)
        return reply


class CapturesAll(ToyProvider):
    """Captures the whole order, whatever it was asked for."""

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """See `Provider`."""
        return (yield from super().capture(replace(capture, amount=capture.order.amount)))


class NeverSeesItTaken(Retelling):
    """Tells an order as authorized, whether or not it was captured since."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """See `Provider`."""
        reply = yield from super().query(orders)
        if not isinstance(reply, Done):
            return reply
        kept = tuple(
            replace(seen, status=Status.AUTHORIZED) if seen.ids.get("capture") else seen
            for seen in reply.value.observations
        )
        return Done(replace(reply.value, observations=kept))
