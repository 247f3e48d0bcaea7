"""The recipes that back a ledger up and restore it."""

import runpy
import sqlite3
from contextlib import closing

import pytest

from paycore import Client, Status
from tests.recipes.conftest import HK, RECIPES, Cron, Shop, sell
from tests.support.postgres import PostgresServer, programs

CARDS = """
[accounts.cards]
provider = "stripe-checkout"
mode = "live"
default_method = "card"
"""


@pytest.fixture
def cron(shop: Shop) -> Cron:
    """The crontab, for a shop with an account that carries references and one that does not."""
    shop.configure(f'default_account = "hk"\n{HK}{CARDS}')
    return Cron(shop)


def test_what_was_made_after_a_backup_is_found_again(shop: Shop, cron: Cron) -> None:
    """
    A backup that cron made meanwhile goes on where it was; what was there before, and newer backups, are kept.

    What was made since is brought back from the provider that carries the reference, and is not made again; the
    rest is listed for a person. What is paid a second time in the restored ledger is delivered no second time.
    """
    with shop.client() as pay:
        waiting, paid = sell(pay, "order-1"), sell(pay, "order-2")
        shop.pay(paid)
        paid = pay.query(paid.id)
        backup = back_up(shop, cron)
        pay.returned(waiting.id, {"trade": "1"})
        since = [sell(pay, "order-3"), sell(pay, "order-4", account="cards")]
        for payment in (waiting, *since):
            shop.pay(payment)
        assert {one.payment.status for one in pay.resolve()} == {Status.PAID}
        known = keys(pay)
    deliver()

    ran = shop.run("restore.sh", f"{backup}x", "sqlite:///paycore.db", "1d", "hk")
    assert (ran.returncode, (shop.folder / "paycore.db").is_file()) == (2, True), ran
    ran = shop.run("restore.sh", backup, "sqlite:///paycore.db", "1d", "cards", "hk")
    assert ran.returncode == 9, ran
    copied, _, hk = ran.stdout.partition("account hk")
    assert "everything holds: 2 payments, 5 events" in copied
    assert "order-4" in copied
    assert since[0].order_number in hk
    (kept,) = shop.folder.glob("paycore.db.before-*Z")
    with closing(sqlite3.connect(kept)) as before:
        assert before.execute("SELECT count(*) FROM payments").fetchone() == (4,)

    with Client(shop.config) as pay:
        assert pay.get(paid.id) == paid
        assert pay.get(waiting.id).status is Status.PAID
        back = sell(pay, "order-4", account="cards")
        assert (back.status, back.order_number) == (Status.PAID, since[1].order_number)
        assert len(set(keys(pay)) - set(known)) == 2
    deliver()
    assert len(shop.sandbox("stripe-checkout").gateway.controls.list_orders(10)) == 1
    with closing(sqlite3.connect("shop.db")) as db:
        assert db.execute("SELECT reference FROM parcels ORDER BY 1").fetchall() == [
            (f"order-{number}",) for number in (1, 2, 3, 4)
        ]


@pytest.mark.proof
@pytest.mark.parametrize(
    ("recipe", "before", "after"),
    [
        ("back_up.sh", "sqlite", "postgres"),
        ("back_up.sh", "postgres", "sqlite"),
        ("back_up_postgresql.sh", "postgres", "postgres"),
    ],
)
def test_ledger_is_restored_into_either_database(
    shop: Shop, postgres_server: PostgresServer, recipe: str, before: str, after: str
) -> None:
    """Payments and history are there, and go on; whether paycore or pg_dump made the backup."""
    ledgers = [
        postgres_server.create_database() if kind == "postgres" else "sqlite:///paycore.db"
        for kind in (before, after)
    ]
    shop.configure(ledger=ledgers[0])
    with Client(shop.config) as pay:
        waiting = sell(pay, "order-1")
    folder = shop.folder / "backup"
    folder.mkdir(mode=0o700)
    (shop.folder / "bin").symlink_to(programs())
    ran = shop.run(recipe, str(folder), ledgers[0])
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), ran
    (backup,) = [path for path in folder.iterdir() if path.suffix != ".json"]

    shop.configure(ledger=ledgers[1])
    ran = shop.run("restore.sh", str(backup), ledgers[1], "1d", "hk")
    assert (ran.returncode, "everything holds: 1 payment, 2 events" in ran.stdout) == (0, True), ran
    shop.pay(waiting)
    with Client(shop.config) as pay:
        assert [one.payment.status for one in pay.resolve()] == [Status.PAID]
        assert sell(pay, "order-1").id == waiting.id


def back_up(shop: Shop, cron: Cron) -> str:
    """The path of the backup that the crontab's line makes, which removes all but the newest 48."""
    folder = shop.folder / "backup"
    older = [f"paycore-2025-01-{day:02}T{hour:02}0000Z" for day in (1, 2) for hour in range(24)]
    for name in older:
        (folder / f"{name}.db").touch()
        (folder / f"{name}.json").touch()
    ran = cron.tick("back_up.sh")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), ran
    left = {path.stem for path in folder.iterdir()}
    assert left >= {*older[1:]}
    (made,) = left - {*older[1:]}
    assert {path.suffix for path in folder.glob(f"{made}.*")} == {".db", ".json"}
    return f"{folder}/{made}.db"


def keys(pay: Client) -> list[str]:
    """The keys of what was paid, as a new consumer is told."""
    return [change.key for change in pay.changes("keys", kinds=("paid",), from_start=True, follow=False)]


def deliver() -> None:
    """What cron does next: the payments that are paid get their parcels."""
    runpy.run_path(str(RECIPES / "cron" / "deliver.py"), run_name="__main__")
