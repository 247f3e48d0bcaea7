"""Who a provider is and what it can do, as it declares it: the core refuses everything else before any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

API_VERSION = 1
"""The version of this contract. It grows when a provider written for the one before could do harm."""

EXPIRES_IN_MAX_S = 366 * 24 * 3600
"""The longest lifetime of an order, in seconds, where a product sets no bound of its own."""

Mode = Literal["sandbox", "test", "live"]


class Resend(msgspec.Struct, frozen=True):
    """
    What the provider does when a request is sent again with the same number and content.

    - `same_result`: it answers with what the first one made.
    - `refused_as_duplicate`: it refuses; the flow returns `Rejected(..., is_duplicate=True)`.
    - `unsafe`: it would do it a second time. The core sends again only what is proven never to have arrived.

    `window_s`: seconds after the first send for which that holds, None for ever. After it the core never sends that
    number again.
    """

    effect: Literal["same_result", "refused_as_duplicate", "unsafe"]
    window_s: float | None = None


UNSAFE = Resend("unsafe")


class Lookup(StrEnum):
    """By what a query finds an order."""

    BY_NUMBER = "by_number"
    """By our own number, whether or not a reply has come."""
    BY_PROVIDER_ID = "by_provider_id"
    """By the provider's ids only: an order whose reply was lost is found by sending it again."""


OPTIONAL_FIELDS = (
    "subject",
    "return_url",
    "notify_url",
    "expires_in_s",
    "payer_id",
    "auth_code",
    "device_id",
)
"""Fields of `create()` that a product may require or use."""

INFORMING_FIELDS = frozenset({"subject", "return_url", "notify_url", "expires_in_s", "device_id"})
"""Those that only inform or limit: a product that does not use one ignores it, and the payment says so."""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """
    One (method, channel) pair an account offers, with its bounds.

    `currencies` has the least and the largest amount per currency, inclusive, in minor units. `required` and
    `optional` name fields of `create()` beyond reference, amount, method and channel that the product uses. Any other
    one is ignored if it is one of `INFORMING_FIELDS`, else refused. `extra` names the provider's own fields that are
    allowed. `expires_in_s` is the inclusive range of the order's lifetime, None where it can't be set.
    `needs_action`: the payer can't pay unless the reply has an action. `close`: an unpaid order can be cancelled, and
    an authorized one voided. `refund` and `capture` say how much can be refunded or captured; `capture` other than
    `none` means that the payer may agree before the money is taken.
    """

    method: str
    channel: str
    currencies: Mapping[str, tuple[int, int]]
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()
    expires_in_s: tuple[int, int] | None = None
    needs_action: bool = True
    close: bool = True
    refund: Literal["none", "full", "partial"] = "partial"
    capture: Literal["none", "full", "partial"] = "none"


class NumberFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The order and refund numbers a provider accepts: how many characters at most, and which."""

    length_max: int
    characters: str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class RequestBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests the provider takes from an account in any second and any minute, over all processes."""

    per_second: int
    per_minute: int


class ListByTime(msgspec.Struct, frozen=True, kw_only=True):
    """
    That `Provider.list` can be read by the time orders were made at, a page a request: one tells of many payments.

    `records_max`: records of a page. `span_max_s`: the longest range, None for any. `early_s`, `late_s`: how far a
    range reaches beyond the times at which the orders were begun, for the provider's clock is another one and a
    creation takes a while to reach it.
    """

    records_max: int
    span_max_s: float | None = None
    early_s: float = 1.0
    late_s: float = 3.0


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one account can do; the core refuses everything else before any I/O.

    A contradictory declaration is refused when the provider is loaded.

    `lookup`: how an order is found again. `query_proves_absence_after_s`: seconds after the last moment at which a
    request of ours can arrive, from which "not found" proves that the order does not exist; None if it never does,
    as without a lookup by number. `query_batch_max`: orders and refunds that one request of a query flow asks about.
    `list_by_time`: how the provider's list tells of payments that are awaited; None where it does not. `create_resend`,
    `capture_resend`, `refund_resend`: what sending again does. `notifications_trusted`: an authentic notification
    alone is evidence; otherwise it only makes the payment due, and the query that follows is the evidence.
    """

    products: tuple[Product, ...]
    number: NumberFormat
    budget: RequestBudget
    lookup: Lookup = Lookup.BY_NUMBER
    query_proves_absence_after_s: float | None = None
    query_batch_max: int = 1
    list_by_time: ListByTime | None = None
    create_resend: Resend = UNSAFE
    capture_resend: Resend = UNSAFE
    refund_resend: Resend = UNSAFE
    notifications_trusted: bool = False

    def product(self, method: str, channel: str) -> Product | None:
        """The product for this pair, None when the account does not offer it."""
        return next((p for p in self.products if (p.method, p.channel) == (method, channel)), None)

    def product_of_order(self, method: str, channel: str) -> Product | None:
        """
        What an order that there is can do; an empty word stands for one that nobody told, and None for no such product.

        Where it may be of several products, it can do what all of them can. Only a capture is any's: what can't be
        captured is never authorized.
        """
        if method and channel:
            return self.product(method, channel)
        own = [p for p in self.products if method in ("", p.method) and channel in ("", p.channel)]
        if not own:
            return None
        able = ("none", "full", "partial")
        return msgspec.structs.replace(
            own[0],
            refund=min((p.refund for p in own), key=able.index),
            capture=max((p.capture for p in own), key=able.index),
            close=all(p.close for p in own),
        )


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who a provider is, before any account exists.

    `api_version` is the version of the contract it was written for: `API_VERSION` as it was then. `name` is the
    provider's name in the configuration; `settings` the msgspec struct an account's keys are decoded into (strict,
    secrets typed `Secret` or `tuple[Secret, ...]`). `sample` has settings to try the provider with when it is
    loaded, where values made up by their type won't do.

    `base_urls` is the default base URL per mode, none for sandbox; `hosts` has further ones by the name a `Request`
    calls them. `live_hosts` is every host that moves real money; one that begins with a dot stands for all hosts
    that end with it.

    `notification_headers` are the headers `verify` reads, such as the signature's; `notification_query`: it reads the
    query string, and that is signed. `verify` receives only these and the body, and only these are stored. A
    notification with the same body (and query string, where that is read) is a repeat, whatever its headers.
    """

    api_version: int
    name: str
    title: str
    settings: type[msgspec.Struct]
    base_urls: Mapping[Mode, str]
    live_hosts: frozenset[str]
    hosts: Mapping[str, Mapping[Mode, str]] = {}
    sample: Mapping[str, Any] = {}
    notification_headers: frozenset[str] = frozenset()
    notification_query: bool = False
