"""A payment is named by its id or by its reference, wherever a command takes ID."""

import json
from pathlib import Path

import pytest

from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, ToyShop, toy_order

COMMANDS = [
    "show order-1",
    "await order-1 --timeout 0",
    "returned order-1 --param token=t-1",
    "sandbox pay order-1",
    "query order-1",
    "refund order-1 --reference back-1 --amount 8.00",
]


def test_every_command_takes_a_reference_for_id(cli: Cli, shop: SandboxServer) -> None:
    """Each of these finds the payment by its reference, and prints it."""
    payment = cli.create()
    for words in COMMANDS:
        ran = cli(*words.split(), "--json")
        assert ran.code == (4 if "await" in words else 0), (words, ran)
        assert payment["order_number"] in ran.out, words
    assert cli("query", "order-1", "--json").json["refunded_minor"] == 800
    assert cli("close", "order-1").code == 3
    ran = cli("review", "acknowledge", "order-1", "--reason", "paid twice", "--note", "seen")
    assert (ran.code, "nothing to acknowledge" in ran.err) == (0, True), ran
    ran = cli("review", "record", "order-1", "--closed", "--note", "seen", "--json")
    assert (ran.error["kind"], ran.error["payment_id"]) == ("WrongState", payment["id"]), ran
    assert cli("ledger", "verify", "order-1").out == "everything holds: 1 payment, 6 events\n"


def test_capture_takes_a_reference(cli: Cli, toy_shop: ToyShop) -> None:
    """An authorized payment is captured by its reference."""
    toy_shop.configure(captures="partial")
    cli(*toy_order("tab"), "--capture", "manual")
    assert cli("capture", "order-1", "--json").json["status"] == "paid"


@pytest.mark.parametrize("words", ["show", "query", "ledger verify"])
def test_neither_id_nor_reference_2(cli: Cli, shop: SandboxServer, words: str) -> None:
    """A name of no payment is said to be neither, also with --account."""
    cli.create("Bestellung-\N{SNOWMAN}")
    assert cli(*words.split(), "Bestellung-\N{SNOWMAN}").code == 0
    for name, account in (("order-2", ()), ("Bestellung-\N{SNOWMAN}", ("--account", "till"))):
        ran = cli(*words.split(), name, *account)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
        assert ran.err.startswith("error: no payment has the id")
        assert ("account till" in ran.err) == bool(account)


@pytest.mark.parametrize("words", ["show", "query", "close", "ledger verify", "sandbox pay"])
def test_id_of_one_and_reference_of_another_2(cli: Cli, shop: SandboxServer, words: str) -> None:
    """A name that fits two payments is refused; the error names both with their accounts, and how to say which."""
    one = cli.create()
    other = cli.create(one["id"])
    asked = shop.gateway.controls.stats()["requests"]
    ran = cli(*words.split(), one["id"])
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
    for word in (one["id"], "account shop", "--reference order-1", other["id"]):
        assert word in ran.err
    assert shop.gateway.controls.stats()["requests"] == asked
    assert cli("show", "order-1", "--json").json["id"] == one["id"]
    assert cli("show", "--reference", one["id"], "--json").json["id"] == other["id"]
    assert cli("show", other["id"], "--json").json["id"] == other["id"]


@pytest.mark.parametrize("words", ["show", "query", "ledger verify"])
def test_reference_in_two_namespaces_names_the_accounts(cli: Cli, shop: SandboxServer, words: str) -> None:
    """Where the reference names several payments, the error lists their accounts and `--account` picks one."""
    text = Path("paycore.toml").read_text(encoding="utf-8")
    second = text[text.index("[accounts.shop]") :].replace("accounts.shop", "accounts.till")
    Path("paycore.toml").write_text(
        f'default_account = "shop"\n{text}{second}namespace = "till"\n', encoding="utf-8"
    )
    cli.create("same"), cli.create("same", "--account", "till")
    ran = cli(*words.split(), "same")
    assert (ran.code, "each of shop, till; name the account with --account" in ran.err) == (2, True), ran
    assert cli(*words.split(), "same", "--account", "till").code == 0


def test_list_goes_on_after_a_reference(cli: Cli, shop: SandboxServer) -> None:
    """`list --after` takes the last payment's reference as well; one of no payment is refused."""
    ids = [cli.create(reference)["id"] for reference in ("order-1", "order-2", "order-3")]
    for name in ("order-2", ids[1]):
        listed = cli("list", "--after", name, "--json")
        assert [json.loads(line)["id"] for line in listed.out.splitlines()] == ids[:1]
    assert (
        cli("list", "--after", "order-4").err == "error: no payment has the id or the reference 'order-4'\n"
    )
