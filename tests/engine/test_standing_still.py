"""A suspended process must not send what others no longer count as under way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from unittest import mock

import pytest

from paycore.domain.events import Source
from paycore.domain.payment import Status
from paycore.engine.timing import Timed
from paycore.errors import NotSent
from tests.engine.by_hand import PROOF_S, TIMEOUT_S, Bench
from tests.engine.test_transport import both


@both
def test_send_past_deadline_sends_nothing(send: Callable[[str, float], object]) -> None:
    """Past its deadline a request is not sent, not even over an open connection."""
    with pytest.raises(NotSent, match="time had passed"):
        send("http://127.0.0.1:9", 0.0)


def test_deadline_counts_from_the_intent(bench: Bench) -> None:
    """A process suspended after recording its intent has less time left to send."""
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
    """Suspend the process after this verb has committed, and set the machine's clock back an hour."""
    perform = getattr(bench.ledger, verb)

    def stand_still(*arguments: object) -> object:
        committed = perform(*arguments)
        bench.pass_time(TIMEOUT_S - 1)
        bench.set_clock_back(timedelta(hours=1, seconds=TIMEOUT_S - 1))
        return committed

    with mock.patch.object(bench.ledger, verb, stand_still):
        yield


def test_deadline_counts_also_when_the_clock_is_set_back_meanwhile(bench: Bench) -> None:
    """Setting the machine's clock back gives a suspended process no more time to send."""
    with standing_still_after(bench, "begin"):
        held = bench.hold(bench.create())
        assert held.effect.deadline.left_s == 1


def test_deadline_of_what_is_sent_again_counts_also_when_the_clock_is_set_back(bench: Bench) -> None:
    """The same for every operation that is sent again."""
    bench.run(bench.create())
    with standing_still_after(bench, "change"):
        held = bench.hold(bench.commands.close(bench.payment().id))
        assert held.effect.deadline.left_s == 1


def test_deadline_counts_also_when_the_machine_was_suspended(bench: Bench) -> None:
    """The ledger's clock counts where the monotonic clock stopped with the machine."""
    begin = bench.ledger.begin

    def be_suspended(*arguments: object) -> object:
        committed = begin(*arguments)  # type: ignore[arg-type]
        bench.at += timedelta(seconds=TIMEOUT_S - 1)
        return committed

    with mock.patch.object(bench.ledger, "begin", be_suspended):
        held = bench.hold(bench.create())
    assert held.effect.deadline.left_s <= 1


def test_deadline_counts_from_the_decision_that_was_committed(bench: Bench) -> None:
    """Waiting for a transaction, or repeating it, does not shorten the provider's time to answer."""
    decided = Timed(lambda: bench.pass_time(1), timedelta(seconds=TIMEOUT_S))
    for _ in range(2):
        bench.pass_time(3)
        decided()
        assert decided.deadline(TIMEOUT_S).left_s == TIMEOUT_S - 1


def test_absence_is_not_proven_early_by_a_clock_that_is_ahead(bench: Bench) -> None:
    """A process whose clock is ahead does not consider a request lost too early."""
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
    """What was not sent in time is unsent, and the next caller sends it with the same number."""
    held = bench.hold(bench.create())
    number = bench.payment().order_number
    with pytest.raises(NotSent):
        held.fail(NotSent("its time had passed before anything was sent"))
    assert bench.payment().status is Status.CREATED
    assert bench.run(bench.create()).order_number == number
    assert len(bench.gateway.orders) == 1
