"""The recipe that moves a ledger from SQLite to PostgreSQL."""

import pytest

from paycore import Client, Status
from paycore.errors import LedgerUnavailable
from tests.recipes.conftest import Shop, sell

RECIPE = "sqlite_to_postgresql.sh"


def test_payments_go_on_in_postgresql(shop: Shop, postgres_dsn: str) -> None:
    """Every payment is there and goes on; a process that was forgotten records nothing in the old ledger."""
    shop.configure()
    shop.configure(ledger=postgres_dsn, to="paycore.postgresql.toml")
    forgotten = shop.client()
    waiting, paid = sell(forgotten, "order-1"), sell(forgotten, "order-2")
    shop.pay(paid)
    paid = forgotten.query(paid.id)

    ran = shop.run(RECIPE, postgres_dsn)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert ran.stdout.splitlines()[-1] == "everything holds: 2 payments, 5 events"
    with pytest.raises(LedgerUnavailable):
        sell(forgotten, "order-3")

    assert "postgresql://" in shop.config.read_text()
    assert shop.files() == {"paycore.moved.db", "paycore.sqlite.toml", "paycore.toml"}
    with Client(shop.config) as pay:
        assert pay.get(paid.id) == paid
        assert sell(pay, "order-1").id == waiting.id
        shop.pay(waiting)
        assert pay.query(waiting.id).status is Status.PAID
    assert len(shop.sandbox("qfpay-alipay").gateway.controls.list_orders(10)) == 2


def test_move_that_fails_changes_nothing(shop: Shop, postgres_dsn: str) -> None:
    """Where the target is not empty, the shop goes on with its file and its configuration, and nothing is lost."""
    shop.configure(ledger=postgres_dsn)
    with Client(shop.config) as pay:
        sell(pay, "somebody else's")
    shop.configure(ledger=postgres_dsn, to="paycore.postgresql.toml")
    shop.configure()
    with Client(shop.config) as pay:
        made = sell(pay, "order-1")

    ran = shop.run(RECIPE, postgres_dsn)
    assert ran.returncode == 2, ran
    assert "must be an empty ledger" in ran.stderr
    assert shop.files() == {"paycore.db", "paycore.postgresql.toml", "paycore.toml"}
    with Client(shop.config) as pay:
        assert pay.find("order-1") == made


@pytest.mark.parametrize("kind", ["HUP", "INT", "TERM"])
def test_move_that_is_interrupted_changes_nothing(shop: Shop, kind: str) -> None:
    """Where the terminal is closed, or the script is ended, while the ledger is copied, all is as it was before."""
    shop.configure()
    shop.configure(to="paycore.postgresql.toml")
    for part in ("", "-wal", "-shm"):
        (shop.folder / f"paycore.db{part}").write_text(part)
    before = {path.name: path.read_text() for path in shop.folder.iterdir() if path.is_file()}
    shop.instead_of_paycore(f"[ -e paycore.moved.db ] && kill -{kind} $PPID")
    assert shop.run(RECIPE, "postgresql:///shop").returncode == 1
    assert {path.name: path.read_text() for path in shop.folder.iterdir() if path.is_file()} == before
