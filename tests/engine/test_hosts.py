"""Hosts and modes: where requests go, and that no test reaches what moves real money."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from paycore import Status
from paycore.engine.accounts import Account, Accounts
from paycore.engine.config import AccountConfig, Config
from paycore.engine.plugins import Plugins
from paycore.errors import ConfigError, PluginError
from paycore.plugin import (
    Attempt,
    CreateOrder,
    CreateReply,
    Flow,
    Mode,
    Provider,
    ProviderInfo,
    Request,
    Secret,
    hookimpl,
)
from paycore.testing.toy import ToyGateway, ToyProvider
from paycore.testing.toy.provider import ToySettings
from tests.engine.tills import Kind, Till
from tests.support.toy_http import KEY, ToyServer, toy_server

LIVE, TEST, BOTH = "https://live.acme.example", "https://test.acme.example", "https://api.acme.example"


class Hosted(ToyProvider):
    """The toy at hosts that each test declares; `seen` are the attempts it was given."""

    info: ClassVar[ProviderInfo] = ToyProvider.info
    asks: ClassVar[str] = ""
    seen: ClassVar[list[Attempt]] = []

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """Asks the other host first."""
        Hosted.seen.append(order.attempt)
        if Hosted.asks:
            yield Request(method="POST", path="/query", body=b'{"numbers": []}', host=Hosted.asks, safe=True)
        return (yield from super().create(order))


class Merchants(Hosted):
    """A host for each merchant, named by the key: `acme` is at acme.pay.example."""

    @staticmethod
    def base_urls_of(settings: ToySettings, mode: Mode) -> Mapping[str, str]:
        """Those of the test; a merchant's own otherwise, and none in a sandbox."""
        assert mode != "sandbox"
        return Merchants.own or {"": f"https://{settings.key[0].reveal()}-{mode}.pay.example/"}

    own: ClassVar[dict[str, Any]] = {}


class Prefixed(Hosted):
    """Test and live share a host: the key says which it is for."""

    @staticmethod
    def mode_of(settings: ToySettings) -> Mode | None:
        """By its beginning."""
        key = settings.key[0].reveal()
        return "test" if key.startswith("sk_test_") else "live" if key.startswith("sk_live_") else None


class HostedPlugin:
    @hookimpl
    def paycore_register_providers(self) -> Sequence[type[Provider]]:
        return [Hosted, Merchants, Prefixed]


@pytest.fixture(autouse=True)
def _as_declared() -> Iterator[None]:
    """Every test begins without hosts."""
    yield
    Hosted.asks, Hosted.seen, Merchants.own = "", [], {}


def declaring(kind: type[Hosted], **fields: Any) -> Plugins:
    """The plugin, with this provider's hosts."""
    for each in (Hosted, Merchants, Prefixed):
        declared: dict[str, Any] = {"base_urls": {}, "live_hosts": frozenset()}
        if each is kind:
            declared |= fields
        name = each.__name__.lower()
        each.info = replace(ToyProvider.info, name=name, **declared)
    return Plugins(extra=[("hosted", HostedPlugin())])


def config_of(
    provider: type[Hosted], mode: Mode, base_url: str | None, key: str = KEY, ledger: str = "sqlite:///x.db"
) -> Config:
    account = AccountConfig(
        name="toy",
        provider=provider.__name__.lower(),
        mode=mode,
        base_url=base_url,
        timeout_s=2.0,
        settings={"key": key if mode != "live" else {"env": "KEY"}, "proof_s": 0.1},
    )
    return Config(path=Path("paycore.toml"), ledger=ledger, default_account="toy", accounts={"toy": account})


def account_of(
    provider: type[Hosted], mode: Mode, *, key: str = KEY, base_url: str | None = None, **info: Any
) -> Account:
    """An account of this provider as it would be used."""
    config = config_of(provider, mode, base_url, key)
    plugins = declaring(provider, **info)
    assert {"hosted", "merchants", "prefixed"} <= plugins.providers().keys(), plugins.failures
    return Accounts(config, plugins, {"KEY": key}).get()


# --- several hosts ---------------------------------------------------------------------------------------


@pytest.fixture
def auth() -> Iterator[ToyServer]:
    """A second host."""
    with toy_server(ToyGateway(key=KEY)) as server:
        yield server


def test_request_goes_to_the_host_it_names(
    kind: Kind, gateway: ToyServer, auth: ToyServer, tmp_path: Path
) -> None:
    """Each host has its own connections, and the flow is told mode and base URLs."""
    plugins = declaring(Hosted, base_urls={"test": gateway.url}, hosts={"auth": {"test": f"{auth.url}/"}})
    config = config_of(Hosted, "test", None, ledger=f"sqlite:///{tmp_path / 'paycore.db'}")
    Hosted.asks = "auth"
    till = Till(kind, config, plugins)
    assert [till.create(f"order-{n}").status for n in range(2)] == [Status.PENDING] * 2
    assert auth.counts().requests == {"/query": 2}
    assert gateway.counts().requests == {"/orders": 2}
    attempt = Hosted.seen[-1]
    assert (attempt.mode, attempt.base_urls) == ("test", {"": gateway.url, "auth": auth.url})
    till.shutdown()


