"""Settings, modes and what is declared of an account."""

from __future__ import annotations

import pytest

from paycore.domain.currencies import EXPONENTS
from paycore.engine.declared import declared_problem
from paycore.plugin import Money, Secret
from plugins.stripe_checkout.tests.support import account
from stripe_checkout import hooks
from stripe_checkout.provider import StripeCheckout
from stripe_checkout.sandbox import StripeSandbox
from stripe_checkout.settings import StripeSettings, mode_of_key


def test_the_plugin_registers_one_provider_and_its_sandbox() -> None:
    """Under the same name."""
    assert list(hooks.paycore_register_providers()) == [StripeCheckout]
    (sandbox,) = hooks.paycore_register_sandboxes()
    assert isinstance(sandbox, StripeSandbox)
    assert sandbox.name == StripeCheckout.info.name


@pytest.mark.parametrize(
    ("key", "mode"),
    [
        ("sk_test_1", "test"),
        ("sk_live_1", "live"),
        ("rk_test_1", "test"),
        ("rk_live_1", "live"),
        ("rkcs_test_1", "test"),
    ],
)
def test_a_key_shows_its_mode(key: str, mode: str) -> None:
    """Secret and restricted keys, by their second word."""
    assert mode_of_key(Secret(key)) == mode
    assert StripeCheckout.mode_of(StripeSettings(api_key=Secret(key))) == mode


@pytest.mark.parametrize("key", ["pk_test_1", "sk_org_1", "sk_1", "sk_test_", "sk_test_a b", "whsec_1", ""])
def test_what_is_no_usable_key_is_refused_without_being_shown(key: str) -> None:
    """A publishable key, an organisation's, half a key."""
    with pytest.raises(ValueError, match="api_key") as caught:
        StripeSettings(api_key=Secret(key))
    assert not key or key not in str(caught.value).replace("sk_test_...", "").replace("sk_org_...", "")


def test_a_webhook_secret_is_whole() -> None:
    """With its prefix, which is part of the key."""
    with pytest.raises(ValueError, match="webhook_secret"):
        StripeSettings(api_key=Secret("sk_test_1"), webhook_secret=(Secret("1234"),))


@pytest.mark.parametrize(("key", "per_second"), [("sk_test_1", 25), ("sk_live_1", 100)])
def test_what_is_declared_makes_sense(key: str, per_second: int) -> None:
    """The core takes it, with Stripe's limit of the mode."""
    capabilities = account(api_key=Secret(key)).capabilities
    assert declared_problem(capabilities) is None
    assert capabilities.budget.per_second == per_second
    windows = {capabilities.create_resend, capabilities.capture_resend, capabilities.refund_resend}
    assert {window.window_s for window in windows} == {23 * 3600}


def test_bounds_are_in_minor_units_as_iso_has_them() -> None:
    """Documented minima; 99,999,999 of Stripe's units for methods without a word on theirs; whole krónur."""
    products = {product.method: product for product in account().capabilities.products}
    card, anything = products["card"].currencies, products["any"].currencies
    assert card["EUR"] == (50, 10**12 - 1)
    assert card["JPY"] == (50, 10**12 - 1)
    assert card["HUF"][0] == 17500
    assert card["ISK"] == (1, 10**10 - 1)
    assert card["KWD"] == (10, 10**12 - 10)
    assert card["MGA"] == (100, (10**12 - 1) * 100)
    assert anything["EUR"] == (50, 99_999_999)
    assert anything["IDR"] == (50, 10**12 - 1)
    assert set(products["sepa_debit"].currencies) == {"EUR"}
    assert set(card) <= set(EXPONENTS)
    assert all(Money.from_minor(most, code) for code, (_, most) in card.items())
