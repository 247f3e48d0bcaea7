"""Bugs for the checks of `refunds`."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from paycore.plugin import (
    Done,
    Flow,
    Found,
    Money,
    OrderRef,
    PaymentObservation,
    QueryReply,
    RefundObservation,
    RefundOrder,
    RefundReply,
    RefundStatus,
    Rejected,
    Status,
    Unknown,
)
from paycore.testing.toy import ToyGateway, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy
from tests.conformance.planting import Planted
from tests.conformance.retelling import Retelling, yen_in_hundredths


class RefundsAll(ToyProvider):
    """Returns the whole payment, whatever it was asked for."""

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """See `Provider`."""
        return (yield from super().refund(replace(refund, amount=refund.order.amount)))


class TellsTheOrdersNumber(Retelling):
    """Tells a refund under the number of its payment."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        return Done(replace(reply.value, number=asked.order.number)) if isinstance(reply, Done) else reply


class TellsTheOrdersAmount(Retelling):
    """Tells of a refund the amount of its payment."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        return Done(replace(reply.value, amount=asked.order.amount)) if isinstance(reply, Done) else reply


class ForgetsThatYenHaveNoDecimals(ToyProvider):
    """Writes the amount of a refund in hundredths, whatever its currency."""

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """See `Provider`."""
        if refund.amount.currency == "JPY":
            refund = replace(refund, amount=Money.from_minor(refund.amount.minor // 100, "JPY"))
        return (yield from super().refund(refund))


class NumbersRefundsByOrder(ToyProvider):
    """Makes the key of a refund of its payment's number."""

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """See `Provider`."""
        reply = yield from super().refund(replace(refund, number=f"R{refund.order.number}"))
        return Done(replace(reply.value, number=refund.number)) if isinstance(reply, Done) else reply

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """See `Provider`."""
        (order,) = orders
        if order.kind != "refund" or order.payment is None:
            return (yield from super().query(orders))
        reply = yield from super().query([replace(order, number=f"R{order.payment.number}")])
        if not isinstance(reply, Done):
            return reply
        mine = tuple(replace(seen, number=order.number) for seen in reply.value.observations)
        return Done(Found(observations=mine))


class TellsTheLastRefund(ToyGateway):
    """Has of a payment the last of its refunds only, and its provider takes that for their total."""

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._query(fields)
        for record in answer["records"]:
            last = [one for one in self.orders if one.of_number == record["number"]]
            record["refunded"] = last[-1].minor if last else 0
        return answer


class FindsTheFirstRefund(Retelling):
    """Finds the first refund of a payment, whichever is asked about."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        return replace(seen, provider_id="T000002") if isinstance(seen, RefundObservation) else seen


class TakesRefundedForClosed(Retelling):
    """Takes the word for a payment that was refunded whole for one that was cancelled."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        if isinstance(seen, PaymentObservation) and seen.refunded_minor == seen.amount.minor:  # type: ignore[union-attr]
            return replace(seen, status=Status.CLOSED)
        return seen


class TellsTheRefundsId(Retelling):
    """Tells the id of what happened last, which is that of the refund once there is one."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        is_refunded = isinstance(seen, PaymentObservation) and seen.refunded_minor
        return replace(seen, provider_id=f"{seen.provider_id}-R") if is_refunded else seen


class DoubtsRefusals(Retelling):
    """Takes a documented refusal for no answer."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        is_refused = isinstance(reply, Rejected) and not reply.is_duplicate
        return Unknown(problem=reply.failure.message) if is_refused else reply


class TakesAnyReplyForSuccess(Retelling):
    """Looks at the HTTP status only."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        made = RefundObservation(number=asked.number, status=RefundStatus.SUCCEEDED)
        return Done(made) if isinstance(reply, Rejected) else reply


class GivesBackOfAnyPayment(ToyGateway):
    """Does not look at the payment that a refund names."""

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        paid = [one for one in self.orders if one.status == "paid"]
        return super()._refund({**fields, "charge": paid[-1].id if paid else ""})


class TellsWhatIsLeft(Retelling):
    """Tells what is left of a payment in the place of what was refunded."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        if isinstance(seen, PaymentObservation) and seen.amount is not None and seen.refunded_minor:
            return replace(seen, refunded_minor=seen.amount.minor - seen.refunded_minor)
        return seen


BUGS = [
    Planted("refund_returns_what_was_asked", "a refund in part returns all", toy(RefundsAll)),
    Planted(
        "refund_returns_what_was_asked", "it is told under the order's number", toy(TellsTheOrdersNumber)
    ),
    Planted("refund_returns_what_was_asked", "it is told with the order's amount", toy(TellsTheOrdersAmount)),
    Planted(
        "refund_is_exact_in_every_kind_of_currency",
        "a refund is written in hundredths of yen",
        toy(ForgetsThatYenHaveNoDecimals),
    ),
    Planted(
        "refund_is_exact_in_every_kind_of_currency",
        "what was refunded is read in hundredths of yen",
        toy(yen_in_hundredths("refunded_minor")),
    ),
    Planted("refunds_in_part_add_up", "the first refund is found for each", toy(FindsTheFirstRefund)),
    Planted(
        "refunds_in_part_add_up",
        "refunds are keyed by their payment",
        toy(NumbersRefundsByOrder, ToySandbox(duplicates="same_result"), batch=1),
    ),
    Planted(
        "refunds_in_part_add_up",
        "the last refund is told as the total",
        toy(sandbox=ToySandbox(gateway=TellsTheLastRefund)),
    ),
    Planted("refunded_payment_stays_paid", "a refunded payment is closed", toy(TakesRefundedForClosed)),
    Planted("refunded_payment_stays_paid", "its id becomes the refund's", toy(TellsTheRefundsId)),
    Planted("refund_over_the_rest_is_refused", "a refusal is no answer", toy(DoubtsRefusals)),
    Planted("refund_over_the_rest_is_refused", "any reply is a success", toy(TakesAnyReplyForSuccess)),
    Planted("refund_of_an_unknown_payment_is_refused", "a refusal is no answer", toy(DoubtsRefusals)),
    Planted(
        "refund_of_an_unknown_payment_is_refused",
        "the payment that is named is not looked at",
        toy(sandbox=ToySandbox(gateway=GivesBackOfAnyPayment)),
    ),
    Planted("refund_totals_are_those_of_the_gateway", "what is left is told", toy(TellsWhatIsLeft)),
]
