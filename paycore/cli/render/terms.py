"""What each account offers, as lines of text and as JSON fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from paycore.cli.render.text import Style, align, clean, fold, width
from paycore.domain.money import Money
from paycore.domain.provider import INFORMING_FIELDS, Product

if TYPE_CHECKING:
    from paycore.engine.offers import AccountInfo

TERMS_MIN = 24
"""Narrower than this, the terms of a product are not wrapped."""


def account_block(account: AccountInfo, style: Style, columns: int | None) -> list[str]:
    """Render an account and its products, one a line; wrapped to `columns`, None means no limit."""
    default = " *" if account.is_default else ""
    place = "".join(f", {url}" for url in account.base_urls.values())
    if account.default_method is not None:
        place += f", {account.default_method} by default"
    head = f"{style(clean(account.name), 'bold')}{default}  {clean(f'{account.provider}, {account.mode}{place}')}"
    if account.problem is not None:
        return [head, *_wrapped("  ", style("can't be used", "red") + f": {clean(account.problem)}", columns)]
    rows = list(_rows(account.products))
    names = align([(f"  {clean(name)}",) for name, _ in rows]) if rows else []
    longest = max((width(name) for name in names), default=0)
    lines = [head]
    for name, (_, terms) in zip(names, rows, strict=True):
        lines += _wrapped(name.ljust(longest) + "  ", clean(terms), columns)
    return lines


def _wrapped(head: str, words: str, columns: int | None) -> list[str]:
    if columns is None or columns - width(head) < TERMS_MIN:
        return [head + words]
    first, *more = fold(words, columns - width(head))
    return [head + first, *(" " * width(head) + line for line in more)]


def _rows(products: Sequence[Product]) -> Iterator[tuple[str, str]]:
    """Yield each product and its terms, after the amounts where those are the same for all."""
    amounts = {_amounts(product) for product in products}
    if len(amounts) == 1:
        yield "amounts", amounts.pop()
    for product in products:
        own = [_amounts(product)] if amounts else []
        yield f"{product.method}/{product.channel}", "; ".join([*own, *_terms(product)])


def _amounts(product: Product) -> str:
    """Return the bounds, each with the currencies that have it."""
    currencies: dict[str, list[str]] = {}
    for currency, bounds in sorted(product.currencies.items()):
        low, high = (Money.from_minor(minor, currency).text for minor in bounds)
        currencies.setdefault(f"{low} to {high}", []).append(currency)
    return "; ".join(f"{bounds} {', '.join(names)}" for bounds, names in currencies.items())


def _terms(product: Product) -> Iterator[str]:
    if product.required:
        yield f"needs {_fields(product, product.required)}"
    takes = product.optional - product.required
    if takes:
        yield f"takes {_fields(product, takes)}"
    if product.extra:
        yield f"extra {', '.join(sorted(product.extra))}"
    if _ignored(product):
        yield f"ignores {', '.join(_ignored(product))}"
    can = [*_done("captured", product.capture), *_done("refunded", product.refund)]
    if product.close:
        can.append("closed")
    if can:
        yield f"can be {', '.join(can)}"


def _done(done: str, how: Literal["none", "full", "partial"]) -> list[str]:
    return {"none": [], "full": [f"{done} whole"], "partial": [f"{done} in part"]}[how]


def _fields(product: Product, names: frozenset[str]) -> str:
    return ", ".join(_field(product, name) for name in sorted(names))


def _field(product: Product, name: str) -> str:
    if name != "expires_in_s" or product.expires_in_s is None:
        return name
    least, most = product.expires_in_s
    return f"{name} ({least} to {most})"


def _ignored(product: Product) -> list[str]:
    return sorted(INFORMING_FIELDS - product.required - product.optional)


# --- JSON --------------------------------------------------------------------------------------------


def account_document(account: AccountInfo) -> dict[str, Any]:
    """Return an account as JSON fields."""
    return {
        "account": account.name,
        "provider": account.provider,
        "mode": account.mode,
        "default": account.is_default,
        "default_method": account.default_method,
        "base_url": account.base_urls.get(""),
        "hosts": {name: url for name, url in account.base_urls.items() if name},
        "products": [_product(product) for product in account.products],
        "problem": account.problem,
    }


def _product(product: Product) -> dict[str, Any]:
    expires_in_s = product.expires_in_s
    return {
        "method": product.method,
        "channel": product.channel,
        "currencies": {
            currency: {"least_minor": least, "most_minor": most}
            for currency, (least, most) in sorted(product.currencies.items())
        },
        "required": sorted(product.required),
        "optional": sorted(product.optional - product.required),
        "ignored": _ignored(product),
        "extra": sorted(product.extra),
        "expires_in_s": expires_in_s and {"least": expires_in_s[0], "most": expires_in_s[1]},
        "capture": product.capture,
        "refund": product.refund,
        "close": product.close,
    }
