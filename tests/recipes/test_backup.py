"""The recipes that back a ledger up and restore it."""

import sqlite3
from contextlib import closing

import pytest

from paycore import Client, Status
from tests.recipes.conftest import Shop, sell


@pytest.fixture(params=["sqlite", "postgres"])
def restored(request: pytest.FixtureRequest) -> str:
    """The address of the ledger that the backup is restored into, of each kind."""
    if request.param == "sqlite":
        return "sqlite:///paycore.db"
    found: str = request.getfixturevalue("postgres_dsn")
    return found


def test_backup_is_restored_into_either_database(shop: Shop, restored: str) -> None:
    """A backup made while others use the ledger goes on where it was, and what was there before is kept."""
    shop.configure()
    folder = shop.folder / "backup"
    folder.mkdir(mode=0o700)
    pay = shop.client()
    waiting, paid = sell(pay, "order-1"), sell(pay, "order-2")
    shop.pay(paid)
    paid = pay.query(paid.id)

    ran = shop.run("back_up.sh", str(folder))
    assert ran.returncode == 0, ran
    (backup,) = folder.glob("*.db")
    shop.pay(waiting)
    assert pay.query(waiting.id).status is Status.PAID
    pay.shutdown()

    shop.configure(ledger=restored)
    ran = shop.run("restore.sh", str(backup), restored)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert ran.stdout.splitlines()[-1] == "everything holds: 2 payments, 5 events"
    with Client(shop.config) as pay:
        assert pay.get(paid.id) == paid
        assert pay.get(waiting.id) == waiting
        assert [one.payment.status for one in pay.resolve()] == [Status.PAID]
    (kept,) = shop.folder.glob("paycore.before-*.db")
    with closing(sqlite3.connect(kept)) as before:
        assert before.execute("SELECT count(*) FROM events").fetchone() == (6,)


def test_backups_beyond_the_newest_48_are_removed(shop: Shop) -> None:
    """Each run keeps the newest ones with their anchors, and touches nothing else in the folder."""
    shop.configure()
    sell(shop.client(), "order-1")
    folder = shop.folder / "backup"
    folder.mkdir(mode=0o700)
    names = [f"paycore-2025-01-{day:02}T{hour:02}0000Z" for day in (1, 2) for hour in range(24)]
    for name in names:
        (folder / f"{name}.db").touch()
        (folder / f"{name}.json").touch()
    (folder / "another.db").touch()
    ran = shop.run("back_up.sh", str(folder))
    assert ran.returncode == 0, ran
    left = {path.name for path in folder.iterdir()}
    made = {name for name in left if name.startswith("paycore-20") and not name.startswith("paycore-2025")}
    assert {name.rpartition(".")[2] for name in made} == {"db", "json"}
    assert left - made == {"another.db", *(f"{name}.{end}" for name in names[1:] for end in ("db", "json"))}
