"""`capture`, `create --capture manual`, `returned`, and what was put off, at a gateway that captures."""

import re

from tests.cli.conftest import Cli, ToyShop, toy_order

MANUAL = ("--capture", "manual", "--json")


def test_capture_manual_then_paid_0(cli: Cli, toy_shop: ToyShop) -> None:
    """`await` ends with 0 once the payer agreed; `capture` takes the money once, however often it is run."""
    toy_shop.configure(captures="partial")
    payment = cli(*toy_order(), *MANUAL).json
    assert (payment["capture"], payment["status"]) == ("manual", "pending")
    toy_shop.gateway.pay(payment["order_number"])
    awaited = cli("await", payment["id"], "--timeout", 10, "--json")
    assert (awaited.code, awaited.json["status"], awaited.json["authorized_minor"]) == (0, "authorized", 8800)
    told = cli("await", payment["id"]).err
    assert f"`paycore capture {payment['id']}` takes the money, `paycore close {payment['id']}` lets" in told
    captured = cli("capture", payment["id"], "--amount", "20.00", "--json")
    assert (captured.code, captured.json["status"], captured.json["paid_minor"]) == (0, "paid", 2000), (
        captured
    )
    assert cli("capture", "--reference", "order-1").code == 0
    other = cli("capture", payment["id"], "--amount", "30.00")
    assert (other.code, "amount differs" in other.err) == (8, True), other
    assert toy_shop.server.counts().captures == {payment["order_number"]: 1}
    shown = cli("show", payment["id"]).out
    assert "paid: 20.00 of 88.00 HKD at " in shown
    assert "recorded the capture of 20.00 HKD as number" in " ".join(shown.split())


def test_capture_automatic_by_whoever_asks(cli: Cli, toy_shop: ToyShop) -> None:
    """Without --capture manual the query that sees the payer's agreement takes the money."""
    toy_shop.configure(captures="full")
    payment = cli(*toy_order(), "--json").json
    toy_shop.gateway.pay(payment["order_number"])
    ran = cli("query", payment["id"], "--json")
    assert (ran.code, ran.json["status"], ran.json["paid_minor"]) == (0, "paid", 8800), ran


def test_capture_before_the_payer_agreed_2(cli: Cli, toy_shop: ToyShop) -> None:
    """A payment that is not authorized can't be captured; the error names the query that may show more."""
    toy_shop.configure(captures="partial")
    payment = cli(*toy_order(), *MANUAL).json
    ran = cli("capture", payment["id"])
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran
    assert f"`paycore query {payment['id']}` asks whether the payer has agreed by now" in ran.err
    assert toy_shop.server.counts().captures == {}


def test_capture_too_much_or_without_a_capture_2(cli: Cli, toy_shop: ToyShop) -> None:
    """More than is authorized, an unknown way to capture, and a product without captures are refused."""
    toy_shop.configure(captures="partial")
    payment = cli(*toy_order("tab"), *MANUAL).json
    assert payment["status"] == "authorized"
    assert cli("capture", payment["id"], "--amount", "88.01").code == 2
    assert cli("capture", payment["id"], "--amount", "0.00").code == 2
    assert cli(*toy_order("web", "order-2"), "--capture", "manual").code == 2
    later = cli(*toy_order("tab", "order-3"), "--capture", "later")
    assert (later.code, "automatic, manual" in later.err) == (2, True), later


def test_capture_without_an_answer_5_then_query(cli: Cli, toy_shop: ToyShop) -> None:
    """A lost reply leaves the capture unknown; the query finds it, and nothing is taken twice."""
    toy_shop.configure(captures="partial")
    payment = cli(*toy_order("tab"), *MANUAL).json
    toy_shop.server.set_faults(lose_reply=1, path="/captures")
    lost = cli("capture", payment["id"], "--json")
    assert lost.code == 5, lost
    assert cli("query", payment["id"], "--json").json["paid_minor"] == 8800
    assert toy_shop.server.counts().captures == {payment["order_number"]: 1}


