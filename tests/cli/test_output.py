"""What is printed where: data on stdout, messages on stderr, stable names in JSON."""

import json
import os
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from paycore import __version__
from paycore.cli import quick
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, order

FIELDS = """
    id account provider namespace reference method channel status uncertain review review_reasons amount amount_minor
    currency capture authorized_minor paid_minor refunded_minor charged_back_minor charge_back_won_minor action
    ignored untold returned order_number provider_id ids created_at updated_at authorized_at
    paid_at closed_at expires_at failure capture_failure refunds
""".split()

REFUND_FIELDS = "reference amount amount_minor status number provider_id ids charge_id failure".split()


def test_json_payment_has_the_stable_names(cli: Cli, shop: SandboxServer) -> None:
    """A payment's JSON has every field, in one order, with amounts as text and in minor units."""
    payment = cli.create()
    assert list(payment) == FIELDS
    assert (payment["amount"], payment["amount_minor"], payment["currency"]) == ("88.00", 8800, "HKD")
    assert (payment["account"], payment["provider"], payment["channel"]) == ("shop", "qfpay-alipay", "web")
    assert payment["action"] == {"type": "redirect", "url": payment["action"]["url"], "show_as": "qr"}
    assert payment["action"]["url"].startswith(shop.url)
    assert (payment["failure"], payment["refunds"], payment["review"]) == (None, [], False)
    assert (payment["capture"], payment["authorized_minor"], payment["ids"]) == ("automatic", 0, {})
    assert (payment["ignored"], payment["returned"], payment["charged_back_minor"]) == ([], {}, 0)
    for name in ("created_at", "updated_at", "expires_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", payment[name]), name


def test_json_action_of_a_wallet_call(cli: Cli, shop: SandboxServer) -> None:
    """A page inside the wallet gets the call and its parameters."""
    words = "create --reference j --amount 1.00 --currency HKD --method alipay --channel jsapi"
    ran = cli(
        *words.split(),
        "--payer-id",
        "2088000000000001",
        "--return-url",
        "https://shop.example/thanks",
        "--extra",
        "limit_pay=no_credit",
        "--json",
    )
    assert ran.code == 0, ran
    assert (ran.json["action"]["type"], ran.json["action"]["call"]) == ("wallet_call", "tradePay")
    assert ran.json["action"]["params"]["tradeNO"]
    assert "tradePay(" in cli("show", ran.json["id"]).out


def test_json_refund_and_failure(cli: Cli, shop: SandboxServer) -> None:
    """Refunds and failures are objects with stable names."""
    payment = cli.create()
    shop.gateway.controls.pay(payment["order_number"])
    cli("query", payment["id"])
    ran = cli("refund", payment["id"], "--reference", "back-1", "--amount", "20.00", "--json")
    (refund,) = ran.json["refunds"]
    assert list(refund) == REFUND_FIELDS
    assert (refund["reference"], refund["amount"], refund["amount_minor"]) == ("back-1", "20.00", 2000)
    assert refund["charge_id"] == ran.json["provider_id"]
    declined = cli.create("order-2")
    shop.gateway.controls.decline(declined["order_number"])
    failure = cli("query", declined["id"], "--json").json["failure"]
    assert list(failure) == ["code", "message"]


def test_json_show_adds_the_events(cli: Cli, shop: SandboxServer) -> None:
    """`show --json` is the payment and its events, oldest first."""
    payment = cli.create()
    shown = cli("show", payment["id"], "--json").json
    assert list(shown) == [*FIELDS, "events"]
    assert [event["status_to"] for event in shown["events"]] == ["created", "pending"]
    assert list(shown["events"][0]) == ["seq", "at", "source", "kind", "status_from", "status_to", "what"]


def test_list_names_the_command_for_the_next_page(cli: Cli, shop: SandboxServer) -> None:
    """A full page names the command for the next one, which begins after the last payment."""
    made = [cli.create(reference)["id"] for reference in ("a", "b", "c")]
    page = cli("list", "--limit", "2")
    assert f"--after {made[1]}" in page.err
    rest = cli("list", "--limit", "2", "--after", made[1], "--json")
    assert (rest.json["id"], rest.err) == (made[0], ""), rest
    assert "--after" not in cli("list", "--limit", "2", "--after", made[1]).err
    unknown = cli("list", "--after", "nobody", "--json")
    assert (unknown.code, unknown.out, unknown.error["kind"]) == (2, "", "NotFound"), unknown


def test_json_lists_are_lines(cli: Cli, shop: SandboxServer) -> None:
    """A list is one object a line, newest first; filters narrow it."""
    for reference in ("a", "b", "c"):
        cli.create(reference)
    lines = cli("list", "--json").out.splitlines()
    assert [json.loads(line)["reference"] for line in lines] == ["c", "b", "a"]
    assert len(cli("list", "--json", "--limit", "2").out.splitlines()) == 2
    assert cli("list", "--json", "--status", "paid").out == ""
    assert cli("list", "--json", "--account", "other").out == ""
    oldest = json.loads(lines[-1])["created_at"]
    assert cli("list", "--json", "--until", oldest).out == ""


