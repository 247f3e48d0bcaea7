"""`doctor` says who looks after what is under way, and what waits for a person."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from paycore import Client
from paycore.cli.doctor import notification_checks
from paycore.cli.doctor.reach_checks import resolve
from paycore.cli.doctor.work_checks import LAG_PROBLEM_S, LAG_WARNING_S, OVERDUE_S, UNCERTAIN_PROBLEM_S
from paycore.ledger.workers import STALE_S
from tests.cli.conftest import Cli, ToyShop, toy_order
from tests.cli.doctor.conftest import line


def examined(cli: Cli, code: int) -> Any:
    """What `doctor` found; it exits with this code."""
    ran = cli("doctor", "--json")
    assert ran.code == ran.json["exit_code"] == code, ran
    return ran.json


def made(cli: Cli, *more: object, reference: str = "order-1") -> Any:
    """A pending payment."""
    return cli(*toy_order("web", reference), "--json", *more).json


def let_pass(seconds: float, *, table: str, column: str) -> None:
    """Have what stands in the column be so much older."""
    with closing(sqlite3.connect("paycore.db")) as shell, shell:
        shell.execute(f"UPDATE {table} SET {column} = {column} - ?", (round(seconds * 1000),))


# --- workers ------------------------------------------------------------------------------------------


def test_worker_that_runs_and_one_that_was_killed(cli: Cli, toy_shop: ToyShop) -> None:
    """A worker that runs is named; one that was killed is a problem once nobody looks after its accounts."""
    made(cli)
    words = [sys.executable, "-m", "paycore.cli", "worker", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert json.loads(worker.stdout.readline())["accounts"] == ["toy"]
            give_up_at = time.monotonic() + 20
            while line(told := examined(cli, 0), "workers")["verdict"] == "warning":
                assert time.monotonic() < give_up_at  # it has only just begun
            told = line(told, "workers")
            assert told["verdict"] == "ok"
            assert told["found"].startswith(f"process {worker.pid} on ")
            assert "looks after toy since" in told["found"]
        finally:
            worker.send_signal(signal.SIGKILL)
    let_pass(STALE_S + 5, table="workers", column="seen_at")
    told = line(examined(cli, 9), "workers")
    assert told["verdict"] == "problem"
    assert f"process {worker.pid} on " in told["found"]
    assert "is not running since 2" in told["found"]
    assert "nobody looks after toy" in told["found"]
    assert "`paycore worker`" in told["advice"]


def test_no_worker(cli: Cli, toy_shop: ToyShop) -> None:
    """Without one: fine while nothing is open, then a warning, and a problem once payments are due for long."""
    assert cli("ledger", "migrate").code == 0
    assert line(examined(cli, 0), "workers")["verdict"] == "ok"
    made(cli)
    told = line(examined(cli, 0), "workers")
    assert told["verdict"] == "warning"
    assert "no worker is running, and 1 payment open" in told["found"]
    let_pass(OVERDUE_S + 60, table="payments", column="due_at")
    told = line(examined(cli, 9), "workers")
    assert told["verdict"] == "problem"
    assert "1 payment due since 2" in told["found"]
    assert "`paycore resolve` every few minutes" in told["advice"]


def test_worker_whose_accounts_others_look_after(cli: Cli, toy_shop: ToyShop) -> None:
    """A row that a killed worker left is a warning while somebody else does its work."""
    made(cli)
    with Client() as pay:
        ledger = pay._core.ledger
        ledger.note_worker("killed", host="elsewhere", pid=7, accounts=("toy",)).result()
        let_pass(STALE_S + 5, table="workers", column="seen_at")
        ledger.note_worker("alive", host="here", pid=8, accounts=("toy",)).result()
    lines = [one for one in examined(cli, 0)["checks"] if one["check"] == "workers"]
    assert [one["verdict"] for one in lines] == ["ok", "warning"]
    assert "process 7 on elsewhere is not running since" in lines[1]["found"]


def test_payments_that_are_due_though_a_worker_runs(cli: Cli, toy_shop: ToyShop) -> None:
    """Then it is the provider or its budget: a warning that leads there."""
    made(cli)
    with Client() as pay:
        pay._core.ledger.note_worker("alive", host="here", pid=8, accounts=("toy",)).result()
    let_pass(OVERDUE_S + 60, table="payments", column="due_at")
    lines = [one for one in examined(cli, 0)["checks"] if one["check"] == "workers"]
    assert [one["verdict"] for one in lines] == ["ok", "warning"]
    assert "not asked about" in lines[1]["found"]


def test_account_that_was_taken_out_of_the_configuration(cli: Cli, toy_shop: ToyShop) -> None:
    """Its open payments can't be asked about: it is to be put back until they are final."""
    payment = made(cli)
    assert line(examined(cli, 0), "accounts")["verdict"] == "ok"
    config = Path("paycore.toml")
    before = config.read_text()
    config.write_text(before.replace("[accounts.toy]", "[accounts.renamed]"))
    told = line(examined(cli, 9), "accounts")
    assert "1 payment open of account toy" in told["found"]
    assert "`paycore list --account toy --open`" in told["advice"]
    assert payment["id"] in cli("list", "--account", "toy", "--open").out
    config.write_text(before)
    assert cli("close", payment["id"]).code == 0
    config.write_text(before.replace("[accounts.toy]", "[accounts.renamed]"))
    assert line(examined(cli, 0), "accounts")["verdict"] == "ok"


