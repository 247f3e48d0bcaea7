"""
What a provider declares of an account, checked once, when it is loaded.

Everything declared is enforced later on. A budget of nothing, or a batch of none, would be enforced as well, and
stop every payment without saying why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from paycore.domain.currencies import EXPONENTS
from paycore.domain.money import MINOR_MAX
from paycore.domain.provider import EXPIRES_IN_MAX_S, OPTIONAL_FIELDS, Capabilities, Lookup, Product, Resend
from paycore.engine.wording import one_of, readable, shown

NUMBER_CHARACTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: what ids and the numbers at a provider consist of, see `orders.new_id`."""

NUMBER_LENGTH = 26


def declared_problem(declared: object) -> str | None:
    """Why this can't be what an account is capable of, None when it can."""
    if not isinstance(declared, Capabilities):
        return f"it declares {type(declared).__name__} where Capabilities belong"
    try:
        # As values of the declared types: nothing of a struct checks itself.
        msgspec.convert(msgspec.to_builtins(declared), Capabilities)
    except msgspec.ValidationError as error:
        return f"capabilities: {readable(error)}"
    except TypeError:
        return "capabilities: there is something in it that is of none of the types declared for it"
    return next(_problems(declared), None)


def own_urls_problem(urls: Mapping[Any, Any], hosts: Mapping[str, Any]) -> str | None:
    """Why these can't be the base URLs that depend on an account's settings, None when they can."""
    for name, url in urls.items():
        if not isinstance(name, str) or (name and name not in hosts):
            return f"it has a URL for a host that is not declared; there are: {one_of(hosts)}"
        if not isinstance(url, str):
            return f"the URL of its host {shown(name)} is no text"
    return None


def _problems(declared: Capabilities) -> Iterator[str]:
    takes = declared.number
    if takes.length_max < NUMBER_LENGTH or not set(NUMBER_CHARACTERS) <= set(takes.characters):
        yield f"number: numbers of {NUMBER_LENGTH} digits and capital letters ({NUMBER_CHARACTERS}) do not fit"
    yield from _lookup_problems(declared)
    if declared.query_batch_max < 1:
        yield "query_batch_max: must be 1 or more"
    if declared.budget.per_second < 1 or declared.budget.per_minute < 1:
        yield "budget: must be 1 request or more, per second and per minute"
    pairs = [(product.method, product.channel) for product in declared.products]
    if not pairs:
        yield "products: there is none"
    if len(set(pairs)) < len(pairs):
        yield "products: one method and channel is declared twice"
    for product in declared.products:
        for problem in _product_problems(product):
            yield f"product {shown(product.method)}/{shown(product.channel)}: {problem}"


def _lookup_problems(declared: Capabilities) -> Iterator[str]:
    window_s = declared.query_proves_absence_after_s
    if window_s is not None and not (math.isfinite(window_s) and window_s >= 0):
        yield "query_proves_absence_after_s: must be seconds, 0 or more, or None"
    if window_s is not None and declared.lookup is not Lookup.BY_NUMBER:
        yield (
            "query_proves_absence_after_s: must be None where lookup is not by number: an order whose reply was"
            " lost is not looked up, so nothing proves that it does not exist"
        )
    for name in ("create_resend", "capture_resend", "refund_resend"):
        resend: Resend = getattr(declared, name)
        if resend.window_s is None:
            continue
        if not (math.isfinite(resend.window_s) and resend.window_s > 0):
            yield f"{name}.window_s: must be seconds above 0, or None for ever"
        if resend.effect == "unsafe":
            yield f"{name}: what is unsafe has no window"


def _product_problems(product: Product) -> Iterator[str]:
    if not (_is_word(product.method) and _is_word(product.channel)):
        yield "method and channel must be words"
    if not product.currencies:
        yield "currencies: there is none"
    for currency, (least, most) in product.currencies.items():
        if currency not in EXPONENTS:
            yield f"currencies: {shown(currency)} is no ISO 4217 code"
        if not 1 <= least <= most <= MINOR_MAX:
            yield f"currencies.{shown(currency)}: must be a range of minor units from 1 to {MINOR_MAX}"
    used = product.required | product.optional
    unknown = used.difference(OPTIONAL_FIELDS)
    if unknown:
        yield f"{one_of(unknown)} is no field of create(); there are: {one_of(OPTIONAL_FIELDS)}"
    if not all(map(_is_word, product.extra)):
        yield "extra: must be words"
    yield from _lifetime_problems(product, used)


def _lifetime_problems(product: Product, used: frozenset[str]) -> Iterator[str]:
    if product.expires_in_s is not None:
        shortest, longest = product.expires_in_s
        if not 1 <= shortest <= longest <= EXPIRES_IN_MAX_S:
            yield f"expires_in_s: must be a range of seconds from 1 to {EXPIRES_IN_MAX_S}"
        if "expires_in_s" not in used:
            yield "expires_in_s: it has a range, and is neither required nor optional"


def _is_word(text: str) -> bool:
    return bool(text) and text.isprintable()