def test_list_without_a_limit_prints_every_page(
    cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--limit 0` prints all, as JSON Lines and as one table, and does not ask to go on."""
    monkeypatch.setattr(quick, "AT_ONCE", 2)
    made = [cli.create(f"order-{n}")["id"] for n in range(5)]
    ran = cli("list", "--limit", "0", "--json")
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == made[::-1]
    ran = cli("list", "--limit", "0", "--reference-prefix", "order-")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["ID", *made], ran
    assert ran.err == ""
    assert cli("list", "--limit", "0", "--status", "paid").err == "no payments\n"


def test_list_by_time_prefix_and_reason(cli: Cli, shop: SandboxServer) -> None:
    """Every filter of the API is an option."""
    first, second = cli.create("a-1"), cli.create("b-1")

    def listed(*options: str) -> list[str]:
        return [json.loads(line)["id"] for line in cli("list", "--json", *options).out.splitlines()]

    assert listed("--since", second["created_at"]) == [second["id"]]
    assert listed("--until", second["created_at"]) == [first["id"]]
    assert listed("--by", "updated") == [second["id"], first["id"]]
    assert listed("--by", "paid") == []
    assert listed("--reference-prefix", "a-") == [first["id"]]
    assert listed("--reason", "paid_twice") == []


@pytest.mark.parametrize("before", [True, False])
def test_global_options_before_and_after_the_command(cli: Cli, shop: SandboxServer, *, before: bool) -> None:
    """Global options may stand before or after the command."""
    Path("paycore.toml").rename("other.toml")
    options = ["--config", "other.toml", "--account", "shop", "--json", "--quiet", "--no-color"]
    words = order()
    ran = cli(*options, *words) if before else cli(words[0], *options, *words[1:])
    assert (ran.code, ran.json["account"], ran.err) == (0, "shop", ""), ran


@pytest.mark.parametrize("command", ["list", "accounts", "ledger migrate", "create"])
def test_verbose_says_which_configuration_is_used(cli: Cli, shop: SandboxServer, command: str) -> None:
    """The full path of the configuration is printed; data and errors are unchanged."""
    words = order() if command == "create" else command.split()
    place = Path("paycore.toml").absolute()
    for option in ("-v", "--verbose"):
        ran = cli(*words, option)
        assert (ran.code, f"configuration: {place}\n" in ran.err) == (0, True), ran
        assert str(place) not in ran.out
    for quiet in ([], ["-v", "--json"], ["-v", "--quiet"]):
        assert "configuration:" not in cli(*words, *quiet).err


def test_global_options_are_in_every_help(cli: Cli) -> None:
    """Every command's help shows the global options and describes what it does."""
    words = [
        *("init", "create", "await", "query", "returned", "capture", "refund", "close", "list", "show"),
        *("accounts", "demo", "review list", "review acknowledge", "review record"),
        *("plugins list", "sandbox serve", "sandbox pay", "sandbox decline", "sandbox fault"),
        *("ledger verify", "ledger export", "ledger migrate"),
    ]
    for word in words:
        ran = cli(*word.split(), "--help")
        assert (ran.code, ran.err) == (0, ""), word
        for option in ("--config", "--account", "--json", "--quiet", "--verbose", "--no-color"):
            assert option in ran.out, (word, option)
    assert "Exit codes" in cli("--help").out
    assert cli().out == cli("--help").out


def test_version_as_json(cli: Cli) -> None:
    """`--version --json` prints JSON."""
    assert cli("--version").out == f"paycore {__version__}\n"
    assert cli("--version", "--quiet").out == f"paycore {__version__}\n"
    for words in (["--version", "--json"], ["--json", "--version"]):
        ran = cli(*words)
        assert (ran.code, ran.json) == (0, {"version": __version__}), ran


def test_unknown_command_suggests_the_nearest(cli: Cli) -> None:
    """The suggestion for an unknown command is a question, followed by a sentence that names the help."""
    ran = cli("creat")
    assert ran.err == "error: No such command 'creat'. Did you mean 'create'? See `paycore --help`\n", ran


def test_options_that_may_repeat(cli: Cli, shop: SandboxServer) -> None:
    """Flags and multi-value options may be repeated."""
    assert cli("list", "--json", "--json").code == 0
    ran = cli(*order(), "--extra", "limit_pay=no_credit", "--extra", "limit_pay=no_credit")
    assert (ran.code, "--extra: limit_pay is given twice" in ran.err) == (2, True), ran


def test_messages_go_to_stderr_and_quiet_suppresses_them(cli: Cli, shop: SandboxServer) -> None:
    """Messages go to stderr only; --quiet and --json leave only the data."""
    payment = cli.create()
    spoken = cli("await", payment["id"], "--timeout", "0.2")
    assert "waiting" in spoken.err
    assert "waiting" not in spoken.out
    for option in ("--quiet", "--json"):
        assert cli("await", payment["id"], "--timeout", "0.2", option).err == ""


def test_closed_pipe_keeps_the_exit_code(cli: Cli, shop: SandboxServer) -> None:
    """`paycore ... | true` keeps its exit code and prints no traceback."""
    cli.create()
    words = f"{PAYCORE} list; echo $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({words}) | true"], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.stderr.strip() == "0", done


def test_reference_in_two_namespaces_needs_the_account(cli: Cli, shop: SandboxServer) -> None:
    """A reference in two namespaces is looked up on the given account."""
    text = Path("paycore.toml").read_text(encoding="utf-8")
    second = text[text.index("[accounts.shop]") :].replace("accounts.shop", "accounts.till")
    namespace = 'namespace = "till"\n'
    Path("paycore.toml").write_text(f'default_account = "shop"\n{text}{second}{namespace}', encoding="utf-8")
    first, other = cli.create("same"), cli.create("same", "--account", "till")
    assert first["id"] != other["id"]
    for word in ("show", "query", "await"):
        ran = cli(word, "--reference", "same")
        assert (ran.code, "each of shop, till; name the account" in ran.err) == (2, True), ran
    assert cli("show", "--reference", "same", "--account", "till", "--json").json["id"] == other["id"]
    assert cli("query", "--reference", "same", "--account", "shop", "--json").json["id"] == first["id"]


def test_force_color_colours_a_pipe(cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR colours data and errors in a pipe; not JSON, and not where NO_COLOR or --no-color is given."""
    payment = cli.create()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert f"\x1b[1m{payment['id']}\x1b[0m" in cli("show", payment["id"]).out
    assert "\x1b[31;1merror:" in cli("show", "nobody").err
    assert "\x1b" not in cli("show", payment["id"], "--json").out
    assert "\x1b" not in cli("show", payment["id"], "--no-color").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in cli("show", payment["id"]).out
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("FORCE_COLOR", "")
    assert "\x1b" not in cli("show", payment["id"]).out


def test_timeline_tells_what_happened(cli: Cli, shop: SandboxServer) -> None:
    """`show` describes a lost reply, how it was resolved, the payment and the refund in plain words."""
    shop.gateway.faults.add("lose_reply")
    unknown = cli(*order(), "--json").json
    cli("query", unknown["id"])
    shop.gateway.controls.pay(cli("show", unknown["id"], "--json").json["order_number"])
    cli("query", unknown["id"])
    cli("refund", unknown["id"], "--reference", "back-1")
    out = " ".join(cli("show", unknown["id"]).out.split())
    for words in (
        "recorded the intent: 88.00 HKD by alipay/web",
        "no definite answer to the order",
        "-> unknown",
        "the provider says paid",
        "recorded the refund back-1 of 88.00 HKD",
        "the provider accepted the refund back-1",
    ):
        assert words in out
    assert "of which 88.00 went back" in out


def test_show_of_a_changed_row_names_the_command_that_tells_more(cli: Cli, shop: SandboxServer) -> None:
    """The suggested command repeats the --config that was given."""
    payment = cli.create()
    with closing(sqlite3.connect("paycore.db")) as shell:
        shell.execute("UPDATE payments SET paid_minor = 1")
        shell.commit()
    ran = cli("show", payment["id"], "--config", "paycore.toml")
    assert f"`paycore ledger verify {payment['id']} --config paycore.toml` tells more" in ran.err, ran


def test_list_of_an_unknown_account_warns(cli: Cli, shop: SandboxServer) -> None:
    """An account neither configured nor in the ledger is named in a warning with the known ones."""
    warning = "warning: no account is called 'oss', in the configuration (shop) or in the ledger\n"
    ran = cli("list", "--account", "oss")
    assert (ran.code, ran.out, ran.err.endswith(warning)) == (0, "", True), ran
    cli.create()
    assert cli("list", "--account", "oss").err.endswith(warning)
    assert "warning" not in cli("list", "--account", "shop", "--status", "paid").err


def test_list_of_an_account_no_longer_configured(cli: Cli, shop: SandboxServer) -> None:
    """Payments of an account that was removed from the configuration are listed, without a warning."""
    payment = cli.create()
    text = Path("paycore.toml").read_text(encoding="utf-8").replace("accounts.shop", "accounts.other")
    Path("paycore.toml").write_text(text, encoding="utf-8")
    assert cli("list", "--account", "shop", "--json").json["id"] == payment["id"]
    assert "warning" not in cli("list", "--account", "shop", "--status", "paid").err
