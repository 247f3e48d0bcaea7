"""What each product is declared to take: its fields, amounts, currencies and lifetimes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from paycore.domain.money import MINOR_MAX, Money
from paycore.domain.payment import Status
from paycore.domain.provider import CreateOrder, Lookup, Product, Secret
from paycore.engine.checks import REFERENCE_MAX, REFUND_REASON_MAX
from paycore.errors import InvalidField, PaycoreError
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.order_desk import COINS, MINOR, PlacedOrder
from paycore.testing.conformance.plain_values import pictured
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.replays import retold
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.sampled_flows import lives

_CAPABILITIES = "capabilities"

_VALUES: Mapping[str, tuple[Any, Any]] = {
    "subject": ("Two tickets! #5", "One book"),
    "return_url": ("https://shop.example/thanks", "https://shop.example/back?id=7"),
    "notify_url": ("https://shop.example/told", "https://shop.example/hook?id=7"),
    "payer_id": ("payer-0001", "payer-0002"),
    "auth_code": ("281234567890123456", "281234567890123457"),
    "device_id": ("till-1", "till-2"),
}
"""Two values of each field that can be told apart."""

LONG_TEXT = ("長い題名 é <b>\"quoted\" & 'marked'</b> 🎫 " * 12)[:300]
"""What a shop may call what it sells."""


@check(read=_CAPABILITIES)
def every_product_makes_an_order(rig: Rig) -> None:
    """
    Each product makes an order with the fields that it requires only, and with every field that it declares.

    Where orders are looked up by number, a query finds it. A product that `needs_action` has one as long as it is
    pending.
    """
    for product in rig.products:
        bare = dict.fromkeys(product.optional)
        whole = {field: _value(rig, product, field) for field in _VALUES if field in product.optional}
        for what, changes in (("required fields only", bare), ("every declared field", whole)):
            order = rig.create_order(product, **changes)
            placed = rig.accepted(product, order, f"with {what}", _FIELDS)
            require(
                placed.action is not None
                or not product.needs_action
                or placed.seen.status is not Status.PENDING,
                f"{_name(product)} needs an action, and its pending order with {what} has none",
                "return Created(action=...) with what the payer must do, or declare needs_action=False",
            )
            if rig.account.capabilities.lookup is Lookup.BY_NUMBER:
                rig.look(placed)  # by another id some are found only once their payer has come


@check(read=_CAPABILITIES)
def amounts_at_their_bounds_are_taken(rig: Rig) -> None:
    """
    The least and the largest amount of every currency of every product make an order; past them nothing is sent.

    Where `check` refuses a bound for its coins, the next amount inside that is a multiple of 10, 100 or 1000.
    """
    for product in rig.products:
        if "amount" in rig.given(product):
            continue
        for currency, (least, largest) in product.currencies.items():
            for minor, inside in ((least, 1), (largest, -1)):
                amount = _next_amount(rig, product, currency, minor, inside)
                order = rig.create_order(product, amount=amount)
                rig.accepted(product, order, f"of {amount}", _BOUNDS)
        _past_the_bounds(rig, product)


_FIELDS = (
    "declare as required what the company demands, and leave out products that the account does not have; give test"
    " values that nobody can make up by the gateway's order_arguments"
)

_BOUNDS = (
    "declare the company's own least and largest amount of each currency, in minor units as ISO 4217 has them"
)


@check(read=_CAPABILITIES)
def amounts_are_exact_in_every_currency(rig: Rig) -> None:
    """
    What the payer pays is the order's amount, to the last minor unit, in every currency that is declared.

    Currencies have no, two or three decimals, and companies have exceptions of their own.
    """
    for currency, product in _currencies(rig):
        least, largest = product.currencies[currency]
        amount = _next_amount(rig, product, currency, min(max(MINOR, least), largest), 1)
        try:
            placed = rig.paid(product, amount=amount)
        except Failed as failed:
            raise Failed(f"in {currency}: {failed.problem}", failed.advice) from failed
        taken = rig.controls.show_order(placed.order.number)["paid_minor"]
        told = placed.seen.amount
        require(
            taken == amount.minor,
            f"an order of {amount} took {Money.from_minor(taken, currency)} of its payer",
            "send amounts in the form that the company has for each currency: minor units, or text with its decimals",
        )
        require(
            told is None or told == amount,
            f"an order of {amount} is told as {told}",
            "read amounts in the form that the company has for each currency",
        )
        require(
            placed.seen.paid_minor in (None, amount.minor),
            f"an order of {amount} is told to have taken {placed.seen.paid_minor} minor units",
            "give `paid_minor` in minor units as ISO 4217 has them",
        )


@check(read=_CAPABILITIES)
def declared_fields_are_used(rig: Rig) -> None:
    """
    Every field that a product requires or takes leaves a trace: in a request, or in what the payer gets.

    A field that is not declared is named in `payment.ignored`; one that is declared and not used is lost silently.
    """
    recorded = {one.given[0].number: one for one in lives(rig) if one.name == "create"}
    checked = 0
    for product in rig.products:
        one = next((one for one in recorded.values() if _is_of(product, one.given[0])), None)
        if one is None:
            continue
        order: CreateOrder = one.given[0]
        for field, values in _alternatives(product):
            told = [
                pictured(retold(one, rig.provider, given=(_with(order, field, value),))) for value in values
            ]
            checked += 1
            require(
                any(one != told[0] for one in told),
                f"{_name(product)} declares {field}, and makes the same requests whatever it is",
                f"send {field}, or leave it out of the product's `required`, `optional` and `extra`",
            )
    if not checked:
        raise NotApplicable("no product declares a field")


@check(read=_CAPABILITIES)
def long_texts_are_taken(rig: Rig) -> None:
    """
    A long text, in any script and with any mark, is shortened to what the company takes, and never refused.

    A subject of 300 characters, a reference of 128, and the reason of a refund of 256.
    """
    for product in rig.products:
        changes: dict[str, Any] = {"reference": ("kit-長い " + "r" * REFERENCE_MAX)[:REFERENCE_MAX]}
        if "subject" in product.required | product.optional:
            changes["subject"] = LONG_TEXT
        order = rig.create_order(product, **changes)
        advice = "shorten a text to what the company takes, and leave out what it does not"
        placed = rig.accepted(product, order, "with long texts", advice)
        if product.refund != "none" and _is_paid(rig, placed):
            refund = msgspec.structs.replace(
                rig.refund_order(placed, placed.order.amount.minor), reason=LONG_TEXT[:REFUND_REASON_MAX]
            )
            outcome = rig.converse(lambda: rig.provider.refund(refund))  # noqa: B023
            require(
                type(outcome).__name__ == "Done",
                f"{_name(product)}: a refund with a long reason returned {said(outcome)}",
                advice,
            )


# --- amounts --------------------------------------------------------------------------------------------------


def _next_amount(rig: Rig, product: Product, currency: str, minor: int, inside: int) -> Money:
    """
    The amount, or where `check` refuses it for its coins the nearest inside: `inside` is 1 upwards, -1 downwards.

    It is for its coins where the amount beside that one is refused as well.
    """
    least, largest = product.currencies[currency]
    problem = _refusal(rig, product, currency, minor)
    if problem is None:
        return Money.from_minor(minor, currency)
    for step in COINS[1:]:
        nearest = -(-minor // step) * step if inside > 0 else minor // step * step
        beside = nearest + inside
        if (
            least <= min(nearest, beside)
            and max(nearest, beside) <= largest
            and _refusal(rig, product, currency, nearest) is None
            and _refusal(rig, product, currency, beside) is not None
        ):
            return Money.from_minor(nearest, currency)
    raise Failed(
        f"{_name(product)}: `check` refuses {Money.from_minor(minor, currency)}, which is declared: {problem}",
        _BOUNDS,
    )


def _refusal(rig: Rig, product: Product, currency: str, minor: int) -> InvalidField | None:
    """Why `check` refuses an order of this amount, None where it takes it."""
    if hasattr(rig.provider, "check"):
        try:
            rig.provider.check(rig.create_order(product, amount=Money.from_minor(minor, currency)))
        except InvalidField as error:
            return error
    return None


def _past_the_bounds(rig: Rig, product: Product) -> None:
    """The core, with the provider's declaration, sends nothing for an amount outside."""
    fields = rig.arguments(product)
    currency = fields["amount"].currency
    least, largest = product.currencies[currency]
    client = rig.client(ledger="past.db")
    for minor in (least - 1, largest + 1):
        if minor > MINOR_MAX:
            continue
        rig.proxy.clear()
        amount = Money.from_minor(minor, currency)
        try:
            client.create(**rig.arguments(product, amount=amount))
        except InvalidField:
            pass
        except PaycoreError as error:
            raise Failed(f"{_name(product)}: of {amount}, past its bound: {error}", _BOUNDS) from error
        else:
            raise Failed(f"{_name(product)}: {amount} is past its bound, and was taken", _BOUNDS)
        require(
            not rig.proxy.exchanges,
            f"{_name(product)}: {amount} is past its bound, and a request was sent",
            _BOUNDS,
        )


