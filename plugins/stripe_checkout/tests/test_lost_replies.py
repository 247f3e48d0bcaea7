"""What becomes of a payment whose requests or replies are lost, at the sandbox over HTTP, with both clients."""

from __future__ import annotations

from datetime import timedelta

import pytest

from paycore import Money
from paycore.domain.payment import RefundStatus, ReviewReason, Status
from paycore.errors import AccountRefused, IncompleteReply, NotSent
from plugins.stripe_checkout.tests.conftest import OpenSandbox, OpenShop
from plugins.stripe_checkout.tests.receiver import Receiver
from plugins.stripe_checkout.tests.test_lifecycle import ORDER

LOSSES = ["lose_request", "lose_reply", "key_in_use"]
"""The conformance kit has the others, for every flow."""


@pytest.mark.parametrize("fault", LOSSES)
def test_a_lost_creation_is_sent_again_with_its_key(
    open_sandbox: OpenSandbox, open_shop: OpenShop, fault: str
) -> None:
    """It is unknown, then found: one session, whose link is there."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    sandbox.gateway.faults.add(fault)
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    payment = shop.query(payment.id)
    assert (payment.status, payment.action is not None) == (Status.PENDING, True)
    assert len(sandbox.gateway.controls.show_order(payment.order_number)["orders"]) == 1


@pytest.mark.parametrize("is_made", [True, False])
def test_a_session_whose_key_keeps_a_failure_is_looked_for(
    open_sandbox: OpenSandbox, open_shop: OpenShop, is_made: bool
) -> None:
    """HTTP 500 is the key's answer for a day: the account's list tells whether there is a session."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    others = [shop.create(**ORDER | {"reference": f"other-{one}"}) for one in range(3)]
    sandbox.gateway.faults.add("stored_500", recorded=is_made)
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    payment = shop.query(payment.id)
    assert payment.status is (Status.PENDING if is_made else Status.UNKNOWN)
    assert (payment.action is not None) is is_made
    assert payment.provider_id not in {other.provider_id for other in others}
    assert sandbox.gateway.controls.stats()["orders"] == 3 + is_made


@pytest.mark.parametrize("fault", LOSSES)
def test_a_lost_refund_returns_its_money_once(
    open_sandbox: OpenSandbox, open_shop: OpenShop, fault: str
) -> None:
    """Sent again with its key."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.pay(payment.order_number)
    payment = shop.query(payment.id)
    sandbox.gateway.faults.add(fault, path="/v1/refunds")
    payment = shop.refund(payment.id, reference="back-1", amount=Money("6.00", "EUR"))
    assert payment.refunds[0].status is RefundStatus.UNKNOWN
    payment = shop.query(payment.id)
    assert (payment.refunds[0].status, payment.refundable_minor) == (RefundStatus.SUCCEEDED, 1999)
    assert sandbox.gateway.controls.show_order(payment.order_number)["refunded_minor"] == 600


@pytest.mark.parametrize("fault", LOSSES)
def test_a_lost_capture_takes_the_money_once(
    open_sandbox: OpenSandbox, open_shop: OpenShop, fault: str
) -> None:
    """Asked about; sent again with its key where it did not arrive."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER, capture="manual")
    sandbox.gateway.controls.pay(payment.order_number)
    payment = shop.query(payment.id)
    assert payment.status is Status.AUTHORIZED
    path = f"/v1/payment_intents/{payment.ids['payment_intent']}/capture"
    sandbox.gateway.faults.add(fault, path=path)
    payment = shop.capture(payment.id, amount=Money("20.00", "EUR"))
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.PAID, 2000)
    shown = sandbox.gateway.controls.show_order(payment.order_number)
    assert (shown["charges"], shown["paid_minor"]) == (1, 2000)


@pytest.mark.parametrize("fault", ["lose_request", "lose_reply", "http_500"])
def test_a_lost_close_is_asked_about(open_sandbox: OpenSandbox, open_shop: OpenShop, fault: str) -> None:
    """And sent again: a session expires once."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.faults.add(fault)
    shop.close(payment.id)
    assert shop.close(payment.id).status is Status.CLOSED


def test_a_session_lost_for_a_day_waits_for_its_event(
    open_sandbox: OpenSandbox, open_shop: OpenShop, receiver: Receiver
) -> None:
    """Its key may be forgotten, so nothing is sent any more; the event of its end has its number and its id."""
    sandbox = open_sandbox(notify_url=receiver.url)
    sandbox.gateway.faults.add("lose_reply")
    payment = open_shop(sandbox).create(**ORDER)
    tomorrow = open_shop(sandbox, later=timedelta(hours=23), tolerance_s=3600)
    payment = tomorrow.query(payment.id)
    assert payment.review_reasons == (ReviewReason.UNRESOLVABLE,)
    assert sandbox.gateway.controls.stats()["orders"] == 1
    sandbox.gateway.clock.advance(24 * 3600 + 1)
    (expired,) = receiver.wait_for(1)
    open_shop(sandbox).receive("shop", body=expired.body, headers=expired.headers)
    payment = tomorrow.get(payment.id)
    assert (payment.status, payment.review_reasons) == (Status.CLOSED, ())


def test_a_limit_fails_nothing(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """A lock is waited for within the call; a limit that lasts puts it off, and the same call pays later."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox, timeout_s=2.0)
    sandbox.gateway.faults.add("lock_timeout")
    assert shop.create(**ORDER).status is Status.PENDING
    sandbox.gateway.faults.add("rate_limited", times=20)
    second = ORDER | {"reference": "order-2"}
    with pytest.raises(NotSent) as error:
        shop.create(**second)
    assert error.value.money_moved == "no"
    assert error.value.retry_after_s is not None
    sandbox.gateway.faults.clear()
    shop.sleep(error.value.retry_after_s)
    assert shop.create(**second).status is Status.PENDING
    assert sandbox.gateway.controls.stats()["orders"] == 2


def test_a_key_that_was_rolled_is_for_the_operator(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """The payment is not failed by it."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    sandbox.gateway.faults.add("unauthorized")
    with pytest.raises(AccountRefused, match="api_key_expired"):
        shop.create(**ORDER)
    assert shop.create(**ORDER).status is Status.PENDING


@pytest.mark.parametrize("fault", ["wrong_amount", "wrong_currency"])
def test_an_amount_that_differs_is_for_a_person(
    open_sandbox: OpenSandbox, open_shop: OpenShop, fault: str
) -> None:
    """Whatever else the reply says."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.pay(payment.order_number)
    sandbox.gateway.faults.add(fault)
    payment = shop.query(payment.id)
    assert payment.status is Status.PENDING
    assert payment.review_reasons == (ReviewReason.AMOUNT_DIFFERS,)


def test_a_reply_without_a_link_is_fetched_anew(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """By the key: one session, and its link."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    sandbox.gateway.faults.add("no_url")
    with pytest.raises(IncompleteReply):
        shop.create(**ORDER)
    payment = shop.query(shop.find("order-1").id)
    assert (payment.status, payment.action is not None) == (Status.PENDING, True)
    assert len(sandbox.gateway.controls.show_order(payment.order_number)["orders"]) == 1


def test_a_reply_in_new_words_claims_nothing(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """A state that nobody knows leaves a paid session pending until it is told in known words."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.pay(payment.order_number)
    sandbox.gateway.faults.add("new_words")
    assert shop.query(payment.id).status is Status.PENDING
    assert shop.query(payment.id).status is Status.PAID