def test_sandbox_is_every_host(kind: Kind, gateway: ToyServer, tmp_path: Path) -> None:
    """In a sandbox all hosts are at `base_url`; nothing goes to the provider's own."""
    hosts = {"auth": {"live": LIVE, "test": TEST, "sandbox": TEST}}
    plugins = declaring(Hosted, hosts=hosts, live_hosts=frozenset({"live.acme.example"}))
    config = config_of(Hosted, "sandbox", gateway.url, ledger=f"sqlite:///{tmp_path / 'paycore.db'}")
    Hosted.asks = "auth"
    till = Till(kind, config, plugins)
    assert till.create().status is Status.PENDING
    assert gateway.counts().requests == {"/query": 1, "/orders": 1}
    assert Hosted.seen[-1].base_urls == {"": gateway.url, "auth": gateway.url}
    till.shutdown()


def test_host_that_is_not_declared_is_not_asked(kind: Kind, gateway: ToyServer, tmp_path: Path) -> None:
    """The error names the plugin and the hosts there are; nothing is sent, and the payment is made later."""
    plugins = declaring(Hosted, hosts={"auth": {}, "reports": {}})
    config = config_of(Hosted, "sandbox", gateway.url, ledger=f"sqlite:///{tmp_path / 'paycore.db'}")
    Hosted.asks = "evil.example"
    till = Till(kind, config, plugins)
    with pytest.raises(
        PluginError, match=r"hosted failed: it asked a host it has not declared; declared: auth, reports"
    ) as raised:
        till.create()
    assert (raised.value.money_moved, gateway.counts().requests) == ("no", {})
    Hosted.asks = ""
    assert till.create().status is Status.PENDING
    till.shutdown()


def test_account_in_a_mode_without_a_host_is_refused() -> None:
    """A provider that has no test host, say."""
    with pytest.raises(ConfigError, match=r"accounts\.toy\.base_url: missing; a test account needs one"):
        account_of(Hosted, "test", base_urls={"live": LIVE}, live_hosts=frozenset({"live.acme.example"}))
    with pytest.raises(
        ConfigError, match=r"accounts\.toy\.mode: provider hosted has no host 'auth' for test"
    ):
        account_of(Hosted, "test", base_urls={"test": TEST}, hosts={"auth": {}})


@pytest.mark.parametrize("mode", ["test", "live"])
def test_second_host_is_held_to_the_mode_as_the_first_is(mode: Mode) -> None:
    """A second host can't lead a test to where money moves, nor a live account elsewhere."""
    live = frozenset({"live.acme.example", ".live.example"})
    own: dict[Mode, str] = {
        "test": "https://auth.live.example",
        "live": "https://auth.acme.example",
    }
    Merchants.own = {"auth": own[mode]}
    problem = {
        "test": "'auth': auth.live.example moves real money",
        "live": "'auth': a live account uses https",
    }
    with pytest.raises(ConfigError, match=problem[mode]):
        account_of(
            Merchants,
            mode,
            base_urls={"live": LIVE, "test": TEST},
            hosts={"auth": {}},
            live_hosts=live,
        )


# --- a host per merchant -----------------------------------------------------------------------------------


SUFFIX = frozenset({".pay.example"})


def test_merchants_host_comes_from_the_settings() -> None:
    """A live one is among the declared ones by how it ends; in a sandbox it is not even asked for."""
    live = account_of(Merchants, "live", key="acme", live_hosts=SUFFIX)
    assert live.base_urls == {"": "https://acme-live.pay.example"}
    sandbox = account_of(
        Merchants, "sandbox", key="acme", base_url="http://127.0.0.1:8700", live_hosts=SUFFIX
    )
    assert sandbox.base_urls == {"": "http://127.0.0.1:8700"}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://acme.pay.example.evil.example", "a live account uses https and one of: .pay.example"),
        ("https://pay.example", "a live account uses https and one of: .pay.example"),
        ("https://evilpay.example", "a live account uses https and one of: .pay.example"),
        ("http://acme.pay.example", "a live account uses https and one of: .pay.example"),
        ("https://evil.example/.pay.example", "a live account uses https and one of: .pay.example"),
        ("https://evil.example?.pay.example", "must be a plain http"),
        ("https://evil.example#.pay.example", "must be a plain http"),
        ("https://acme.pay.example@evil.example", "must be a plain http"),
        ("https://evil.example\\.pay.example", "must be a plain http"),
        ("https://acme.pay.example.", "must be a plain http"),
        ("acme.pay.example", "must be a plain http"),
    ],
)
def test_settings_can_not_lead_elsewhere(url: str, problem: str) -> None:
    """A host that only looks as if it ended so."""
    Merchants.own = {"": url}
    with pytest.raises(ConfigError, match=problem):
        account_of(Merchants, "live", live_hosts=SUFFIX)


