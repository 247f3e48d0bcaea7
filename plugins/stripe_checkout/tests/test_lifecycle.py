"""A whole payment through the public API, at the sandbox over HTTP, with both clients."""

from __future__ import annotations

from typing import Any

from paycore import Money
from paycore.domain.payment import RefundStatus, Status
from paycore.plugin import Redirect
from plugins.stripe_checkout.tests.conftest import OpenSandbox, OpenShop

ORDER: dict[str, Any] = {
    "reference": "order-1",
    "amount": Money("25.99", "EUR"),
    "method": "card",
    "channel": "web",
    "subject": "Two tickets! #5",
    "return_url": "https://shop.example/thanks",
    "notify_url": "https://shop.example/notify",
    "expires_in_s": 300,
}


def test_a_session_is_paid_and_refunded(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """Created, opened, paid, partly refunded; what Stripe can't use is ignored and told."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    assert payment.status is Status.PENDING
    assert isinstance(payment.action, Redirect)
    assert payment.action.url.startswith(f"{sandbox.url}/c/pay/cs_test_")
    assert set(payment.ignored) == {"notify_url", "expires_in_s"}
    sandbox.gateway.controls.pay(payment.order_number)
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.PAID, 2599)
    assert set(payment.ids) == {"payment_intent", "charge"}
    payment = shop.refund(payment.id, reference="back-1", amount=Money("6.00", "EUR"))
    assert payment.refunds[0].status is RefundStatus.SUCCEEDED
    payment = shop.query(payment.id)
    assert (payment.refunded_minor, payment.refundable_minor) == (600, 1999)
    shown = sandbox.gateway.controls.show_order(payment.order_number)
    assert (shown["state"], shown["charges"], shown["paid_minor"], shown["refunded_minor"]) == (
        "paid",
        1,
        2599,
        600,
    )


def test_an_open_session_is_closed(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """Expired by the API, and confirmed."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    assert shop.close(payment.id).status is Status.CLOSED
    assert sandbox.gateway.controls.show_order(payment.order_number)["state"] == "expired"
