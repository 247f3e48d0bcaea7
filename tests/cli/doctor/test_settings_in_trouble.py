"""`doctor` names what is wrong with the configuration, an account's settings and credentials, and plugins."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from paycore.domain.payment import Failure
from paycore.engine.plugins import Plugins
from paycore.plugin import Flow, ListReply, Rejected
from paycore.sandbox.server import SandboxServer
from paycore.testing.toy import ToyProvider
from tests.cli.conftest import Cli, ToyShop, install_plugin
from tests.cli.doctor.conftest import HostAt, line

PROVIDERS = ("qfpay-alipay", "stripe-checkout", "paypal-orders")

WRONG: Mapping[str, tuple[str, str]] = {
    "qfpay-alipay": ("client_key", "CANARY00" * 4),
    "stripe-checkout": ("api_key", "sk_test_CANARY00000000000000000000"),
    "paypal-orders": ("client_secret", "CANARY-0000000000000000000000"),
}
"""Of each provider, a key that its sandbox does not know."""


def examined(cli: Cli, code: int) -> Any:
    """What `doctor` found; it exits with this code, and prints no key."""
    ran = cli("doctor", "--json")
    assert ran.code == ran.json["exit_code"] == code, ran
    assert "CANARY" not in ran.out + ran.err
    return ran.json


def configure(url: str, provider: str, *, mode: str = "sandbox", **settings: object) -> None:
    """A `paycore.toml` with the account `shop`."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    at = [f'base_url = "{url}"'] if url else []
    Path("paycore.toml").write_text(
        "\n".join(["[accounts.shop]", f'provider = "{provider}"', f'mode = "{mode}"', *at, *lines]),
        encoding="utf-8",
    )


@contextmanager
def sandbox_of(provider: str) -> Iterator[SandboxServer]:
    """The provider's sandbox."""
    with SandboxServer(Plugins().sandboxes()[provider]) as gateway:
        yield gateway


@pytest.mark.parametrize("provider", PROVIDERS)
def test_credentials_of_every_provider(cli: Cli, provider: str) -> None:
    """Those that a sandbox prints are accepted; a wrong key is refused, which is a problem of the configuration."""
    with sandbox_of(provider) as gateway:
        configure(gateway.url, provider, **gateway.settings)
        told = line(examined(cli, 0), "credentials")
        assert told["verdict"] == "ok"
        assert "accepted" in told["found"]
        configure(gateway.url, provider, **{**gateway.settings, **dict([WRONG[provider]])})
        told = line(examined(cli, 6), "credentials")
    assert (told["verdict"], told["exit_code"]) == ("problem", 6)
    assert "refused" in told["found"]
    assert told["advice"].startswith("correct the account's keys")


@pytest.mark.parametrize(
    ("provider", "asked"),
    [("qfpay-alipay", "about a number that no order has"), ("paypal-orders", "for a session")],
)
def test_list_that_an_account_may_not_read(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, provider: str, asked: str
) -> None:
    """A provider that refuses its list, and answers what else is asked, takes the credentials: a warning."""

    def refusing(*_: object) -> Flow[ListReply]:
        yield from ()
        return Rejected(failure=Failure(code="no_scope", message="not for you", who_acts="operator"))

    monkeypatch.setattr(Plugins().providers()[provider], "list", refusing)
    with sandbox_of(provider) as gateway:
        configure(gateway.url, provider, **gateway.settings)
        told = line(examined(cli, 0), "credentials")
        configure(gateway.url, provider, **{**gateway.settings, **dict([WRONG[provider]])})
        assert line(examined(cli, 6), "credentials")["verdict"] == "problem"
    assert told["verdict"] == "warning"
    assert f"answered when asked {asked}, and refuses its list" in told["found"]
    assert "no_scope" in told["found"]
    assert "reconcile" in told["advice"]


def test_provider_that_can_not_be_asked_safely(
    cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider without a list, whose query does not say that it is safe, is sent nothing."""
    monkeypatch.delattr(ToyProvider, "list")
    told = line(examined(cli, 0), "credentials")
    assert told["verdict"] == "not checked"
    assert "no request that can't move money" in told["found"]
    assert not toy_shop.server.counts().requests.get("/query", 0)


def test_provider_that_asks_for_time(cli: Cli, toy_shop: ToyShop) -> None:
    """It is there, and takes no more questions now: a warning with when to try again."""
    toy_shop.server.set_faults(not_now=100, retry_after_s=30)
    told = line(examined(cli, 0), "credentials")
    assert told["verdict"] == "warning"
    assert "30 s" in told["found"]


def test_requests_are_within_the_budget(cli: Cli, toy_shop: ToyShop) -> None:
    """What it asks is counted, where there is a ledger that counts."""
    assert cli("ledger", "migrate").code == 0
    assert line(examined(cli, 0), "budget")["found"].startswith("1 of ")
    assert line(examined(cli, 0), "budget")["found"].startswith("2 of ")


def test_gateway_that_gives_no_answer(cli: Cli, toy_shop: ToyShop) -> None:
    """It listens, and says nothing: the provider is not reached."""
    toy_shop.configure(timeout_s=0.3)
    toy_shop.server.set_faults(lose_request=1000)
    assert line(examined(cli, 7), "credentials")["exit_code"] == 7


def test_no_folder_for_temporary_files(cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a ledger one is made there for a moment, to ask by; that it can't be is said."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    told = line(examined(cli, 0), "credentials")
    assert told["verdict"] == "not checked"
    assert "No such file" in told["found"]


def test_secret_file_that_others_can_read(cli: Cli) -> None:
    """A key in a file that is not its owner's alone is not used."""
    Path("key").write_text("sk_test_CANARY00000000000000000000", encoding="utf-8")
    Path("key").chmod(0o644)
    Path("paycore.toml").write_text(
        '[accounts.shop]\nprovider = "stripe-checkout"\nmode = "test"\napi_key = { file = "key" }\n'
        'webhook_secret = "whsec_1"\n',
        encoding="utf-8",
    )
    assert "chmod 600" in line(examined(cli, 6), "settings")["found"]


# --- mode and host ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "url", "key", "words"),
    [
        ("test", "", "sk_live_CANARY00000000000000000000", "its credentials are for 'live'"),
        ("live", "", "sk_live_CANARY00000000000000000000", "a live secret never stands in the file"),
        ("sandbox", "https://api.stripe.com", "sk_test_CANARY00000000000000000000", "moves real money"),
        (
            "sandbox",
            "https://gate.example",
            "sk_test_CANARY00000000000000000000",
            "a sandbox is on this machine",
        ),
    ],
)
def test_key_mode_and_host_that_do_not_fit(cli: Cli, *, mode: str, url: str, key: str, words: str) -> None:
    """A live key in test, or in the file, a live host in a sandbox: nothing is sent, and the rest is not checked."""
    configure(
        url, "stripe-checkout", mode=mode, api_key=key, webhook_secret="whsec_CANARY0000000000000000000"
    )
    found = examined(cli, 6)
    assert words in line(found, "settings")["found"]
    for check in ("network", "credentials", "budget"):
        assert line(found, check)["verdict"] == "not checked"


