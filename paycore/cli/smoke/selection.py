"""Which product of an account a smoke run uses, for which amount, and what else its orders need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from paycore.cli.endings import UsageProblem
from paycore.cli.render.text import duration
from paycore.domain.money import Money
from paycore.domain.provider import Mode, Product

if TYPE_CHECKING:
    from paycore.engine.offers import AccountInfo

CHANNELS = ("web", "qr", "wap")
"""Those that a person can pay by a link or a code on a screen, the most likely first."""

CURRENCIES = ("HKD", "EUR", "USD", "GBP")
"""Tried in this order where a product takes several; else the first by name."""

UNITS = 2
"""What is paid unless a product wants more: two units of the currency, which can be refunded in two parts."""

RETURN_URL = "https://example.com/"
PAYER_ID = "2088000000000000"
"""A payer that only a sandbox knows."""

AFTER_PAYING_S = 60
"""Longer than the payer may take, so that an order does not lapse while its payer is waited for."""


class SmokeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the options ask for; None leaves it to the account. `pay_timeout_s`: how long a person may take to pay."""

    method: str | None = None
    channel: str | None = None
    amount: str | None = None
    currency: str | None = None
    max_amount: str | None = None
    return_url: str | None = None
    is_live_allowed: bool = False
    is_paid: bool = True
    pay_timeout_s: float = 300.0


class SmokePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What both payments of a run have in common; `fields` are further arguments of `create()`, but for `subject`."""

    product: Product
    amount: Money
    fields: Mapping[str, Any]

    @property
    def is_manual(self) -> bool:
        """Whether the money is taken by a capture of its own."""
        return self.product.capture != "none"

    def fields_for(self, reference: str) -> Mapping[str, Any]:
        """`fields`, with the reference as what is bought: the provider's portal and a sandbox's rules show it."""
        takes_subject = "subject" in self.product.required | self.product.optional
        return {**self.fields, "subject": reference} if takes_subject else self.fields

    @property
    def words(self) -> str:
        """The plan as a person reads it."""
        lifetime_s = self.fields.get("expires_in_s")
        lapses = "" if lifetime_s is None else f", orders lapse after {duration(lifetime_s)}"
        return f"{self.product.method}/{self.product.channel}, {self.amount}{lapses}"


def choose(info: AccountInfo, wanted: SmokeOptions) -> SmokePlan:
    """The product on which most steps apply, and the least that is worth paying; `UsageProblem` where none fits."""
    if info.mode == "live" and not wanted.is_live_allowed:
        raise UsageProblem(
            f"account {info.name} is in live mode: a smoke run of it moves real money, and needs --live,"
            " --currency and --max-amount"
        )
    product = _product(info, wanted)
    amount = _amount(product, wanted)
    fields = {name: _given(name, product, info.mode, wanted) for name in _needed(product)}
    return SmokePlan(product=product, amount=amount, fields=fields)


# --- the product -----------------------------------------------------------------------------------------


def _product(info: AccountInfo, wanted: SmokeOptions) -> Product:
    asked = [
        product
        for product in info.products
        if wanted.method in (None, product.method) and wanted.channel in (None, product.channel)
    ]
    if not asked:
        offered = _names(info.products)
        raise UsageProblem(f"account {info.name} has no such product; there are: {offered}")
    hindrances = {(product.method, product.channel): _hindrance(product, info, wanted) for product in asked}
    usable = [product for product in asked if not hindrances[product.method, product.channel]]
    if not usable:
        why = "; ".join(
            f"{method}/{channel} {hindrance}" for (method, channel), hindrance in hindrances.items()
        )
        raise UsageProblem(f"account {info.name} has no product that can be tried here: {why}")
    return min(usable, key=lambda product: _rank(product, info.default_method))


def _hindrance(product: Product, info: AccountInfo, wanted: SmokeOptions) -> str:
    """Why this product can't be used, as the end of a sentence; empty where it can."""
    if "auth_code" in product.required:
        return "needs the code of a payer's wallet, scanned at that moment"
    if wanted.currency is not None and wanted.currency not in product.currencies:
        return f"does not take {wanted.currency}"
    missing = sorted(_needed(product) - _suppliable(info.mode))
    if missing:
        return f"needs {', '.join(missing)}, which a smoke run does not have"
    if wanted.is_paid and info.mode != "sandbox" and product.channel not in CHANNELS:
        return "is not paid by a link or a code that can be shown here"
    return ""


def _rank(product: Product, default_method: str | None) -> tuple[object, ...]:
    applies = (
        product.close,
        product.refund == "partial",
        product.refund != "none",
        product.capture != "none",
    )
    channel = CHANNELS.index(product.channel) if product.channel in CHANNELS else len(CHANNELS)
    return (product.method != default_method, -sum(applies), channel, product.method, product.channel)


def _names(products: Sequence[Product]) -> str:
    return ", ".join(f"{product.method}/{product.channel}" for product in products)


# --- the amount ------------------------------------------------------------------------------------------


def _amount(product: Product, wanted: SmokeOptions) -> Money:
    currency = wanted.currency or _currency(product)
    most = None if wanted.max_amount is None else Money(wanted.max_amount, currency)
    least, greatest = product.currencies[currency]
    if wanted.amount is not None:
        return _checked(Money(wanted.amount, currency), product, most)
    unit = 10 ** Money.from_minor(1, currency).exponent
    if most is not None:
        greatest = min(greatest, most.minor)
    if least > greatest:
        raise UsageProblem(
            f"--max-amount: {product.method}/{product.channel} takes at least {Money.from_minor(least, currency)}"
        )
    return Money.from_minor(min(max(least, UNITS * unit), greatest), currency)


def _checked(amount: Money, product: Product, most: Money | None) -> Money:
    if most is not None and amount.minor > most.minor:
        raise UsageProblem(f"--amount: {amount} is more than --max-amount, {most}")
    least, greatest = (
        Money.from_minor(minor, amount.currency) for minor in product.currencies[amount.currency]
    )
    if not least.minor <= amount.minor <= greatest.minor:
        raise UsageProblem(
            f"--amount: {product.method}/{product.channel} takes {least} to {greatest}, not {amount}"
        )
    return amount


def _currency(product: Product) -> str:
    return next((code for code in CURRENCIES if code in product.currencies), min(product.currencies))


# --- further fields --------------------------------------------------------------------------------------


def _suppliable(mode: Mode) -> frozenset[str]:
    names = {"return_url", "expires_in_s", "device_id"}
    return frozenset(names | {"payer_id"} if mode == "sandbox" else names)


def _needed(product: Product) -> frozenset[str]:
    """What the product requires, and a lifetime where it takes one: an order that is left behind lapses soon."""
    lapses = frozenset({"expires_in_s"}) if product.expires_in_s is not None else frozenset()
    return (product.required | (lapses & product.optional)) - {"subject"}


def _given(name: str, product: Product, mode: Mode, wanted: SmokeOptions) -> str | int:
    if name == "expires_in_s" and product.expires_in_s is not None:
        least, most = product.expires_in_s
        takes_s = wanted.pay_timeout_s if mode != "sandbox" and wanted.is_paid else 0
        return min(max(least, int(takes_s) + AFTER_PAYING_S), most)
    given: dict[str, str | int] = {
        "return_url": wanted.return_url or RETURN_URL,
        "payer_id": PAYER_ID,
        "device_id": "smoke",
        "expires_in_s": AFTER_PAYING_S,
    }
    return given[name]
