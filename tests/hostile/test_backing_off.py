"""A move that failed backs off: whatever a provider answers, no operation is sent more often than its schedule says."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore import Payment, Status
from paycore.errors import IncompleteReply, MaybeSent
from paycore.testing.toy import ToyGateway
from tests.engine.tills import Till
from tests.hostile.gateway import STAY, Heard, Honest, HostileGateway, Part, hostile_gateway, whole
from tests.hostile.shops import carrier, config_of, plugins
from tests.support.toy_http import KEY

PATIENCE_S = 60.0
"""For what comes after 2 seconds, on a machine that is busy with other things."""


class Pace:
    """How often one operation may have been sent since the test began."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def sends(self) -> int:
        """Twice, and once more after 2, then 3, then 4.5 seconds."""
        elapsed = time.monotonic() - self._begun
        return 2 + sum(elapsed >= moment for moment in (2.0, 5.0, 9.5, 16.25))


@pytest.fixture
def pace() -> Pace:
    """Measured from now."""
    return Pace()


@pytest.fixture
def truth() -> ToyGateway:
    """What really happened; a number that is known is answered again."""
    return ToyGateway(key=KEY, duplicates="same_result")


@pytest.fixture
def gateway(truth: ToyGateway) -> Iterator[HostileGateway]:
    """The toy's gateway, which counts what it is asked."""
    with hostile_gateway(carrier(truth)) as gateway:
        yield gateway


@pytest.fixture
def till(gateway: HostileGateway, tmp_path: Path) -> Iterator[Till]:
    """A till that fetches a lost link by sending again, and takes an absent number for proof at once."""
    config = config_of(
        "toy", gateway.url, tmp_path / "paycore.db", key=KEY, proof_s=0.0, create_resend="same_result"
    )
    till = Till("sync", config, plugins())
    yield till
    till.shutdown()


def wait_until_asked(till: Till, payment: Payment, gateway: HostileGateway, path: str, times: int) -> None:
    """Wait for the payment, which stays as it is, until the gateway was asked so often."""
    give_up_at = time.monotonic() + PATIENCE_S
    while gateway.asked(path) < times and time.monotonic() < give_up_at:
        till.wait(payment, 1.0)


def broken(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Did what it was asked, perhaps, and says that it is broken."""
    yield whole(b"{}", status="500 Internal Server Error")
    yield STAY


def without_link(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Accepts, and leaves out what the payer needs."""
    yield whole(honest.body.replace(b'"url":"https://toy.example', b'"uri":"https://toy.example'))
    yield STAY


def unknowing(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Knows no number at all."""
    yield whole(b'{"records":[]}')
    yield STAY


def never_closing(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Is broken when it is to close, and says that the order is open."""
    if heard.path == "/close":
        yield from broken(heard, honest)
    else:
        yield whole(honest.body.replace(b'"closed"', b'"pending"'))
        yield STAY


def losing_orders(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Is broken when it is to make anything, and knows of nothing."""
    yield from unknowing(heard, honest) if heard.path == "/query" else broken(heard, honest)


def test_close_that_is_not_answered_is_sent_at_a_pace(
    till: Till, gateway: HostileGateway, pace: Pace
) -> None:
    """Once more at once, since one reply may get lost; then after 2 seconds, and later each time, by any caller."""
    payment = till.create()
    with gateway.answering(never_closing):
        for _ in range(5):
            assert till.close(payment).uncertain
        assert 2 <= gateway.asked("/close") <= pace.sends
        till.query(payment)
        wait_until_asked(till, payment, gateway, "/close", 3)
        assert 3 <= gateway.asked("/close") <= pace.sends


def test_link_that_never_comes_is_fetched_at_a_pace(till: Till, gateway: HostileGateway, pace: Pace) -> None:
    """The order is sent again for its link: once at once, then as the schedule says."""
    with gateway.answering(without_link, "/orders"):
        for _ in range(6):
            _attempt(till)
        assert 2 <= gateway.asked("/orders") <= pace.sends
        wait_until_asked(till, till.find("order-1"), gateway, "/orders", 3)
        assert 3 <= gateway.asked("/orders") <= pace.sends
    assert till.find("order-1").status is Status.PENDING


def test_order_that_never_arrives_is_sent_at_a_pace(till: Till, gateway: HostileGateway, pace: Pace) -> None:
    """Absent and broken again and again: no caller's patience sends it more often than the schedule says."""
    with gateway.answering(losing_orders):
        for _ in range(6):
            _attempt(till)
        assert 2 <= gateway.asked("/orders") <= pace.sends


def test_refund_that_never_arrives_is_sent_at_a_pace(till: Till, gateway: HostileGateway, pace: Pace) -> None:
    """The same for a refund, by its caller and by a query."""
    paid = till.create(channel="card")
    with gateway.answering(losing_orders):
        for _ in range(4):
            till.refund(paid)
            till.query(paid)
        assert 2 <= gateway.asked("/refunds") <= pace.sends


def _attempt(till: Till) -> Any:
    try:
        return till.create()
    except (IncompleteReply, MaybeSent) as error:
        return error
