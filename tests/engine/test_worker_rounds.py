"""The embedded worker's rounds: an unresponsive provider delays neither closing nor waiters."""

import time

import pytest

from paycore import Payment, Status
from tests.engine.conftest import TIMEOUT_S, OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

PAYMENTS = 12
pytestmark = pytest.mark.parametrize("kind", ["sync"])  # a till's loop runs one verb at a time


@pytest.fixture
def till(open_till: OpenTill) -> Till:
    """A till that queries one payment at a time, and trusts no notification."""
    return open_till(notifications_trusted=False, batch=1)


def notified(till: Till, gateway: ToyServer) -> list[Payment]:
    """Payments that were paid and notified, at a gateway that delays every query."""
    payments = [till.create(f"order-{n}") for n in range(PAYMENTS)]
    for payment in payments:
        gateway.pay(payment.order_number)
    told = [gateway.notification(payment.order_number) for payment in payments]
    gateway.set_faults(delay_s=2 * TIMEOUT_S)
    for body, headers in told:
        till.receive(body, headers)
    return payments


def test_closing_waits_for_one_question_only(till: Till, gateway: ToyServer) -> None:
    """A client with many payments to confirm closes within about one call's deadline."""
    notified(till, gateway)
    begun = time.monotonic()
    till.shutdown()
    assert time.monotonic() - begun < 3 * TIMEOUT_S, "one question takes a deadline, all of them take 12"


def test_new_waiter_gets_a_turn(till: Till, gateway: ToyServer) -> None:
    """Many payments to confirm do not delay the one that is waited for."""
    payments = notified(till, gateway)
    time.sleep(1.5 * TIMEOUT_S)
    gateway.set_faults(delay_s=0.3)
    assert till.wait(payments[-1], timeout_s=30).status is Status.PAID
