"""What comes due soon may be part of a question, on both databases: only where something is due, and never twice."""

from datetime import timedelta

from msgspec.structs import replace

from paycore.ledger.api import Rescheduled
from paycore.ledger.base import SqlLedger
from tests.ledger.workload import ACCOUNT, pending_payment
from tests.support.due import bring_forward, claiming

AHEAD = replace(claiming(ACCOUNT, limit=10, lease_s=30), ahead_s=60.0)


def test_due_soon_is_claimed_with_what_is_due(ledger: SqlLedger) -> None:
    """Nothing is asked early for its own sake; and who claims it holds it."""
    first, second = (pending_payment(ledger, f"order-{index}") for index in range(2))
    bring_forward(ledger)
    later = ledger.now() + timedelta(seconds=30)
    ledger.claim(claiming(ACCOUNT, limit=10, lease_s=30)).result()
    ledger.reschedule([Rescheduled(one.id, one.version, later) for one in (first, second)]).result()
    assert ledger.claim(AHEAD).result().question is None
    ledger.reschedule([Rescheduled(first.id, first.version, ledger.now())]).result()
    alone = ledger.claim(replace(AHEAD, ahead_s=0.0)).result()
    assert [one.id for one in alone.payments] == [first.id]
    ledger.reschedule([Rescheduled(first.id, first.version, ledger.now())]).result()
    claimed = ledger.claim(AHEAD).result()
    assert {one.id for one in claimed.payments} == {first.id, second.id}
    assert [one.due_ms <= claimed.now.timestamp() * 1000 for one in claimed.due] == [True, False]
    assert ledger.claim(replace(AHEAD, ahead_s=10.0)).result().question is None
