"""What is due in a ledger: looked at, and claimed without regard to any budget."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from paycore import Payment
from paycore.domain.asking import Question
from paycore.domain.capabilities import RequestBudget
from paycore.domain.schedule import INTERVAL_MIN_S
from paycore.ledger.api import Claiming
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import from_ms, to_ms
from paycore.ledger.group import Group

PLENTY = RequestBudget(per_second=10**6, per_minute=10**6)


def next_due(ledger: SqlLedger, ids: Collection[str] | None = None) -> datetime | None:
    """The earliest due time of these payments (None: of all)."""
    rows = ledger.read(
        lambda tx: tx.execute("SELECT id, due_at FROM payments WHERE due_at IS NOT NULL").fetchall()
    ).result()
    due = [due_ms for payment_id, due_ms in rows if ids is None or payment_id in ids]
    return from_ms(min(due)) if due else None


def due_soon(ledger: SqlLedger) -> list[str]:
    """What is due by now, or as soon as it may be asked about again."""
    rows = ledger.read(
        lambda tx: tx.execute(
            "SELECT id, due_at FROM payments WHERE due_at IS NOT NULL ORDER BY id"
        ).fetchall()
    ).result()
    until = ledger.now() + timedelta(seconds=INTERVAL_MIN_S)
    return [payment_id for payment_id, due_ms in rows if from_ms(due_ms) <= until]


def bring_forward(ledger: SqlLedger) -> None:
    """Let what is due soon be due now, as if nobody had asked about it a moment ago."""
    soon = due_soon(ledger)

    def work(group: Group) -> None:
        tx, now_ms = group.direct(), to_ms(group.now)
        tx.executemany("UPDATE payments SET due_at = ? WHERE id = ?", [(now_ms, one) for one in soon])

    ledger._submit(work).result()


def claiming(account: str, *, limit: int, lease_s: float, ids: Collection[str] | None = None) -> Claiming:
    """A claim of the most overdue payments of an account."""
    return Claiming(
        account=account,
        choose=lambda due, _: Question(tuple(one.id for one in due[:limit])),
        budget=PLENTY,
        lease_s=lease_s,
        weighed=10_000,
        ids=ids,
    )


def claim_due(
    ledger: SqlLedger, *, limit: int, lease_s: float, ids: Collection[str] | None = None
) -> tuple[datetime, tuple[Payment, ...]]:
    """Claim what is due of all accounts, each at most `limit`; the ledger's time, and the payments."""
    rows = ledger.read(lambda tx: tx.execute("SELECT DISTINCT account FROM payments").fetchall()).result()
    now, claimed = ledger.now(), list[Payment]()
    for (account,) in sorted(rows):
        got = ledger.claim(claiming(account, limit=limit, lease_s=lease_s, ids=ids)).result()
        now, claimed = got.now, [*claimed, *got.payments]
    return now, tuple(claimed)
