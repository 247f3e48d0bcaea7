"""
An offline gateway for PayPal Orders v2: real HTTP, signed webhooks, a page to approve on, faults on demand.

Written from PayPal's documentation; it shares no code with the plugin's client side, so that each checks the other.
Settings are in `sandbox_settings`, faults in `gateway_faults` and `paycore.sandbox.connection`, the payer's page in
`pages`, control endpoints in `paycore.sandbox.control`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycore.sandbox.api import SandboxOptions
    from paypal_orders.sandbox.gateway import PayPalGateway

__all__ = ["PayPalSandbox"]


class PayPalSandbox:
    """The sandbox of provider `paypal-orders`. `open` imports what needs the extra `sandbox`."""

    name = "paypal-orders"

    def open(self, options: SandboxOptions) -> PayPalGateway:
        from paypal_orders.sandbox.gateway import PayPalGateway

        return PayPalGateway(options)
