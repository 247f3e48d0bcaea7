"""The ledger's clock: after a step back of the system's clock nothing is doubled or stuck."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from paycore.domain.decisions import may_send, send_again
from paycore.domain.events import Source
from paycore.ledger.api import Filter
from paycore.ledger.clock import AHEAD_MAX, PAYBACK, LedgerClock, to_ms
from paycore.ledger.sqlite.ledger import SqliteLedger
from tests.ledger.workload import DEADLINE, begun, pending_payment
from tests.support.due import claim_due

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


class Hand:
    """A system clock that is set by hand."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def hand() -> Hand:
    """The machine's clock, at noon."""
    return Hand()


def _open(path: Path, hand: Hand) -> SqliteLedger:
    return SqliteLedger(path / "ledger.db", clock=hand, inline=True)


@pytest.mark.parametrize("is_new_process", [False, True])
def test_step_back_leaves_nothing_stuck(tmp_path: Path, hand: Hand, is_new_process: bool) -> None:
    """After an hour's step back operations come due at their time, not an hour later."""
    with closing(_open(tmp_path, hand)) as first:
        payment = first.begin(*begun("order-1")).result().payment
        hand.at -= HOUR
        with closing(_open(tmp_path, hand)) as second:
            ledger = second if is_new_process else first
            assert claim_due(ledger, limit=10, lease_s=30)[1] == ()
            hand.at += DEADLINE * 1.2
            now, claimed = claim_due(ledger, limit=10, lease_s=30)
            assert [p.id for p in claimed] == [payment.id]
            assert may_send(claimed[0].creation, now)


def test_step_back_sends_nothing_twice(tmp_path: Path, hand: Hand) -> None:
    """Right after a step back no operation under way may be sent again."""
    with closing(_open(tmp_path, hand)) as ledger:
        payment = ledger.begin(*begun("order-1")).result().payment
        hand.at -= HOUR
        hand.at += DEADLINE / 2
        committed = ledger.change(
            payment.id, lambda p, now: send_again(p, now, p.creation.id, DEADLINE), Source.RECOVERY
        ).result()
        assert not committed.events
        assert not may_send(payment.creation, ledger.now())


def test_step_back_keeps_events_in_order(tmp_path: Path, hand: Hand) -> None:
    """Event times never decrease, also over processes that start after the step."""
    with closing(_open(tmp_path, hand)) as ledger:
        payment = pending_payment(ledger, "order-1")
        hand.at -= HOUR
        pending_payment(ledger, "order-2")
    with closing(_open(tmp_path, hand)) as ledger:
        other = pending_payment(ledger, "order-3")
        assert other.created_at >= payment.updated_at
        made = {p.reference: p.created_at for p in ledger.list(Filter()).result()}
        assert made["order-3"] >= made["order-2"] >= made["order-1"]


def test_step_back_is_corrected_slowly() -> None:
    """The ledger's clock runs slower until it agrees, and never stands still."""
    hand = Hand()
    clock = LedgerClock(hand)
    newest, step = clock.catch_up(None, None, None)
    hand.at -= HOUR
    assert step is None
    now, step = clock.catch_up(to_ms(newest), None, None)
    assert step is not None
    ahead = [now - hand.at]
    for _ in range(12):
        before = clock.now()
        hand.at += HOUR
        now, noticed = clock.catch_up(to_ms(before), *step)
        assert noticed is None
        assert now - before >= HOUR - HOUR / PAYBACK
        ahead.append(now - hand.at)
    assert ahead[0] == HOUR
    assert ahead == sorted(ahead, reverse=True)
    assert ahead[-1] == timedelta()


def test_far_future_time_in_the_ledger_is_not_followed() -> None:
    """An event from a machine whose clock was years ahead does not set the others' clocks."""
    clock = LedgerClock(Hand())
    assert clock.catch_up(to_ms(NOON + AHEAD_MAX + SECOND), None, None) == (NOON, None)
    assert clock.catch_up(to_ms(NOON + AHEAD_MAX), None, None)[0] == NOON + AHEAD_MAX


def test_all_processes_have_one_time_after_a_step_back(tmp_path: Path, hand: Hand) -> None:
    """However long each was idle, and whenever it started."""
    with closing(_open(tmp_path, hand)) as busy, closing(_open(tmp_path, hand)) as idle:
        pending_payment(busy, "order-1")
        hand.at -= HOUR
        for n in range(5):
            hand.at += HOUR / 20
            pending_payment(busy, f"more-{n}")
        with closing(_open(tmp_path, hand)) as new:
            nows = [claim_due(ledger, limit=1, lease_s=0.0)[0] for ledger in (busy, idle, new)]
    assert len(set(nows)) == 1
    assert nows[0] > hand.at + HOUR / 2
