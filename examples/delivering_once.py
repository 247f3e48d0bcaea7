"""
Delivers what was paid once, in processes that are killed.

A QFPay sandbox on this machine is the provider, one SQLite file the ledger, another one the shop's own database. Two
processes iterate over the changes for the consumer `parcels`. Each writes the parcel and the key of the change in one
transaction of the shop's database. In the middle both are killed, wherever they are, and two others started: one goes
on once the lease of the killed one has run out, within ten seconds.

    python examples/delivering_once.py
"""

import multiprocessing
import random
import sqlite3
import tempfile
import time
from pathlib import Path

import paycore
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

CONFIG = """
ledger = "sqlite:///ledger.db"

[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
region = "hk"
app_code = "{app_code}"
client_key = "{client_key}"
"""

TABLES = """
CREATE TABLE handled (key TEXT PRIMARY KEY);
CREATE TABLE parcels (reference TEXT NOT NULL);
CREATE TABLE handed_over (key TEXT NOT NULL);
"""

ORDERS = 10
KILLS = 1


def main() -> None:
    """Make orders that are paid by themselves, and deliver them whatever dies."""
    with tempfile.TemporaryDirectory() as folder, SandboxServer(QFPaySandbox(), auto_pay_s=0.2) as sandbox:
        config, shop = Path(folder) / "paycore.toml", Path(folder) / "shop.db"
        config.write_text(CONFIG.format(url=sandbox.url, **sandbox.settings), encoding="utf-8")
        open_shop(shop).executescript(TABLES)
        with paycore.Client(config) as pay:
            list(pay.changes("parcels", follow=False))  # from now on
            sell(pay)
        deliver_all(config, shop)
        report(shop)


def open_shop(path: Path) -> sqlite3.Connection:
    """The shop's own database."""
    return sqlite3.connect(path, timeout=10, isolation_level=None)


def sell(pay: paycore.Client) -> None:
    """Make the orders, and wait until each is paid."""
    payments = [
        pay.create(
            reference=f"order-{number}",
            amount=paycore.Money("88.00", "HKD"),
            method="alipay",
            channel="web",
        )
        for number in range(ORDERS)
    ]
    for payment in payments:
        pay.wait(payment.id, timeout_s=30)


def deliver(config: Path, shop_path: Path) -> None:
    """What each process does: one transaction of the shop's database for each change."""
    shop = open_shop(shop_path)
    with paycore.Client(config) as pay:
        for change in pay.changes("parcels", kinds=("paid",)):
            shop.execute("INSERT INTO handed_over VALUES (?)", (change.key,))
            time.sleep(0.2)  # the shop is slow: a good moment to be killed
            shop.execute("BEGIN IMMEDIATE")
            if shop.execute("INSERT INTO handled VALUES (?) ON CONFLICT DO NOTHING", (change.key,)).rowcount:
                shop.execute("INSERT INTO parcels VALUES (?)", (change.payment.reference,))
            shop.execute("COMMIT")


def deliver_all(config: Path, shop_path: Path) -> None:
    """Keep two processes at it, kill both in the middle, and end once every order has its parcel."""
    start = multiprocessing.get_context("spawn")
    shop, kills = open_shop(shop_path), 0
    processes: list[multiprocessing.process.BaseProcess] = []
    while parcels(shop) < ORDERS:
        while len(processes) < 2:
            processes.append(start.Process(target=deliver, args=(config, shop_path), daemon=True))
            processes[-1].start()
        time.sleep(0.1)
        if kills < KILLS and parcels(shop) >= ORDERS // 2:
            time.sleep(random.uniform(0.0, 0.3))
            for process in processes:
                process.kill()
                process.join()
            processes, kills = [], kills + 1
            print(f"killed both processes after {parcels(shop)} parcels")
    for process in processes:
        process.kill()
        process.join()


def parcels(shop: sqlite3.Connection) -> int:
    """How many there are."""
    (count,) = shop.execute("SELECT count(*) FROM parcels").fetchone()
    return int(count)


def report(shop_path: Path) -> None:
    """Say what came of it."""
    shop = open_shop(shop_path)
    handed_over = shop.execute("SELECT count(*) FROM handed_over").fetchone()[0]
    distinct = shop.execute("SELECT count(DISTINCT reference) FROM parcels").fetchone()[0]
    print(
        f"{ORDERS} orders paid, {handed_over} changes handed over, {parcels(shop)} parcels for {distinct} orders"
    )


if __name__ == "__main__":
    main()
