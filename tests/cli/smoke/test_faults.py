"""`smoke` where something goes wrong at the provider: what it recovers, how it ends, and what it leaves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from paycore.engine.plugins import Plugins
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, Ran, ToyShop, write_config
from tests.cli.smoke.shops import CREATING, Shops, name_of


def steps(ran: Ran) -> Mapping[str, Any]:
    """The steps of a run with `--json`, by name."""
    documents = [json.loads(line) for line in ran.out.splitlines()]
    return {one["step"]: one for one in documents if one["type"] == "step"}


def failed(ran: Ran) -> list[str]:
    """The steps that failed; each says what to do."""
    found = [one for one in steps(ran).values() if one["verdict"] == "failed"]
    assert all(one["advice"] for one in found), ran
    return [one["step"] for one in found]


@pytest.mark.parametrize("account", list(CREATING))
def test_lost_reply_is_recovered_and_said(cli: Cli, shops: Shops, account: str) -> None:
    """The reply to the order is lost: the run passes, and the step says that it took a query."""
    shops.configure(account, timeout_s=2)
    shops[account].gateway.faults.add("lose_reply", path=CREATING[account])
    ran = cli("smoke", "--no-pay", "--json")
    assert ran.code == 0, ran
    assert "no definite answer came at first, resolved by 1 query" in steps(ran)["create"]["what"]


@pytest.mark.parametrize("fault", ["lose_reply", "truncated_json"])
def test_query_without_an_answer_is_asked_again(cli: Cli, shops: Shops, fault: str) -> None:
    """A query moves no money: one that gets no answer is sent again, and the step says so."""
    shops.configure("qfpay", timeout_s=2)
    shops["qfpay"].gateway.faults.add(fault, path="/trade/v1/query")
    ran = cli("smoke", "--no-pay", "--json")
    assert ran.code == 0, ran
    assert "no answer came at first, so it was sent again once" in steps(ran)["query"]["what"]


@pytest.mark.parametrize(
    ("account", "fault", "is_closed"),
    [("qfpay", "wrong_amount", True), ("stripe", "wrong_amount", False), ("paypal", "other_amount", False)],
)
def test_wrong_amount_needs_review(
    cli: Cli, shops: Shops, account: str, fault: str, *, is_closed: bool
) -> None:
    """Exit code 9, whatever else fails; `show` is named. What can't be closed is said with its id and its expiry."""
    shops.configure(account)
    shops[account].gateway.faults.add(fault)
    ran = cli("smoke", "--json")
    assert ran.code == 9, ran
    create, clean_up = steps(ran)["create"], steps(ran)["clean up"]
    assert "needs review: amount differs" in create["what"]
    assert f"`paycore show {create['payment_id']}`" in create["advice"]
    assert steps(ran)["close"]["verdict"] == "not run"
    if is_closed:
        assert clean_up["what"] == f"closed payment {create['payment_id']}"
    else:
        assert f"payment {create['payment_id']} may still be paid; it expires at " in clean_up["what"]
        assert "provider's portal" in clean_up["advice"]
        assert name_of(shops.orders(account)[-1]) in shops.payable(account)


def test_refused_refund_fails_the_run_and_the_money_goes_back(cli: Cli, shops: Shops) -> None:
    """Exit code 3; another payment is closed all the same, and cleaning up gives back what was paid."""
    shops.configure("stripe")
    shops["stripe"].gateway.faults.add("refuse", path="/v1/refunds")
    ran = cli("smoke", "--json")
    assert (ran.code, failed(ran)) == (3, ["refund"]), ran
    found = steps(ran)
    assert "something_new" in found["refund"]["what"]
    assert "-refund-1 failed: " in found["refund"]["what"]
    assert (found["refund rest"]["verdict"], found["close"]["verdict"]) == ("not run", "passed")
    assert found["clean up"]["what"] == f"gave back 4.00 HKD of payment {found['create']['payment_id']}"
    paid = next(order for order in reversed(shops.orders("stripe")) if order["charges"])
    assert paid["paid_minor"] == paid["refunded_minor"] == 400


@pytest.mark.parametrize(
    ("fault", "code"), [pytest.param("lose_reply", 5, marks=pytest.mark.proof), ("refuse", 3)]
)
def test_what_stays_paid_is_said_to(
    cli: Cli, shops: Shops, monkeypatch: pytest.MonkeyPatch, fault: str, code: int
) -> None:
    """The money does not go back, or nobody knows: the last line says that it is paid, not that it may be paid."""
    monkeypatch.setattr("paycore.cli.smoke.leftovers.MARGIN_S", 0.1)
    shops.configure("stripe", timeout_s=0.4)
    shops["stripe"].gateway.faults.add(fault, path="/v1/refunds", times=100)
    ran = cli("smoke", "--step-timeout", "3s", "--json")
    assert (ran.code, failed(ran)) == (code, ["refund", "clean up"]), ran
    clean_up, payment_id = steps(ran)["clean up"], steps(ran)["create"]["payment_id"]
    assert f"payment {payment_id} is paid, and " in clean_up["what"]
    assert "be paid" not in clean_up["what"]
    assert "paycore close" not in clean_up["advice"]


