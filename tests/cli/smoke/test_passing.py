"""`smoke` at gateways where nothing goes wrong."""

import json
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Cli, Ran
from tests.cli.smoke.shops import CREATING, Shops

STEPS = ["choose", "create", "query", "pay", "await", "capture", "refund", "refund rest", "close", "clean up"]

LEFT_OUT = {
    "qfpay": ["capture"],
    "stripe": [],
    "paypal": [],
    "bank": ["capture", "refund", "refund rest", "close", "clean up"],
}
"""The steps that the product of each account has not."""


def verdicts(ran: Ran, account: str) -> dict[str, str]:
    """The verdict of each step of an account, of a run with `--json`."""
    documents = [json.loads(line) for line in ran.out.splitlines()]
    assert documents[-1]["type"] == "summary"
    return {one["step"]: one["verdict"] for one in documents if one.get("account") == account}


def expected(account: str) -> dict[str, str]:
    """The verdicts of a run in which nothing goes wrong."""
    return {step: "not applicable" if step in LEFT_OUT[account] else "passed" for step in STEPS}


def test_smoke_pays_refunds_in_two_parts_and_closes_another(cli: Cli, shops: Shops) -> None:
    """The table of all steps on stdout, a plain line a step on stderr, exit code 0, and nothing payable is left."""
    shops.configure("qfpay")
    ran = cli("smoke", "--junit", "smoke.xml")
    assert ran.code == 0, ran
    account, header, *rows = ran.out.splitlines()
    assert account.startswith("qfpay")
    assert header.split() == ["STEP", "VERDICT", "SECONDS", "WHAT"]
    found = {row[:11].strip(): row[13:27].strip() for row in rows}
    assert found == expected("qfpay")
    *lines, summary = ran.err.splitlines()
    assert [line.split(":")[1].split(" passed")[0].split(" not")[0].strip() for line in lines] == STEPS
    assert summary.startswith("9 passed, 0 failed, 1 not applicable")
    paid, closed = shops.orders("qfpay")[-2:]
    assert (paid["charges"], paid["paid_minor"], paid["refunded_minor"]) == (1, 200, 200)
    assert [refund["txamt"] for refund in paid["refunds"]] == [100, 100]
    assert (closed["charges"], closed["state"]) == (0, "closed")
    assert shops.payable("qfpay") == []
    suite = ET.parse("smoke.xml").getroot()
    cases = {case.get("name"): case.get("classname") for case in suite}
    assert cases == dict.fromkeys(STEPS, "smoke.qfpay")
    assert suite.get("skipped") == "1"


def test_every_provider_at_once_passes(cli: Cli, shops: Shops) -> None:
    """Three providers at once, in processes of their own with one ledger; what one has not is said to be so."""
    accounts = ("stripe", "paypal", "bank")
    shops.configure(*accounts)
    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(lambda one: cli.installed("smoke", "--account", one, "--json"), accounts))
    for account, one in zip(accounts, ran, strict=True):
        assert one.code == 0, one
        assert verdicts(one, account) == expected(account)
    for account in ("stripe", "paypal"):
        *_, paid = (order for order in shops.orders(account) if order["charges"])
        assert paid["paid_minor"] == paid["refunded_minor"] > 0
    assert shops.payable("stripe") == []
    listed = cli("list", "--reference-prefix", "smoke-", "--json").out
    assert "pending" not in [json.loads(line)["status"] for line in listed.splitlines()]


def test_no_pay_stops_at_pending_and_closes(cli: Cli, shops: Shops) -> None:
    """With `--no-pay` the one payment is closed; for every account with `--all`, and the bank's is said to stay."""
    shops.configure("qfpay", "stripe", "paypal", "bank")
    before = {account: len(shops.orders(account)) for account in CREATING}
    ran = cli("smoke", "--all", "--no-pay", "--json")
    assert ran.code == 0, ran
    for account in CREATING:
        found = verdicts(ran, account)
        assert (found["create"], found["pay"], found["close"]) == ("passed", "not applicable", "passed")
        assert len(shops.orders(account)) == before[account] + 1
        assert not shops.orders(account)[-1]["charges"]
    left = next(
        line
        for line in map(json.loads, ran.out.splitlines())
        if line.get("account") == "bank" and line["step"] == "clean up"
    )
    assert left["verdict"] == "not applicable"
    assert left["what"].endswith("can't be closed: this product has no closing; it does not expire")


def test_runs_have_references_of_their_own(cli: Cli, shops: Shops) -> None:
    """A second run is a new one: no reference of it is one of the first."""
    shops.configure("qfpay")
    for _ in range(2):
        assert cli("smoke", "--no-pay").code == 0
    listed = [json.loads(line) for line in cli("list", "--json").out.splitlines()]
    references = [payment["reference"] for payment in listed]
    assert len(set(references)) == 2
    assert all(reference.startswith("smoke-") for reference in references)


@pytest.mark.proof
@pytest.mark.parametrize("account", list(LEFT_OUT))
def test_twenty_in_a_row_and_four_at_once_pass(cli: Cli, shops: Shops, account: str) -> None:
    """Twenty runs in a row and four at once pass, with one ledger, against each provider."""
    shops.configure(account)
    run = ("smoke", "--account", account, "--json")
    for _ in range(20):
        ran = cli(*run)
        assert (ran.code, verdicts(ran, account)) == (0, expected(account)), ran
    with ThreadPoolExecutor() as pool:
        at_once = list(pool.map(lambda _: cli.installed(*run), range(4)))
    assert [(one.code, verdicts(one, account)) for one in at_once] == [(0, expected(account))] * 4
    if account in CREATING and account != "paypal":  # where a payer may still agree to what nobody captures
        assert shops.payable(account) == []


@pytest.mark.proof
def test_four_at_once_pass_on_postgresql(cli: Cli, shops: Shops, postgres_dsn: str) -> None:
    """One ledger in PostgreSQL, four providers at once."""
    shops.configure(*LEFT_OUT, ledger=postgres_dsn)
    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(lambda one: cli.installed("smoke", "--account", one, "--json"), LEFT_OUT))
    for account, one in zip(LEFT_OUT, ran, strict=True):
        assert (one.code, verdicts(one, account)) == (0, expected(account)), one
