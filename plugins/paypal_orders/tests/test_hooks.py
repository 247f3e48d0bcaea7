"""The plugin registers."""

from paypal_orders import hooks


def test_hooks_are_there() -> None:
    """Both hooks return a list."""
    assert list(hooks.paycore_register_providers()) == list(hooks.paycore_register_sandboxes()) == []
