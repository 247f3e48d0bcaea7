"""An account's default method: what `create()` without a method makes, and what it is the same as."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Config, Money, Status
from paycore.domain.provider import Capabilities
from paycore.engine.config import AccountConfig
from paycore.engine.plugins import Plugins
from paycore.errors import ConfigError, NotSent, ReferenceConflict, RequestError
from paycore.plugin import hookimpl
from paycore.testing.toy import ToyProvider
from tests.engine.tills import Kind, Till
from tests.support.toy_http import KEY, ToyServer

OpenShop = Callable[..., Till]


class TwoMethods(ToyProvider):
    """A toy that takes tokens too, at a till only."""

    info = replace(ToyProvider.info, name="two-methods")

    @property
    def capabilities(self) -> Capabilities:
        known = super().capabilities
        token = replace(known.products[0], method="token", channel="till")
        return replace(known, products=(*known.products, token))


class TwoMethodsPlugin:
    """The plugin that offers it."""

    @hookimpl
    def paycore_register_providers(self) -> list[type[ToyProvider]]:
        return [TwoMethods]


@pytest.fixture
def open_shop(kind: Kind, gateway: ToyServer, tmp_path: Path) -> Iterator[OpenShop]:
    """Opens tills on one ledger; each account is named with its default method, and the first is the default one."""
    tills: list[Till] = []

    def open_shop(*, url: str = gateway.url, **defaults: str | None) -> Till:
        accounts = {
            name: AccountConfig(
                name=name,
                provider="two-methods",
                mode="sandbox",
                base_url=url,
                timeout_s=1.0,
                default_method=method,
                settings={"key": KEY, "proof_s": 0.1},
            )
            for name, method in defaults.items()
        }
        ledger = f"sqlite:///{tmp_path / 'paycore.db'}"
        config = Config(
            path=Path("paycore.toml"), ledger=ledger, default_account=next(iter(accounts)), accounts=accounts
        )
        tills.append(Till(kind, config, Plugins(extra=[("two-methods", TwoMethodsPlugin())])))
        return tills[-1]

    yield open_shop
    for till in tills:
        till.shutdown()


def sell(till: Till, reference: str = "order-1", **fields: Any) -> Any:
    """What `create()` makes, without a method unless `fields` have one."""
    amount = fields.pop("amount", Money("88.00", "HKD"))
    return till.do("create", reference=reference, amount=amount, **{"channel": "web", **fields})


def creates(gateway: ToyServer) -> int:
    return gateway.counts().requests.get("/orders", 0)


def test_create_without_a_method_takes_the_accounts_own(open_shop: OpenShop) -> None:
    """The payment has the default method of its account, of the one that is named where one is."""
    till = open_shop(hk="toy", till="token")
    assert sell(till).method == "toy"
    assert sell(till, "order-2", account="till", channel="till").method == "token"
    assert sell(till, "order-3", method=None).method == "toy"


def test_create_with_a_method_takes_that(open_shop: OpenShop) -> None:
    """The payer's choice takes precedence over the default."""
    assert sell(open_shop(hk="toy"), method="token", channel="till").method == "token"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "method: is needed: account hk has no default_method; it has: token, toy"),
        ({"method": ""}, "account hk has no /web"),
        ({"method": 7}, "method: must be text, not int"),
    ],
)
def test_create_with_neither_is_refused_before_any_io(
    open_shop: OpenShop, gateway: ToyServer, fields: dict[str, Any], words: str
) -> None:
    """Without a method and a default nothing is recorded or sent, and the error names the methods there are."""
    till = open_shop(hk=None)
    with pytest.raises(RequestError, match=words) as caught:
        sell(till, **fields)
    assert caught.value.money_moved == "no"
    assert (till.list(), creates(gateway)) == ((), 0)


@pytest.mark.parametrize("later", ["toy", "token", None], ids=["the same", "another", "none"])
def test_create_again_is_the_same_payment_whatever_the_default_is(
    open_shop: OpenShop, gateway: ToyServer, later: str | None
) -> None:
    """A repeat without a method is compared by what it gives: the payment keeps the method it was made with."""
    first = sell(open_shop(hk="toy"))
    again = open_shop(hk=later)
    assert sell(again) == first
    assert sell(again, account="hk") == first
    assert sell(again, method="toy") == first
    assert creates(gateway) == 1


@pytest.mark.parametrize("later", ["toy", "token", None], ids=["the same", "another", "none"])
def test_create_again_with_other_content_is_no_repeat(
    open_shop: OpenShop, gateway: ToyServer, later: str | None
) -> None:
    """Another amount or an explicit other method is not the payment there is: nothing is sent."""
    sell(open_shop(hk="toy"))
    again = open_shop(hk=later)
    # Where the default can't make it at all, that may be said first.
    with pytest.raises(RequestError, match=r"amount|method|token/web"):
        sell(again, amount=Money("1.00", "HKD"))
    with pytest.raises(ReferenceConflict) as caught:
        sell(again, method="token", channel="till")
    assert (caught.value.field, creates(gateway)) == ("method", 1)


def test_create_without_a_method_is_the_payment_that_was_given_one(
    open_shop: OpenShop, gateway: ToyServer
) -> None:
    """A payment by an explicit method comes back to a repeat that leaves it out, and stays with its account."""
    first = sell(open_shop(hk=None), method="toy")
    assert sell(open_shop(till="token", hk=None)) == first
    assert creates(gateway) == 1


def test_create_unsent_without_a_method_is_sent_by_the_method_it_has(
    open_shop: OpenShop, gateway: ToyServer
) -> None:
    """A payment that never left is sent as it was recorded, though the default is another one by now."""
    with pytest.raises(NotSent):
        sell(open_shop(url="http://127.0.0.1:1", hk="toy"))
    sent = sell(open_shop(hk="token"))
    assert (sent.method, sent.status, creates(gateway)) == ("toy", Status.PENDING, 1)


def test_default_method_that_the_account_lacks_is_refused(open_shop: OpenShop) -> None:
    """A default that no product has is an error of the configuration, which names the nearest one."""
    till = open_shop(hk="tokn")
    with pytest.raises(
        ConfigError,
        match=r"accounts\.hk\.default_method: the account has no method 'tokn'; did you mean 'token'",
    ):
        sell(till, method="toy")
    (info,) = till.do("accounts")
    assert info.problem is not None
    assert info.products == ()


def test_accounts_tell_the_default_method(open_shop: OpenShop) -> None:
    """An application can read what a payment without a method is made by."""
    assert [info.default_method for info in open_shop(hk="toy", cn=None).do("accounts")] == ["toy", None]