def test_key_of_a_test_in_live(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live account with a test's key is refused before anything is sent."""
    monkeypatch.setenv("STRIPE_KEY", "sk_test_CANARY00000000000000000000")
    monkeypatch.setenv("STRIPE_WEBHOOK", "whsec_CANARY0000000000000000000")
    configure("", "stripe-checkout", mode="live")
    with Path("paycore.toml").open("a", encoding="utf-8") as config:
        config.write('\napi_key = { env = "STRIPE_KEY" }\nwebhook_secret = { env = "STRIPE_WEBHOOK" }\n')
    assert "its credentials are for 'test'" in line(examined(cli, 6), "settings")["found"]


def test_secret_that_is_not_set(cli: Cli) -> None:
    """An environment variable that is not there is named."""
    Path("paycore.toml").write_text(
        '[accounts.shop]\nprovider = "stripe-checkout"\nmode = "test"\napi_key = { env = "STRIPE_KEY" }\n'
        'webhook_secret = "whsec_1"\n',
        encoding="utf-8",
    )
    assert "STRIPE_KEY" in line(examined(cli, 6), "settings")["found"]


def test_one_bad_account_hides_no_other(cli: Cli, toy_shop: ToyShop) -> None:
    """Each account is checked, and the ledger, whatever is wrong with another account."""
    with Path("paycore.toml").open("a", encoding="utf-8") as config:
        config.write(
            '\n[accounts.other]\nprovider = "toy"\nmode = "sandbox"\nbase_url = "http://127.0.0.1:9"\n'
        )
    found = examined(cli, 6)
    assert line(found, "settings", "account toy")["verdict"] == "ok"
    assert line(found, "credentials", "account toy")["verdict"] == "ok"
    assert line(found, "settings", "account other")["verdict"] == "problem"
    assert line(found, "writable")["verdict"] == "ok"


# --- configuration and plugins ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no configuration found"),
        ("accounts = ", "is not TOML"),
        ("", "there is nothing in it"),
        ('legder = "sqlite:///x.db"', "did you mean 'ledger'?"),
    ],
)
def test_configuration_that_can_not_be_used(cli: Cli, *, text: str | None, words: str) -> None:
    """What is wrong with it is said, and all that needs it is not checked."""
    if text is not None:
        Path("paycore.toml").write_text(text, encoding="utf-8")
    found = examined(cli, 6)
    assert words in line(found, "file")["found"]
    assert [one["verdict"] for one in found["checks"]] == ["ok", "problem", *["not checked"] * 4]


def test_plugin_that_fails(cli: Cli, toy_shop: ToyShop) -> None:
    """It is named with what it said; the others, and the accounts that they serve, are checked."""
    install_plugin("broken", "raise RuntimeError('no such library')")
    found = examined(cli, 6)
    told = line(found, "failure")
    assert "broken" in told["found"]
    assert "no such library" in told["found"]
    assert "blocked_plugins" in told["advice"]
    assert "toy" in line(found, "plugins")["found"]
    assert line(found, "credentials")["verdict"] == "ok"


def test_plugin_that_is_missing(cli: Cli, host_at: HostAt) -> None:
    """A provider that nothing installed offers."""
    configure(host_at(), "payme")
    assert "payme" in line(examined(cli, 6), "settings")["found"]


def test_blocked_plugin_that_is_not_there(cli: Cli, toy_shop: ToyShop) -> None:
    """A misspelt name in blocked_plugins: no plugin is loaded, and the ledger is checked all the same."""
    config = Path("paycore.toml")
    config.write_text('blocked_plugins = ["qfpay"]\n' + config.read_text())
    found = examined(cli, 6)
    assert "qfpay" in line(found, "plugins")["found"]
    assert line(found, "reachable")["verdict"] == "ok"
    assert line(found, "accounts", "accounts")["verdict"] == "not checked"
