"""A create's reply arrives while its order is being replaced: the payer never gets a closed order's link."""

import pytest

from paycore import Payment, Status
from paycore.domain.action import Redirect
from paycore.domain.events import Source
from tests.engine.by_hand import TIMEOUT_S, Bench, Held


@pytest.fixture
def held(bench: Bench) -> Held:
    """A create whose request has arrived and whose sender is suspended; a query has found the order meanwhile."""
    held = bench.hold(bench.create())
    bench.gateway.handle(held.effect.request)
    bench.pass_time(TIMEOUT_S)
    (found,) = bench.run(bench.recovery.ask(bench.account, [bench.payment()], Source.POLL))
    assert found.creation.needs_action
    return held


def reply(bench: Bench, held: Held) -> Payment:
    """The sender continues with the gateway's reply: the order and its link."""
    number = bench.gateway.orders[0].number
    duplicates, bench.gateway.duplicates = bench.gateway.duplicates, "same_result"
    response = bench.gateway.handle(held.effect.request)
    bench.gateway.duplicates = duplicates
    assert number in response.body.decode()
    payment: Payment = held.succeed(response)
    return payment


def test_reply_after_the_closing_brings_no_link(bench: Bench, held: Held) -> None:
    """The old order is closed, the new one not begun: no link is shown."""
    bench.run(bench.replace_order(bench.payment()))
    payment = reply(bench, held)
    assert (payment.status, payment.action) == (Status.PENDING, None)
    bench.run(bench.recovery.recover(bench.account, bench.payment()))
    payment = bench.payment()
    new = bench.gateway.orders[-1]
    assert (payment.order_number, new.status) == (new.number, "pending")
    assert payment.action == Redirect(url=f"https://toy.example/pay/{new.id}")


def test_reply_during_the_closing_brings_no_link(bench: Bench, held: Held) -> None:
    """While the close is under way no link is shown; if it is refused, the link is shown again."""
    closing = bench.hold(bench.replace_order(bench.payment()))
    assert reply(bench, held).action is None
    closing.succeed(bench.gateway.handle(closing.effect.request))
    assert bench.payment().action is None


def test_reply_after_the_new_number_brings_no_link(bench: Bench, held: Held) -> None:
    """The new order's link and expiry stay."""
    bench.run(bench.recovery.recover(bench.account, bench.payment()))
    before = bench.payment()
    assert before.action == Redirect(url=f"https://toy.example/pay/{bench.gateway.orders[-1].id}")
    payment = reply(bench, held)
    assert (payment.action, payment.expires_at) == (before.action, before.expires_at)
