"""A provider with invalid capabilities: refused when it is loaded, and the error says what is wrong."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore.engine.declared import declared_problem
from paycore.errors import PluginError
from paycore.plugin import Lookup, NumberFormat, Product, RequestBudget, Resend, Secret
from paycore.testing.toy import LETTERS_AND_DIGITS, ToyGateway
from qfpay_alipay.provider import QFPayAlipay
from qfpay_alipay.settings import QFPaySettings
from tests.domain.histories import capabilities
from tests.hostile.gateway import hostile_gateway
from tests.hostile.shops import carrier
from tests.hostile.test_plugins import broken_till
from tests.support.toy_http import KEY

SOUND = replace(capabilities(), number=NumberFormat(characters=LETTERS_AND_DIGITS, length_max=26))
WEB = Product(method="toy", channel="web", currencies={"HKD": (1, 100)})


def product(**fields: Any) -> Any:
    """Capabilities with one product, which has these fields."""
    return replace(SOUND, products=(replace(WEB, **fields),))


NONSENSE: dict[str, tuple[Any, str]] = {
    "nothing": (None, "it declares NoneType where Capabilities belong"),
    "a table": ({"products": ()}, "it declares dict"),
    "numbers that are too short": (
        replace(SOUND, number=NumberFormat(characters=LETTERS_AND_DIGITS, length_max=20)),
        "number: numbers of 26 digits and capital letters",
    ),
    "digits only": (
        replace(SOUND, number=NumberFormat(characters="0123456789", length_max=32)),
        "number: numbers of 26 digits and capital letters",
    ),
    "no characters": (replace(SOUND, number=NumberFormat(characters="", length_max=32)), "number: "),
    "format that is a text": (replace(SOUND, number="[A-Z]+"), "number: Expected `object`, got `str`"),
    "batch of none": (replace(SOUND, query_batch_max=0), "query_batch_max: must be 1 or more"),
    "batch that is a text": (replace(SOUND, query_batch_max="5"), "query_batch_max: Expected `int`"),
    "batch that is a flag": (replace(SOUND, query_batch_max=True), "query_batch_max: Expected `int`"),
    "negative window": (replace(SOUND, query_proves_absence_after_s=-1.0), "must be seconds, 0 or more"),
    "window without end": (replace(SOUND, query_proves_absence_after_s=float("inf")), "must be seconds"),
    "window that is no number": (replace(SOUND, query_proves_absence_after_s=float("nan")), "query_proves"),
    "budget of nothing": (
        replace(SOUND, budget=RequestBudget(per_second=0, per_minute=60)),
        "budget: must be 1 request or more",
    ),
    "negative budget": (replace(SOUND, budget=RequestBudget(per_second=1, per_minute=-1)), "budget: "),
    "absence without a lookup": (
        replace(SOUND, lookup=Lookup.BY_PROVIDER_ID, query_proves_absence_after_s=0.0),
        "query_proves_absence_after_s: must be None where lookup is not by number",
    ),
    "lookup of its own": (replace(SOUND, lookup="by_hope"), "lookup: Invalid enum value 'by_hope'"),
    "resend for no time": (
        replace(SOUND, create_resend=Resend("same_result", 0.0)),
        "create_resend.window_s: must be seconds above 0",
    ),
    "resend in the past": (
        replace(SOUND, refund_resend=Resend("same_result", -1.0)),
        "refund_resend.window_s: must be seconds above 0",
    ),
    "resend without a number": (
        replace(SOUND, capture_resend=Resend("same_result", float("nan"))),
        "capture_resend.window_s: must be seconds above 0",
    ),
    "resend for ever and a day": (
        replace(SOUND, capture_resend=Resend("same_result", float("inf"))),
        "capture_resend.window_s: must be seconds above 0",
    ),
    "unsafe for a while": (
        replace(SOUND, create_resend=Resend("unsafe", 60.0)),
        "create_resend: what is unsafe has no window",
    ),
    "resend of its own": (
        replace(SOUND, create_resend=Resend("maybe")),  # type: ignore[arg-type]
        "Invalid enum value 'maybe'",
    ),
    "trust that is a text": (replace(SOUND, notifications_trusted="yes"), "notifications_trusted: Expected"),
    "an object": (replace(SOUND, notifications_trusted=object()), "of none of the types declared"),
    "no products": (replace(SOUND, products=()), "products: there is none"),
    "products twice": (replace(SOUND, products=(WEB, WEB)), "one method and channel is declared twice"),
    "method that is none": (product(method=""), "method and channel must be words"),
    "channel with an escape": (product(channel="\x1b[2J"), "method and channel must be words"),
    "no currencies": (product(currencies={}), "product 'toy'/'web': currencies: there is none"),
    "currency of its own": (product(currencies={"HK$": (1, 2)}), "currencies: 'HK$' is no ISO 4217 code"),
    "bounds the wrong way round": (product(currencies={"HKD": (5, 1)}), "must be a range of minor units"),
    "free of charge": (product(currencies={"HKD": (0, 1)}), "must be a range of minor units from 1"),
    "amount as a float": (product(currencies={"HKD": (0.5, 1)}), "Expected `int`, got `float`"),
    "misspelt field": (
        product(required=frozenset({"payerid"})),
        "payerid is no field of create(); there are: auth",
    ),
    "times that are negative": (
        product(expires_in_s=(-5, 60), optional=frozenset({"expires_in_s"})),
        "expires_in_s: must be a range of seconds",
    ),
    "times the wrong way round": (
        product(expires_in_s=(60, 5), optional=frozenset({"expires_in_s"})),
        "expires_in_s: must be a range of seconds",
    ),
    "time without the field": (
        product(expires_in_s=(5, 60)),
        "expires_in_s: it has a range, and is neither required nor optional",
    ),
    "time of a century": (
        product(expires_in_s=(5, 3_200_000_000), optional=frozenset({"expires_in_s"})),
        "expires_in_s: must be a range of seconds from 1 to",
    ),
    "extra that is none": (product(extra=frozenset({""})), "extra: must be words"),
    "capture of its own": (product(capture="twice"), "Invalid enum value 'twice'"),
    "refund of its own": (product(refund="some"), "Invalid enum value 'some'"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_invalid_declaration_is_refused(name: str) -> None:
    """The error names the field, in the contract's terms."""
    declared, problem = NONSENSE[name]
    assert problem in str(declared_problem(declared))


@pytest.mark.parametrize("region", ["hk", "overseas"])
def test_valid_declarations_are_accepted(region: Any) -> None:
    """Those of the QFPay plugin in both regions."""
    assert declared_problem(SOUND) is None
    settings = QFPaySettings(app_code=Secret("A"), client_key=(Secret("k"),), region=region)
    assert declared_problem(QFPayAlipay(settings).capabilities) is None


@pytest.mark.parametrize("name", ["numbers that are too short", "budget of nothing", "a table", "an object"])
def test_account_of_such_a_provider_can_not_be_used(tmp_path: Path, name: str) -> None:
    """The first use of the account raises; nothing is recorded or sent."""
    declared, problem = NONSENSE[name]
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db", capabilities=lambda: declared)
        with pytest.raises(PluginError) as raised:
            till.create()
        assert problem in raised.value.message
        assert (raised.value.plugin, raised.value.stage) == ("toy", "capabilities")
        assert (raised.value.money_moved, till.list(), gateway.heard) == ("no", (), [])
        till.shutdown()
