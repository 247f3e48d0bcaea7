"""Any error outside paycore ends in one line that says what to do, and shows no secret."""

import os
from pathlib import Path
from time import sleep

import pytest

from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, order, write_config

CANARY = "CANARY0123456789CANARY0123456789"


def test_wrong_key_names_account_and_1108(cli: Cli, shop: SandboxServer) -> None:
    """A key the provider refuses: one line with the account and code 1108, exit 6, and the payment is recorded."""
    write_config(shop.url, key=CANARY)
    ran = cli(*order())
    assert (ran.code, ran.err.count("\n")) == (6, 1), ran
    assert "account shop" in ran.err
    assert "1108" in ran.err
    assert "created" in ran.out
    assert CANARY not in ran.out + ran.err
    write_config(shop.url)
    assert cli.create()["status"] == "pending"


@pytest.mark.parametrize(
    "fault",
    ["html", "truncated_json", "http_500", "http_502", "redirect", "stall", "drip", "huge_body"],
)
def test_useless_answer_unknown_then_resolved(cli: Cli, shop: SandboxServer, fault: str) -> None:
    """HTML, truncated JSON, HTTP errors or an endless body: unknown, exit 5; a later query resolves it."""
    write_config(shop.url, more="timeout_s = 0.5")
    shop.gateway.faults.add(fault)
    ran = cli(*order(), "--json")
    assert (ran.code, ran.json["status"]) == (5, "unknown"), ran
    write_config(shop.url, more="timeout_s = 5")
    resolved = cli("query", ran.json["id"], "--json")
    assert (resolved.code, resolved.json["status"], resolved.json["uncertain"]) == (0, "pending", False), (
        resolved
    )


def test_refused_for_now_7_and_the_same_command_sends_it_later(cli: Cli, shop: SandboxServer) -> None:
    """HTTP 429: nothing was done, and it is said when to try again."""
    write_config(shop.url)
    shop.gateway.faults.add("http_429", times=9, path="/trade/v1/payment")
    ran = cli(*order(), "--json")
    assert (ran.code, ran.json["status"], ran.error["kind"]) == (7, "created", "NotSent"), ran
    assert (ran.error["money_moved"], ran.error["retry_after_s"]) == ("no", 5.0), ran
    assert shop.gateway.controls.list_orders(10) == []
    shop.gateway.faults.clear()
    sleep(ran.error["retry_after_s"])
    assert cli(*order(), "--json").json["status"] == "pending"


def test_useless_answer_to_a_query_exits_7(cli: Cli, shop: SandboxServer) -> None:
    """A query without a usable answer changes nothing, prints the payment and exits 7: it can't have moved money."""
    payment = cli.create()
    shop.gateway.faults.add("http_500", times=3, path="/trade/v1/query")
    ran = cli("query", payment["id"])
    assert (ran.code, ran.err.count("\n")) == (7, 1), ran
    assert "account shop" in ran.err
    assert "run the same command again" in ran.err
    assert "pending" in ran.out


def test_lost_link_is_recovered_by_the_same_command(cli: Cli, shop: SandboxServer) -> None:
    """Accepted without the payer's link: exit 5, and the same command recovers it."""
    shop.gateway.faults.add("no_pay_url")
    ran = cli(*order(), "--json")
    assert (ran.code, ran.error["kind"], ran.error["payment_id"]) == (5, "IncompleteReply", ran.json["id"]), (
        ran
    )
    assert "run the same command again" in ran.error["message"]
    again = cli.create()
    assert (again["id"], again["status"], again["action"]["type"]) == (ran.json["id"], "pending", "redirect")


