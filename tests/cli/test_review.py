"""`review`: what needs a person, and what that person records."""

import getpass
import json
import time
from typing import Any

import pytest

from tests.cli.conftest import Cli, ToyShop, toy_order

WINDOW_S = 0.2
NOTE = ("--note", "their support says so", "--by", "kim")


def charged_back(cli: Cli, shop: ToyShop, reference: str = "order-1", minor: int = 5000) -> Any:
    """A payment of which the payer's bank took a part back."""
    payment = cli(*toy_order("card", reference), "--json").json
    shop.gateway.charge_back(payment["order_number"], minor)
    ran = cli("query", payment["id"], "--json")
    assert (ran.code, ran.json["review_reasons"], ran.json["charged_back_minor"]) == (
        9,
        ["charged_back"],
        minor,
    ), ran
    return ran.json


def unresolvable(cli: Cli, shop: ToyShop) -> Any:
    """A payment whose reply is lost, and whose number the provider has forgotten."""
    shop.configure(lookup="by_provider_id", create_resend="same_result", window_s=WINDOW_S)
    shop.server.set_faults(lose_reply=1)
    lost = cli(*toy_order("web"), "--json")
    assert (lost.code, lost.json["status"]) == (5, "unknown"), lost
    time.sleep(WINDOW_S)
    ran = cli("query", lost.json["id"], "--json")
    assert (ran.code, ran.json["review_reasons"]) == (9, ["unresolvable"]), ran
    return ran.json


def lost_refund(cli: Cli, shop: ToyShop) -> Any:
    """A paid payment with a refund whose reply is lost, and which no query finds."""
    shop.configure(lookup="by_provider_id")
    payment = cli(*toy_order("card"), "--json").json
    shop.server.set_faults(lose_reply=1, path="/refunds")
    assert cli("refund", payment["id"], "--reference", "back-1", "--amount", "8.00").code == 5
    ran = cli("query", payment["id"], "--json")
    assert (ran.code, ran.json["review_reasons"]) == (9, ["unresolvable"]), ran
    return ran.json


def test_review_list_names_the_reasons(cli: Cli, toy_shop: ToyShop) -> None:
    """Only payments that need review, with the reasons of each; as JSON they are payments as everywhere."""
    ids = [charged_back(cli, toy_shop, reference)["id"] for reference in ("a", "b")]
    cli(*toy_order("card", "c"))
    listed = cli("review", "list")
    assert (listed.code, len(listed.out.splitlines())) == (0, 3), listed
    assert listed.out.splitlines()[0].endswith("REASONS")
    assert all(line.endswith("  charged back") for line in listed.out.splitlines()[1:])
    rows = [json.loads(line) for line in cli("review", "list", "--json").out.splitlines()]
    assert [row["id"] for row in rows] == [*reversed(ids)]
    page = cli("review", "list", "--limit", 1)
    assert f"--after {ids[1]}" in page.err
    assert cli("review", "list", "--after", ids[1], "--json").json["id"] == ids[0]


def test_review_acknowledged_until_a_new_fact(cli: Cli, toy_shop: ToyShop) -> None:
    """An acknowledged reason is gone with its note in the timeline; a further charge back raises it again."""
    payment = charged_back(cli, toy_shop)
    words = ("review", "acknowledge", payment["id"], "--reason", "charged back", *NOTE)
    ran = cli(*words, "--json")
    assert (ran.code, ran.json["review"]) == (0, False), ran
    assert "kim acknowledged charged back (their support says so)" in cli("show", payment["id"]).out
    assert cli("query", payment["id"]).code == 0
    again = cli(*words)
    assert (again.code, "nothing to acknowledge" in again.err) == (0, True), again
    toy_shop.gateway.charge_back(payment["order_number"], 8800)
    assert cli("query", payment["id"]).code == 9


