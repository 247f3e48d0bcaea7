"""`init`, `accounts`, `plugins list`, and commands that plugins add."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import AccountInfo
from paycore.cli.render.terms import account_block, account_document
from paycore.cli.render.text import Style
from paycore.engine.config import load_config
from paycore.plugin import Product
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import TOY_PLUGIN, Cli, Ran, install_plugin, write_config


def test_init_writes_a_configuration_that_loads(cli: Cli) -> None:
    """`init` writes a commented paycore.toml without secrets, which loads unchanged."""
    ran = cli("init")
    assert (ran.code, ran.out) == (0, "paycore.toml\n"), ran
    config = load_config()
    assert (config.default_account, list(config.accounts)) == ("sandbox", ["sandbox"])
    assert config.accounts["sandbox"].base_url == "http://127.0.0.1:8700"
    settings = config.accounts["sandbox"].settings
    assert settings["client_key"] == {"env": "QFPAY_CLIENT_KEY"}


def test_init_serves_a_sandbox_payment(cli: Cli, gateway: SandboxServer) -> None:
    """The configuration `init` writes works against the sandbox, once the credentials are in the environment."""
    cli("init", "--config", "shop.toml")
    text = Path("shop.toml").read_text(encoding="utf-8").replace("http://127.0.0.1:8700", gateway.url)
    Path("shop.toml").write_text(text, encoding="utf-8")
    words = "create --reference r --amount 1.00 --currency HKD --method alipay --channel web --config shop.toml --json"
    credentials = {f"QFPAY_{name.upper()}": gateway.settings[name] for name in ("app_code", "client_key")}
    assert cli.installed(*words.split(), **credentials).json["status"] == "pending"
    unset = cli.installed(*words.split())
    assert (unset.code, "QFPAY_APP_CODE is not set" in unset.err) == (6, True), unset


def test_init_never_overwrites(cli: Cli) -> None:
    """An existing configuration is left unchanged."""
    Path("paycore.toml").write_text("# mine\n", encoding="utf-8")
    ran = cli("init")
    assert (ran.code, ran.err.count("\n"), "--config" in ran.err) == (6, 1, True), ran
    assert Path("paycore.toml").read_text(encoding="utf-8") == "# mine\n"
    assert cli("init", "--config", "no/such/folder/paycore.toml").code == 6


def test_accounts_say_what_they_offer(cli: Cli, shop: SandboxServer) -> None:
    """Each account with its provider, mode and products, their bounds and fields; never a key."""
    ran = cli("accounts", "--json")
    assert (ran.code, ran.json["account"], ran.json["default"], ran.json["hosts"]) == (0, "shop", True, {}), (
        ran
    )
    products = {f"{one['method']}/{one['channel']}": one for one in ran.json["products"]}
    assert products["alipay/web"]["currencies"]["HKD"]["least_minor"] == 1
    assert products["alipay/web"]["expires_in_s"] == {"least": 300, "most": 7200}
    assert products["alipay/barcode"]["required"] == ["auth_code"]
    assert products["alipay/barcode"]["ignored"] == ["expires_in_s", "return_url"]
    assert (products["alipay/web"]["capture"], products["alipay/web"]["refund"]) == ("none", "partial")
    told = cli("accounts")
    assert f"shop *  qfpay-alipay, sandbox, {shop.url}\n" in told.out
    assert (
        "needs auth_code; takes device_id, notify_url, subject; ignores expires_in_s, return_url; can be"
        in told.out
    )
    assert shop.settings["client_key"] not in ran.out + told.out


def test_accounts_tell_the_default_method_and_create_takes_it(cli: Cli, gateway: SandboxServer) -> None:
    """`create` without --method is by the account's default; without one it is refused: exit 2."""
    words = "create --reference r --amount 1.00 --currency HKD --channel web --json"
    write_config(gateway.url)
    refused = cli(*words.split())
    assert (refused.code, refused.error["message"]) == (
        2,
        "method: is needed: account shop has no default_method; it has: alipay, wallet",
    ), refused
    write_config(gateway.url, more='default_method = "alipay"')
    assert cli(*words.split()).json["method"] == "alipay"
    assert cli("accounts", "--json").json["default_method"] == "alipay"
    assert f"shop *  qfpay-alipay, sandbox, {gateway.url}, alipay by default\n" in cli("accounts").out


def _product(channel: str, **fields: Any) -> Product:
    return Product(method="card", channel=channel, currencies={"HKD": (100, 5000), "JPY": (1, 50)}, **fields)


def test_accounts_print_amounts_once_where_all_products_share_them() -> None:
    """Bounds are grouped by currency and printed once; those of a product of its own are in its row."""
    shared = AccountInfo(
        name="hk",
        provider="toy",
        mode="live",
        is_default=False,
        base_urls={"": "https://pay.example", "auth": "https://id.example"},
        products=(
            _product("app", capture="partial", refund="full", close=False, extra=frozenset({"plan"})),
            _product(
                "web", required=frozenset({"return_url"}), optional=frozenset({"return_url"}), refund="none"
            ),
        ),
    )
    ignored = "ignores device_id, expires_in_s, notify_url"
    assert account_block(shared, Style(enabled=False), None) == [
        "hk  toy, live, https://pay.example, https://id.example",
        "  amounts   1.00 to 50.00 HKD; 1 to 50 JPY",
        f"  card/app  extra plan; {ignored}, return_url, subject; can be captured in part, refunded whole",
        f"  card/web  needs return_url; {ignored}, subject; can be closed",
    ]
    other = replace(shared, products=(*shared.products, replace(_product("qr"), currencies={"HKD": (1, 2)})))
    lines = account_block(other, Style(enabled=False), 50)
    assert lines[1] == "  card/app  1.00 to 50.00 HKD; 1 to 50 JPY; extra"
    assert "  card/qr   0.01 to 0.02 HKD; ignores device_id," in lines
    assert max(map(len, lines[1:])) <= 50
    assert account_document(shared)["hosts"] == {"auth": "https://id.example"}


