"""The plugin registers."""

from paypal_orders import hooks
from paypal_orders.provider import PayPalOrders


def test_hooks_are_there() -> None:
    """One provider, and a sandbox with its name."""
    assert list(hooks.paycore_register_providers()) == [PayPalOrders]
    (sandbox,) = hooks.paycore_register_sandboxes()
    assert sandbox.name == PayPalOrders.info.name
