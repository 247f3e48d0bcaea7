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
    configure(shop, "sqlite:///paycore.db")
    return Cron(shop)


def configure(shop: Shop, ledger: str) -> None:
    shop.configure(f'default_account = "hk"\n{HK}{CARDS}', ledger=ledger)


def test_backup_is_restored_into_either_database(shop: Shop, cron: Cron, postgres_dsn: str) -> None:
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

    configure(shop, postgres_dsn)
    ran = shop.run("restore.sh", backup, postgres_dsn, "1d")
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert ran.stdout.splitlines()[-1] == "everything holds: 2 payments, 5 events"
    (kept,) = shop.folder.glob("paycore.before-*.db")
    with closing(sqlite3.connect(kept)) as before:
        assert before.execute("SELECT count(*) FROM payments").fetchone() == (4,)

    with Client(shop.config) as pay:
        assert (pay.get(paid.id), pay.get(waiting.id)) == (paid, waiting)
        assert [one.payment.status for one in pay.resolve()] == [Status.PAID]
        assert keys(pay)[-1] not in known
    deliver()

    configure(shop, "sqlite:///paycore.db")
    ran = shop.run("restore.sh", backup, "sqlite:///paycore.db", "1d", "cards", "hk")
    assert ran.returncode == 9, ran
    cards, _, hk = ran.stdout.partition("account hk")
    assert "order-4" in cards
    assert since[0].order_number in hk
    with Client(shop.config) as pay:
        back = sell(pay, "order-4", account="cards")
        assert (back.status, back.order_number) == (Status.PAID, since[1].order_number)
        assert pay.find("order-1").status is Status.PAID
    deliver()
    assert len(shop.sandbox("stripe-checkout").gateway.controls.list_orders(10)) == 1
    with closing(sqlite3.connect("shop.db")) as db:
        assert db.execute("SELECT reference FROM parcels ORDER BY 1").fetchall() == [
            (f"order-{number}",) for number in (1, 2, 3, 4)
        ]


@pytest.mark.proof
@pytest.mark.parametrize("recipe", ["back_up.sh", "back_up_postgresql.sh"])
def test_ledger_in_postgresql_is_backed_up(shop: Shop, postgres_server: PostgresServer, recipe: str) -> None:
    """By paycore into SQLite, or by pg_dump into another database: payments and history are there, and go on."""
    database, empty = postgres_server.create_database(), postgres_server.create_database()
    shop.configure(ledger=database)
    with Client(shop.config) as pay:
        waiting = sell(pay, "order-1")
    folder = shop.folder / "backup"
    folder.mkdir(mode=0o700)
    (shop.folder / "bin").symlink_to(programs())
    ran = shop.run(recipe, str(folder), database)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), ran
    (backup,) = [path for path in folder.iterdir() if path.suffix != ".json"]

    target = empty if backup.suffix == ".dump" else "sqlite:///paycore.db"
    shop.configure(ledger=target)
    ran = shop.run("restore.sh", str(backup), target, "1d", "hk")
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