# --- the change feed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late_s", "verdict", "code"),
    [(0.0, "ok", 0), (LAG_WARNING_S + 60, "warning", 0), (LAG_PROBLEM_S + 60, "problem", 9)],
)
def test_consumer_that_is_behind(
    cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch, *, late_s: float, verdict: str, code: int
) -> None:
    """How far a consumer is behind, how old the oldest change is, and whether anybody reads for it."""
    assert cli("changes", "--consumer", "fulfilment").code == 0
    made(cli)
    if late_s:
        from paycore.ledger.base import SqlLedger

        now = SqlLedger.now
        monkeypatch.setattr(SqlLedger, "now", lambda ledger: now(ledger) + timedelta(seconds=late_s))
        monkeypatch.setattr("paycore.cli.doctor.work_checks.overdue", lambda *_: {})
    told = line(examined(cli, code), "feed")
    assert told["verdict"] == verdict
    assert "fulfilment has" in told["found"]
    assert "no process reads for it" in told["found"]
    assert not told["advice"] or "paycore changes --consumer fulfilment --forget" in told["advice"]


# --- what waits for a person --------------------------------------------------------------------------


def test_payment_under_review(cli: Cli, toy_shop: ToyShop) -> None:
    """A person must look: 9, with the command that lists them."""
    payment = made(cli)
    toy_shop.gateway.orders[-1].minor += 1
    toy_shop.server.pay(payment["order_number"])
    assert cli("query", payment["id"]).code == 9
    told = line(examined(cli, 9), "review")
    assert told["found"] == "to be looked at by a person: 1 payment of toy"
    assert "`paycore review list`" in told["advice"]


def test_unknown_outcome(cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost reply: at first a warning with the command that resolves it, a problem when nobody has."""
    toy_shop.configure(timeout_s=0.3)
    toy_shop.server.set_faults(lose_reply=1000)
    assert cli(*toy_order("web")).code in (5, 7)
    toy_shop.server.set_faults()
    told = line(examined(cli, 0), "uncertain")
    assert told["verdict"] == "warning"
    payment_id = cli("show", "--reference", "order-1", "--json").json["id"]
    assert f"paycore query {payment_id}" in told["advice"]
    monkeypatch.setattr("paycore.cli.doctor.work_checks.UNCERTAIN_PROBLEM_S", -UNCERTAIN_PROBLEM_S)
    assert line(examined(cli, 9), "uncertain")["verdict"] == "problem"


# --- notifications ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address", "problem"),
    [
        ("http://shop.example/n", "", "it is not https"),
        ("https://localhost/n", "", "it is this machine itself"),
        ("https://shop.example/n", "", "its name was not found"),
        ("https://shop.example/n", "10.0.0.7", "it leads to 10.0.0.7, which only this network reaches"),
        ("https://shop.example/n", "8.8.8.8", None),
    ],
)
def test_url_that_no_provider_reaches(
    monkeypatch: pytest.MonkeyPatch, *, url: str, address: str, problem: str | None
) -> None:
    """Https, not this machine, a name that resolves to an address that others reach."""
    if address:
        monkeypatch.setattr(notification_checks, "resolve", lambda _, port: resolve(address, port))
    assert notification_checks.problem_of(url) == problem


def test_url_of_the_newest_order(cli: Cli, toy_shop: ToyShop) -> None:
    """That of the newest order that names one; a sandbox reaches this machine."""
    assert line(examined(cli, 0), "notifications")["verdict"] == "not checked"
    made(cli, "--notify-url", "http://127.0.0.1:9/old")
    made(cli, "--notify-url", "http://127.0.0.1:10/token-CANARY", reference="order-2")
    made(cli, reference="order-3")
    told = line(examined(cli, 0), "notifications")
    assert (told["verdict"], told["found"]) == ("ok", "sent to 127.0.0.1:10")
    config = Path("paycore.toml")
    config.write_text(config.read_text().replace('"sandbox"', '"test"'))
    told = line(examined(cli, 0), "notifications")
    assert (told["verdict"], told["found"]) == ("warning", "127.0.0.1:10: it is not https")
