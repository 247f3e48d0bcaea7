"""A sandbox in one class: ids of one's own, and refunds that take time."""

import time
from collections.abc import Iterator, Mapping

import pytest

from paycore.sandbox.api import SandboxOptions
from paycore.sandbox.scripted import GatewayAnswer, GatewayRequest, ScriptedGateway, ScriptedOrder


class Gateway(ScriptedGateway):
    """Answers nothing, and counts what it would notify of."""

    name = "scripted"
    told = 0

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """See `ScriptedGateway`."""
        return GatewayAnswer({}, 404)

    def notification(
        self, order: ScriptedOrder, *, is_forged: bool
    ) -> tuple[Mapping[str, str], bytes] | None:
        """See `ScriptedGateway`."""
        self.told += 1
        return None


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """One with an order that was paid, with an id in the company's own form."""
    opened = Gateway(SandboxOptions(public_url="http://127.0.0.1:1"))
    opened.place("1", 1000, "EUR", id="tr_7UhSN1zuXS")
    opened.pay("1")
    yield opened
    opened.clock.close()


def test_order_may_have_an_id_of_its_own(gateway: Gateway) -> None:
    """It is found by that too; without one it gets one that no order has."""
    assert gateway.find("tr_7UhSN1zuXS") is gateway.orders[0]
    assert gateway.place("2", 1000, "EUR").id != gateway.place("3", 1000, "EUR").id


def test_sandbox_started_anew_gives_no_id_again() -> None:
    """A ledger that was kept would take the new order for the old one: `charge_of_another`."""
    ids = []
    for _ in range(2):
        opened = Gateway(SandboxOptions(public_url="http://127.0.0.1:1"))
        time.sleep(0.01)  # nobody stops and starts one faster
        ids.append(opened.place("1", 1000, "EUR").id)
        opened.clock.close()
    assert len(set(ids)) == 2


def test_refund_that_takes_time_is_counted_once_it_is_done(gateway: Gateway) -> None:
    """Until then it is pending, and its money is nobody else's; the end is notified."""
    order, told = gateway.orders[0], gateway.told
    refund = gateway.refund(order, "R-1", 600, takes_s=3600.0, id="re_1")
    assert refund is not None
    assert (refund.id, refund.state, order.refunded_minor) == ("re_1", "pending", 0)
    assert gateway.refund(order, "R-2", 401) is None
    gateway.clock.advance(3599.0)
    assert refund.state == "pending"
    gateway.clock.advance(2.0)
    assert (refund.state, order.refunded_minor, gateway.told - told) == ("succeeded", 600, 1)


def test_refund_that_failed_meanwhile_stays_failed(gateway: Gateway) -> None:
    """Its money is the merchant's again."""
    order = gateway.orders[0]
    refund = gateway.refund(order, "R-1", 600, takes_s=3600.0)
    assert refund is not None
    refund.state = "failed"
    gateway.clock.advance(3601.0)
    assert (refund.state, order.refunded_minor) == ("failed", 0)
    assert gateway.refund(order, "R-2", 1000) is not None
    assert order.refunded_minor == 1000
