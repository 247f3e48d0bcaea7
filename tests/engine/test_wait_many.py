"""Waiting for many payments at once: each comes as soon as it is final, and what is left comes at the timeout."""

import pytest

from paycore import Payment, Status
from paycore.errors import InvalidField, LedgerUnavailable, NotFound
from tests.engine.conftest import OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer


@pytest.fixture
def till(open_till: OpenTill) -> Till:
    """A till whose notifications only make a payment due."""
    return open_till(notifications_trusted=False)


def waited(till: Till, payments: list[Payment], timeout_s: float) -> list[Payment]:
    """What comes, in order."""
    return list(till._iterated(till._client.wait_many([one.id for one in payments], timeout_s)))


def test_each_comes_as_it_is_final(till: Till, gateway: ToyServer) -> None:
    """A paid one comes before those named earlier; the next one when it is paid; nobody else has to look after them."""
    payments = [till.create(f"order-{number}") for number in range(3)]
    gateway.pay(payments[2].order_number)
    coming = till._iterated(till._client.wait_many([one.id for one in payments], 60))
    first = next(coming)
    assert (first.id, first.status) == (payments[2].id, Status.PAID)
    gateway.pay(payments[0].order_number)
    second = next(coming)
    assert (second.id, second.status) == (payments[0].id, Status.PAID)


def test_what_is_left_comes_at_the_timeout(till: Till, gateway: ToyServer) -> None:
    """All come exactly once: what waiting can't help at once, what is open as it is at the timeout."""
    paid, failed = till.create("paid", channel="card"), till.create("other")
    found = waited(till, [failed, paid, paid], 0.5)
    assert [(one.id, one.status) for one in found] == [(paid.id, Status.PAID), (failed.id, Status.PENDING)]
    assert not till._client._waiter.hub._calls
    assert not any(wanted.ids("toy") for wanted in till._client._waiter.wanted._scopes.values())


def test_change_by_another_process_is_heard(open_till: OpenTill, till: Till, gateway: ToyServer) -> None:
    """Another client on the ledger closes the payment: it comes at once."""
    payment = till.create()
    coming = till._iterated(till._client.wait_many([payment.id, till.create("order-2").id], 60))
    other = open_till(notifications_trusted=False)
    other.close(payment)
    found = next(coming)
    assert (found.id, found.status) == (payment.id, Status.CLOSED)


def test_nothing_to_wait_for(till: Till) -> None:
    """No ids is no payments; an unknown one is an error, and so is a timeout that is none."""
    assert waited(till, [], 60) == []
    with pytest.raises(NotFound):
        next(till._iterated(till._client.wait_many(["nobody"], 60)))
    with pytest.raises(InvalidField):
        till._client.wait_many(["nobody"], -1)
    assert not till._client._waiter.hub._calls


def test_leaving_the_iterator_waits_no_more(till: Till) -> None:
    """An iterator that is closed leaves no wake-ups, and nobody looks after its payments."""
    payments = [till.create("paid", channel="card"), till.create("waiting")]
    coming = till._client.wait_many([one.id for one in payments], 60)
    assert next(till._iterated(coming)).status is Status.PAID
    till._on_the_loop(coming.close if till.kind == "sync" else coming.aclose)
    assert not till._client._waiter.hub._calls
    assert not any(wanted.ids("toy") for wanted in till._client._waiter.wanted._scopes.values())


def test_closing_the_client_ends_it(till: Till) -> None:
    """It ends with an error when its client is closed, not at the timeout."""
    payments = [till.create("paid", channel="card"), till.create("waiting")]
    coming = till._iterated(till._client.wait_many([one.id for one in payments], 60))
    next(coming)
    till.do("shutdown")
    with pytest.raises(LedgerUnavailable):
        next(coming)
