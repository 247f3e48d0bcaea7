"""What this plugin registers with paycore, by the entry point `stripe-checkout` of the group `paycore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paycore.plugin import Provider, hookimpl


@hookimpl
def paycore_register_providers() -> Sequence[type[Provider]]:
    """Stripe Checkout."""
    return []


@hookimpl
def paycore_register_sandboxes() -> Sequence[Any]:
    """Its sandbox, imported only when asked for: it needs the extra `sandbox`."""
    return []
