"""
Delivers what was paid since it ran last, each payment once.

*/2 * * * *  cd /srv/shop && python cron/deliver.py
"""

import sqlite3
from contextlib import closing

import paycore

PARCELS = "CREATE TABLE IF NOT EXISTS parcels (reference TEXT PRIMARY KEY, change TEXT, state TEXT)"


def main() -> None:
    """Take every change there is, and end."""
    with closing(sqlite3.connect("shop.db")) as shop, paycore.Client() as pay:
        shop.execute(PARCELS)
        for change in pay.changes("delivery", kinds=("paid",), from_start=True, follow=False):
            deliver(shop, change)


def deliver(shop: sqlite3.Connection, change: paycore.PaymentChange) -> None:
    """
    Note the parcel in one transaction of the shop's database, where there is none for this reference.

    A payment is paid once, so its reference is a key that also holds where a backup of the ledger was restored.
    """
    payment = change.payment
    state = "a person must look" if payment.review or payment.refunded_minor else "to be sent"
    with shop:
        shop.execute(
            "INSERT INTO parcels VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (payment.reference, change.key, state),
        )


if __name__ == "__main__":
    main()
