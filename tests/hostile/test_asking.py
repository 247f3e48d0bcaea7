"""Hostile values from the caller, through the API and the command line: refused at once, nothing recorded."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from paycore import Money, PaycoreError, Status
from paycore.engine.config import AccountConfig
from paycore.engine.hosts import resolve_base_urls
from paycore.errors import ConfigError, InvalidField, InvalidMoney, RequestError
from paycore.ledger import open_ledger
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.provider import QFPayAlipay
from tests.cli.conftest import Cli, order, write_config
from tests.hostile.conftest import OpenShop
from tests.hostile.shops import Provider

PROVIDERS: tuple[Provider, ...] = ("toy", "qfpay-alipay")

BOMBS = [
    "1E+3000000",
    "1e300000",
    "9" * 1_000_000,
    "1" + "0" * 16,
    "0." + "0" * 1_000_000 + "1",
    "88.00001",
    "1_000.50",
    "1,000.50",
    "88.00\n",
    " 88.00",
    "88.00 ",
    "88.",
    ".88",
    "+88.00",
    "-88.00",
    "0x58",
    "NaN",
    "sNaN",
    "Infinity",
    "８８.００",
    "٨٨.٠٠",
    "8\u200b8",
    "88\x00",
    "\ud800",
    "",
]


def at_once(call: Callable[[], object], error: type[PaycoreError]) -> PaycoreError:
    """The typed error of a call, which must be fast and must not repeat a long value."""
    begun = time.monotonic()
    with pytest.raises(error) as caught:
        call()
    assert time.monotonic() - begun < 1, "int(Decimal('1E+3000000')) takes minutes"
    assert len(str(caught.value)) < 400
    return caught.value


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: ascii(text)[:20])
def test_amount_of_a_caller_is_exact_or_refused(text: str) -> None:
    """One strict pattern of bounded length is checked before conversion."""
    at_once(lambda: Money(text, "HKD"), InvalidMoney)


@pytest.mark.parametrize("amount", [88.0, 88, True, None, b"88.00", float("nan"), 10**4000, [88]])
def test_amount_of_another_type_is_refused(amount: Any) -> None:
    """Only text; minor units are integers within bounds."""
    at_once(lambda: Money(amount, "HKD"), InvalidMoney)
    if amount != 88 or isinstance(amount, bool | float):
        at_once(lambda: Money.from_minor(amount, "HKD"), InvalidMoney)


@pytest.mark.parametrize("currency", ["hkd", "HK\x00", "ＨＫＤ", "X" * 1_000_000, "", "XXX", None, 344])
def test_currency_of_a_caller_is_one_or_refused(currency: Any) -> None:
    """ISO 4217, in capitals."""
    at_once(lambda: Money("88.00", currency), InvalidMoney)


@pytest.mark.parametrize(
    "text", [text for text in BOMBS if "\x00" not in text], ids=lambda text: ascii(text)[:20]
)
def test_amount_on_the_command_line_is_exact_or_refused(cli: Cli, sandbox: SandboxServer, text: str) -> None:
    """Exit 2 and one line, and nothing recorded."""
    write_config(sandbox.url)
    begun = time.monotonic()
    ran = cli(*order()[:3], "--amount", text[:100_000], *order()[5:])
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
    assert len(ran.err) < 400
    assert time.monotonic() - begun < 5
    assert cli("list", "--json").out == ""


REQUESTS: list[dict[str, Any]] = [
    {"reference": ""},
    {"reference": "a" * 129},
    {"reference": "a" * 1_000_000},
    {"reference": "a\x00b"},
    {"reference": "a\x1b[2J"},
    {"reference": "a\ud800"},
    {"reference": 7},
    {"reference": None},
    {"amount": "88.00"},
    {"amount": 88},
    {"amount": Money("0", "HKD")},
    {"amount": Money("9999999999999.99", "HKD")},
    {"amount": Money("88", "XOF")},
    {"method": "alipay\x00"},
    {"method": None},
    {"channel": "a" * 100},
    {"subject": "a\x00b"},
    {"subject": "a\ud800"},
    {"subject": 7},
    {"expires_in_s": 10**400},
    {"expires_in_s": -1},
    {"expires_in_s": True},
    {"expires_in_s": 600.0},
    {"auth_code": "2838\ud800"},
    {"auth_code": "2838\x00"},
    {"auth_code": 2838},
    {"payer_id": "\x00"},
    {"device_id": "\ud800"},
    {"extra": {"limit_pay": "\x00"}},
    {"extra": {"\x00": "a"}},
    {"extra": {"out_trade_no": "MINE"}},
]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_field_of_a_caller_is_sound_or_refused(
    open_shop: OpenShop, subtests: pytest.Subtests, provider: Provider
) -> None:
    """A typed error before anything is recorded or sent."""
    shop = open_shop(provider)
    for fields in REQUESTS:
        with subtests.test(fields=ascii(fields)[:32]):
            request = {"reference": "order-1", **fields}
            at_once(lambda request=request: shop.create(**request), RequestError)  # type: ignore[misc]
    assert shop.till.list() == ()
    assert shop.gateway.heard == []


UNSAFE_URLS = [
    "",
    "shop.example/ok",
    "//shop.example/ok",
    "http://shop.example/ok",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://shop.example/",
    "alipays://platformapi/startapp",
    "https:shop.example",
    "https:/shop.example",
    "https:\\\\shop.example",
    "https://good.example\\@evil.example/",
    "https://good.example/\\evil.example",
    "https://good.example@evil.example/",
    "https://u:p@evil.example/",
    "https://@evil.example/",
    "https://good.example:443@evil.example/",
    " https://shop.example/",
    "https://shop.example/ ",
    "https://shop.example/a b",
    'https://shop.example/"onmouseover="alert(1)',
    "https://shop.example/'x",
    "https://shop.example/</script><script>alert(1)</script>",
    "https://shop.example/?a=`x`",
    "https://shop.example/\r\nSet-Cookie: a=b",
    "https://shop.example/\x00",
    "https://shop.example/\x7f",
    "https://shop.example/\u202egnp.exe",
    "https://shop.example/\u2028",
    "https://\u0430pple.example/",
    "https://shop\u3002example/",
    "https://ｓｈｏｐ.example/",
    "https://shop%2eexample/",
    "https://2130706433/",
    "https://127.1/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1/",
    "https://shop.example:0x50/",
    "https://shop.example:99999/",
    "https://shop.example/" + "x" * 10_000,
]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("field", ["return_url", "notify_url"])
def test_unsafe_url_of_a_caller_is_refused_by_every_account(
    open_shop: OpenShop, provider: Provider, field: str
) -> None:
    """Return and notification URLs are https on a plain host, or this machine."""
    shop = open_shop(provider)
    for url in UNSAFE_URLS:
        refused = at_once(lambda url=url: shop.create(**{field: url}), InvalidField)  # type: ignore[misc]
        assert isinstance(refused, InvalidField)
        assert refused.field == field, url
    assert shop.till.list() == ()
    assert shop.gateway.heard == []


ODD_HOSTS = [
    "http://2130706433:8700",
    "http://127.1:8700",
    "http://0x7f000001:8700",
    "http://[::ffff:127.0.0.1]:8700",
]
NO_BASES = [
    "https://user@gateway.example",
    "https://gateway.example\\@evil.example",
    "https://gateway.example?x=",
    "https://gateway.example?",
    "https://gateway.example#",
    "https://gateway.example/\n",
    "https://gateway.example /",
    'https://gateway.example/"',
    "https://gateway.example/'",
    "https://gateway.example/<a>",
    "https://gateway.example.",
    "https://openapi-hk.qfapi.com.",
    "https://openapi-hk。qfapi。com",
    "https://ｏpenapi-hk.qfapi.com",
    "https://openapi%2dhk.qfapi.com",
    "https://[::1",
    "https://gateway.example:99999",
    "file:///etc/passwd",
    "//gateway.example",
]


def base_url(url: str, mode: Any = "sandbox", *, is_remote: bool = False) -> str:
    """The base URL of requests, as the core reads it from the configuration."""
    account = AccountConfig(
        name="shop", provider="qfpay-alipay", mode=mode, base_url=url, timeout_s=10, settings={}
    )
    account = structs.replace(account, allow_remote_sandbox=is_remote)
    return resolve_base_urls(account, QFPayAlipay.info, path=Path("paycore.toml"))[""]


@pytest.mark.parametrize("url", ODD_HOSTS)
def test_odd_spelling_of_a_host_is_the_operators_alone(url: str) -> None:
    """A host not plainly this machine needs `allow_remote_sandbox`, which only sandboxes have."""
    assert base_url(url, is_remote=True) == url
    for mode in ("sandbox", "test", "live"):
        with pytest.raises(ConfigError):
            base_url(url, mode)


@pytest.mark.parametrize("url", ["https://gateway.example", "http://sandbox:8700", "http://10.0.0.1:8700"])
def test_sandbox_on_another_machine_is_asked_for_by_name(url: str) -> None:
    """A sandbox on another machine must be allowed explicitly."""
    with pytest.raises(ConfigError, match=r"allow_remote_sandbox = true"):
        base_url(url)
    assert base_url(url, is_remote=True) == url
    for own in ("http://127.0.0.1:8700", "http://localhost:8700", "http://[::1]:8700"):
        assert base_url(own) == own


@pytest.mark.parametrize("mode", ["sandbox", "test", "live"])
@pytest.mark.parametrize("url", NO_BASES)
def test_base_url_that_can_be_read_two_ways_is_refused(url: str, mode: str) -> None:
    """No other spelling of a live host avoids the rule that only live accounts use it."""
    with pytest.raises(ConfigError, match="must be a plain"):
        base_url(url, mode)


@pytest.mark.parametrize("url", ["https://openapi-hk.qfapi.com", "https://OPENAPI-HK.QFAPI.COM:443/"])
def test_live_host_is_for_live_accounts(url: str) -> None:
    """Capitals and the default port name the same host."""
    with pytest.raises(ConfigError, match="moves real money"):
        base_url(url)
    assert base_url(url, "live") == url.rstrip("/")


def test_ids_of_a_caller_are_looked_up_as_text_only(open_shop: OpenShop) -> None:
    """An id or reference is a value, never SQL; one that no database can hold is a typed error."""
    shop = open_shop("toy")
    payment = shop.create()
    for text in ("' OR 1=1 --", "%", "_" * 26, "a\x00b", "\ud800", "9" * 1_000_000, ""):
        with pytest.raises(RequestError):
            shop.till.get(text)
        with pytest.raises(RequestError):
            shop.till.find(text)
    ledger = open_ledger(shop.config.ledger)
    assert ledger.get(payment.id).result().status is Status.PENDING
    ledger.close()
