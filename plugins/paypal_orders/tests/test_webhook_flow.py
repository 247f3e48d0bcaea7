"""What a webhook sets off: it is a mention, the query that follows is the evidence."""

from __future__ import annotations

import json
from typing import Any

from paycore import Money
from paycore.domain.payment import RefundStatus, Status
from paycore.sandbox.server import SandboxServer
from plugins.paypal_orders.tests.sandbox.test_webhooks import Receiver, receiver  # noqa: F401 - a fixture
from plugins.paypal_orders.tests.test_life import ORDER


def pass_on(shop: Any, body: bytes, headers: dict[str, str]) -> None:
    """What a merchant's web server does."""
    assert shop.receive("shop", body=body, headers=headers).status == 200


def test_a_payment_goes_on_by_webhooks_alone(open_sandbox: Any, open_shop: Any, receiver: Receiver) -> None:  # noqa: F811
    """The payer never comes back: the approval captures, a refund in the portal and a dispute are noticed."""
    sandbox: SandboxServer = open_sandbox(notify_url=receiver.url)
    controls: Any = sandbox.gateway.controls
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    controls.pay(payment.order_number)
    headers, body = receiver.first(1)[0]
    pass_on(shop, body, headers)
    payment = shop.wait(payment.id, 10)
    assert (payment.status, payment.paid_minor) == (Status.PAID, 1234)
    shop.refund(payment.id, reference="back-1", amount=Money("2.34", "EUR"))
    controls.charge_back(payment.order_number, 500)
    for headers, body in receiver.first(4)[1:]:
        pass_on(shop, body, headers)
    for _ in range(100):
        payment = shop.get(payment.id)
        if payment.charged_back_minor:
            break
        shop.sleep(0.1)
    assert payment.charged_back_minor == 500
    assert [refund.status for refund in payment.refunds] == [RefundStatus.SUCCEEDED]


def test_a_forged_event_moves_nothing(open_sandbox: Any, open_shop: Any, receiver: Receiver) -> None:  # noqa: F811
    """It says that the order was paid; PayPal is asked, and says that it was not."""
    sandbox: SandboxServer = open_sandbox(notify_url=receiver.url)
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.notify(payment.order_number, kind="forged", seconds=0)
    headers, body = receiver.first(1)[0]
    assert json.loads(body)["event_type"] == "PAYMENT.CAPTURE.COMPLETED"
    pass_on(shop, body, headers)
    shop.sleep(1.0)
    assert shop.get(payment.id).status is Status.PENDING


def test_a_refund_that_fails_later_is_noticed(open_sandbox: Any, open_shop: Any, receiver: Receiver) -> None:  # noqa: F811
    """Its amount can be refunded again."""
    sandbox: SandboxServer = open_sandbox(notify_url=receiver.url)
    controls: Any = sandbox.gateway.controls
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    controls.pay(payment.order_number)
    payment = shop.query(payment.id)
    sandbox.gateway.faults.add("pending_refund")
    payment = shop.refund(payment.id, reference="back-1", amount=Money("12.34", "EUR"))
    assert payment.refunds[0].status is RefundStatus.PENDING
    controls.fail_refund(payment.refunds[0].number)
    for headers, body in receiver.first(4):
        pass_on(shop, body, headers)
    for _ in range(100):
        payment = shop.get(payment.id)
        if payment.refunds[0].status is RefundStatus.FAILED:
            break
        shop.sleep(0.1)
    assert payment.refunds[0].status is RefundStatus.FAILED
    again = shop.refund(payment.id, reference="back-2", amount=Money("12.34", "EUR"))
    assert again.refunds[1].status is RefundStatus.SUCCEEDED
