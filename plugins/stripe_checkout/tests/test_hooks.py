"""The plugin registers."""

from stripe_checkout import hooks


def test_hooks_are_there() -> None:
    """Both hooks return a list."""
    assert list(hooks.paycore_register_providers()) == list(hooks.paycore_register_sandboxes()) == []
