"""Bugs for the checks of `products`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from paycore.plugin import (
    CreateOrder,
    Done,
    Flow,
    Found,
    InvalidField,
    Money,
    OrderRef,
    PaymentObservation,
    Product,
)
from paycore.testing.toy import ToyGateway, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class Ordering(ToyProvider):
    """Alters each order before it sends it."""

    def alter(self, order: CreateOrder) -> CreateOrder:
        """The order as it is sent."""
        return order

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        return (yield from super().create(self.alter(order)))


class Declaring(ToyProvider):
    """Declares products in another way."""

    def declare(self, product: Product) -> Product:
        """The product as it is declared."""
        return product

    @property
    def capabilities(self) -> Any:
        """See `Provider`."""
        declared = super().capabilities
        return msgspec.structs.replace(declared, products=tuple(map(self.declare, declared.products)))


class NeedsAReturnUrl(Ordering):
    """Reads a field that may be left out."""

    def alter(self, order: CreateOrder) -> CreateOrder:
        """See `Ordering`."""
        return msgspec.structs.replace(order, return_url=order.return_url.strip())  # type: ignore[union-attr]


class PickyAboutMarks(ToyProvider):
    """Refuses what it could leave out."""

    def check(self, order: CreateOrder) -> None:
        """See `Provider`."""
        if order.subject is not None and not order.subject.replace(" ", "").isalnum():
            raise InvalidField("subject", "has special characters")


class NoLink(ToyProvider):
    """Leaves out what the payer needs."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        outcome = yield from super().create(order)
        if isinstance(outcome, Done) and order.channel == "lane":
            return Done(msgspec.structs.replace(outcome.value, action=None))
        return outcome


class NoLane(ToyGateway):
    """Knows no channel `lane`."""

    def _create_problem(self, fields: dict[str, Any]) -> str | None:
        return "unknown_channel" if fields["channel"] == "lane" else super()._create_problem(fields)


class DeclaresTooMuch(Declaring):
    """Declares ten times what the gateway takes."""

    def declare(self, product: Product) -> Product:
        """See `Declaring`."""
        return msgspec.structs.replace(product, currencies={"HKD": (1, 10_000_000), "JPY": (1, 100_000_000)})


class AtMost(ToyGateway):
    """Takes at most 10,000,000 minor units."""

    def _create_problem(self, fields: dict[str, Any]) -> str | None:
        is_taken = fields["minor"] <= 10_000_000
        return super()._create_problem(fields) if is_taken else "amount_too_large"


class AtLeast(ToyGateway):
    """Takes at least 50 minor units of HKD."""

    def _create_problem(self, fields: dict[str, Any]) -> str | None:
        is_taken = fields["minor"] >= (50 if fields["currency"] == "HKD" else 1)
        return super()._create_problem(fields) if is_taken else "amount_too_small"


class ChecksTooMuch(ToyProvider):
    """Refuses an amount that it declares."""

    def check(self, order: CreateOrder) -> None:
        """See `Provider`."""
        if order.amount.minor < 2:
            raise InvalidField("amount", "is too small")


class TwoDecimals(Ordering):
    """Takes every currency for one of two decimals."""

    def alter(self, order: CreateOrder) -> CreateOrder:
        """See `Ordering`."""
        wrong = round(float(order.amount.text) * 100)
        return msgspec.structs.replace(order, amount=Money.from_minor(wrong, order.amount.currency))


class TellsMajorUnits(ToyProvider):
    """Tells what was paid in major units."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        outcome = yield from super().query(orders)
        if not (isinstance(outcome, Done) and isinstance(outcome.value, Found)):
            return outcome
        told = tuple(map(self._in_major, outcome.value.observations))
        return Done(msgspec.structs.replace(outcome.value, observations=told))

    def _in_major(self, seen: Any) -> Any:
        if not isinstance(seen, PaymentObservation) or seen.amount is None:
            return seen
        minor = seen.amount.minor // 10**seen.amount.exponent
        return msgspec.structs.replace(seen, amount=Money.from_minor(minor, seen.amount.currency))


def dropping(field: str) -> type[Ordering]:
    """A provider that never sends this field."""

    class Dropping(Ordering):
        def alter(self, order: CreateOrder) -> CreateOrder:
            """See `Ordering`."""
            return msgspec.structs.replace(order, **{field: None})

    return Dropping


class DeclaresExtra(Declaring):
    """Declares a field of its own that it never reads."""

    def declare(self, product: Product) -> Product:
        """See `Declaring`."""
        return msgspec.structs.replace(product, extra=frozenset({"pay_tag"}))


class SendsWholeSubjects(ToyProvider):
    """Sends a subject as long as it is."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        subject, flow = order.subject or "", super().create(order)
        request = next(flow)
        body = msgspec.json.encode({**msgspec.json.decode(request.body), "subject": subject})
        response = yield msgspec.structs.replace(request, body=body)
        try:
            flow.send(response)
        except StopIteration as stop:
            return stop.value


class ShortReferences(ToyGateway):
    """Takes references of 64 characters."""

    def _create_problem(self, fields: dict[str, Any]) -> str | None:
        return "reference_too_long" if len(fields["reference"]) > 64 else super()._create_problem(fields)


class RefusesLongTexts(ToyProvider):
    """Refuses what it could shorten."""

    def check(self, order: CreateOrder) -> None:
        """See `Provider`."""
        if order.subject is not None and len(order.subject) > 20:
            raise InvalidField("subject", f"{len(order.subject)} characters; at most 20")


BUGS = [
    Planted("every_product_makes_an_order", "an optional field is needed", toy(NeedsAReturnUrl)),
    Planted("every_product_makes_an_order", "`check` refuses marks in a subject", toy(PickyAboutMarks)),
    Planted(
        "every_product_makes_an_order",
        "a product that the company does not have",
        toy(sandbox=ToySandbox(gateway=NoLane)),
    ),
    Planted(
        "amounts_at_their_bounds_are_taken",
        "the largest amount is too large",
        toy(DeclaresTooMuch, ToySandbox(gateway=AtMost)),
    ),
    Planted(
        "amounts_at_their_bounds_are_taken",
        "the least amount is too small",
        toy(sandbox=ToySandbox(gateway=AtLeast)),
    ),
    Planted("amounts_at_their_bounds_are_taken", "`check` refuses a declared amount", toy(ChecksTooMuch)),
    Planted("amounts_are_exact_in_every_currency", "every currency has two decimals", toy(TwoDecimals)),
    Planted("amounts_are_exact_in_every_currency", "amounts are told in major units", toy(TellsMajorUnits)),
    Planted("declared_fields_are_used", "the subject is never sent", toy(dropping("subject"))),
    Planted("declared_fields_are_used", "the lifetime is never sent", toy(dropping("expires_in_s"))),
    Planted("declared_fields_are_used", "an extra field is never read", toy(DeclaresExtra)),
    Planted("long_texts_are_taken", "a long subject is sent as it is", toy(SendsWholeSubjects)),
    Planted("long_texts_are_taken", "a long subject is refused", toy(RefusesLongTexts)),
    Planted(
        "long_texts_are_taken",
        "a long reference is sent as it is",
        toy(sandbox=ToySandbox(gateway=ShortReferences)),
    ),
    Planted("every_product_makes_an_order", "a link is left out", toy(NoLink)),
]
