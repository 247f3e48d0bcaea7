"""A refund that succeeded may come back: it is asked about for as long as that can happen."""

import time

import pytest

from paycore import RefundStatus
from tests.engine.conftest import OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer


def until_reversed(till: Till, payment_id: str) -> None:
    """Wait until the payment's refund is recorded as reversed, without anybody asking for it."""
    give_up_at = time.monotonic() + 20
    while till.get(payment_id).refunds[0].status is not RefundStatus.REVERSED:
        assert time.monotonic() < give_up_at, till.get(payment_id)
        till.sleep(0.02)


def test_query_finds_a_refund_that_came_back(till: Till, gateway: ToyServer) -> None:
    """Its amount can be refunded again, by another reference."""
    payment = till.create(channel="card")
    refund = till.refund(payment, reference="back-1").refunds[0]
    gateway.happens("reverse", number=refund.number)
    found = till.query(payment)
    assert found.refunds[0].status is RefundStatus.REVERSED
    assert (found.refunded_minor, found.refundable_minor) == (0, payment.amount.minor)
    again = till.refund(payment, reference="back-2")
    assert [refund.status for refund in again.refunds] == [RefundStatus.REVERSED, RefundStatus.SUCCEEDED]
    assert again.refunded_minor == payment.amount.minor


@pytest.mark.parametrize("is_mention", [True, False])
def test_hint_of_a_refund_that_came_back_has_it_asked_about(
    open_till: OpenTill, gateway: ToyServer, *, is_mention: bool
) -> None:
    """An unsigned id, and a notification that is no evidence, both of a refund whose payment is final."""
    till = open_till(notifications_trusted=False, mentions=is_mention)
    payment = till.create(channel="card")
    refund = till.refund(payment, reference="back-1").refunds[0]
    gateway.happens("reverse", number=refund.number)
    make = gateway.mention if is_mention else gateway.notification
    till.receive(*make(refund.number))
    until_reversed(till, payment.id)