def test_capture_put_off_7_says_when(cli: Cli, toy_shop: ToyShop) -> None:
    """A provider that is busy: nothing moved, and the error says in how many seconds to run it again."""
    toy_shop.configure(captures="partial")
    payment = cli(*toy_order("tab"), *MANUAL).json
    toy_shop.server.set_faults(not_now=1, retry_after_s=40)
    ran = cli("capture", payment["id"], "--json")
    assert (ran.code, ran.error["kind"], ran.error["money_moved"]) == (7, "NotSent", "no"), ran
    assert 39 <= ran.error["retry_after_s"] <= 40
    assert ran.json["status"] == "authorized"
    again = cli("capture", payment["id"])
    assert (again.code, again.err.count("\n")) == (7, 1), again
    told = r"call again in (39|40) s; nothing moved for payment \w+: run the same command again then\n"
    assert re.search(told, again.err)
    assert re.search(r"sends the capture from \d{4}-.* UTC on: ", again.out)
    assert toy_shop.server.counts().captures == {}


def test_create_put_off_7_says_when(cli: Cli, toy_shop: ToyShop) -> None:
    """An order that was put off is `created`, and `show` says until when."""
    toy_shop.server.set_faults(not_now=1, retry_after_s=40)
    ran = cli(*toy_order("web"), "--json")
    assert (ran.code, ran.json["status"]) == (7, "created"), ran
    assert 39 <= ran.error["retry_after_s"] <= 40
    shown = cli("show", ran.json["id"]).out
    assert "the order waits until" in " ".join(shown.split())
    assert cli("await", ran.json["id"]).code == 7


def test_close_of_an_authorized_payment_voids_it(cli: Cli, toy_shop: ToyShop) -> None:
    """`close` lets go what is authorized; it can't be captured any more."""
    toy_shop.configure(captures="partial")
    payment = cli(*toy_order("tab"), *MANUAL).json
    closed = cli("close", payment["id"], "--json")
    assert (closed.code, closed.json["status"], closed.json["authorized_minor"]) == (0, "closed", 0), closed
    assert cli("capture", payment["id"]).code == 2


def test_returned_is_kept_and_asks_at_once(cli: Cli, toy_shop: ToyShop) -> None:
    """What the payer came back with is recorded; the provider's answer is what counts."""
    payment = cli(*toy_order("web"), "--json").json
    toy_shop.gateway.pay(payment["order_number"])
    ran = cli("returned", payment["id"], "--param", "token=t-1", "--param", "sessionResult=a=b", "--json")
    assert (ran.code, ran.json["status"]) == (0, "paid"), ran
    assert ran.json["returned"] == {"sessionResult": "a=b", "token": "t-1"}
    shown = cli("show", payment["id"]).out
    assert "the payer came back with sessionResult, token" in shown
    assert "t-1" not in shown
    assert cli("returned", payment["id"]).code == 2
    assert cli("returned", payment["id"], "--param", "token").code == 2


def test_await_goes_on_with_what_was_put_off(cli: Cli, toy_shop: ToyShop) -> None:
    """A capture and a refund that were put off are sent while `await` waits; before that it exits 4."""
    toy_shop.configure(captures="partial")
    payment = cli(*toy_order("tab"), *MANUAL).json
    toy_shop.server.set_faults(not_now=1, retry_after_s=2)
    assert cli("capture", payment["id"]).code == 7
    assert cli("await", payment["id"], "--timeout", 0.1).code == 4
    taken = cli("await", payment["id"], "--timeout", 20, "--json")
    assert (taken.code, taken.json["status"]) == (0, "paid"), taken
    toy_shop.server.set_faults(not_now=1, retry_after_s=2)
    assert cli("refund", payment["id"], "--reference", "back-1").code == 7
    assert cli("await", payment["id"], "--timeout", 0.1).code == 4
    given_back = cli("await", payment["id"], "--timeout", 20, "--json")
    assert (given_back.code, given_back.json["refunded_minor"]) == (0, 8800), given_back
    assert toy_shop.server.counts().captures == {payment["order_number"]: 1}