def test_merchants_live_host_is_refused_in_test() -> None:
    """Whoever gives the test mode a live host by mistake is told so."""
    Merchants.own = {"": "https://acme.pay.example"}
    with pytest.raises(ConfigError, match=r"acme\.pay\.example moves real money"):
        account_of(Merchants, "test", live_hosts=SUFFIX)


def test_base_url_of_the_configuration_is_taken_before_the_settings() -> None:
    """For a test host of the operator's own."""
    account = account_of(Merchants, "test", base_url="http://127.0.0.1:8700", live_hosts=SUFFIX)
    assert account.base_urls == {"": "http://127.0.0.1:8700"}


NO_URLS: dict[str, Any] = {
    "no URL": {"": None},
    "a number": {"": 7},
    "bytes": {"": b"https://acme.pay.example"},
    "a host of its own": {"evil": "https://acme.pay.example"},
    "no name": {7: "https://acme.pay.example"},
}


@pytest.mark.parametrize("name", NO_URLS)
def test_plugin_that_gives_no_urls_is_named(name: str) -> None:
    """A `PluginError` with the stage; nothing is sent."""
    Merchants.own = NO_URLS[name]
    with pytest.raises(PluginError) as raised:
        account_of(Merchants, "live", live_hosts=SUFFIX)
    assert (raised.value.plugin, raised.value.stage) == ("merchants", "base_urls_of")
    assert raised.value.money_moved == "no"


@pytest.mark.parametrize("error", [SystemExit(3), KeyError("region"), GeneratorExit()])
@pytest.mark.parametrize("member", ["base_urls_of", "mode_of"])
def test_plugin_that_raises_there_is_named(
    member: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises; the credentials are in no error."""

    def fail(settings: ToySettings, *_: object) -> Any:
        raise error

    kind = Merchants if member == "base_urls_of" else Prefixed
    monkeypatch.setattr(kind, member, staticmethod(fail))
    with pytest.raises(PluginError, match=type(error).__name__) as raised:
        account_of(kind, "test", key="CANARY-KEY", base_url="http://127.0.0.1:8700")
    assert raised.value.stage == member
    assert "CANARY" not in str(raised.value)


# --- one host for test and live ----------------------------------------------------------------------------

SHARED: dict[str, Any] = {
    "base_urls": {"test": BOTH, "live": BOTH},
    "live_hosts": frozenset({"api.acme.example"}),
}


@pytest.mark.parametrize(("mode", "key"), [("test", "sk_test_0123456789"), ("live", "sk_live_0123456789")])
def test_key_of_its_mode_is_taken_at_the_shared_host(mode: Mode, key: str) -> None:
    """A test account may use the live host, for its key moves no money."""
    assert account_of(Prefixed, mode, key=key, **SHARED).base_urls == {"": BOTH}


WRONG: Sequence[tuple[Mode, str, str]] = [
    ("test", "sk_live_CANARY89", r"accounts\.toy\.mode: it is 'test', and its credentials are for 'live'"),
    ("live", "sk_test_CANARY89", r"accounts\.toy\.mode: it is 'live', and its credentials are for 'test'"),
    ("sandbox", "sk_live_CANARY89", r"it is 'sandbox', and its credentials are for 'live'"),
]


@pytest.mark.parametrize(("mode", "key", "problem"), WRONG)
def test_key_of_another_mode_is_refused(mode: Mode, key: str, problem: str) -> None:
    """A live key in test would move money, a test key in live would take none; the key is in no error."""
    base_url = "http://127.0.0.1:8700" if mode == "sandbox" else None
    with pytest.raises(ConfigError, match=problem) as raised:
        account_of(Prefixed, mode, key=key, base_url=base_url, **SHARED)
    assert "CANARY" not in str(raised.value)


def test_key_that_does_not_say_is_no_test_key() -> None:
    """At a host that moves money the key must be known to be for tests; a live account says so itself."""
    with pytest.raises(ConfigError, match=r"api\.acme\.example moves real money"):
        account_of(Prefixed, "test", key="0123456789", **SHARED)
    assert account_of(Prefixed, "live", key="0123456789", **SHARED).mode == "live"


def test_test_key_is_taken_in_a_sandbox_but_not_to_the_live_host() -> None:
    """A provider's sandbox gives out such keys; a sandbox account never reaches the provider."""
    key = "sk_test_0123456789"
    sandbox = account_of(Prefixed, "sandbox", key=key, base_url="http://127.0.0.1:8700", **SHARED)
    assert sandbox.base_urls == {"": "http://127.0.0.1:8700"}
    with pytest.raises(ConfigError, match="moves real money"):
        account_of(Prefixed, "sandbox", key=key, base_url=BOTH, **SHARED)


def test_mode_that_is_none_is_the_plugins_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns one of the modes or None."""
    wrong: Sequence[Any] = ("prod", 7, [], Secret("live"))
    for mode in wrong:
        monkeypatch.setattr(Prefixed, "mode_of", staticmethod(_returning(mode)))
        with pytest.raises(PluginError, match="what it returned is no mode"):
            account_of(Prefixed, "test", key="x", **SHARED)


def _returning(value: object) -> Callable[[Any], Any]:
    return lambda _settings: value
