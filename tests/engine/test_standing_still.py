"""A process that stood still must not send what others count as not under way any more."""

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from paycore.domain.payment import Status
from paycore.errors import NotSent
from tests.engine.by_hand import TIMEOUT_S, Bench
from tests.engine.test_transport import both


@both
def test_send_past_deadline_sends_nothing(send: Callable[[str, float], object]) -> None:
    """A request whose time has passed is certainly not sent, not even over a connection that is open."""
    with pytest.raises(NotSent, match="time had passed"):
        send("http://127.0.0.1:9", 0.0)


def test_deadline_counts_from_the_intent(tmp_path: Path) -> None:
    """A process that stands still after it recorded its intent has that much less time to send."""
    bench = Bench(tmp_path)
    begin = bench.ledger.begin

    def stand_still(*arguments: object) -> object:
        committed = begin(*arguments)  # type: ignore[arg-type]
        bench.pass_time(TIMEOUT_S - 1)
        return committed

    with mock.patch.object(bench.ledger, "begin", stand_still):
        held = bench.hold(bench.create())
    assert held.effect.deadline.left_s <= 1


def test_standing_still_past_the_deadline_leaves_an_intent(tmp_path: Path) -> None:
    """What could not be sent in time is unsent, and the next caller sends it with the same number."""
    bench = Bench(tmp_path)
    held = bench.hold(bench.create())
    number = bench.payment().order_number
    with pytest.raises(NotSent):
        held.fail(NotSent("its time had passed before anything was sent"))
    assert bench.payment().status is Status.CREATED
    assert bench.run(bench.create()).order_number == number
    assert len(bench.gateway.orders) == 1
