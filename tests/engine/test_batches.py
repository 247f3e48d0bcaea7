"""A query flow gets at most the declared number of orders and refunds, and every number gets its turn."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paycore import Money, RefundStatus, Status
from paycore.engine.orders import QUESTIONS_MAX, questions
from paycore.engine.plugins import Plugins
from paycore.plugin import Done, Flow, Found, OrderRef, hookimpl
from paycore.testing.toy import ToyGateway, ToyProvider
from tests.engine.tills import Kind, Till
from tests.support.toy_http import KEY, ToyServer, toy_config, toy_server

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class SlowRefunds(ToyGateway):
    """The toy, with refunds that stay pending."""

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        record = super()._refund(fields)
        if "error" not in record:
            self.orders[-1].status = "pending"
        return {**record, "status": "pending"}

    def complete(self) -> None:
        """Complete every refund."""
        for order in self.orders:
            if order.kind == "refund":
                order.status = "succeeded"


class OneByOne(ToyProvider):
    """The toy, whose query makes a request per order or refund, and checks the declared maximum."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        """One request each."""
        if len(orders) > self.capabilities.query_batch_max:
            raise AssertionError(f"{len(orders)} at once")
        found = Found()
        for order in orders:
            outcome = yield from super().query([order])
            assert isinstance(outcome, Done)
            told = outcome.value
            found = Found(
                observations=(*found.observations, *told.observations), absent=found.absent | told.absent
            )
        return Done(found)


class OneByOnePlugin:
    """Offers `OneByOne`."""

    @hookimpl
    def paycore_register_providers(self) -> list[type[ToyProvider]]:
        return [OneByOne]


@pytest.fixture
def slow() -> SlowRefunds:
    """The gateway's state."""
    return SlowRefunds(key=KEY)


@pytest.fixture
def server(slow: SlowRefunds) -> Iterator[ToyServer]:
    """The gateway."""
    with toy_server(slow) as server:
        yield server


@pytest.fixture
def till(kind: Kind, server: ToyServer, tmp_path: Path) -> Iterator[Till]:
    """A till whose provider takes five at once."""
    config = toy_config(server.url, f"sqlite:///{tmp_path / 'paycore.db'}", timeout_s=5.0, batch=5)
    till = Till(kind, config, Plugins(extra=[("toy", OneByOnePlugin())]))
    yield till
    till.shutdown()


def refunded(till: Till, count: int) -> Any:
    """A payment with this many refunds under way."""
    payment = till.create(channel="card")
    for number in range(count):
        payment = till.refund(payment, f"back-{number}", amount=Money("1.00", "HKD"))
    return payment


def test_payment_with_many_open_refunds_can_be_queried(till: Till, slow: SlowRefunds) -> None:
    """More numbers than one flow takes are queried in several flows, and every refund is resolved."""
    payment = refunded(till, 12)
    assert {refund.status for refund in payment.refunds} == {RefundStatus.PENDING}
    slow.complete()
    payment = till.query(payment)
    assert {refund.status for refund in payment.refunds} == {RefundStatus.SUCCEEDED}
    assert (payment.status, payment.refunded_minor) == (Status.PAID, 1200)


def test_waiting_asks_about_no_more_than_the_provider_takes(till: Till, slow: SlowRefunds) -> None:
    """Batches are counted in numbers, not in payments, and every waiter is served."""
    refunded(till, 7)
    pending = till.create("order-2")
    slow.pay(pending.order_number)
    assert till.wait(pending, 5.0).status is Status.PAID


def test_questions_are_of_the_declared_size_and_take_turns() -> None:
    """At most ten flows at once, and each number has its turn."""
    refs: list[Any] = list(range(203))
    asked = [questions(refs, 5, NOON + timedelta(milliseconds=ms)) for ms in range(41)]
    assert {len(some) for some in asked} == {QUESTIONS_MAX}
    assert {len(question) for some in asked for question in some} == {5, 3}
    assert {number for some in asked for question in some for number in question} == set(refs)
    firsts: set[Any] = {some[0][0] for some in asked}
    assert firsts == set(range(0, 203, 5)), "each comes first once"
    assert questions([], 5, NOON) == []
