"""A pass over everything that is open: each payment asked about once, within the budget, and then it ends."""

import pytest

from paycore import RefundStatus, Resolved, Status
from tests.engine.conftest import OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

BATCH = 3


@pytest.fixture
def till(open_till: OpenTill) -> Till:
    """A till that asks about a few payments at a time, and trusts no notification."""
    return open_till(notifications_trusted=False, batch=BATCH)


def resolved(till: Till) -> dict[str, Resolved]:
    """What a pass tells, by reference."""
    found = list(till._iterated(till._client.resolve()))
    by_reference = {one.payment.reference: one for one in found}
    assert len(by_reference) == len(found), "each is told of once"
    return by_reference


def queries(gateway: ToyServer) -> int:
    """How many questions the gateway was asked."""
    return gateway.counts().requests.get("/query", 0)


def test_pass_goes_over_all_that_is_open(till: Till, gateway: ToyServer) -> None:
    """Paid ones become paid, waiting ones stay, a lost reply is found out; in as few questions as they fit in."""
    payments = [till.create(f"order-{number}") for number in range(5)]
    gateway.pay(payments[0].order_number)
    gateway.set_faults(lose_reply=1, path="/orders")
    lost = till.create("lost")
    assert lost.status is Status.UNKNOWN
    found = resolved(till)
    assert set(found) == {*(payment.reference for payment in payments), "lost"}
    assert all(one.problem is None for one in found.values())
    assert found["order-0"].before.status is Status.PENDING
    assert found["order-0"].payment.status is Status.PAID
    assert found["order-1"].payment.status is Status.PENDING
    assert not found["lost"].payment.uncertain
    assert queries(gateway) == 2
    assert till.get(payments[0].id).status is Status.PAID


def test_pass_asks_about_refunds_and_closed_orders(till: Till, gateway: ToyServer) -> None:
    """A refund whose reply was lost is found out; a closed order that was paid is seen before its check."""
    paid = till.create("paid", channel="card")
    gateway.set_faults(lose_reply=1, path="/refunds")
    (refund,) = till.refund(paid).refunds
    assert refund.status is RefundStatus.UNKNOWN
    late = till.close(till.create("late"))
    assert late.status is Status.CLOSED
    gateway.gateway.orders[-1].status = "paid"
    found = resolved(till)
    assert [refund.status for refund in found["paid"].payment.refunds] == [RefundStatus.SUCCEEDED]
    assert found["late"].payment.status is Status.PAID


def test_pass_leaves_an_account_that_gives_no_answer(till: Till, gateway: ToyServer) -> None:
    """A provider that is down is asked a few times; then those it told nothing of are told of, with the reason."""
    payments = [till.create(f"order-{number}") for number in range(2 * BATCH)]
    gateway.set_faults(lose_request=1000, path="/query")
    found = resolved(till)
    assert found
    assert {one.payment.status for one in found.values()} == {Status.PENDING}
    assert all(one.problem and "could not be reached" not in one.problem for one in found.values())
    gateway.set_faults()
    assert set(resolved(till)) == {payment.reference for payment in payments}


def test_pass_with_nothing_open_asks_nothing(till: Till, gateway: ToyServer) -> None:
    """A final payment is not asked about, and the pass ends at once."""
    till.create("paid", channel="card")
    assert resolved(till) == {}
    assert queries(gateway) == 0
