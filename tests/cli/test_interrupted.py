"""Ctrl-C during a request: whether money may have moved, the payment's id, and how to continue."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, ToyShop, order, toy_order, write_config

SCANNED = (
    "create --reference order-1 --amount 88.00 --currency HKD --method alipay --channel barcode"
    " --auth-code 280000000000000001"
).split()


def interrupted(shop: SandboxServer, *words: str) -> Any:
    """The error of a command that gets Ctrl-C after its request has arrived and before an answer."""
    shop.gateway.faults.add("stall")
    return interrupted_at(lambda: sum(shop.gateway.controls.stats()["requests"].values()), *words)


def interrupted_at(requests: Callable[[], int], *words: str) -> Any:
    """The same, at a gateway that has counted so many requests, and does not answer the next one."""
    before = requests()
    here = {**os.environ, "PYTHONPATH": str(Path.cwd())}  # where a plugin may be installed
    with subprocess.Popen([PAYCORE, *words, "--json"], stdout=-1, stderr=-1, text=True, env=here) as process:
        give_up_at = time.monotonic() + 20
        while requests() == before:
            assert time.monotonic() < give_up_at, "no request arrived"
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.count("\n")) == (130, "", 1), err
    return json.loads(err)["error"]


@pytest.fixture
def slow_shop(shop: SandboxServer) -> SandboxServer:
    """A shop with a long timeout, so that Ctrl-C comes first."""
    write_config(shop.url, more="timeout_s = 30")
    return shop


def test_create_interrupted_money_may_have_moved(cli: Cli, slow_shop: SandboxServer) -> None:
    """Ctrl-C after the request was sent: the payment's id, "maybe", and the command that resolves it."""
    error = interrupted(slow_shop, *SCANNED, "--config", "paycore.toml")
    (recorded,) = [json.loads(line) for line in cli("list", "--json").out.splitlines()]
    assert (error["kind"], error["money_moved"], error["payment_id"]) == (
        "Interrupted",
        "maybe",
        recorded["id"],
    )
    assert "run the same command again" in error["message"]
    assert f"`paycore query {recorded['id']} --config paycore.toml`" in error["message"]


def test_create_interrupted_names_the_payment_of_its_own_account(cli: Cli, slow_shop: SandboxServer) -> None:
    """The same reference in another namespace is another payment."""
    text = Path("paycore.toml").read_text(encoding="utf-8")
    second = text[text.index("[accounts.shop]") :].replace("accounts.shop", "accounts.till")
    config = f'default_account = "shop"\n{text}{second}namespace = "till"\n'
    Path("paycore.toml").write_text(config, encoding="utf-8")
    cli.create("order-1", "--account", "till")
    error = interrupted(slow_shop, *SCANNED)
    assert cli("show", error["payment_id"], "--json").json["account"] == "shop"


@pytest.mark.parametrize("by", ["id", "reference"])
@pytest.mark.parametrize("word", ["refund", "query", "close"])
def test_known_payment_interrupted_money_may_have_moved(
    cli: Cli, slow_shop: SandboxServer, word: str, by: str
) -> None:
    """Ctrl-C during a request for a known payment: its id, "maybe", and how to continue."""
    payment = cli.create()
    if word == "refund":
        slow_shop.gateway.controls.pay(payment["order_number"])
        cli("query", payment["id"])
    option = "--payment-reference" if word == "refund" else "--reference"
    words = [payment["id"]] if by == "id" else [option, "order-1"]
    if word == "refund":
        words += ["--reference", "back-1"]
    error = interrupted(slow_shop, word, *words)
    assert (error["money_moved"], error["payment_id"]) == ("maybe", payment["id"])
    hint = "run the same command again" if word == "refund" else f"paycore {word} {payment['id']}"
    assert hint in error["message"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("capture", "run the same command again, a payment is captured once"),
        ("returned --param token=t-1", "ask again with: paycore query "),
    ],
)
def test_authorized_payment_interrupted_money_may_have_moved(
    cli: Cli, toy_shop: ToyShop, words: str, hint: str
) -> None:
    """Ctrl-C while a capture or a return is under way: its id, "maybe", and how to continue."""
    toy_shop.configure(timeout_s=30, captures="partial")
    payment = cli(*toy_order("tab"), "--capture", "manual", "--json").json
    toy_shop.server.set_faults(delay_s=2)
    word, *more = words.split()
    error = interrupted_at(
        lambda: sum(toy_shop.server.counts().requests.values()), word, payment["id"], *more
    )
    assert (error["money_moved"], error["payment_id"]) == ("maybe", payment["id"])
    assert hint in error["message"]


def test_await_interrupted_names_its_payment(cli: Cli, shop: SandboxServer) -> None:
    """Ctrl-C while waiting: the id of the payment waited for."""
    payment = cli.create()
    error = interrupted(shop, "await", "--reference", "order-1")
    assert (error["money_moved"], error["payment_id"]) == ("maybe", payment["id"])
    assert f"paycore await {payment['id']}" in error["message"]


def test_interrupted_before_anything_is_recorded_no(
    cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C before the payment is recorded: "no", and no payment id."""
    from paycore.cli import performing

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(performing, "open_client", interrupt)
    ran = cli(*order(), "--json")
    assert (ran.code, ran.error["money_moved"], ran.error["payment_id"]) == (130, "no", None), ran
    assert "before anything was recorded or sent" in ran.error["message"]


def test_reading_interrupted_no(cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a command that only reads: "no"."""
    from paycore.cli import quick

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quick, "records_of", interrupt)
    for words in (["list"], ["list", "--limit=3"]):
        ran = cli(*words, "--json")
        assert (ran.code, ran.error["kind"], ran.error["money_moved"]) == (130, "Interrupted", "no"), ran
