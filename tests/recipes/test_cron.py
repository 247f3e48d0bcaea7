"""The recipe for payments without a worker: a crontab, run line by line as cron does."""

import re
import runpy
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from paycore import Client
from tests.recipes.conftest import RECIPES, Cron, Shop, sell


@pytest.fixture
def cron(shop: Shop) -> Cron:
    """The crontab of the page, for a shop that makes payments and does not wait for them."""
    shop.configure()
    return Cron(shop)


def parcels(shop: Shop) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(shop.folder / "shop.db")) as db:
        return db.execute("SELECT reference, state FROM parcels ORDER BY reference").fetchall()


def test_payment_nobody_waits_for_is_resolved_and_delivered_once(
    shop: Shop, cron: Cron, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs of the line deliver one parcel, log each pass, and mail nothing."""
    links = {order(number, monkeypatch, capsys) for number in (1, 1, 2)}
    assert len(links) == 2
    with Client(shop.config) as pay:
        shop.pay(pay.find("order-1"))
    for _ in range(2):
        ran = cron.tick("resolve.sh")
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), ran
    assert parcels(shop) == [("order-1", "to be sent")]
    logged = (shop.folder / "resolve.log").read_text()
    assert [line for line in logged.splitlines() if line.startswith("asked")] == [
        "asked about 2 of 2: 1 final, 1 still open",
        "asked about 1 of 1: 0 final, 1 still open",
    ]


def order(number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The link that the application shows for an order."""
    monkeypatch.setattr("sys.argv", ["order.py", f"order-{number}", "88.00"])
    capsys.readouterr()
    runpy.run_path(str(RECIPES / "cron" / "order.py"), run_name="__main__")
    link = capsys.readouterr().out.strip()
    assert link.startswith("http://127.0.0.1:")
    return link


def test_passes_at_once_tell_of_each_payment_once(shop: Shop, cron: Cron) -> None:
    """Two passes that overlap leave every payment paid, with one change each."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(shop.config)) for _ in range(2)]
        for number in range(6):
            shop.pay(sell(clients[0], f"order-{number}"))
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda pay: list(pay.resolve()), clients))
        changes = list(clients[0].changes("all", kinds=("paid",), from_start=True, follow=False))
    assert sorted(change.payment.reference for change in changes) == [f"order-{n}" for n in range(6)]


def test_what_somebody_must_mend_is_mailed(shop: Shop, cron: Cron) -> None:
    """A configuration that can't be read is printed, with the place."""
    shop.config.write_text(shop.config.read_text().replace("client_key", "client_keys"))
    ran = shop.run("cron/resolve.sh")
    assert "ended with exit code 6" in ran.stdout
    assert "client_keys" in ran.stdout


@pytest.mark.proof
def test_provider_that_does_not_answer_is_left_to_the_next_pass(shop: Shop, cron: Cron) -> None:
    """What passes by itself is logged, and mailed by the hourly look alone."""
    with Client(shop.config) as pay:
        sell(pay, "order-1")
    ran = cron.tick("doctor")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), ran
    shop.sandbox("qfpay-alipay").stop()
    ran = cron.tick("resolve.sh")
    assert (ran.stdout, ran.stderr) == ("", ""), ran
    assert "order-1" in (shop.folder / "resolve.log").read_text()
    assert re.search(r"^  problem +tcp ", cron.tick("doctor").stdout, re.MULTILINE)


@pytest.mark.proof
def test_what_differs_from_the_providers_list_is_mailed(shop: Shop, cron: Cron) -> None:
    """A ledger that agrees is not written of; an order that it lacks is."""
    with Client(shop.config) as pay:
        made = sell(pay, "order-1")
    ran = cron.tick("reconcile")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), ran
    (shop.folder / "paycore.db").rename(shop.folder / "lost.db")
    assert shop.shell("paycore", "ledger", "migrate").returncode == 0
    ran = cron.tick("reconcile")
    assert ran.returncode == 9
    assert made.order_number in ran.stdout


@pytest.mark.proof
def test_review_is_mailed_once(shop: Shop, cron: Cron) -> None:
    """What a person must look at is printed by one pass, and by no later one."""
    assert cron.tick("reviews").stdout == ""
    with Client(shop.config) as pay:
        made = sell(pay, "order-1")
        shop.sandbox("qfpay-alipay").gateway.faults.add("wrong_amount", path="/trade/v1/query")
        shop.pay(made)
        assert pay.query(made.id).review
    mailed = [cron.tick("reviews") for _ in range(2)]
    assert [ran.returncode for ran in mailed] == [0, 0]
    assert "order-1" in mailed[0].stdout
    assert mailed[0].stderr + mailed[1].stdout + mailed[1].stderr == ""
