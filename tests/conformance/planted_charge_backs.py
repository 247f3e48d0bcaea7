"""Bugs for the checks of `charge_backs`."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from paycore.plugin import Mention, Notice, Notification, PaymentObservation, Status
from paycore.testing.toy import ToyGateway, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import WinsNothing, toy
from tests.conformance.planting import Planted
from tests.conformance.retelling import Retelling, yen_in_hundredths


class TakesDisputedForFailed(Retelling):
    """Takes an order that was charged back for one that failed."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        is_taken_back = isinstance(seen, PaymentObservation) and seen.charged_back_minor
        return replace(seen, status=Status.FAILED) if is_taken_back else seen


class TellsNoDisputes(Retelling):
    """Does not read what was charged back."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        if not isinstance(seen, PaymentObservation):
            return seen
        return replace(seen, charged_back_minor=None, charge_back_won_minor=None)


class CountsDisputesAsRefunds(Retelling):
    """Counts what was charged back as refunded."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        if not isinstance(seen, PaymentObservation):
            return seen
        back = (seen.refunded_minor or 0) + (seen.charged_back_minor or 0)
        return replace(seen, refunded_minor=back, charged_back_minor=None, charge_back_won_minor=None)


class CountsRefundsAsDisputes(Retelling):
    """Counts what was refunded as charged back: all that is gone is one total."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        if not isinstance(seen, PaymentObservation) or not seen.charged_back_minor:
            return seen
        return replace(seen, charged_back_minor=seen.charged_back_minor + (seen.refunded_minor or 0))


class TellsWhatIsGone(Retelling):
    """Tells what is still charged back, in the place of all that was."""

    def retold(self, seen: Any) -> Any:
        """See `Retelling`."""
        if not isinstance(seen, PaymentObservation):
            return seen
        gone = (seen.charged_back_minor or 0) - (seen.charge_back_won_minor or 0)
        return replace(seen, charged_back_minor=gone, charge_back_won_minor=None)


class TellsTheLastDispute(ToyGateway):
    """Has of an order the last of its disputes only, and its provider takes that for their total."""

    def charge_back(self, number: str, minor: int | None = None) -> None:
        """See `ToyGateway`."""
        order = self._paid(number)
        order.charged_back = order.paid_minor if minor is None else minor


class IgnoresDisputes(ToyProvider):
    """Makes nothing of a notification of a charge back."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        told = super().verify(notification)
        return [one for one in told if not getattr(one, "charged_back_minor", None)]


class MentionsTheDispute(ToyProvider):
    """Mentions a dispute by its own number, which nobody knows."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        told = super().verify(notification)
        return [Mention(id="D-1") if getattr(one, "charged_back_minor", None) else one for one in told]


BUGS = [
    Planted("charge_back_is_told_by_its_total", "charged back is failed", toy(TakesDisputedForFailed)),
    Planted("charge_back_is_told_by_its_total", "it is not read", toy(TellsNoDisputes)),
    Planted("charge_back_is_told_by_its_total", "it is counted as a refund", toy(CountsDisputesAsRefunds)),
    Planted(
        "charge_back_is_exact_in_every_kind_of_currency",
        "it is read in hundredths of yen",
        toy(yen_in_hundredths("charged_back_minor")),
    ),
    Planted(
        "charge_backs_in_part_add_up",
        "the last is told as the total",
        toy(sandbox=ToySandbox(gateway=TellsTheLastDispute)),
    ),
    Planted("charge_back_that_is_won_is_told_beside_it", "what is still gone is told", toy(TellsWhatIsGone)),
    Planted("charge_back_and_refund_are_counted_apart", "both are refunds", toy(CountsDisputesAsRefunds)),
    Planted(
        "charge_back_and_refund_are_counted_apart", "both are charge backs", toy(CountsRefundsAsDisputes)
    ),
    Planted("charge_back_brings_a_payment_under_review", "it is not read", toy(TellsNoDisputes)),
    Planted("charge_back_brings_a_payment_under_review", "what is still gone is told", toy(TellsWhatIsGone)),
    Planted(
        "charge_back_brings_a_payment_under_review",
        "it is not read, and none is ever won",
        toy(TellsNoDisputes, WinsNothing()),
    ),
    Planted("charge_back_is_noticed", "nothing is made of it", toy(IgnoresDisputes)),
    Planted("charge_back_is_noticed", "the dispute is mentioned, not its order", toy(MentionsTheDispute)),
]
