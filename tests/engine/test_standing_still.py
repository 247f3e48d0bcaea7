"""A process that stood still must not send what others count as not under way any more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from unittest import mock

import pytest

from paycore.domain.events import Source
from paycore.domain.payment import Status
from paycore.engine.transport import Timed
from paycore.errors import NotSent
from tests.engine.by_hand import PROOF_S, TIMEOUT_S, Bench
from tests.engine.test_transport import both


@both
def test_send_past_deadline_sends_nothing(send: Callable[[str, float], object]) -> None:
    """A request whose time has passed is certainly not sent, not even over a connection that is open."""
    with pytest.raises(NotSent, match="time had passed"):
        send("http://127.0.0.1:9", 0.0)


def test_deadline_counts_from_the_intent(bench: Bench) -> None:
    """A process that stands still after it recorded its intent has that much less time to send."""
    begin = bench.ledger.begin

    def stand_still(*arguments: object) -> object:
        committed = begin(*arguments)  # type: ignore[arg-type]
        bench.pass_time(TIMEOUT_S - 1)
        return committed

    with mock.patch.object(bench.ledger, "begin", stand_still):
        held = bench.hold(bench.create())
    assert held.effect.deadline.left_s <= 1


@contextmanager
def standing_still_after(bench: Bench, verb: str) -> Iterator[None]:
    """Once this verb has committed the process stands still, and the machine's clock is set back an hour meanwhile."""
    perform = getattr(bench.ledger, verb)

    def stand_still(*arguments: object) -> object:
        committed = perform(*arguments)
        bench.pass_time(TIMEOUT_S - 1)
        bench.set_clock_back(timedelta(hours=1, seconds=TIMEOUT_S - 1))
        return committed

    with mock.patch.object(bench.ledger, verb, stand_still):
        yield


def test_deadline_counts_also_when_the_clock_is_set_back_meanwhile(bench: Bench) -> None:
    """The machine's clock, set back an hour while a process stands still, gives it no more time to send."""
    with standing_still_after(bench, "begin"):
        held = bench.hold(bench.create())
        assert held.effect.deadline.left_s == 1


def test_deadline_of_what_is_sent_again_counts_also_when_the_clock_is_set_back(bench: Bench) -> None:
    """The same for every operation that is put on its way by a change."""
    bench.run(bench.create())
    with standing_still_after(bench, "change"):
        held = bench.hold(bench.commands.close(bench.payment().id))
        assert held.effect.deadline.left_s == 1


def test_deadline_counts_also_when_the_machine_was_suspended(bench: Bench) -> None:
    """A monotonic clock that stood still with the process gives it no more time: others go by the ledger's."""
    begin = bench.ledger.begin

    def be_suspended(*arguments: object) -> object:
        committed = begin(*arguments)  # type: ignore[arg-type]
        bench.at += timedelta(seconds=TIMEOUT_S - 1)
        return committed

    with mock.patch.object(bench.ledger, "begin", be_suspended):
        held = bench.hold(bench.create())
    assert held.effect.deadline.left_s <= 1


def test_deadline_counts_from_the_decision_that_was_committed(bench: Bench) -> None:
    """A transaction that waits for the ledger, or is made again, takes none of the provider's time to answer."""
    decided = Timed(lambda: bench.pass_time(1), timedelta(seconds=TIMEOUT_S))
    for _ in range(2):
        bench.pass_time(3)
        decided()
        assert decided.deadline(TIMEOUT_S).left_s == TIMEOUT_S - 1


def test_absence_is_not_proven_early_by_a_clock_that_is_ahead(bench: Bench) -> None:
    """A process that takes the ledger's clock for later than it is does not take a request for lost."""
    bench.hold(bench.create())
    bench.pass_time(TIMEOUT_S)
    ahead = bench.ledger.now() + timedelta(hours=1)
    with mock.patch.object(bench.recovery._attempts, "now", return_value=ahead):
        (payment,) = bench.run(bench.recovery.ask(bench.account, [bench.payment()], Source.POLL))
    assert payment.creation.proven_absent_at is None
    bench.pass_time(PROOF_S + 1)
    (payment,) = bench.run(bench.recovery.ask(bench.account, [payment], Source.POLL))
    assert payment.creation.proven_absent_at is not None


def test_standing_still_past_the_deadline_leaves_an_intent(bench: Bench) -> None:
    """What could not be sent in time is unsent, and the next caller sends it with the same number."""
    held = bench.hold(bench.create())
    number = bench.payment().order_number
    with pytest.raises(NotSent):
        held.fail(NotSent("its time had passed before anything was sent"))
    assert bench.payment().status is Status.CREATED
    assert bench.run(bench.create()).order_number == number
    assert len(bench.gateway.orders) == 1
