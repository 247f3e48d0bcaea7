"""Bugs for the checks of `declaration`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec

from paycore.plugin import CreateOrder, Done, Flow, Found, Mode, OrderRef, ProviderInfo, RequestBudget
from paycore.testing.toy import ToyGateway, ToyProvider, ToySettings
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import HostedToy, toy
from tests.conformance.planted_flows import with_headers
from tests.conformance.planting import Planted


def with_info(**changes: Any) -> ProviderInfo:
    """The toy's info with these changes."""
    return msgspec.structs.replace(ToyProvider.info, **changes)


class Declares(ToyProvider):
    """Declares something else of its account."""

    changes: ClassVar[Mapping[str, Any]] = {}

    @property
    def capabilities(self) -> Any:
        """See `Provider`."""
        return msgspec.structs.replace(super().capabilities, **self.changes)


def declaring(**changes: Any) -> type[ToyProvider]:
    """A provider that declares this."""
    return type("Declaring", (Declares,), {"changes": changes})


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


# --- numbers, batches, budget ------------------------------------------------------------------------------------


class LeavesDashesOut(Declares):
    """Declares characters that it leaves out."""

    changes: ClassVar[Mapping[str, Any]] = {
        "number": msgspec.structs.replace(
            ToyProvider(ToySettings(key=())).capabilities.number,
            characters="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
        )
    }

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        plain = order.number.replace("-", "").replace("_", "")
        return (yield from super().create(msgspec.structs.replace(order, number=plain)))


class OneByOne(ToyProvider):
    """Asks about each number of a batch by itself."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """See `Provider`."""
        told: list[Found] = []
        for order in orders:
            outcome = yield from super().query([order])
            if not isinstance(outcome, Done):
                return outcome
            told.append(outcome.value)
        observations = tuple(one for found in told for one in found.observations)
        return Done(
            Found(observations=observations, absent=frozenset().union(*(found.absent for found in told)))
        )


class Pages(ToyGateway):
    """Answers a query with three records at most."""

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._query(fields)
        return {**answer, "records": answer["records"][:3]}


class TellsTheLast(ToyGateway):
    """Answers with the newest order, whatever it was asked about."""

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._query(fields)
        others = [
            {**order.record(), "number": number}
            for order in self._own()[-1:]
            for number in fields.get("numbers", ())[-1:]
        ]
        return {"records": [*answer["records"], *others]}


class Slow(ToyGateway):
    """Takes ten requests a second."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._seen: list[datetime] = []

    def _answer(self, request: Any, fields: dict[str, Any]) -> dict[str, Any]:
        now = self.clock()
        self._seen = [at for at in self._seen if at > now - timedelta(seconds=1)]
        self._seen.append(now)
        if len(self._seen) > 10:
            return {"error": "not_now", "retry_after_s": 1.0}
        return super()._answer(request, fields)


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
    Planted(
        "numbers_as_declared_are_taken",
        "longer numbers are declared than the company takes",
        toy(declaring(number=msgspec.structs.replace(LeavesDashesOut.changes["number"], length_max=64))),
    ),
    Planted("numbers_as_declared_are_taken", "characters of a number are left out", toy(LeavesDashesOut)),
    Planted("batch_is_answered_in_one_query", "each number is asked about by itself", toy(OneByOne, batch=8)),
    Planted(
        "batch_is_answered_in_one_query",
        "the company answers for three numbers only",
        toy(sandbox=ToySandbox(gateway=Pages)),
    ),
    Planted(
        "batch_is_answered_in_one_query",
        "another order is told under a number",
        toy(sandbox=ToySandbox(gateway=TellsTheLast)),
    ),
    Planted(
        "gateway_takes_the_declared_rate",
        "ten times the company's rate is declared",
        toy(sandbox=ToySandbox(gateway=Slow)),
    ),
]
