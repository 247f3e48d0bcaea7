"""A process whose idea of the ledger's clock is slightly off: it neither acts early nor repeats itself."""

from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from paycore import Status
from tests.engine.by_hand import TIMEOUT_S, Bench, lose_requests

AHEAD = timedelta(milliseconds=20)


def ahead(bench: Bench) -> Any:
    """This process takes the time to be 20 ms later than it is."""

    def now() -> datetime:
        return bench.ledger.now() + AHEAD

    return mock.patch.object(bench.recovery._attempts, "now", now)


def test_query_that_waits_for_proof_asks_late_enough(bench: Bench) -> None:
    """One query still sends a lost order again, although this process thinks the time came earlier."""
    bench.answer = lose_requests
    bench.run(bench.create())
    bench.answer = bench.gateway.handle
    with ahead(bench):
        payment = bench.run_in_time(bench.commands.query(bench.payment().id))
    assert payment.status is Status.PENDING
    assert len(bench.gateway.orders) == 1


def test_move_the_ledger_does_not_take_is_not_tried_again_at_once(bench: Bench) -> None:
    """By the ledger's clock the close is under way: recovery leaves it until the next look."""
    bench.run(bench.create())
    bench.hold(bench.commands.close(bench.payment().id))
    bench.pass_time(TIMEOUT_S - AHEAD.total_seconds())
    begun = bench.payment()
    with ahead(bench), mock.patch.object(bench.ledger, "change", wraps=bench.ledger.change) as tried:
        assert bench.run(bench.recovery.recover(bench.account, begun)) == begun
    assert tried.call_count == 1
