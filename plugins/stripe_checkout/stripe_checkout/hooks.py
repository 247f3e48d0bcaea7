"""What this plugin registers with paycore, by the entry point `stripe-checkout` of the group `paycore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paycore.plugin import Provider, hookimpl
from stripe_checkout.provider import StripeCheckout


@hookimpl
def paycore_register_providers() -> Sequence[type[Provider]]:
    """The one provider: Stripe Checkout."""
    return [StripeCheckout]


@hookimpl
def paycore_register_sandboxes() -> Sequence[Any]:
    """Its sandbox, imported only when asked for: it needs the extra `sandbox`."""
    from stripe_checkout.sandbox import StripeSandbox

    return [StripeSandbox()]