def _currencies(rig: Rig) -> Iterator[tuple[str, Product]]:
    """Every currency, with the first product that takes it."""
    seen = set()
    for product in rig.products:
        for currency in product.currencies:
            if currency not in seen and "amount" not in rig.given(product):
                seen.add(currency)
                yield currency, product


# --- fields ---------------------------------------------------------------------------------------------------


def _value(rig: Rig, product: Product, field: str) -> Any:
    """A value of the field: the gateway's where it knows one."""
    return rig.given(product).get(field, _VALUES[field][0])


def _alternatives(product: Product) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each declared field with values of which any two differ; none is the value of an optional one, too."""
    declared = product.required | product.optional
    for field, values in _VALUES.items():
        if field in declared:
            yield field, (*values, *([None] if field in product.optional else []))
    if product.expires_in_s is not None:
        yield "expires_in_s", (*product.expires_in_s, None)
    for name in sorted(product.extra):
        yield f"extra.{name}", ("1", "2", None)


def _with(order: CreateOrder, field: str, value: Any) -> CreateOrder:
    name, _, key = field.partition(".")
    if key:
        extra = {**order.extra, key: value}
        return msgspec.structs.replace(order, extra={k: v for k, v in extra.items() if v is not None})
    if name == "auth_code" and value is not None:
        value = Secret(value)
    return msgspec.structs.replace(order, **{name: value})


def _is_of(product: Product, order: CreateOrder) -> bool:
    return (order.method, order.channel) == (product.method, product.channel)


def _is_paid(rig: Rig, placed: PlacedOrder) -> bool:
    """Whether the order is paid now: captured too, where its product captures."""
    if rig.pay(placed).status is Status.AUTHORIZED:
        rig.capture(placed, placed.order.amount.minor)
        rig.look(placed)
    return placed.seen.status is Status.PAID


def _name(product: Product) -> str:
    return f"{product.method}/{product.channel}"
