"""Bugs for the checks of `captures`."""

from typing import Any

from msgspec.structs import replace

from paycore.plugin import (
    CaptureOrder,
    CaptureReply,
    Done,
    Failure,
    Flow,
    Money,
    PaymentObservation,
    Rejected,
    Status,
)
from paycore.testing.toy import ToyGateway, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.capture_bugs import (
    PARTIAL,
    CapturesAll,
    CapturesWhenItLooks,
    NeverSeesItTaken,
    TakesAgreedForPending,
)
from tests.conformance.good import toy
from tests.conformance.planting import Planted
from tests.conformance.retelling import Retelling, yen_in_hundredths

REPEATABLE: dict[str, Any] = {"captures": "partial", "capture_resend": "same_result", "window_s": 3500.0}


class TakesAgreedForPaid(Retelling):
    """Takes the payer's agreement for their money."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        return replace(seen, status=Status.PAID) if seen.status is Status.AUTHORIZED else seen


class CapturesTheWrongUnit(ToyProvider):
    """Writes the amount of a capture in units of the currency."""

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """See `Provider`."""
        amount = Money.from_minor(capture.amount.minor // 100, capture.amount.currency)
        return (yield from super().capture(replace(capture, amount=amount)))


class CapturesYenInHundredths(ToyProvider):
    """Writes the amount of a capture as if every currency had two decimals."""

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """See `Provider`."""
        amount = capture.amount
        if amount.currency == "JPY":
            amount = Money.from_minor(amount.minor // 100, "JPY")
        return (yield from super().capture(replace(capture, amount=amount)))


class ForgetsWhatWasTaken(Retelling):
    """Does not tell how much was captured."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        return replace(seen, paid_minor=None) if isinstance(seen, PaymentObservation) else seen


class ForgetsItInTheReply(Retelling):
    """Tells how much was captured when it is asked, and not at once."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        is_capture = isinstance(reply, Done) and isinstance(asked, CaptureOrder)
        return Done(replace(reply.value, paid_minor=None)) if is_capture else reply


class BlamesThePayer(Retelling):
    """Takes every refusal for one of the payer."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        if not isinstance(reply, Rejected):
            return reply
        return Rejected(failure=Failure(code=reply.failure.code, message=reply.failure.message))


class NumbersCaptures(ToyProvider):
    """Makes the key of a capture new at each send."""

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """See `Provider`."""
        key = f"{capture.number}-{capture.attempt.nonce}"
        return (yield from super().capture(replace(capture, number=key)))


class TakesAnyReplyForTaken(Retelling):
    """Looks at the HTTP status only."""

    def answered(self, reply: Any, asked: Any) -> Any:
        """See `Retelling`."""
        if not (isinstance(reply, Rejected) and isinstance(asked, CaptureOrder)):
            return reply
        taken = PaymentObservation(
            number=asked.order.number,
            status=Status.PAID,
            provider_id=asked.order.provider_id,
            paid_minor=asked.amount.minor,
        )
        return Done(taken)


class ReturnsWhatWasReleased(ToyGateway):
    """Gives back up to the order's amount, whatever was captured of it."""

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        for order in self.orders:
            if order.id == fields["charge"]:
                order.taken = None
        return super()._refund(fields)


class RefundsAnOrderByItsAmount(ToyProvider):
    """Refunds the rest of the order, whatever was asked for."""

    def refund(self, refund: Any) -> Flow[Any]:
        """See `Provider`."""
        return (yield from super().refund(replace(refund, amount=refund.order.amount)))


BUGS = [
    Planted(
        "capture_is_exact_in_every_kind_of_currency",
        "a capture is written in hundredths of yen",
        toy(CapturesYenInHundredths, **PARTIAL),
    ),
    Planted(
        "capture_is_exact_in_every_kind_of_currency",
        "what was taken is read in hundredths of yen",
        toy(yen_in_hundredths("paid_minor"), **PARTIAL),
    ),
    Planted("agreed_order_is_authorized_and_not_paid", "agreed is paid", toy(TakesAgreedForPaid, **PARTIAL)),
    Planted(
        "agreed_order_is_authorized_and_not_paid",
        "agreed is pending",
        toy(TakesAgreedForPending, **PARTIAL),
    ),
    Planted(
        "agreed_order_is_authorized_and_not_paid",
        "a query captures",
        toy(CapturesWhenItLooks, batch=1, **PARTIAL),
    ),
    Planted(
        "capture_takes_what_was_agreed", "the amount is in another unit", toy(CapturesTheWrongUnit, **PARTIAL)
    ),
    Planted("capture_takes_what_was_agreed", "it is never seen", toy(NeverSeesItTaken, **PARTIAL)),
    Planted("capture_in_part_takes_that_part", "all is captured", toy(CapturesAll, **PARTIAL)),
    Planted("capture_in_part_takes_that_part", "the part is not told", toy(ForgetsWhatWasTaken, **PARTIAL)),
    Planted(
        "capture_in_part_takes_that_part",
        "the part is not told in the reply",
        toy(ForgetsItInTheReply, **PARTIAL),
    ),
    Planted(
        "captured_order_is_not_captured_again", "it is the payer's fault", toy(BlamesThePayer, **PARTIAL)
    ),
    Planted(
        "captured_order_is_not_captured_again",
        "every capture takes money",
        toy(sandbox=ToySandbox(duplicates="charge_blindly"), **PARTIAL),
    ),
    Planted(
        "repeated_capture_takes_its_money_once",
        "its key is new at each send",
        toy(NumbersCaptures, ToySandbox(duplicates="same_result"), **REPEATABLE),
    ),
    Planted(
        "repeated_capture_takes_its_money_once",
        "the key is not looked at",
        toy(sandbox=ToySandbox(duplicates="charge_blindly"), **REPEATABLE),
    ),
    Planted(
        "repeated_capture_takes_its_money_once",
        "the same result is declared, and a repeat is refused",
        toy(**REPEATABLE),
    ),
    Planted(
        "capture_over_the_amount_is_told_as_it_is",
        "any reply is a success",
        toy(TakesAnyReplyForTaken, **PARTIAL),
    ),
    Planted(
        "partly_captured_order_gives_back_what_it_took",
        "what was released is returned",
        toy(sandbox=ToySandbox(gateway=ReturnsWhatWasReleased), **PARTIAL),
    ),
    Planted(
        "partly_captured_order_gives_back_what_it_took",
        "the order is refunded, not its capture",
        toy(RefundsAnOrderByItsAmount, **PARTIAL),
    ),
]