@pytest.mark.proof
def test_refund_that_is_put_off_for_long_is_7(cli: Cli, shops: Shops) -> None:
    """QFPay pays refunds out of the day's takings: nothing moved, and who goes on with it is said."""
    shops.configure("qfpay")
    shops["qfpay"].gateway.faults.add("balance_empty")
    ran = cli("smoke", "--json")
    assert (ran.code, failed(ran)) == (7, ["refund", "clean up"]), ran
    assert "`paycore worker` goes on with a refund" in steps(ran)["refund"]["advice"]
    clean_up, payment_id = steps(ran)["clean up"], steps(ran)["create"]["payment_id"]
    assert clean_up["what"].startswith(f"payment {payment_id} is paid, and 1.00 HKD of it did not go back: ")
    assert clean_up["advice"].endswith("-refund-1`")


def test_both_payments_that_are_left_are_named(
    cli: Cli, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none of a run's payments can be closed, the last line has each with its expiry and its commands."""
    monkeypatch.setattr("paycore.cli.smoke.leftovers.PAUSES_S", ())
    monkeypatch.setattr("paycore.cli.smoke.settling.CLOSING_S", 0.1)
    shops.configure("qfpay", mode="test")
    shops["qfpay"].gateway.faults.add("respcd", path="/trade/v1/close", times=100)
    ran = cli("smoke", "--pay-timeout", "1s", "--json")
    assert (ran.code, failed(ran)) == (4, ["await", "close", "clean up"]), ran
    for step in ("create", "close"):
        payment_id = steps(ran)[step]["payment_id"]
        assert f"payment {payment_id} may still be paid; it expires at 20" in steps(ran)["clean up"]["what"]
        assert f"`paycore close {payment_id}`" in steps(ran)["clean up"]["advice"]
    assert len(shops.payable("qfpay")) == 2


def test_refund_that_takes_its_time_passes_and_says_so(
    cli: Cli, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider accepted both refunds, and makes them in an hour: exit code 0, and both are said to be pending."""
    monkeypatch.setattr("paycore.cli.smoke.settling.REFUNDING_S", 0.1)
    shops.configure("qfpay")
    shops["qfpay"].gateway.faults.add("pending_refund", seconds=3600, times=2)
    ran = cli("smoke", "--json")
    assert ran.code == 0, ran
    for step in ("refund", "refund rest"):
        assert steps(ran)[step]["what"].startswith(
            "1.00 HKD is to go back: the provider accepted it, and it is pending"
        )
    assert steps(ran)["clean up"]["what"] == "nothing was left to close"


def test_closing_that_fails_once_is_made_up_for(
    cli: Cli, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4: the payment was still pending. Cleaning up closes it."""
    monkeypatch.setattr("paycore.cli.smoke.settling.CLOSING_S", 0.1)
    shops.configure("qfpay")
    shops["qfpay"].gateway.faults.add("respcd", path="/trade/v1/close")
    ran = cli("smoke", "--no-pay", "--json")
    assert (ran.code, failed(ran)) == (4, ["close"]), ran
    assert steps(ran)["clean up"]["what"] == f"closed payment {steps(ran)['create']['payment_id']}"
    assert shops.payable("qfpay") == []


def test_closing_that_fails_for_good_names_what_is_left(
    cli: Cli, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4, and the last line has the payment's id, when it expires, and what to type."""
    monkeypatch.setattr("paycore.cli.smoke.leftovers.PAUSES_S", (0.1,))
    monkeypatch.setattr("paycore.cli.smoke.settling.CLOSING_S", 0.1)
    shops.configure("qfpay")
    shops["qfpay"].gateway.faults.add("respcd", path="/trade/v1/close", times=100)
    ran = cli("smoke", "--no-pay", "--json")
    assert (ran.code, failed(ran)) == (4, ["close", "clean up"]), ran
    payment_id = steps(ran)["create"]["payment_id"]
    assert f"payment {payment_id} may still be paid; it expires at 20" in steps(ran)["clean up"]["what"]
    assert f"`paycore close {payment_id}`" in steps(ran)["clean up"]["advice"]
    shops.clear_faults()
    assert cli("close", payment_id).code == 0
    assert shops.payable("qfpay") == []


@pytest.mark.proof
def test_capture_that_is_not_decided_names_what_follows(cli: Cli, shops: Shops) -> None:
    """Exit code 4; nothing can be closed while the money may be taken, and the refund to make then is spelt out."""
    shops.configure("paypal")
    shops["paypal"].gateway.faults.add("pending_capture")
    ran = cli("smoke", "--step-timeout", "2.5s", "--json")
    assert (ran.code, failed(ran)) == (4, ["capture", "clean up"]), ran
    payment_id = steps(ran)["create"]["payment_id"]
    assert steps(ran)["close"]["verdict"] == "passed"
    assert f"`paycore refund {payment_id} --reference smoke-" in steps(ran)["clean up"]["advice"]


def test_outcome_that_stays_unknown_is_5(cli: Cli, shops: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reply to any request about an order: 5, and the payment is named with when it expires and what to type."""
    monkeypatch.setattr("paycore.cli.smoke.leftovers.MARGIN_S", 0.5)
    shops.configure("qfpay", timeout_s=0.5)
    shops["qfpay"].gateway.faults.add("lose_reply", times=100)
    ran = cli("smoke", "--step-timeout", "1s", "--json")
    assert (ran.code, failed(ran)) == (5, ["create", "clean up"]), ran
    payment_id = steps(ran)["create"]["payment_id"]
    assert f"whether payment {payment_id} can be paid; it expires at 20" in steps(ran)["clean up"]["what"]
    assert f"`paycore close {payment_id}`" in steps(ran)["clean up"]["advice"]
    shops.clear_faults()
    cli("query", payment_id)
    assert cli("close", payment_id).code == 0


def test_payer_of_the_sandbox_may_be_faster(cli: Cli) -> None:
    """Where the sandbox pays by itself, that is what is awaited; what it pays before the closing goes back, code 3."""
    with SandboxServer(Plugins().sandboxes()["qfpay-alipay"], auto_pay_s=0) as server:
        write_config(server.url)
        ran = cli("smoke", "--json")
        assert (ran.code, failed(ran)) == (3, ["close"]), ran
        found = steps(ran)
        assert found["pay"]["what"] == "the sandbox's own payer had paid already"
        assert "--auto-pay reference:smoke-=off" in found["close"]["advice"]
        assert found["clean up"]["what"] == f"gave back 2.00 HKD of payment {found['close']['payment_id']}"
        orders = [
            server.gateway.controls.show_order(name_of(one)) for one in server.gateway.controls.list_orders(9)
        ]
        assert [(one["paid_minor"], one["refunded_minor"]) for one in orders] == [(200, 200)] * 2
        assert all(one["goods_name"].startswith("smoke-") for one in orders)


def test_refused_key_is_configuration(cli: Cli, shops: Shops) -> None:
    """A key the provider refuses: exit code 6, nothing else is run, and nothing is left to close."""
    shops.configure("qfpay", client_key="0" * 32)
    ran = cli("smoke", "--json")
    assert (ran.code, failed(ran)) == (6, ["create"]), ran
    assert steps(ran)["clean up"]["what"] == "nothing was left to close"


def test_dead_host_is_not_reached(cli: Cli, shops: Shops) -> None:
    """Nobody listens at the host: exit code 7, and the advice names the base URL and the network."""
    shops.configure("qfpay", base_url="http://127.0.0.1:9")
    ran = cli("smoke", "--json")
    assert (ran.code, failed(ran)) == (7, ["create"]), ran
    assert "base_url" in steps(ran)["create"]["advice"]


def test_host_without_a_control_says_so(cli: Cli, toy_shop: ToyShop) -> None:
    """A gateway that is no sandbox of paycore's has no payer to be asked: exit code 7, and the payment is closed."""
    ran = cli("smoke", "--method", "toy", "--channel", "web", "--json")
    assert (ran.code, failed(ran)) == (7, ["pay"]), ran
    assert f"the sandbox at {toy_shop.server.url} gave no answer" in steps(ran)["pay"]["what"]
    assert "--no-pay" in steps(ran)["pay"]["advice"]
    assert steps(ran)["clean up"]["what"].startswith("closed payment ")


def test_account_that_cannot_be_used_is_a_failed_step(cli: Cli, shops: Shops) -> None:
    """With `--all` the other accounts are tried all the same; exit code 6."""
    shops.configure("qfpay", "stripe")
    config = Path("paycore.toml")
    config.write_text(config.read_text().replace('region = "hk"', 'region = "moon"'))
    ran = cli("smoke", "--all", "--no-pay", "--json")
    assert ran.code == 6, ran
    documents = [json.loads(line) for line in ran.out.splitlines()]
    assert documents[0]["account"] == "qfpay"
    assert "region" in documents[0]["what"]
    assert "stripe" in [one.get("account") for one in documents]
