"""In which currencies, and for which amounts, a check tries what follows a payment."""

from __future__ import annotations

from collections.abc import Sequence

from paycore.domain.money import Money
from paycore.domain.provider import Product
from paycore.errors import InvalidField
from paycore.testing.conformance.check import Failed
from paycore.testing.conformance.order_desk import MINOR
from paycore.testing.conformance.rig import Rig

CURRENCIES_MAX = 24
"""No more of them are tried."""

UNITS = (1, 10, 100, 1000)
"""Amounts may have to be multiples of one of these, in minor units."""


def kinds_of_currency(products: Sequence[Product]) -> list[tuple[Product, str]]:
    """A currency of each number of decimals and pair of bounds, with the first product that takes it."""
    kinds: dict[tuple[int, int, int], tuple[Product, str]] = {}
    for product in products:
        for currency, (least, largest) in product.currencies.items():
            decimals = Money.from_minor(0, currency).exponent
            kinds.setdefault((decimals, least, largest), (product, currency))
    return list(kinds.values())[:CURRENCIES_MAX]


def amount_in(rig: Rig, product: Product, currency: str) -> tuple[Money, int]:
    """An amount in this currency that the product takes, and of what amounts in it are multiples, in minor units."""
    least, largest = product.currencies[currency]
    for unit in UNITS:
        minor = min(max(MINOR // unit * unit, -(-least // unit) * unit), largest // unit * unit)
        amount = Money.from_minor(minor, currency)
        try:
            getattr(rig.provider, "check", _takes_all)(rig.create_order(product, amount=amount))
        except InvalidField:
            continue
        return amount, unit
    raise Failed(
        f"check refuses every amount in {currency}",
        "declare only currencies that the product takes, or let check say which amounts it takes",
    )


def part_in(amount: Money, unit: int) -> int:
    """Less than the amount where that can be, a multiple of the unit, in minor units."""
    return max(unit, amount.minor * 3 // 10 // unit * unit)


def _takes_all(_order: object) -> None:
    """A provider without `check`."""
