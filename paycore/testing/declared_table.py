"""What a provider declares, as the table of its README: `capabilities_table`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paycore.domain.capabilities import Capabilities, Lookup, Product, Resend
from paycore.domain.money import Money


def capabilities_table(capabilities: Capabilities) -> str:
    """
    Markdown for a README: a table of the products, and one of what holds for all of them.

    A test that compares the two keeps the README true.
    """
    products = [
        "method / channel",
        "amounts",
        "required",
        "optional",
        "lifetime",
        "capture",
        "refund",
        "close",
    ]
    rows = [_product_row(product) for product in capabilities.products]
    return (
        "\n".join([*_rows(products, rows), "", *_rows(["declared", ""], list(_facts(capabilities)))]) + "\n"
    )


def _product_row(product: Product) -> list[str]:
    bounds = [_bounds(currency, *product.currencies[currency]) for currency in sorted(product.currencies)]
    lifetime = "" if product.expires_in_s is None else "{} to {} s".format(*product.expires_in_s)
    return [
        f"`{product.method}` / `{product.channel}`",
        "; ".join(bounds),
        _names(product.required),
        _names(product.optional | product.extra),
        lifetime,
        product.capture,
        product.refund,
        "yes" if product.close else "no",
    ]


def _facts(capabilities: Capabilities) -> Iterator[list[str]]:
    is_by_number = capabilities.lookup is Lookup.BY_NUMBER
    proof_s = capabilities.query_proves_absence_after_s
    budget, number = capabilities.budget, capabilities.number
    yield ["an order is found by", "our number" if is_by_number else "the provider's id"]
    yield ["absence is proven", "never" if proof_s is None else f"{proof_s:g} s after the last request"]
    yield ["a create sent again", _resend(capabilities.create_resend)]
    if any(product.capture != "none" for product in capabilities.products):
        yield ["a capture sent again", _resend(capabilities.capture_resend)]
    if any(product.refund != "none" for product in capabilities.products):
        yield ["a refund sent again", _resend(capabilities.refund_resend)]
    yield ["orders and refunds a query", str(capabilities.query_batch_max)]
    yield ["requests", f"{budget.per_second} in a second, {budget.per_minute} in a minute"]
    yield ["a number", f"{number.length_max} characters at most"]


def _resend(resend: Resend) -> str:
    words = {
        "same_result": "has the same result",
        "refused_as_duplicate": "is refused as a duplicate",
        "unsafe": "is a second one",
    }[resend.effect]
    return words if resend.window_s is None else f"{words}, for {resend.window_s:g} s"


def _bounds(currency: str, least: int, largest: int) -> str:
    return f"{Money.from_minor(least, currency).text} to {Money.from_minor(largest, currency)}"


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in [head, ["---"] * len(head), *rows]:
        yield f"| {' | '.join(row)} |"