def test_accounts_one_unusable_6(cli: Cli, shop: SandboxServer) -> None:
    """An account that can't be used is listed with the reason: exit 6."""
    write_config(shop.url, more='[accounts.broken]\nprovider = "qfpay-alipay"\nmode = "sandbox"')
    ran = cli("accounts", "--json")
    found = {row["account"]: row["problem"] for row in map(json.loads, ran.out.splitlines())}
    assert (ran.code, found["shop"]) == (6, None), ran
    assert "accounts.broken" in found["broken"]
    assert cli("accounts", "--account", "shop").code == 0


def _listed(ran: Ran) -> dict[str, dict[str, Any]]:
    """What `plugins list --json` printed, by plugin."""
    return {row["plugin"]: row for row in map(json.loads, ran.out.splitlines())}


def test_plugins_list(cli: Cli) -> None:
    """A plugin with its distribution, version and what it offers; no configuration is needed."""
    ran = cli("plugins", "list", "--json")
    qfpay = _listed(ran)["qfpay-alipay"]
    assert (ran.code, list(qfpay)) == (
        0,
        ["plugin", "distribution", "version", "blocked", "offers", "failures"],
    ), ran
    assert (qfpay["distribution"], qfpay["blocked"], qfpay["failures"]) == ("paycore-qfpay-alipay", False, [])
    assert qfpay["version"] == metadata.version("paycore-qfpay-alipay")
    kinds = [(offer["kind"], offer["name"]) for offer in qfpay["offers"]]
    assert kinds == [("provider", "qfpay-alipay"), ("sandbox", "qfpay-alipay")]
    assert f"provider qfpay-alipay ({qfpay['offers'][0]['title']}); sandbox" in cli("plugins", "list").out


def test_plugins_list_blames_all_who_claim_one_name(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is in the row of its plugin and names the others, in words without a kind of error: exit 6."""
    for name in ("one", "two"):
        install_plugin(name, TOY_PLUGIN)
    monkeypatch.syspath_prepend(Path.cwd())
    ran = cli("plugins", "list", "--json")
    rows = _listed(ran)
    assert ran.code == 6
    assert (rows["one"]["distribution"], rows["one"]["version"]) == ("one-pay", "1")
    assert [row["offers"] for row in (rows["one"], rows["two"])] == [[], []]
    assert rows["qfpay-alipay"]["failures"] == []
    for name in ("one", "two"):
        ((stage, problem),) = [failure.values() for failure in rows[name]["failures"]]
        assert stage == "providers"
        assert problem.startswith("providers left out: the provider 'toy' is claimed more than once")
        assert "one (one-pay 1) and two (two-pay 1)" in problem
    (line,) = [line for line in cli("plugins", "list").out.splitlines() if line.startswith("two ")]
    assert line.split(maxsplit=3)[1:3] == ["two-pay", "1"]


_LACKING = """
from paycore.plugin import hookimpl
from paycore.testing.toy import ToyProvider
from msgspec.structs import replace

class Lacking:
    info = replace(ToyProvider.info, name="lacking")

@hookimpl
def paycore_register_providers():
    return [ToyProvider, Lacking]
"""


def test_plugins_list_failures_and_blocked(
    cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that can't be imported says so in its own words; a blocked one is listed, and was not loaded."""
    install_plugin("broken", "raise SystemExit('out of order')\n")
    install_plugin("blocked", "raise AssertionError\n")
    install_plugin("empty", "")
    install_plugin("lacking", _LACKING)
    monkeypatch.syspath_prepend(Path.cwd())
    config = Path("paycore.toml").read_text(encoding="utf-8")
    Path("paycore.toml").write_text(f'blocked_plugins = ["blocked"]\n{config}', encoding="utf-8")
    ran = cli("plugins", "list")
    told = {line.split()[0]: line.split(maxsplit=3)[-1] for line in ran.out.splitlines()[1:]}
    assert ran.code == 6
    assert told["broken"] == "can't be imported: SystemExit: out of order"
    assert told["empty"] == "left out: it has no hooks"
    provider, problem = told["lacking"].split("; ", 1)
    assert provider == "provider toy (Toy)"
    assert problem.startswith("providers left out: 'lacking': ")
    assert told["blocked"] == "nothing: blocked_plugins names it"
    assert _listed(cli("plugins", "list", "--json"))["blocked"]["blocked"] is True


_PLUGIN = """
import sys, typer
from paycore.engine import plugins
from paycore.plugin import hookimpl

class Stocks:
    @hookimpl
    def paycore_register_commands(self):
        app = typer.Typer(name="stocks")
        @app.command()
        def stocks(count: int) -> int:
            print("stocks", count)
            return 3
        return [app]

original = plugins.Plugins.__init__
plugins.Plugins.__init__ = lambda self, **more: original(self, **{**more, "extra": [("stocks", Stocks())]})
from paycore.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_hook_paycore_register_commands_adds_a_command() -> None:
    """An unknown command is looked up among those of plugins, with its options and exit code."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _PLUGIN, *words], capture_output=True, text=True, check=False
        )

    done = run("stocks", "7")
    assert (done.returncode, done.stdout) == (3, "stocks 7\n"), done
    wrong = run("stocks", "seven")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1), wrong
    assert run("socks").returncode == 2
