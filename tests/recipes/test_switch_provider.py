"""The recipe that makes another account the one of new payments."""

import re

from paycore import Client, Money, Status, load_config
from tests.recipes.conftest import Shop, recipe, sell


def test_what_is_under_way_goes_on_with_the_old_account(shop: Shop) -> None:
    """Old payments are listed, found, paid and refunded where they were made; new ones go to the new account."""
    shop.configure(recipe("switch_provider.toml"))
    before = shop.client()
    waiting, paid = sell(before, "order-1"), sell(before, "order-2")
    shop.pay(paid)
    paid = before.query(paid.id)

    ran = shop.run("switch_provider.sh", "new")
    assert ran.returncode == 0, ran
    listed = ran.stdout.partition("\nID ")[2]
    assert waiting.id in listed
    assert paid.id not in listed
    not_restarted = sell(before, "order-3")

    with Client(shop.config) as pay:
        new = sell(pay, "order-4")
        assert [(one.account, one.method) for one in (not_restarted, new)] == [
            ("old", "alipay"),
            ("new", "card"),
        ]
        assert [sell(pay, f"order-{number}").id for number in (1, 2, 3)] == [
            waiting.id,
            paid.id,
            not_restarted.id,
        ]
        assert pay.refund(paid.id, reference="back-1", amount=Money("20.00", "HKD")).refunded_minor == 2000
        for payment in (waiting, new):
            shop.pay(payment)
        assert {one.payment.reference: one.payment.status for one in pay.resolve()} == {
            "order-1": Status.PAID,
            "order-3": Status.PENDING,
            "order-4": Status.PAID,
        }


def test_switch_from_the_only_account_names_one(shop: Shop) -> None:
    """A configuration without a default account gets one, and stays its owner's alone."""
    shop.configure(recipe("switch_provider.toml").replace('default_account = "old"', ""))
    shop.config.chmod(0o600)
    shop.instead_of_paycore("exit 0")
    assert shop.run("switch_provider.sh", "new").returncode == 0
    assert load_config(shop.config).default_account == "new"
    assert shop.config.stat().st_mode & 0o777 == 0o600


def test_switch_to_an_account_that_cannot_be_used_changes_nothing(shop: Shop) -> None:
    """An account whose key the provider refuses is seen before anything is replaced."""
    shop.configure(recipe("switch_provider.toml"))
    (shop.folder / "secrets/stripe").write_text("sk_test_another_0000000000000001")
    text = shop.config.read_text()
    ran = shop.run("switch_provider.sh", "new")
    assert ran.returncode == 6
    assert re.search(r"^  problem +credentials ", ran.stdout, re.MULTILINE), ran
    assert shop.config.read_text() == text
