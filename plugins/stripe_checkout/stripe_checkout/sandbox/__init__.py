"""
An offline gateway for Stripe Checkout: real HTTP, Stripe's errors and idempotency, pages to tap, signed events.

Written from Stripe's documentation; it shares no code with the plugin's client side, so that each checks the other.
Settings are in `sandbox_settings`, test cards and bank accounts in `test_data`, faults in `gateway_faults` and
`paycore.sandbox.connection`, pages in `pages`, control endpoints in `paycore.sandbox.control`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycore.sandbox.api import SandboxOptions
    from stripe_checkout.sandbox.gateway import StripeGateway

__all__ = ["StripeSandbox"]


class StripeSandbox:
    """The sandbox of provider `stripe-checkout`. `open` imports what needs the extra `sandbox`."""

    name = "stripe-checkout"

    def open(self, options: SandboxOptions) -> StripeGateway:
        from stripe_checkout.sandbox.gateway import StripeGateway

        return StripeGateway(options)
