"""
What every provider of this repository declares, as Markdown: what can be paid with, and how each is talked to.

Nothing here says what a provider can do: it is read from what the core enforces.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from paycore.domain.capabilities import INFORMING_FIELDS, Capabilities, Lookup, Product, ProviderInfo, Resend
from paycore.domain.money import Money
from paycore.engine.provider_class import sample_settings

ROOT = Path(__file__).parents[1]
PROJECTS = (*sorted(ROOT.glob("plugins/*/pyproject.toml")), ROOT / "examples/providers/pyproject.toml")

KINDS: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "qfpay-alipay": {"hk": {"region": "hk"}, "overseas": {"region": "overseas"}},
}
"""Accounts that differ in what they declare, by provider and what the difference is called."""

NAMED_MAX = 4
"""Currencies of a product that are named; of more there is only how many."""


class Declared(NamedTuple):
    """A provider and what one kind of its accounts declares."""

    name: str
    kind: str
    provider: Any
    capabilities: Capabilities


def declared() -> Iterator[Declared]:
    """Every provider that the projects of this repository register, with each kind of account."""
    for project in PROJECTS:
        entries = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"]["paycore"]
        for module in entries.values():
            home = "examples.providers." if project.parent.name == "providers" else ""
            for provider in importlib.import_module(home + module).paycore_register_providers():
                yield from _accounts(provider)


def _accounts(provider: Any) -> Iterator[Declared]:
    info: ProviderInfo = provider.info
    for kind, settings in KINDS.get(info.name, {"": {}}).items():
        sample = msgspec.structs.replace(info, sample={**info.sample, **settings})
        yield Declared(info.name, kind, provider, provider(sample_settings(sample)).capabilities)


# --- what can be paid with ---------------------------------------------------------------------------


def products_matrix() -> list[tuple[str, ...]]:
    """The head, and a row for each product."""
    head = ("Provider", "Method", "Channel", "Currencies", "Needs", "Uses", "Ignores", "Lifetime", "Capture")
    kinds: dict[tuple[str, ...], list[str]] = {}
    for one in declared():
        for product in one.capabilities.products:
            kinds.setdefault((one.name, *_product(product)), []).append(one.kind)
    rows = [(_title(name, of), *row) for (name, *row), of in kinds.items()]
    return [(*head, "Refund", "Close"), *rows]


def _title(name: str, kinds: list[str]) -> str:
    """The provider; with the kinds of accounts where not all of them have the product."""
    is_of_all = len(kinds) == len(KINDS.get(name, {"": {}}))
    return f"`{name}`" if is_of_all else f"`{name}` ({', '.join(kinds)})"


def _product(product: Product) -> tuple[str, ...]:
    used = product.optional - product.required
    return (
        f"`{product.method}`",
        f"`{product.channel}`",
        _currencies(product),
        _fields(product.required),
        _fields(used, product.extra),
        _fields(INFORMING_FIELDS - product.required - used),
        "" if product.expires_in_s is None else " to ".join(map(_time, product.expires_in_s)),
        _how(product.capture),
        _how(product.refund),
        "yes" if product.close else "no",
    )


def _currencies(product: Product) -> str:
    found = sorted(product.currencies)
    if len(found) > NAMED_MAX:
        return f"{len(found)}"
    bounds = {_amount(product, currency) for currency in found}
    if len(bounds) == 1:
        return f"{', '.join(found)}: {bounds.pop()}"
    return "; ".join(f"{currency}: {_amount(product, currency)}" for currency in found)


def _amount(product: Product, currency: str) -> str:
    return " to ".join(Money.from_minor(minor, currency).text for minor in product.currencies[currency])


def _fields(names: frozenset[str], extra: frozenset[str] = frozenset()) -> str:
    own = [f"`extra.{name}`" for name in sorted(extra)]
    return ", ".join([*(f"`{name}`" for name in sorted(names)), *own])


def _how(how: str) -> str:
    return {"none": "no", "full": "whole", "partial": "in part"}[how]


def _time(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


# --- how it is talked to -----------------------------------------------------------------------------


def providers_matrix() -> list[tuple[str, ...]]:
    """The head with every provider, and a row for each thing that the core does by what it declares."""
    each = list({one.name: one for one in declared()}.values())
    rows = [(question, *(answer(one) for one in each)) for question, answer in _QUESTIONS.items()]
    return [("", *(f"`{one.name}`" for one in each)), *rows]


def _requests(one: Declared) -> str:
    budget = one.capabilities.budget
    return f"{budget.per_second} a second, {budget.per_minute} a minute"


def _found_by(one: Declared) -> str:
    return "our number" if one.capabilities.lookup is Lookup.BY_NUMBER else "its own id"


def _absence(one: Declared) -> str:
    after_s = one.capabilities.query_proves_absence_after_s
    return "nothing" if after_s is None else f'"not found", {_time(after_s)} later'


def _resent(name: str) -> Callable[[Declared], str]:
    def resent(one: Declared) -> str:
        resend: Resend = getattr(one.capabilities, f"{name}_resend")
        uses = {product.capture for product in one.capabilities.products} if name == "capture" else set()
        uses |= {product.refund for product in one.capabilities.products} if name == "refund" else set()
        if uses == {"none"}:
            return "has none"
        within = "" if resend.window_s is None else f" for {_time(resend.window_s)}"
        return {"same_result": "the same one", "refused_as_duplicate": "refused", "unsafe": "a second one"}[
            resend.effect
        ] + within

    return resent


def _list(one: Declared) -> str:
    by_time = one.capabilities.list_by_time
    read = "" if by_time is None else f"; read while waiting, {by_time.records_max} a page"
    return f"yes{read}" if hasattr(one.provider, "list") else "no"


def _notifications(one: Declared) -> str:
    if not hasattr(one.provider, "verify"):
        return "none"
    return "evidence" if one.capabilities.notifications_trusted else "make the payment due"


def _modes(one: Declared) -> str:
    info: ProviderInfo = one.provider.info
    return ", ".join(["sandbox", *(mode for mode in ("test", "live") if mode in info.base_urls)])


def _mode_of(one: Declared) -> str:
    return "its key" if hasattr(one.provider, "mode_of") else "its host"


_QUESTIONS: Mapping[str, Callable[[Declared], str]] = {
    "Modes": _modes,
    "Test and live differ by": _mode_of,
    "Requests it takes": _requests,
    "A token is fetched first": lambda one: "yes" if hasattr(one.provider, "open_session") else "no",
    "An order is found by": _found_by,
    "Orders asked about at once": lambda one: str(one.capabilities.query_batch_max),
    "What proves that none was made": _absence,
    "A creation sent again makes": _resent("create"),
    "A capture sent again makes": _resent("capture"),
    "A refund sent again makes": _resent("refund"),
    "Notifications": _notifications,
    "Its own list, for reconciling": _list,
}
