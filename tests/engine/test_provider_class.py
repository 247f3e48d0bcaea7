"""A provider class is checked when its plugin registers it: what it lacks is said then, and not at a payment."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import msgspec
import pytest
from msgspec.structs import replace

from paycore.domain.provider import API_VERSION
from paycore.engine.accounts import Accounts
from paycore.engine.config import AccountConfig, Config
from paycore.engine.plugins import Plugins
from paycore.engine.provider_class import class_problem, sample_settings
from paycore.errors import ConfigError, PluginError
from paycore.plugin import (
    Capabilities,
    CreateReply,
    Done,
    Flow,
    Found,
    NumberFormat,
    OrderRef,
    Product,
    ProviderInfo,
    QueryReply,
    RequestBudget,
    Secret,
    hookimpl,
)
from paycore.testing.toy import LETTERS_AND_DIGITS, SessionToyProvider, ToyProvider
from qfpay_alipay.provider import QFPayAlipay


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of every kind that a sample is made up for."""

    key: Secret
    keys: tuple[Secret, ...]
    region: Literal["hk", "overseas"]
    shop: str
    size: int
    share: float
    is_new: bool
    more: Mapping[str, str]
    maybe: str | None
    names: list[str]
    rest: int = 7


INFO = ProviderInfo(
    api_version=API_VERSION,
    name="acme",
    title="Acme",
    settings=Settings,
    base_urls={"live": "https://api.acme.example", "test": "https://test.acme.example"},
    live_hosts=frozenset({"api.acme.example"}),
)
WEB = Product(
    method="card",
    channel="web",
    currencies={"HKD": (1, 100)},
    close=False,
    refund="none",
)
DECLARED = Capabilities(
    products=(WEB,),
    number=NumberFormat(characters=LETTERS_AND_DIGITS, length_max=26),
    budget=RequestBudget(per_second=1, per_minute=60),
)


