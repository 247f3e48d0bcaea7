"""The request budget in the ledger: one for all processes, spent with what it is spent for."""

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import TypeVar

import pytest

from paycore.domain.capabilities import RequestBudget
from paycore.domain.events import Source
from paycore.domain.payment import OperationState
from paycore.domain.refunding import begin_refund
from paycore.errors import NotSent
from paycore.ledger.api import Claimed, Report, Spending
from paycore.ledger.base import SqlLedger
from tests.ledger.conftest import Database
from tests.ledger.workload import ACCOUNT, DEADLINE, PRODUCT, begun, numbering, paid_payment, pending_payment
from tests.support.due import bring_forward, claiming

T = TypeVar("T")

BUDGET = RequestBudget(per_second=1_000, per_minute=10)
NOW_OR_NEVER = Spending(ACCOUNT, BUDGET, 0.0)


def sent(futures: Sequence[Future[T]]) -> int:
    """How many of these had a turn."""
    return sum(not isinstance(future.exception(), NotSent) for future in futures)


def test_all_processes_share_one_budget(database: Database) -> None:
    """What one has spent, the others can't spend again, however they race."""
    ledgers = [database.open() for _ in range(3)]
    futures = [ledgers[turn % 3].spend(NOW_OR_NEVER) for turn in range(30)]
    assert sent(futures) == BUDGET.per_minute


def test_payment_whose_turn_does_not_come_is_not_recorded(ledger: SqlLedger) -> None:
    """The caller is told when; nothing of it is there."""
    assert sent([ledger.spend(NOW_OR_NEVER) for _ in range(10)]) == 10
    reference, at = begun("order-1")
    with pytest.raises(NotSent) as raised:
        ledger.begin(reference, at, NOW_OR_NEVER).result()
    assert (raised.value.money_moved, raised.value.retry_after_s is not None) == ("no", True)
    assert ledger.find(ACCOUNT, "order-1").result() == ()


def test_refund_whose_turn_does_not_come_is_not_recorded(ledger: SqlLedger) -> None:
    """The same for every command that a payment is changed by."""
    payment = paid_payment(ledger, "order-1")
    assert sent([ledger.spend(NOW_OR_NEVER) for _ in range(10)]) == 10
    with pytest.raises(NotSent):
        ledger.change(
            payment.id,
            lambda stored, now: begin_refund(
                stored,
                now,
                reference="r1",
                amount=None,
                reason=None,
                product=PRODUCT,
                numbering=numbering(),
                deadline=DEADLINE,
            ),
            Source.CALLER,
            NOW_OR_NEVER,
        ).result()
    assert ledger.get(payment.id).result() == payment


def test_turn_is_reserved_where_it_comes_in_time(ledger: SqlLedger) -> None:
    """The payment is recorded as sent, and says when it may be."""
    budget = RequestBudget(per_second=1, per_minute=1_000)
    ledger.spend(Spending(ACCOUNT, budget, 0.0)).result()
    reference, at = begun("order-1")
    committed = ledger.begin(reference, at, Spending(ACCOUNT, budget, 5.0)).result()
    assert committed.payment.creation.state is OperationState.SENT
    assert committed.send_at is not None
    assert timedelta() < committed.send_at - committed.now <= timedelta(seconds=5)


def test_payment_that_is_there_spends_nothing(ledger: SqlLedger) -> None:
    """The same reference again sends nothing, so it needs no turn."""
    reference, at = begun("order-1")
    ledger.begin(reference, at, NOW_OR_NEVER).result()
    assert sent([ledger.spend(NOW_OR_NEVER) for _ in range(9)]) == 9
    known = ledger.begin(reference, at, NOW_OR_NEVER).result()
    assert (known.events, known.send_at) == ((), None)


def test_change_that_sends_nothing_spends_nothing(ledger: SqlLedger) -> None:
    """An operator's or a provider's word is recorded whatever is spent."""
    payment = pending_payment(ledger, "order-1")
    assert sent([ledger.spend(NOW_OR_NEVER) for _ in range(10)]) == 10
    assert ledger.change(payment.id, lambda *_: (), Source.CALLER, NOW_OR_NEVER).result().send_at is None


def claim(ledger: SqlLedger, budget: RequestBudget = BUDGET) -> Claimed:
    """One question about everything that is due."""
    asked = claiming(ACCOUNT, limit=1, lease_s=30)
    asked = type(asked)(account=ACCOUNT, choose=asked.choose, budget=budget, lease_s=30, weighed=10)
    return ledger.claim(asked).result()


def test_question_has_its_turn_or_is_not_claimed(ledger: SqlLedger) -> None:
    """Where the budget is spent, what is due stays due for whoever looks next, and the time to look is told."""
    pending_payment(ledger, "order-1")
    bring_forward(ledger)
    assert sent([ledger.spend(NOW_OR_NEVER) for _ in range(10)]) == 10
    claimed = claim(ledger)
    assert (claimed.question, claimed.payments) == (None, ())
    assert claimed.next_at is not None
    assert claimed.next_at > claimed.now
    assert claim(ledger, RequestBudget(per_second=1_000, per_minute=1_000)).question is not None


def test_nothing_due_spends_nothing(ledger: SqlLedger) -> None:
    """A worker that looks in vain leaves the budget as it is."""
    for _ in range(20):
        assert claim(ledger).question is None
    assert sent([ledger.spend(NOW_OR_NEVER) for _ in range(10)]) == 10


def test_refusal_is_known_to_all_processes(database: Database) -> None:
    """One of them is told to wait; none sends before."""
    first, second = database.open(), database.open()
    first.rest(ACCOUNT, 30).result()
    with pytest.raises(NotSent) as raised:
        second.spend(Spending(ACCOUNT, BUDGET, 1.0)).result()
    assert raised.value.retry_after_s == pytest.approx(30, abs=5)


def test_provider_that_is_away_is_known_to_all_processes(database: Database) -> None:
    """Not each of them finds out by itself; with the first answer all go on."""
    first, second = database.open(), database.open()
    pending_payment(first, "order-1")
    bring_forward(first)
    plenty = RequestBudget(per_second=1_000, per_minute=1_000)
    for _ in range(3):
        first.reschedule([], Report(ACCOUNT, is_answered=False)).result()
    claimed = claim(second, plenty)
    assert claimed.question is None
    assert claimed.next_at is not None
    assert claimed.next_at - claimed.now <= timedelta(seconds=4)
    first.reschedule([], Report(ACCOUNT, is_answered=True)).result()
    assert claim(second, plenty).question is not None


def test_accounts_have_budgets_of_their_own(ledger: SqlLedger) -> None:
    """What one account spends is nothing to another one."""
    assert sent([ledger.spend(NOW_OR_NEVER) for _ in range(10)]) == 10
    assert sent([ledger.spend(Spending("other", BUDGET, 0.0)) for _ in range(10)]) == 10
