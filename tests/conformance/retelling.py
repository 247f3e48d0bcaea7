"""A toy that says something else than it sees: the base of those that are wrong in it."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from paycore.plugin import (
    CaptureOrder,
    CaptureReply,
    CloseReply,
    Done,
    Flow,
    OrderRef,
    QueryReply,
    RefundOrder,
    RefundReply,
)
from paycore.testing.toy import ToyProvider


class Retelling(ToyProvider):
    """Every observation goes through `retold`, and every reply to a capture, a refund or a close through `answered`."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """See `Provider`."""
        reply = yield from super().query(orders)
        if not isinstance(reply, Done):
            return reply
        found = reply.value
        return Done(replace(found, observations=tuple(map(self.retold, found.observations))))

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """See `Provider`."""
        reply: CaptureReply = self.answered(self._told((yield from super().capture(capture))), capture)
        return reply

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """See `Provider`."""
        reply: RefundReply = self.answered(self._told((yield from super().refund(refund))), refund)
        return reply

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """See `Provider`."""
        reply: CloseReply = self.answered(self._told((yield from super().close(order))), order)
        return reply

    def _told(self, reply: Any) -> Any:
        return Done(self.retold(reply.value)) if isinstance(reply, Done) else reply

    def retold(self, seen: Any) -> Any:
        """The observation as it is told."""
        return seen

    def answered(self, reply: Any, asked: Any) -> Any:
        """The reply to what was asked as it is told."""
        del asked
        return reply


def yen_in_hundredths(total: str) -> type[Retelling]:
    """A toy that reads this total of yen as if they had decimals."""

    class ReadsYenInHundredths(Retelling):
        def retold(self, seen: Any) -> Any:
            is_yen = seen.amount is not None and seen.amount.currency == "JPY"
            minor = getattr(seen, total, None)
            return replace(seen, **{total: minor * 100}) if is_yen and minor else seen

    return ReadsYenInHundredths
