"""The recipes that back a ledger up and restore it."""

import runpy
import sqlite3
from contextlib import closing

from paycore import Client, Status
from tests.recipes.conftest import RECIPES, Cron, Shop, sell


def test_backup_is_restored_into_either_database(shop: Shop, postgres_dsn: str) -> None:
    """
    A backup that cron made meanwhile goes on where it was; what was there before, and newer backups, are kept.

    What is paid a second time in the restored ledger comes with another key, and is delivered no second time.
    """
    shop.configure()
    pay = shop.client()
    waiting, paid = sell(pay, "order-1"), sell(pay, "order-2")
    shop.pay(paid)
    paid = pay.query(paid.id)
    cron, folder = Cron(shop), shop.folder / "backup"
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

    pay.returned(waiting.id, {"trade": "1"})
    shop.pay(waiting)
    assert pay.query(waiting.id).status is Status.PAID
    known = keys(pay)
    deliver()
    pay.shutdown()
    for ledger in (postgres_dsn, "sqlite:///paycore.db"):
        shop.configure(ledger=ledger)
        ran = shop.run("restore.sh", f"{folder}/{made}.db", ledger)
        assert (ran.returncode, ran.stderr) == (0, ""), ran
        assert ran.stdout.splitlines()[-1] == "everything holds: 2 payments, 5 events"
        with Client(shop.config) as restored:
            assert restored.get(paid.id) == paid
            assert restored.get(waiting.id) == waiting
            assert [one.payment.status for one in restored.resolve()] == [Status.PAID]
            assert keys(restored)[-1] not in known
        deliver()
    with closing(sqlite3.connect("shop.db")) as db:
        assert db.execute("SELECT reference FROM parcels ORDER BY 1").fetchall() == [
            ("order-1",),
            ("order-2",),
        ]
    (kept,) = shop.folder.glob("paycore.before-*.db")
    with closing(sqlite3.connect(kept)) as before:
        assert before.execute("SELECT count(*) FROM events").fetchone() == (7,)


def keys(pay: Client) -> list[str]:
    """The keys of what was paid, as a new consumer is told."""
    return [change.key for change in pay.changes("keys", kinds=("paid",), from_start=True, follow=False)]


def deliver() -> None:
    """What cron does next: the payments that are paid get their parcels."""
    runpy.run_path(str(RECIPES / "cron" / "deliver.py"), run_name="__main__")
