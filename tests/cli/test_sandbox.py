"""`paycore sandbox`: serves a gateway, and acts as its payer."""

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Self

import pytest

from paycore.cli.sandboxes.account_text import snippet
from paycore.engine.accounts import Accounts
from paycore.engine.config import parse_config
from paycore.engine.plugins import Plugins
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, order, write_config


class Served:
    """`paycore sandbox serve`, running."""

    def __init__(self, *options: str) -> None:
        words = [PAYCORE, "sandbox", "serve", "qfpay-alipay", "--json", *options]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.ready: Any = json.loads(self.process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop(signal.SIGTERM)

    def stop(self, number: signal.Signals) -> int:
        """End it; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def test_serve_first_line_is_all_a_client_needs(cli: Cli) -> None:
    """The first line on stdout is JSON with URL and credentials; Ctrl-C ends it with exit code 0."""
    with Served("--port", "0", "--set", "app_code=APP1", "--set", "client_key=KEY1") as served:
        assert (served.ready["app_code"], served.ready["client_key"]) == ("APP1", "KEY1")
        assert served.ready["url"].startswith("http://127.0.0.1:")
    again = Served("--port", "0")
    assert again.stop(signal.SIGINT) == 0


def test_serve_restarted_with_its_state_the_payment_is_paid(cli: Cli) -> None:
    """Create, kill the gateway, restart it with its state, await: paid."""
    served = Served("--port", "0", "--state", "gateway.state", "--auto-pay", "1")
    write_config(served.ready["url"], more="timeout_s = 2")
    payment = cli.installed(*order(), "--json").json
    assert served.stop(signal.SIGKILL) < 0
    port = served.ready["url"].rpartition(":")[2]
    with Served("--port", port, "--state", "gateway.state", "--auto-pay", "1"):
        ran = cli.installed("await", payment["id"], "--timeout", "30", "--json")
    assert (ran.code, ran.json["status"]) == (0, "paid"), ran


def test_serve_without_json_prints_the_configuration(cli: Cli) -> None:
    """Without --json: readable lines, and an account for paycore.toml that works."""
    words = [PAYCORE, "sandbox", "serve", "qfpay-alipay", "--port", "0", "--no-color"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            text = "".join(iter(process.stdout.readline, "\n"))
            text += "".join(iter(process.stdout.readline, "\n"))
            Path("paycore.toml").write_text(text[text.index("[accounts") :], encoding="utf-8")
            payment = cli.create()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
    assert (payment["status"], payment["account"]) == ("pending", "sandbox")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--set colour=red", "no sandbox setting 'colour'"),
        ("--set colour", "not KEY=VALUE"),
        ("--speed 0", "--speed: must be above 0"),
        ("--auto-pay -1", "--auto-pay"),
        ("--auto-pay chanel:qr=1", "--auto-pay: no condition 'chanel'; did you mean channel?"),
    ],
)
def test_serve_wrong_setting_2(cli: Cli, words: str, expected: str) -> None:
    """An invalid setting is refused in one line."""
    ran = cli("sandbox", "serve", "qfpay-alipay", "--port", "0", *words.split())
    assert (ran.code, ran.err.count("\n"), expected in ran.err) == (2, 1, True), ran


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        ("", 2, "name the PROVIDER whose gateway to serve, one of paypal-orders, qfpay-alipay, "),
        ("qfpay-alipay --all", 2, "and not both"),
        ("--all --set app_code=X", 2, "--set: 'app_code' is not PROVIDER.KEY"),
        ("--all --set acme.app_code=X", 2, "'acme.app_code' is not PROVIDER.KEY, with a provider of paypal-"),
        (
            "--all --port 0 --set stripe-checkout.colour=red",
            2,
            "stripe-checkout: no sandbox setting 'colour'",
        ),
        ("qfpay-alipay --scenario none.toml", 2, "--scenario: none.toml can't be read: No such file"),
        (
            "qfpay-alipay --scenario there.toml",
            2,
            "--scenario: there.toml: no key 'mine'; there are: fault, rule",
        ),
        (
            "qfpay-alipay --scenario other.toml",
            2,
            "other.toml: rule[1].match.provider: no sandbox 'qfpy-alipay'; did",
        ),
        ("qfpay-alipay --port 0 --scenario back.toml", 2, "back.toml: rule[1]: nothing is charged back here"),
        (
            "--all --port 0 --scenario back.toml",
            2,
            "qfpay-alipay: back.toml: rule[1]: nothing is charged back here",
        ),
        (
            "qfpay-alipay --scenario scenario.toml",  # as in docs/sandbox.md
            2,
            "error: --scenario: scenario.toml: rule[2]: no key 'notificaton'; did you mean notification?\n",
        ),
        ("qfpay-alipay --port 0 --state there.toml/x", 6, "--state: the file can't be used: "),
        (
            "qfpay-alipay --notify-url shop.example",
            2,
            "--notify-url: 'shop.example' is no URL of a web server",
        ),
        ("--all --port 65535", 2, "go beyond 65535"),
        ("qfpay-alipay --write-config there.toml", 6, "there.toml is there already and stays as it is"),
        ("qfpay-alipay --port 0 --write-config no/such/folder.toml", 6, "can't be written: No such file"),
    ],
)
def test_serve_mistakes(cli: Cli, words: str, code: int, expected: str) -> None:
    """Each is refused in one line that says what to do; nothing is served, and no file changes."""
    texts = {
        "there.toml": "mine = 1",
        "other.toml": '[[rule]]\nmatch.provider = "qfpy-alipay"\npay = 1',
        "scenario.toml": '[[rule]]\npay = 1\n[[rule]]\nnotificaton = "lost"',
        "back.toml": "[[rule]]\ncharge_back = 1",
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
    ran = cli("sandbox", "serve", *words.split())
    assert (ran.code, ran.err.count("\n"), expected in ran.err) == (code, 1, True), ran
    assert Path("there.toml").read_text(encoding="utf-8") == texts["there.toml"]


def test_serve_port_taken_6(cli: Cli, gateway: SandboxServer) -> None:
    """A port in use is named, with what to do."""
    port = gateway.url.rpartition(":")[2]
    ran = cli("sandbox", "serve", "qfpay-alipay", "--port", port)
    assert (ran.code, port in ran.err, "--port 0" in ran.err) == (6, True, True), ran


def test_serve_without_the_extra_says_how_to_get_it() -> None:
    """Without the extra, one line says what to install."""
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from paycore.cli.main import main\n"
        "sys.exit(main(['sandbox', 'serve', 'qfpay-alipay', '--port', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (6, 1), done
    assert "pip install 'paycore[sandbox]'" in done.stderr


@pytest.mark.parametrize("by", ["id", "reference", "order_number"])
def test_pay_by_our_id_our_reference_or_the_number(cli: Cli, shop: SandboxServer, by: str) -> None:
    """`pay` takes the payment's id or reference, and finds its gateway, or the order's number."""
    payment = cli.create()
    words = {
        "id": [payment["id"]],
        "reference": ["--reference", "order-1"],
        "order_number": [payment["order_number"], "--url", shop.url],
    }[by]
    ran = cli("sandbox", "pay", *words, "--json")
    assert (ran.code, ran.json["state"], ran.json["charges"]) == (0, "paid", 1), ran
    assert cli("query", payment["id"], "--json").json["status"] == "paid"
    again = cli("sandbox", "pay", *words)
    assert (again.code, again.err.count("\n")) == (2, 1), again


def test_fault_for_one_order_or_kind_of_request(cli: Cli, shop: SandboxServer) -> None:
    """The order is named as for `pay`, and its gateway is found; the fault meets this order's request only."""
    first, second = cli.create("order-1"), cli.create("order-2")
    for made in (first, second):
        assert cli("sandbox", "pay", made["id"]).code == 0
        assert cli("query", made["id"]).code == 0
    added = cli("sandbox", "fault", "refuse_refund", "--order", "order-1", "--on", "refund", "--json")
    assert (added.code, added.json["on"]) == (0, "refund"), added
    for made, code in ((second, 0), (first, 3)):
        assert cli("refund", made["id"], "--reference", f"r-{made['reference']}").code == code
    unknown = cli("sandbox", "fault", "http_500", "--on", "refnd", "--url", shop.url)
    assert (unknown.code, "did you mean refund?" in unknown.err) == (2, True), unknown
    unknown = cli("sandbox", "fault", "http_500", "--order", "nobody", "--url", shop.url)
    assert (unknown.code, "unknown order" in unknown.err) == (2, True), unknown


def test_account_names_the_gateway(cli: Cli, shop: SandboxServer) -> None:
    """`--account` names the gateway of a fault, and of an order that is in no ledger; a wrong name is refused."""
    added = cli("sandbox", "fault", "html", "--account", "shop", "--json")
    assert (added.code, added.json["kind"]) == (0, "html"), added
    unknown = cli("sandbox", "pay", "nobody", "--account", "shop")
    assert (unknown.code, "no order 'nobody'" in unknown.err) == (2, True), unknown
    wrong = cli("sandbox", "fault", "html", "--account", "shp")
    assert (wrong.code, "no account is called 'shp'" in wrong.err) == (6, True), wrong


def test_decline(cli: Cli, shop: SandboxServer) -> None:
    """`decline` refuses the order as its payer."""
    payment = cli.create()
    assert cli("sandbox", "decline", payment["id"]).code == 0
    assert cli("query", payment["id"]).code == 3


def test_pay_unknown_number_2(cli: Cli, shop: SandboxServer) -> None:
    """An unknown number is refused with the gateway's own message."""
    ran = cli("sandbox", "pay", "NOBODY", "--url", shop.url)
    assert (ran.code, ran.err.count("\n"), "unknown order" in ran.err) == (2, 1, True), ran
    assert cli("sandbox", "pay", "../stats", "--url", shop.url).code == 2


def test_pay_by_an_unknown_reference_2(cli: Cli, shop: SandboxServer) -> None:
    """A reference given as NUMBER is refused with a hint; an unknown reference is not found."""
    ran = cli("sandbox", "pay", "order-2", "--url", shop.url)
    assert (ran.code, "named by its id or your reference" in ran.err) == (2, True), ran
    assert cli("sandbox", "pay", "--reference", "order-2").code == 2
    cli.create()
    ran = cli("sandbox", "decline", "--reference", "order-2")
    assert (ran.code, ran.err) == (2, "error: no payment has the reference 'order-2'\n"), ran
    for words in ([], ["order-1", "--reference", "order-1"]):
        ran = cli("sandbox", "pay", *words)
        assert (ran.code, "by its NUMBER or by --reference" in ran.err) == (2, True), ran


@pytest.mark.parametrize("provider", ["paypal-orders", "qfpay-alipay", "stripe-checkout"])
def test_the_account_of_a_sandbox_is_one(provider: str, tmp_path: Path) -> None:
    """The lines for paycore.toml have exactly the settings that the provider takes, whichever it is."""
    with SandboxServer(Plugins().sandboxes()[provider]) as server:
        lines = snippet("shop", provider, {"url": server.url, **server.settings})
    config = parse_config(
        {"ledger": "sqlite:///shop.db"} | tomllib.loads("\n".join(lines)), tmp_path / "paycore.toml"
    )
    assert Accounts(config, Plugins()).get("shop").provider_name == provider


def test_no_sandbox_installed_6(cli: Cli) -> None:
    """Without a plugin that has a sandbox, one line names blocked plugins and where to read how to install one."""
    named = "paypal-orders", "qfpay-alipay", "stripe-checkout"
    Path("paycore.toml").write_text(f"blocked_plugins = {list(named)}\n", encoding="utf-8")
    for words in ("sandbox serve qfpay-alipay", "demo"):
        ran = cli(*words.split())
        assert (ran.code, ran.err.count("\n")) == (6, 1), ran
        assert f"left out by blocked_plugins: {', '.join(named)}; install the provider's plugin" in ran.err
        assert "docs/quickstart.md" in ran.err


def test_no_such_sandbox_the_plugin_that_failed_is_named_6(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that failed to load may have the sandbox: it is named, and the exit code is 6, not 2."""
    installed = Path("broken-1.dist-info")
    installed.mkdir()
    (installed / "METADATA").write_text("Name: broken\nVersion: 1\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text("[paycore]\nbroken = no_such_module\n", encoding="utf-8")
    monkeypatch.syspath_prepend(Path.cwd())
    ran = cli("sandbox", "serve", "nobody", "--quiet")
    assert (ran.code, ran.err.count("\n")) == (6, 1), ran
    assert "qfpay-alipay, stripe-checkout; broken failed: ModuleNotFoundError" in ran.err


def test_pay_no_sandbox_there_7(cli: Cli) -> None:
    """Without a gateway nothing is sent, and the line says how to start one."""
    ran = cli("sandbox", "pay", "X", "--url", "http://127.0.0.1:1")
    assert (ran.code, "paycore sandbox serve" in ran.err) == (7, True), ran


def test_fault_happens_as_often_as_asked(cli: Cli, shop: SandboxServer) -> None:
    """A fault with its options reaches the gateway's fault board."""
    words = "sandbox fault html --times 2 --path /trade/v1/query --option recorded=false --json"
    ran = cli(*words.split(), "--url", shop.url)
    assert (ran.code, ran.json["kind"], ran.json["times"]) == (0, "html", 2), ran
    (fault,) = shop.gateway.faults.active()
    assert (fault.path, fault.flag("recorded")) == ("/trade/v1/query", False)
    ran = cli("sandbox", "fault", "delay", "--option", "seconds=0.5", "--url", shop.url)
    assert (ran.code, ran.out.splitlines()[0].split()[0]) == (0, "id"), ran
    wrong = cli("sandbox", "fault", "htlm", "--url", shop.url)
    assert (wrong.code, "did you mean html" in wrong.err) == (2, True), wrong