def test_review_acknowledge_by_the_user_of_the_shell(
    cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --by it is recorded of the user; where nobody knows them, --by is needed."""
    payment = charged_back(cli, toy_shop)
    words = ("review", "acknowledge", "--reference", "order-1", "--reason", "charged_back", "--note", "seen")

    def nobody() -> str:
        raise KeyError("uid not found")

    with monkeypatch.context() as patch:
        patch.setattr(getpass, "getuser", nobody)
        refused = cli(*words)
        assert (refused.code, "--by" in refused.err) == (2, True), refused
    monkeypatch.setenv("LOGNAME", "robin")
    ran = cli(*words)
    assert (ran.code, ran.err) == (0, ""), ran
    assert "robin acknowledged charged back (seen)" in cli("show", payment["id"]).out


def test_review_with_another_reason_left_9(cli: Cli, toy_shop: ToyShop) -> None:
    """A payment that is acknowledged for one reason still needs review for the other, until that is resolved."""
    payment = lost_refund(cli, toy_shop)
    toy_shop.gateway.charge_back(payment["order_number"], 5000)
    asked = cli("query", payment["id"], "--json")
    assert (asked.code, asked.json["review_reasons"]) == (9, ["charged_back", "unresolvable"]), asked
    ran = cli("review", "acknowledge", payment["id"], "--reason", "charged_back", *NOTE, "--json")
    assert (ran.code, ran.json["review_reasons"]) == (9, ["unresolvable"]), ran
    resolved = cli("review", "record", payment["id"], "--refunded", "--refund", "back-1", *NOTE)
    assert resolved.code == 0, resolved


def test_review_record_paid(cli: Cli, toy_shop: ToyShop) -> None:
    """What the portal says of a lost order resolves it: paid, with the finding in the timeline."""
    payment = unresolvable(cli, toy_shop)
    acknowledged = cli("review", "acknowledge", payment["id"], "--reason", "unresolvable", *NOTE)
    assert (acknowledged.code, "record that as a finding" in acknowledged.err) == (2, True), acknowledged
    record = f"`paycore review record {payment['id']} --paid --provider-id ID --note TEXT`"
    assert f"record what the provider's portal says: {record}" in cli("show", payment["id"]).out
    ran = cli("review", "record", payment["id"], "--paid", "--provider-id", "X1", *NOTE, "--json")
    assert (ran.code, ran.json["status"], ran.json["provider_id"]) == (0, "paid", "X1"), ran
    assert (ran.json["review"], ran.json["uncertain"]) == (False, False)
    shown = " ".join(cli("show", payment["id"]).out.split())
    assert "kim found at the provider: paid, 88.00 HKD, its id X1 (their support says so)" in shown
    assert len(toy_shop.gateway.orders) == 1


def test_review_record_absent(cli: Cli, toy_shop: ToyShop) -> None:
    """An order that never arrived is failed; running it again finds nothing that is unresolved."""
    payment = unresolvable(cli, toy_shop)
    words = ("review", "record", payment["id"], "--absent", *NOTE)
    both = cli(*words, "--paid", "--provider-id", "X1")
    assert (both.code, "by one of --paid, --closed" in both.err) == (2, True), both
    ran = cli(*words, "--json")
    assert (ran.code, ran.json["status"], ran.json["failure"]["code"]) == (0, "failed", "recorded_absent"), (
        ran
    )
    again = cli(*words)
    assert (again.code, "nothing of it is unresolved" in again.err) == (2, True), again


def test_review_record_refunded(cli: Cli, toy_shop: ToyShop) -> None:
    """A refund that no query finds is recorded by its reference; one that is unknown is refused."""
    payment = lost_refund(cli, toy_shop)
    unknown = cli("review", "record", payment["id"], "--refunded", "--refund", "back-2", *NOTE)
    assert (unknown.code, "'back-2'" in unknown.err) == (2, True), unknown
    ran = cli("review", "record", payment["id"], "--refunded", "--refund", "back-1", *NOTE, "--json")
    (refund,) = ran.json["refunds"]
    assert (ran.code, refund["status"], ran.json["refunded_minor"]) == (0, "succeeded", 800), ran


@pytest.mark.parametrize(
    "words",
    [
        "review acknowledge ID --reason charged_back",
        "review acknowledge ID --reason bored --note n --by kim",
        "review acknowledge ID --note n --by kim",
        "review acknowledge --reason charged_back --note n --by kim",
        "review record ID --note n --by kim",
        "review record ID --paid --absent --note n --by kim",
        "review record ID --paid --closed --provider-id X --note n --by kim",
        "review record ID --paid --note n --by kim",
        "review record ID --refunded --note n --by kim",
        "review record ID --paid --provider-id X --refund back-1 --note n --by kim",
        "review record ID --closed --by kim",
        "review record nobody --closed --note n --by kim",
        "review list --limit -1",
        "review",
    ],
)
def test_review_usage_2_with_one_line(cli: Cli, toy_shop: ToyShop, words: str) -> None:
    """What lacks a finding, a note or a reason is refused in one line, and nothing is recorded."""
    payment = charged_back(cli, toy_shop)
    ran = cli(*words.replace("ID", payment["id"]).split())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
    assert cli("show", payment["id"], "--json").json["updated_at"] == payment["updated_at"]