CONFIGS = {
    "missing": (None, ("no configuration found", "paycore init")),
    "not TOML": ("accounts = [", ("paycore.toml", "is not TOML")),
    "wrong type": ('ledger = 5\n[accounts.shop]\nmode = "sandbox"', ("ledger", "text in quotes")),
    "unknown key": ('legder = "sqlite:///p.db"', ("legder", "did you mean 'ledger'")),
    "unknown key of the account": (
        (
            '[accounts.shop]\nprovider = "qfpay-alipay"\nmode = "sandbox"\nbase_url = "http://127.0.0.1:9"\n'
            'region = "hk"\napp_code = "A"\nclient_key = "B"\nregoin = "hk"'
        ),
        ("accounts.shop", "regoin", "did you mean 'region'"),
    ),
    "unset variable": (
        (
            '[accounts.shop]\nprovider = "qfpay-alipay"\nmode = "sandbox"\nbase_url = "http://127.0.0.1:9"\n'
            'region = "hk"\napp_code = "A"\nclient_key = { env = "QFPAY_NOT_SET" }'
        ),
        ("accounts.shop.client_key", "QFPAY_NOT_SET is not set"),
    ),
    "unknown provider": (
        '[accounts.shop]\nprovider = "qfpay-alipya"\nmode = "sandbox"\nbase_url = "http://127.0.0.1:9"',
        ("qfpay-alipya", "installed: paypal-orders, qfpay-alipay, stripe-checkout"),
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configuration_wrong_path_and_suggestion(cli: Cli, case: str) -> None:
    """An invalid configuration: exit 6 and one line with the path inside the file and a suggestion."""
    text, expected = CONFIGS[case]
    if text is not None:
        Path("paycore.toml").write_text(text, encoding="utf-8")
    ran = cli(*order())
    assert (ran.code, ran.out, ran.err.count("\n")) == (6, "", 1), ran
    for words in expected:
        assert words in ran.err


def test_configuration_named_but_absent(cli: Cli) -> None:
    """A missing `--config` file is named in the line."""
    ran = cli("list", "--config", "nowhere.toml")
    assert (ran.code, "nowhere.toml" in ran.err) == (6, True), ran


@pytest.mark.parametrize("amount", ["88.001", "1E3", "８８", "-1", "0x10", " 1", "1_000", "NaN", "9" * 40])
def test_amount_not_exact_refused(cli: Cli, shop: SandboxServer, amount: str) -> None:
    """An inexact amount is refused with the reason, and nothing is recorded."""
    ran = cli("create", "--amount", amount, *order()[5:], "--reference", "r")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
    assert "amount" in ran.err
    assert cli("list", "--json").out == ""


def test_ledger_not_a_ledger(cli: Cli, shop: SandboxServer) -> None:
    """A file that is no ledger: exit 6 and its path."""
    Path("paycore.db").write_bytes(b"this is no database" * 100)
    ran = cli("list")
    assert (ran.code, ran.err.count("\n"), "paycore.db" in ran.err) == (6, 1, True), ran


def test_arguments_that_are_not_text(cli: Cli, shop: SandboxServer) -> None:
    """Arguments that are not valid text are refused, and do not crash."""
    ran = cli("show", "--reference", os.fsdecode(b"\xff"))
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran


def test_reference_with_control_characters(cli: Cli, shop: SandboxServer) -> None:
    """A reference with control characters is refused: they could move a terminal's cursor."""
    ran = cli(*order("a\x1b[2Jb"))
    assert (ran.code, "\x1b" in ran.err) == (2, False), ran


def test_provider_message_has_no_control_characters(cli: Cli, shop: SandboxServer) -> None:
    """The provider's message is printed on one line without control characters."""
    shop.gateway.faults.add("respcd", code="1297", message="no\x1b[31m\nway")
    ran = cli(*order())
    assert "\x1b" not in ran.out + ran.err, ran


def test_error_as_json(cli: Cli, shop: SandboxServer) -> None:
    """With --json an error is one JSON object on stderr, with who acts and whether money may have moved."""
    write_config("http://127.0.0.1:1")
    ran = cli(*order(), "--json")
    assert ran.error == {
        "kind": "NotSent",
        "message": ran.error["message"],
        "who_acts": "operator",
        "money_moved": "no",
        "payment_id": ran.json["id"],
        "retry_after_s": None,
    }
    assert ran.json["status"] == "created"
    assert cli("creat", "--json").error["kind"] == "Usage"
    assert cli("--json", "show", "none").error["kind"] == "NotFound"


def test_region_lacks_the_pair(cli: Cli, shop: SandboxServer) -> None:
    """An unsupported (method, channel) is refused with the list of supported ones."""
    ran = cli("create", "--channel", "till", *order()[1:9])
    assert (ran.code, "alipay/web" in ran.err) == (2, True), ran


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("create --reference r --currency HKD", "--amount 88.00, --channel web"),
        ("create", "--reference R, --amount 88.00, --currency HKD, --channel web"),
        ("refund", "ID, --reference R2"),
        ("refund order-1", "--reference R2"),
        ("refund --payment-reference order-1", "--reference R2"),
        ("review acknowledge --note seen", "ID, --reason REASON"),
        ("returned --reference order-1", "--param KEY=VALUE"),
        ("plugins new", "NAME"),
        ("ledger copy", "SOURCE, TARGET"),
    ],
)
def test_all_that_is_missing_is_named_at_once(cli: Cli, words: str, missing: str) -> None:
    """One error names every option and argument that is missing, as it would be typed."""
    ran = cli(*words.split())
    depth = 2 if words.startswith(("review", "plugins", "ledger")) else 1
    command = " ".join(words.split()[:depth])
    assert (ran.code, ran.err) == (2, f"error: missing {missing}; see `paycore {command} --help`\n"), ran
    assert cli(*words.split(), "--help").code == 0


@pytest.mark.parametrize("words", ["sandbox", "ledger", "review"])
def test_missing_command_of_a_group_lists_them(cli: Cli, words: str) -> None:
    """A group without a command names its commands."""
    ran = cli(words)
    assert (ran.code, ran.err.count("\n"), "missing a command: one of " in ran.err) == (2, 1, True), ran


def test_no_payment_named_2(cli: Cli, shop: SandboxServer) -> None:
    """A command without a payment says what ID is."""
    for word in ("show", "query", "close", "await", "capture"):
        assert cli(word).err == "error: missing ID: the payment's id, or your own reference of it\n"


@pytest.mark.parametrize("words", ["", "create", "ledger", "ledger verify", "show", "list"])
def test_short_help(cli: Cli, words: str) -> None:
    """`-h` is `--help` of every command and group."""
    short = cli(*words.split(), "-h")
    assert (short.code, short.out) == (0, cli(*words.split(), "--help").out)
    assert "-h, --help" in short.out


@pytest.mark.parametrize(
    "words", ["await a --timeout", "list --status", "ledger verify --no-such", "create --extra"]
)
def test_error_of_an_option_names_the_help_of_its_command(cli: Cli, words: str) -> None:
    """An option without its value, or of another command, is told with the help to look at."""
    ran = cli(*words.split())
    command = words.partition(" --")[0].removesuffix(" a")
    assert (ran.code, ran.err.endswith(f"see `paycore {command} --help`\n")) == (2, True), ran
