"""A step that failed is delayed: whatever a provider answers, no operation is sent more often than its schedule."""

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
"""The wait for what is due after 2 seconds, on a busy machine."""


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
    """The gateway's state; a known number is answered again."""
    return ToyGateway(key=KEY, duplicates="same_result")


@pytest.fixture
def gateway(truth: ToyGateway) -> Iterator[HostileGateway]:
    """The toy's gateway, which counts requests."""
    with hostile_gateway(carrier(truth)) as gateway:
        yield gateway


@pytest.fixture
def till(gateway: HostileGateway, tmp_path: Path) -> Iterator[Till]:
    """A till that fetches a lost link by resending, and takes an absent number as proof at once."""
    config = config_of(
        "toy", gateway.url, tmp_path / "paycore.db", key=KEY, proof_s=0.0, create_resend="same_result"
    )
    till = Till("sync", config, plugins())
    yield till
    till.shutdown()


def wait_until_asked(till: Till, payment: Payment, gateway: HostileGateway, path: str, times: int) -> None:
    """Wait for the payment, which stays as it is, until the gateway got this many requests."""
    give_up_at = time.monotonic() + PATIENCE_S
    while gateway.asked(path) < times and time.monotonic() < give_up_at:
        till.wait(payment, 1.0)


def broken(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Answers with a server error, perhaps after carrying out the request."""
    yield whole(b"{}", status="500 Internal Server Error")
    yield STAY


def without_link(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Accepts without the payer's link."""
    yield whole(honest.body.replace(b'"url":"https://toy.example', b'"uri":"https://toy.example'))
    yield STAY


def unknowing(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Finds no number."""
    yield whole(b'{"records":[]}')
    yield STAY


def never_closing(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Fails to close, and reports the order as open."""
    if heard.path == "/close":
        yield from broken(heard, honest)
    else:
        yield whole(honest.body.replace(b'"closed"', b'"pending"'))
        yield STAY


def losing_orders(heard: Heard, honest: Honest) -> Iterator[Part]:
    """Fails to make anything, and finds nothing."""
    yield from unknowing(heard, honest) if heard.path == "/query" else broken(heard, honest)


def test_close_that_is_not_answered_is_sent_at_a_pace(
    till: Till, gateway: HostileGateway, pace: Pace
) -> None:
    """Once more at once, then after 2 seconds and growing pauses, whoever calls."""
    payment = till.create()
    with gateway.answering(never_closing):
        for _ in range(5):
            assert till.close(payment).uncertain
        assert 2 <= gateway.asked("/close") <= pace.sends
        till.query(payment)
        wait_until_asked(till, payment, gateway, "/close", 3)
        assert 3 <= gateway.asked("/close") <= pace.sends


def test_link_that_never_comes_is_fetched_at_a_pace(till: Till, gateway: HostileGateway, pace: Pace) -> None:
    """The resend for a link follows the same schedule."""
    with gateway.answering(without_link, "/orders"):
        for _ in range(6):
            _attempt(till)
        assert 2 <= gateway.asked("/orders") <= pace.sends
        wait_until_asked(till, till.find("order-1"), gateway, "/orders", 3)
        assert 3 <= gateway.asked("/orders") <= pace.sends
    assert till.find("order-1").status is Status.PENDING


def test_order_that_never_arrives_is_sent_at_a_pace(till: Till, gateway: HostileGateway, pace: Pace) -> None:
    """A repeatedly absent order follows the schedule, however often its caller asks."""
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
