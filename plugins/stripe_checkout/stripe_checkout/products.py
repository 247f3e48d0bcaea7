"""The payment methods an account offers, by the names that `create()` takes."""

from __future__ import annotations

from typing import Literal

import msgspec

from paycore.plugin import Product
from stripe_checkout.amounts import bounds


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """
    A method: the types of Stripe's that its page offers, none for all that the Dashboard has on.

    `currencies` are the only ones it is for, none for all.
    """

    types: tuple[str, ...] = ()
    currencies: tuple[str, ...] = ()
    capture: Literal["none", "partial"] = "none"


METHODS = {
    "card": Method(types=("card",), capture="partial"),
    "sepa_debit": Method(types=("sepa_debit",), currencies=("EUR",)),
    "us_bank_account": Method(types=("us_bank_account",), currencies=("USD",)),
    "any": Method(capture="partial"),
}
"""Source: `allowed_payment_method_types` in stripe-python 16.1.0; docs.stripe.com/payments; SOURCES.md §3."""


CHANNEL = "web"
"""Where the payer stands: on the hosted page."""


def products() -> tuple[Product, ...]:
    """
    One product per method, all on the hosted page.

    Notification URLs are set in the Dashboard, and a lifetime of less than 30 minutes can't be asked for: both are
    left out. Source: SOURCES.md §3.
    """
    return tuple(_product(name, method) for name, method in METHODS.items())


def _product(name: str, method: Method) -> Product:
    taken = bounds(by_card=name == "card")
    return Product(
        method=name,
        channel=CHANNEL,
        currencies={code: taken[code] for code in method.currencies or taken},
        required=frozenset({"return_url"}),
        optional=frozenset({"subject"}),
        extra=frozenset({"locale"}),
        capture=method.capture,
    )
