"""How many payments a ledger has, and what was spent of budgets: as metrics read them."""

from contextlib import closing
from pathlib import Path

import pytest

from paycore.domain.budget import used
from paycore.domain.capabilities import RequestBudget
from paycore.domain.payment import Status
from paycore.ledger import counts, open_ledger
from paycore.ledger.api import Filter, Spending
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import to_ms
from tests.ledger.workload import ACCOUNT, begun, paid_payment, pending_payment


def test_payments_are_counted_by_account_and_status(ledger: SqlLedger) -> None:
    """Every payment once, open ones as well as those of which a refund only is under way."""
    for number in range(3):
        pending_payment(ledger, f"pending-{number}")
    paid_payment(ledger, "paid-1")
    ledger.begin(*begun("sent-1")).result()
    census = ledger.census().result()
    listed = ledger.list(Filter(limit=1000)).result()
    counted = {
        (ACCOUNT, status): count
        for status in Status
        if (count := sum(payment.status is status for payment in listed))
    }
    assert census.payments == counted
    assert census.payments[ACCOUNT, Status.PENDING] == 3
    assert census.payments[ACCOUNT, Status.PAID] == 1
    opened = ledger.list(Filter(open=True, limit=1000)).result()
    assert census.open[ACCOUNT].total == len(opened)
    assert census.open[ACCOUNT].oldest_at == min(payment.created_at for payment in opened)
    uncertain = ledger.list(Filter(uncertain=True, limit=1000)).result()
    assert census.uncertain.get(ACCOUNT, 0) == len(uncertain)
    assert census.review == {}


def test_empty_ledger_has_none(ledger: SqlLedger) -> None:
    """No payment, no budget."""
    census = ledger.census().result()
    assert (census.payments, census.open, census.review, census.uncertain) == ({}, {}, {}, {})
    assert ledger.budgets().result() == {}


def test_budgets_say_what_was_spent(ledger: SqlLedger) -> None:
    """By account, as the next command finds it."""
    budget = RequestBudget(per_second=100, per_minute=100)
    for _ in range(7):
        ledger.spend(Spending(ACCOUNT, budget, 0.0)).result()
    ledger.spend(Spending("other", budget, 0.0)).result()
    spent = ledger.budgets().result()
    now_ms = to_ms(ledger.now())
    assert {name: used(one, now_ms) for name, one in spent.items()} == {ACCOUNT: 7, "other": 1}


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (counts._OPEN, "payments_open"),
        (counts._NOT_PENDING, "payments_account_status"),
        (counts._REVIEW, "payments_review"),
        (counts._UNCERTAIN, "payments_uncertain"),
    ],
)
def test_counting_reads_one_index(tmp_path: Path, sql: str, index: str) -> None:
    """On SQLite, whose choice does not depend on how many rows there are: never all rows in another's order."""
    with closing(open_ledger(f"sqlite:///{tmp_path / 'p.db'}")) as ledger:
        plan = ledger.read(lambda tx: tx.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()).result()
    assert plan[0][3].endswith(f"INDEX {index}")
