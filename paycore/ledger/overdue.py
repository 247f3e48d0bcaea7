"""How long payments have been due without anybody asking about them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from paycore.ledger.clock import from_ms, to_ms
from paycore.ledger.transaction import Transaction

# From the index of what is due. By `account` as it stands SQLite would go through every row in another order.
_OVERDUE = "SELECT account, count(*), min(due_at) FROM payments WHERE due_at < ? GROUP BY account"


class Overdue(NamedTuple):
    """How many payments of an account were due before some time, and since when the first of them has been."""

    total: int
    since: datetime


def overdue(tx: Transaction, before: datetime) -> Mapping[str, Overdue]:
    """The payments that were due before this time and still are, by account."""
    rows = tx.execute(_OVERDUE, (to_ms(before),)).fetchall()
    return {account: Overdue(count, from_ms(since_ms)) for account, count, since_ms in rows}
