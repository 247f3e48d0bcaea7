"""Bugs for the checks of `declaration`."""

from collections.abc import Mapping
from typing import Any

import msgspec

from paycore.plugin import CreateOrder, Flow, Mode, ProviderInfo, RequestBudget
from paycore.testing.toy import ToyProvider, ToySettings
from tests.conformance.good import HostedToy, KeyedToy, toy
from tests.conformance.planted_flows import with_headers
from tests.conformance.planting import Planted


def with_info(**changes: Any) -> ProviderInfo:
    """The toy's info with these changes."""
    return msgspec.structs.replace(ToyProvider.info, **changes)


# --- settings ----------------------------------------------------------------------------------------------------


class LooseSettings(ToySettings, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Lets unknown settings through."""


class ReadsLoosely(ToyProvider):
    """Its settings are not strict."""

    info = with_info(settings=LooseSettings)


class UntypedSettings(ToySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of them has no type."""

    region: Any = None


class ReadsAnything(ToyProvider):
    """One of its settings can be anything."""

    info = with_info(settings=UntypedSettings)


class ReadsTheFirstLetter(ToyProvider):
    """Takes for granted that a key is not empty."""

    def __init__(self, settings: ToySettings) -> None:
        super().__init__(settings)
        self._is_test = settings.key[0].reveal()[0] == "t"


class TokenSettings(ToySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token is plain text."""

    api_token: str


class TokenIsText(ToyProvider):
    """Has a credential that is no secret."""

    info = with_info(settings=TokenSettings)


class CodeSettings(ToySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credential by another name is plain text."""

    app_code: str


class SendsACode(ToyProvider):
    """Sends plain text as its credential."""

    info = with_info(settings=CodeSettings)

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        code = self._settings.app_code  # type: ignore[attr-defined]
        return (yield from with_headers(super().create(order), authorization=f"Bearer {code}"))


# --- capabilities ------------------------------------------------------------------------------------------------


class LearnsItsProducts(ToyProvider):
    """Declares less once it was used."""

    def __init__(self, settings: ToySettings) -> None:
        super().__init__(settings)
        self._is_used = False

    @property
    def capabilities(self) -> Any:
        """See `Provider`."""
        declared = super().capabilities
        products = declared.products[:1] if self._is_used else declared.products
        return msgspec.structs.replace(declared, products=products)

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        self._is_used = True
        return (yield from super().create(order))


class CountsProviders(ToyProvider):
    """Declares by how many there are of it."""

    count = 0

    def __init__(self, settings: ToySettings) -> None:
        super().__init__(settings)
        CountsProviders.count += 1
        self._mine = CountsProviders.count

    @property
    def capabilities(self) -> Any:
        """See `Provider`."""
        return msgspec.structs.replace(
            super().capabilities, budget=RequestBudget(per_second=50 + self._mine % 7, per_minute=3000)
        )


# --- hosts -------------------------------------------------------------------------------------------------------


class NoLiveStatusHost(HostedToy):
    """Has a further host in test mode only."""

    info = msgspec.structs.replace(
        HostedToy.info, hosts={"status": {"test": "https://status.test.toy.example"}}
    )


class PlainOwnHost(HostedToy):
    """Its own hosts are not encrypted."""

    @staticmethod
    def base_urls_of(settings: ToySettings, mode: Mode) -> Mapping[str, str]:
        """See `FullProvider`."""
        del settings
        return {"": "http://shop.live.toy.example"} if mode == "live" else {}


class NoTestPrefix(HostedToy):
    """Knows a host in live mode only."""

    @staticmethod
    def base_urls_of(settings: ToySettings, mode: Mode) -> Mapping[str, str]:
        """See `FullProvider`."""
        del settings
        return {"live": {"": "https://shop.live.toy.example"}}[mode]


class KnowsLiveKeysOnly(KeyedToy):
    """Takes every key for a test key that it does not know as a live one."""

    @staticmethod
    def mode_of(settings: ToySettings) -> Mode | None:
        """See `FullProvider`."""
        return "live" if settings.key[0].reveal().startswith("toy-live-") else "test"


class KnowsNoTestKeys(KeyedToy):
    """Does not know the sandbox's key for one of test mode."""

    @staticmethod
    def mode_of(settings: ToySettings) -> Mode | None:
        """See `FullProvider`."""
        return "live" if settings.key[0].reveal().startswith("toy-live-") else None


BUGS = [
    Planted("settings_are_read_strictly", "the settings let unknown ones through", toy(ReadsLoosely)),
    Planted("settings_are_read_strictly", "a setting can be anything", toy(ReadsAnything, region="hk")),
    Planted("odd_settings_are_refused_with_words", "an empty key is not expected", toy(ReadsTheFirstLetter)),
    Planted("credentials_are_secrets", "a token is plain text", toy(TokenIsText, api_token="token-0001")),
    Planted(
        "credentials_are_secrets", "a plain setting is sent as Bearer", toy(SendsACode, app_code="code-0001")
    ),
    Planted("capabilities_stay_the_same", "products are learned", toy(LearnsItsProducts)),
    Planted("capabilities_stay_the_same", "each provider declares another budget", toy(CountsProviders)),
    Planted("every_mode_has_its_hosts", "a further host has no live URL", toy(NoLiveStatusHost)),
    Planted("every_mode_has_its_hosts", "a merchant's own host is plain http", toy(PlainOwnHost)),
    Planted("every_mode_has_its_hosts", "a mode was forgotten", toy(NoTestPrefix)),
    Planted("credentials_show_their_mode", "an unknown key is taken for a test key", toy(KnowsLiveKeysOnly)),
    Planted("credentials_show_their_mode", "the sandbox's key shows no mode", toy(KnowsNoTestKeys)),
]
