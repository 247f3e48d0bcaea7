"""What this plugin registers with paycore, by the entry point `paypal-orders` of the group `paycore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paycore.plugin import Provider, hookimpl
from paypal_orders.provider import PayPalOrders


@hookimpl
def paycore_register_providers() -> Sequence[type[Provider]]:
    """The one provider: PayPal Orders."""
    return [PayPalOrders]


@hookimpl
def paycore_register_sandboxes() -> Sequence[Any]:
    """Its sandbox, imported only when asked for: it needs the extra `sandbox`."""
    from paypal_orders.sandbox import PayPalSandbox

    return [PayPalSandbox()]