class Smallest:
    """Everything a provider must have, and nothing else."""

    info: ClassVar[ProviderInfo] = INFO
    declared: ClassVar[Capabilities] = DECLARED

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def capabilities(self) -> Capabilities:
        return self.declared

    def create(self, _order: object) -> Flow[CreateReply]:
        yield from ()
        raise NotImplementedError

    def query(self, _orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        yield from ()
        return Done(Found())


def flow(_self: object, _argument: object) -> Flow[Any]:
    """A flow as the contract has it."""
    yield from ()


def flawed(**members: Any) -> type:
    """The smallest provider with these members."""
    return type("Flawed", (Smallest,), members)


def without(name: str) -> type:
    """The smallest provider without this member."""
    members = {key: value for key, value in vars(Smallest).items() if key not in (name, "__dict__")}
    return type("Lacking", (), members)


def offering(**fields: Any) -> type:
    """The smallest provider with a product like this."""
    return flawed(declared=replace(DECLARED, products=(replace(WEB, **fields),)))


def calling_itself(**fields: Any) -> type:
    """The smallest provider with this info."""
    return flawed(info=replace(INFO, **fields))


async def coroutine(_self: object, _order: object) -> None:
    """What is never awaited."""


class Odd(Settings, frozen=True, kw_only=True):
    """Settings no sample can be made up for."""

    code: str = ""

    def __post_init__(self) -> None:
        if not self.shop.isdigit():
            raise ValueError("shop: must be digits")


class Taken(Settings, frozen=True, kw_only=True):
    """A setting that every account has."""

    base_url: str = ""


FLAWS: dict[str, tuple[Any, str]] = {
    "no info": (without("info"), "its info is NoneType, not ProviderInfo"),
    "info of its own": (flawed(info=SimpleNamespace(name="acme")), "its info is SimpleNamespace"),
    "a newer contract": (
        calling_itself(api_version=API_VERSION + 1),
        (
            f"it is written for version {API_VERSION + 1} of the contract, and this paycore has version"
            f" {API_VERSION}; upgrade paycore"
        ),
    ),
    "an older contract": (
        calling_itself(api_version=API_VERSION - 1),
        (
            f"it is written for version {API_VERSION - 1} of the contract, and this paycore has version"
            f" {API_VERSION}; upgrade the plugin"
        ),
    ),
    "a version in words": (calling_itself(api_version="1"), "api_version: must be a whole number"),
    "no title": (calling_itself(title=None), "info.title: must be text in quotes, not NoneType"),
    "settings that are none": (calling_itself(settings=dict), "info.settings: must be a msgspec.Struct"),
    "a setting of every account": (
        calling_itself(settings=Taken),
        "info.settings: every account has the key base_url already",
    ),
    "a mode of its own": (calling_itself(base_urls={"prod": "https://x.example"}), "info.base_urls: "),
    "a URL that is none": (
        calling_itself(base_urls={"test": "acme"}),
        "info.base_urls.test: 'acme' is no URL",
    ),
    "live by http": (
        calling_itself(base_urls={"live": "http://api.acme.example"}),
        "info.base_urls.live: must be an https URL of one of live_hosts",
    ),
    "live elsewhere": (
        calling_itself(base_urls={"live": "https://elsewhere.example"}),
        "info.base_urls.live: must be an https URL of one of live_hosts",
    ),
    "a live second host elsewhere": (
        calling_itself(hosts={"auth": {"live": "https://auth.acme.example"}}),
        "info.hosts.auth.live: must be an https URL of one of live_hosts",
    ),
    "test where money moves": (
        calling_itself(base_urls={"test": "https://api.acme.example"}),
        "info.base_urls.test: api.acme.example is one of live_hosts; only a provider with mode_of",
    ),
    "a host without a name": (calling_itself(hosts={"": {}}), "info.hosts: a host has a name"),
    "every host": (calling_itself(live_hosts=frozenset({".com"})), "info.live_hosts: '.com' is no host name"),
    "any host": (calling_itself(live_hosts=frozenset({"."})), "info.live_hosts: '.' is no host name"),
    "hosts as URLs": (
        calling_itself(live_hosts=frozenset({"api.acme.example", "API.acme.example"})),
        "info.live_hosts: 'API.acme.example' is no host name in lower case",
    ),
    "no create": (without("create"), "it has no create, which every provider needs"),
    "no query": (without("query"), "it has no query, which every provider needs"),
    "no capabilities": (without("capabilities"), "it has no capabilities, which every provider needs"),
    "create that is none": (flawed(create="POST /orders"), "create is str, and no method"),
    "create that asks nobody": (flawed(create=lambda _self, _order: None), "create is no generator function"),
    "create that is async": (flawed(create=coroutine), "create is async; a provider does no I/O"),
    "create without an order": (
        flawed(create=lambda _self: (yield)),
        "create must take 1 argument beside self",
    ),
    "verify that sends": (
        flawed(verify=flow, acknowledge=lambda _self: None),
        "verify is a generator function; it returns its answer, and sends nothing",
    ),
    "verify that nobody acknowledges": (
        flawed(verify=lambda _self, _notification: ()),
        "it has no acknowledge, which a provider with notifications needs",
    ),
    "misspelt acknowledge": (
        flawed(verify=lambda _self, _notification: (), acknowlege=lambda _self: None),
        "it has no acknowledge, which a provider with notifications needs; did you mean 'acknowlege'?",
    ),
    "capture that is missing": (
        offering(capture="partial"),
        "it has no capture, which its product 'card'/'web' declares",
    ),
    "refund that is missing": (
        offering(refund="full"),
        "it has no refund, which its product 'card'/'web' declares",
    ),
    "close that is missing": (
        offering(close=True),
        "it has no close, which its product 'card'/'web' declares",
    ),
    "trust without verify": (
        flawed(declared=replace(DECLARED, notifications_trusted=True)),
        "it has no verify, which notifications_trusted needs",
    ),
    "list without pages": (flawed(list=flow), "list must take 4 arguments beside self"),
    "mode_of of a provider": (
        flawed(mode_of=lambda _self, _settings, _more: None),
        "mode_of must take 1 argument",
    ),
    "nonsense": (
        flawed(declared=replace(DECLARED, query_batch_max=0)),
        "query_batch_max: must be 1 or more",
    ),
    "no settings will do": (
        calling_itself(settings=Odd),
        "no settings can be made up to try it with: shop: must be digits; say them in info.sample",
    ),
    "a sample that will not do": (
        calling_itself(settings=Odd, sample={"shop": 7}),
        "no settings can be made up to try it with: shop: Expected `str`, got `int`",
    ),
    "a sample of something else": (
        calling_itself(sample={"sop": "7"}),
        "info.sample: there is no setting sop",
    ),
    "raises when it is made": (
        flawed(__init__=lambda _self, _settings: (_ for _ in ()).throw(KeyError("region"))),
        "with sample settings it fails: KeyError: 'region'",
    ),
    "raises in capabilities": (
        flawed(capabilities=property(lambda _self: 1 // 0)),
        "with sample settings it fails: ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("name", FLAWS)
def test_flawed_class_is_a_failure_of_its_plugin(name: str) -> None:
    """It is not offered; the failure and the error for its accounts say what is wrong. The others are offered."""
    kind, problem = FLAWS[name]
    assert problem in str(class_problem(kind))
    if not isinstance(getattr(kind, "info", None), ProviderInfo):
        return
    plugins = Plugins(extra=[("acme-plugin", registering(kind, ToyProvider))])
    assert set(plugins.providers()) == {"toy", *Plugins().providers()}
    (failure,) = plugins.failures
    assert (failure.plugin, failure.stage) == ("acme-plugin", "providers")
    assert failure.error.startswith("PluginError: 'acme': ")
    with pytest.raises(ConfigError, match=r"no plugin offers the provider 'acme'.*acme-plugin failed: "):
        plugins.provider("acme")


def test_object_in_place_of_a_class_is_a_problem() -> None:
    """A provider that was made already."""
    assert class_problem(ToyProvider.info) == "ProviderInfo where a provider class belongs"


def registering(*kinds: type) -> object:
    """A plugin that offers these classes."""

    class Plugin:
        @hookimpl
        def paycore_register_providers(self) -> Sequence[type]:
            return kinds

    return Plugin()


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), ValueError("x")])
def test_class_that_raises_when_it_is_looked_at_is_a_failure(error: BaseException) -> None:
    """Even one that would end the process."""

    class Raising(type):
        def __getattribute__(cls, name: str) -> Any:
            if name == "create":
                raise error
            return super().__getattribute__(name)

    kind = Raising("Kind", (Smallest,), {})
    plugins = Plugins(extra=[("acme-plugin", registering(kind))])
    assert "acme" not in plugins.providers()
    assert [failure.error.partition(":")[0] for failure in plugins.failures] == [type(error).__name__]


def test_flawed_class_claims_its_name_all_the_same() -> None:
    """A broken provider's orders and settings go to no other plugin that claims its name."""
    broken, sound = registering(without("query")), registering(Smallest)
    plugins = Plugins(extra=[("acme-plugin", broken), ("other-plugin", sound)])
    assert "acme" not in plugins.providers()
    assert {failure.plugin for failure in plugins.failures} == {"acme-plugin", "other-plugin"}


@pytest.mark.parametrize(
    "kind",
    [
        Smallest,
        ToyProvider,
        SessionToyProvider,
        QFPayAlipay,
        calling_itself(settings=Odd, sample={"shop": "123", "key": "secret", "keys": ["one", "two"]}),
        flawed(
            info=replace(
                INFO,
                base_urls=dict.fromkeys(("test", "live"), "https://api.acme.example"),
                hosts={"auth": {}},
                live_hosts=frozenset({"api.acme.example", ".acme-live.example"}),
            ),
            mode_of=staticmethod(lambda _settings: None),
            base_urls_of=staticmethod(lambda _settings, _mode: {}),
        ),
    ],
)
def test_sound_class_is_offered(kind: Any) -> None:
    """The smallest one, those of this repository, and ones with a sample and hosts of their own."""
    assert class_problem(kind) is None


def test_flow_that_is_wrapped_is_a_flow() -> None:
    """A decorator that keeps the function's name keeps what it is."""

    def decorated(inner: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(inner)
        def outer(*arguments: Any) -> Any:
            return inner(*arguments)

        return outer

    assert class_problem(flawed(create=decorated(flow))) is None


def test_settings_that_need_a_member_are_refused_with_their_account() -> None:
    """What an account's own settings lead to is checked when it is first used: they may be unlike the sample."""

    class Growing(Smallest):
        """Refunds where its settings say so."""

        @property
        def capabilities(self) -> Capabilities:
            refund: Literal["none", "full"] = "full" if self.settings.rest == 8 else "none"
            return replace(DECLARED, products=(replace(WEB, refund=refund),))

    settings = msgspec.to_builtins(sample_settings(INFO), enc_hook=lambda secret: secret.reveal())
    accounts = {
        name: AccountConfig(
            name=name,
            provider="acme",
            mode="sandbox",
            base_url="http://127.0.0.1:1",
            timeout_s=1.0,
            settings={**settings, "keys": ["secret"], "rest": rest},
        )
        for name, rest in {"small": 7, "grown": 8}.items()
    }
    config = Config(
        path=Path("paycore.toml"), ledger="sqlite:///x.db", default_account=None, accounts=accounts
    )
    ready = Accounts(config, Plugins(extra=[("acme-plugin", registering(Growing))]))
    assert ready.get("small").capabilities.products[0].refund == "none"
    with pytest.raises(
        PluginError, match="it has no refund, which its product 'card'/'web' declares"
    ) as raised:
        ready.get("grown")
    assert (raised.value.stage, raised.value.money_moved) == ("capabilities", "no")
