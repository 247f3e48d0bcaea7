"""How many payments there are, by what they are; and what each account has spent: read for metrics."""

from __future__ import annotations

from collections.abc import Mapping

from paycore.domain.budget import Spent
from paycore.domain.codec import decode
from paycore.domain.payment import Status
from paycore.ledger.api import Census, OpenPayments
from paycore.ledger.clock import from_ms
from paycore.ledger.transaction import Transaction

# Each is read from an index alone, or a few rows beside it: the open ones are few, and pending ones are all among them.
# By `account` as it stands SQLite would go through every row in the order of another index.
_BY_ACCOUNT = "SELECT account || '', {} FROM payments WHERE {} GROUP BY account || ''{}"
_OPEN = _BY_ACCOUNT.format("status, count(*), min(created_at)", "open = 1", ", status")
_NOT_PENDING = (
    "SELECT account, status, count(*) FROM payments WHERE status <> 'pending' GROUP BY account, status"
)
_REVIEW = _BY_ACCOUNT.format("count(*)", "review = 1", "")
_UNCERTAIN = _BY_ACCOUNT.format("count(*)", "uncertain = 1", "")


def census(tx: Transaction) -> Census:
    """See `Ledger.census`."""
    counted: dict[tuple[str, Status], int] = {}
    opened: dict[str, OpenPayments] = {}
    for account, word, count, oldest_ms in tx.execute(_OPEN).fetchall():
        before, oldest = opened.get(account), from_ms(oldest_ms)
        opened[account] = OpenPayments(
            count + (before.total if before else 0), min(oldest, before.oldest_at) if before else oldest
        )
        if word == Status.PENDING:
            counted[account, Status.PENDING] = count
    for account, word, count in tx.execute(_NOT_PENDING).fetchall():
        counted[account, Status(word)] = count
    return Census(
        payments=counted,
        open=opened,
        review=dict(tx.execute(_REVIEW).fetchall()),
        uncertain=dict(tx.execute(_UNCERTAIN).fetchall()),
    )


def budgets(tx: Transaction) -> Mapping[str, Spent]:
    """See `Ledger.budgets`."""
    rows = tx.execute("SELECT account, body FROM budgets ORDER BY account").fetchall()
    return {account: decode(body, Spent) for account, body in rows}
