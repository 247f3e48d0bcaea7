"""One reference is one payment, by any account and whatever the default account is."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Config, Money, Status
from paycore.domain.events import PaymentBegun
from paycore.domain.provider import Capabilities, CreateOrder
from paycore.engine.config import AccountConfig
from paycore.engine.plugins import Plugins
from paycore.errors import ConfigError, InvalidField, NotFound, ReferenceAmbiguous, ReferenceConflict
from paycore.plugin import hookimpl
from paycore.testing.toy import ToyProvider
from tests.engine.tills import Kind, Till
from tests.support.toy_http import KEY, ToyPlugin, ToyServer

OpenShop = Callable[..., Till]


class Refusing(ToyProvider):
    """A toy that refuses every order."""

    info = replace(ToyProvider.info, name="refusing")

    def check(self, order: CreateOrder) -> None:
        raise InvalidField("amount", "is not taken here")


class Scanning(ToyProvider):
    """A toy that takes scanned codes."""

    info = replace(ToyProvider.info, name="scanning")

    @property
    def capabilities(self) -> Capabilities:
        known = super().capabilities
        products = (replace(p, optional=p.optional | {"auth_code"}) for p in known.products)
        return replace(known, products=tuple(products))


class OtherToys:
    """The plugin that offers both."""

    @hookimpl
    def paycore_register_providers(self) -> list[type[ToyProvider]]:
        return [Refusing, Scanning]


@pytest.fixture
def open_shop(kind: Kind, gateway: ToyServer, tmp_path: Path) -> Iterator[OpenShop]:
    """Opens tills with accounts `hk`, `cn` and so on at one gateway; `default` is the default one."""
    tills: list[Till] = []

    def open_shop(default: str = "hk", *, url: str = gateway.url, **accounts: dict[str, Any]) -> Till:
        known = {
            name: AccountConfig(
                name=name,
                provider=fields.pop("provider", "toy"),
                mode="sandbox",
                base_url=url,
                timeout_s=1.0,
                namespace=fields.pop("namespace", ""),
                settings={"key": KEY, "proof_s": 0.1, **fields},
            )
            for name, fields in (accounts or {"hk": {}, "cn": {}}).items()
        }
        ledger = f"sqlite:///{tmp_path / 'paycore.db'}"
        config = Config(path=Path("paycore.toml"), ledger=ledger, default_account=default, accounts=known)
        plugins = Plugins(extra=[("toy", ToyPlugin()), ("others", OtherToys())])
        tills.append(Till(kind, config, plugins))
        return tills[-1]

    yield open_shop
    for till in tills:
        till.shutdown()


def creates(gateway: ToyServer) -> int:
    return gateway.counts().requests.get("/orders", 0)


def test_create_after_the_default_account_changed_is_the_same_payment(
    open_shop: OpenShop, gateway: ToyServer
) -> None:
    """The payment stays with its account, pending or paid, and nothing is sent."""
    first = open_shop("hk").create()
    later = open_shop("cn")
    assert later.create() == first
    gateway.pay(first.order_number)
    assert later.query(first).status is Status.PAID
    assert later.create().id == first.id
    assert later.find("order-1").account == "hk"
    assert creates(gateway) == 1


def test_create_with_the_scanned_code_again_is_the_same_payment(open_shop: OpenShop) -> None:
    """The code is compared by the hash of the account that made the payment."""
    scanned: dict[str, Any] = {"channel": "card", "auth_code": "280000000000000001"}
    first, later = (
        open_shop(name, hk={"provider": "scanning"}, cn={"provider": "scanning"}) for name in ("hk", "cn")
    )
    payment = first.create(**scanned)
    assert later.create(**scanned).id == payment.id
    with pytest.raises(ReferenceConflict, match="auth_code"):
        later.create(channel="card", auth_code="280000000000000002")


def test_create_on_an_account_that_is_named_conflicts_by_account(
    open_shop: OpenShop, gateway: ToyServer
) -> None:
    """An explicit account is part of the content, and the first field compared."""
    first = open_shop("hk").create()
    later = open_shop("cn")
    with pytest.raises(ReferenceConflict) as caught:
        later.create(account="cn", amount=Money("1.00", "HKD"))
    assert (caught.value.field, caught.value.payment_id) == ("account", first.id)
    assert later.create(account="hk") == first
    with pytest.raises(ReferenceConflict) as caught:
        later.create(amount=Money("1.00", "HKD"))
    assert caught.value.field == "amount"
    assert creates(gateway) == 1


def test_create_what_the_default_account_cannot_make_is_the_payment_there_is(
    open_shop: OpenShop, gateway: ToyServer
) -> None:
    """The same content returns the existing payment, though the present default account does not support it."""
    first = open_shop("hk").create()
    for what_is_wrong in ({"provider": "refusing"}, {"no_such_setting": 1}):
        later = open_shop("cn", hk={}, cn=what_is_wrong)
        assert later.create() == first
        with pytest.raises((InvalidField, ConfigError)):
            later.create("order-2")
        with pytest.raises((InvalidField, ConfigError)):
            later.create(account="cn")
    assert creates(gateway) == 1


def test_create_of_an_account_that_is_gone_is_refused(open_shop: OpenShop, gateway: ToyServer) -> None:
    """A payment whose account is not configured any more is a typed error, and nothing is sent."""
    first = open_shop("hk").create()
    later = open_shop("cn", cn={})
    with pytest.raises(ConfigError, match=r"accounts\.hk: missing") as caught:
        later.create()
    assert (caught.value.payment_id, caught.value.money_moved) == (first.id, "no")
    for verb in ("query", "close"):
        with pytest.raises(ConfigError, match=r"accounts\.hk: missing"):
            later.do(verb, first.id)
    assert creates(gateway) == 1


def test_create_unsent_is_sent_by_its_own_account(open_shop: OpenShop, gateway: ToyServer) -> None:
    """An unsent payment is sent by the account it was made for, whichever is the default."""
    down = open_shop("hk", url="http://127.0.0.1:1")
    with pytest.raises(Exception, match="account hk"):
        down.create()
    again = open_shop("cn").create()
    assert (again.account, again.status, creates(gateway)) == ("hk", Status.PENDING, 1)


def test_create_at_once_over_two_accounts_is_one_provider_call(
    open_shop: OpenShop, gateway: ToyServer
) -> None:
    """Two tills with different default accounts: the second joins the first."""
    tills = [open_shop("hk"), open_shop("cn")]
    for n in range(5):
        found: list[str] = []
        barrier = threading.Barrier(2)

        def buy(
            till: Till, n: int = n, found: list[str] = found, barrier: threading.Barrier = barrier
        ) -> None:
            barrier.wait()
            found.append(till.create(f"order-{n}").id)

        threads = [threading.Thread(target=buy, args=(till,)) for till in tills]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 2
        assert len(set(found)) == 1
        assert creates(gateway) == n + 1


def test_namespace_makes_another_key(open_shop: OpenShop, gateway: ToyServer) -> None:
    """With namespaces each account has its own payment for a reference, found by account or namespace."""
    shops = {"hk": {"namespace": "shop-a"}, "cn": {"namespace": "shop-b"}}
    till = open_shop("hk", **{name: dict(fields) for name, fields in shops.items()})
    one, other = till.create(), till.create(account="cn")
    assert (one.namespace, other.namespace, one.id != other.id) == ("shop-a", "shop-b", True)
    begun = till.events(other)[0].change
    assert isinstance(begun, PaymentBegun)
    assert begun.namespace == "shop-b"
    with pytest.raises(ReferenceAmbiguous, match="each of cn, hk") as caught:
        till.find("order-1")
    assert caught.value.accounts == ("cn", "hk")
    assert till.find("order-1", account="hk") == one
    assert till.find("order-1", namespace="shop-b") == other
    with pytest.raises(NotFound):
        till.find("order-1", account="hk", namespace="shop-b")
    assert creates(gateway) == 2


def test_namespace_written_later_keeps_an_accounts_own_payments(
    open_shop: OpenShop, gateway: ToyServer
) -> None:
    """A namespace given to an account later makes none of its payments a second time."""
    first = open_shop("hk").create()
    later = open_shop("hk", hk={"namespace": "shop-a"}, cn={})
    assert later.create() == first
    assert later.create(account="cn", reference="order-2").namespace == ""
    assert creates(gateway) == 2


def test_refund_reference_is_one_over_accounts(open_shop: OpenShop, gateway: ToyServer) -> None:
    """Refund references follow the same rules: unique in the ledger, or in a namespace."""
    till = open_shop("hk", hk={}, cn={}, us={"namespace": "us"})
    payments = [till.create(f"order-{n}", account=name) for n, name in enumerate(("hk", "cn", "us"))]
    for payment in payments:
        gateway.pay(payment.order_number)
        till.query(payment)
    till.refund(payments[0], "back-1")
    with pytest.raises(ReferenceConflict, match="payment differs"):
        till.refund(payments[1], "back-1")
    assert till.refund(payments[2], "back-1").refunded_minor == 8800
    assert len(gateway.counts().refunds) == 2
