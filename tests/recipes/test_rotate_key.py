"""The recipe that puts a new key in the place of the old one."""

import hashlib
import json
import re
import tomllib

import pytest

from paycore import Client, Status
from paycore.errors import AccountRefused, MalformedNotification, NotAuthentic
from tests.recipes.conftest import Shop, recipe, sell

ACCOUNTS = tomllib.loads(recipe("rotate_key.toml"))["accounts"]
METHODS = {"hk": "alipay", "cards": "card", "paypal": "paypal"}
NEW = {
    "hk": ("client_key", "secrets/qfpay", "0123456789ABCDEF0123456789ABCDEF"),
    "cards": ("api_key", "secrets/stripe", "sk_test_the_new_one_0000000000000001"),
    "paypal": ("client_secret", "secrets/paypal", "EM-the-new-secret-0000000000000000001"),
}
"""The setting of each account that is rotated, its file, and the new secret."""


def configure(shop: Shop, name: str) -> None:
    """The account of the page, and no other."""
    text = recipe("rotate_key.toml")
    first, *sections = text.split("[accounts.")
    (section,) = [one for one in sections if one.startswith(f"{name}]")]
    shop.configure(f'{first}[accounts.{section}default_method = "{METHODS[name]}"\n')


@pytest.mark.parametrize("name", list(ACCOUNTS))
def test_payments_go_on_with_a_new_key(shop: Shop, name: str) -> None:
    """What was made with the old key is found, paid and made a second time by nobody with the new one."""
    configure(shop, name)
    setting, file, secret = NEW[name]
    provider = ACCOUNTS[name]["provider"]
    before = shop.client()
    made = sell(before, "order-1")

    shop.change_credentials(provider, {setting: secret})
    ran = shop.run("rotate_key.sh", name, file, typed=f"{secret}\n")
    assert ran.returncode == 0, ran
    assert re.search(r"^  ok +credentials ", ran.stdout, re.MULTILINE), ran
    assert secret not in ran.stdout + ran.stderr

    with pytest.raises(AccountRefused) as refused:
        sell(before, "order-2")
    assert refused.value.money_moved == "no"
    with Client(shop.config) as pay:
        assert sell(pay, "order-1").id == made.id
        shop.pay(made)
        assert pay.wait(made.id, timeout_s=10).status is Status.PAID
        assert sell(pay, "order-2").status is Status.PENDING
    assert len(shop.sandbox(provider).gateway.controls.list_orders(10)) == 2


def test_both_keys_verify_until_the_old_one_is_taken_out(shop: Shop) -> None:
    """Notifications signed with either are taken, also where the recipe was run twice."""
    configure(shop, "hk")
    shop.instead_of_paycore("exit 0")
    old = (shop.folder / "secrets/qfpay").read_text().strip()
    _, file, new = NEW["hk"]
    for _ in range(2):
        assert shop.run("rotate_key.sh", "hk", file, typed=f"{new}\n").returncode == 0
    body = json.dumps({"notify_type": "payment"}).encode()

    def signed(key: str) -> dict[str, str]:
        return {"X-QF-SIGN": hashlib.md5(body + key.encode()).hexdigest()}

    with Client(shop.config) as pay:
        for key in (new, old):
            with pytest.raises(MalformedNotification):  # it is authentic, and says nothing
                pay.receive("hk", body=body, headers=signed(key))
        with pytest.raises(NotAuthentic):
            pay.receive("hk", body=body, headers=signed("another"))


def test_nothing_is_replaced_by_nothing(shop: Shop) -> None:
    """Without a secret on stdin the recipe fails, and the key stays."""
    configure(shop, "hk")
    file = shop.folder / "secrets/qfpay"
    before = file.read_text()
    assert shop.run("rotate_key.sh", "hk", "secrets/qfpay").returncode == 2
    assert file.read_text() == before
    assert {path.name for path in file.parent.iterdir()} == {"qfpay", "qfpay.old", "qfpay-app-code"}
