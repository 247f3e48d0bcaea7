"""What this plugin registers with paycore, by the entry point `mollie` of the group `paycore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paycore.plugin import Provider, hookimpl
from paycore_mollie.provider import Mollie


@hookimpl
def paycore_register_providers() -> Sequence[type[Provider]]:
    """The one provider."""
    return [Mollie]


@hookimpl
def paycore_register_sandboxes() -> Sequence[Any]:
    """Its sandbox, imported only when asked for."""
    from paycore_mollie.sandbox import SANDBOX

    return [SANDBOX]
