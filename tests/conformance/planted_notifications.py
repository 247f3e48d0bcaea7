"""Bugs for the checks of `notifications`."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from paycore.plugin import (
    CreateOrder,
    Flow,
    Mention,
    Money,
    NotAuthentic,
    Notice,
    Notification,
    PaymentObservation,
    ProviderInfo,
    RefundObservation,
    Status,
)
from paycore.testing.toy import ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class DeclaresNoHeader(ToyProvider):
    """Reads the header of the signature, and has not declared it."""

    info: ClassVar[ProviderInfo] = msgspec.structs.replace(ToyProvider.info, notification_headers=frozenset())


class Altering(ToyProvider):
    """Alters each item of a notification."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        return [self.altered(item) for item in super().verify(notification)]

    def altered(self, item: Any) -> Any:
        """The item that is told."""
        raise NotImplementedError


class TellsAnotherId(Altering):
    """Tells the id of the event where the order's belongs."""

    def altered(self, item: Any) -> Any:
        """See `Altering`."""
        if not isinstance(item, PaymentObservation):
            return item
        return msgspec.structs.replace(item, provider_id=f"EVENT-{item.provider_id}")


class MentionsTheEvent(Altering):
    """Mentions the event's own id."""

    def altered(self, item: Any) -> Any:
        """See `Altering`."""
        return Mention(id=f"evt_{item.provider_id}")


class SwapsNumberAndId(Altering):
    """Tells the gateway's id as our number."""

    def altered(self, item: Any) -> Any:
        """See `Altering`."""
        return msgspec.structs.replace(item, number=item.provider_id)


class OnlyKnowsPaid(Altering):
    """Takes every notification for one of a paid order."""

    def altered(self, item: Any) -> Any:
        """See `Altering`."""
        return msgspec.structs.replace(item, status=Status.PAID)


class ForgetsDecimals(Altering):
    """Reads every amount with two decimals."""

    def altered(self, item: Any) -> Any:
        """See `Altering`."""
        minor = item.amount.minor * (100 if item.amount.exponent == 0 else 1)
        amount = Money.from_minor(minor, item.amount.currency)
        return msgspec.structs.replace(item, amount=amount)


class TellsTheWholeAmount(Altering):
    """Takes a refund for one of everything."""

    def altered(self, item: Any) -> Any:
        """See `Altering`."""
        if not isinstance(item, RefundObservation) or item.amount is None:
            return item
        return msgspec.structs.replace(
            item, amount=Money.from_minor(item.amount.minor * 2, item.amount.currency)
        )


class TellsRefundsOfThePayment(Altering):
    """Takes the refund's own number for the payment's."""

    def altered(self, item: Any) -> Any:
        """See `Altering`."""
        if not isinstance(item, RefundObservation):
            return item
        return PaymentObservation(number=item.number, status=Status.PAID, provider_id=item.provider_id)


class RemembersRepeats(ToyProvider):
    """Refuses what it has seen."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._seen: set[str] = set()

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        if notification.digest in self._seen:
            raise NotAuthentic("it was here before")
        self._seen.add(notification.digest)
        return super().verify(notification)


class TakesTheLastNumber(ToyProvider):
    """Takes every notification for one of the order that it made last."""

    _last: str | None = None

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        self._last = order.number
        return (yield from super().create(order))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        return [
            msgspec.structs.replace(item, number=self._last) if self._last else item
            for item in super().verify(notification)
        ]


class ReadsTheFirstOnly(ToyProvider):
    """Reads the first record of a batch."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """See `FullProvider`."""
        return super().verify(notification)[:1]


BATCHES = ToySandbox(times=True, batches=True)

BUGS = [
    Planted(
        "notification_of_a_paid_order_pays_it", "a header that is not declared is read", toy(DeclaresNoHeader)
    ),
    Planted("notification_of_a_paid_order_pays_it", "another id is told than by create", toy(TellsAnotherId)),
    Planted(
        "notification_of_a_paid_order_pays_it",
        "the sandbox sends none",
        toy(sandbox=ToySandbox(is_silent=True)),
    ),
    Planted("notification_names_its_order", "the event is mentioned, not the order", toy(MentionsTheEvent)),
    Planted("notification_names_its_order", "the gateway's id is told as our number", toy(SwapsNumberAndId)),
    Planted("notification_says_no_more_than_a_query", "declined orders are told as paid", toy(OnlyKnowsPaid)),
    Planted("notification_says_no_more_than_a_query", "JPY is read with two decimals", toy(ForgetsDecimals)),
    Planted("refund_notification_is_of_its_refund", "another amount is told", toy(TellsTheWholeAmount)),
    Planted(
        "refund_notification_is_of_its_refund",
        "it is told as a payment of the refund's number",
        toy(TellsRefundsOfThePayment),
    ),
    Planted("repeated_notification_changes_nothing", "repeats are refused", toy(RemembersRepeats)),
    Planted(
        "order_of_a_stranger_changes_nothing", "the number is remembered, not read", toy(TakesTheLastNumber)
    ),
    Planted(
        "batch_names_every_order",
        "only the first record is read",
        toy(ReadsTheFirstOnly, BATCHES, tolerance_s=300.0),
    ),
]
