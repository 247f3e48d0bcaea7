"""Payments from their creation to their end, through both clients, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from paycore import Money, Payment, Redirect
from paycore.domain.payment import RefundStatus, Status
from paycore.sandbox.server import SandboxServer

ORDER: dict[str, Any] = {
    "reference": "order-1",
    "amount": Money("12.34", "EUR"),
    "method": "paypal",
    "channel": "web",
    "subject": "Two tickets! #5",
    "return_url": "https://shop.example/thanks?order=1",
    "notify_url": "https://shop.example/notify",
    "expires_in_s": 300,
}


def queried_until(shop: Any, payment: Payment, is_so: Callable[[Payment], bool]) -> Payment:
    """The payment once a query made it so; AssertionError after ten seconds."""
    for _ in range(100):
        payment = shop.query(payment.id)
        if is_so(payment):
            return payment
        shop.sleep(0.1)
    raise AssertionError(f"it stayed as it was: {payment}")


def controls_of(sandbox: SandboxServer) -> Any:
    return sandbox.gateway.controls


def test_a_payment_is_agreed_to_captured_and_refunded(sandbox: SandboxServer, shop: Any) -> None:
    """The payer agrees on PayPal's page and comes back; the order is captured once, and refunded in part."""
    payment = shop.create(**ORDER)
    assert payment.status is Status.PENDING
    assert payment.action == Redirect(url=f"{sandbox.url}/checkoutnow?token={payment.provider_id}")
    assert set(payment.ignored) == {"notify_url", "expires_in_s"}
    controls_of(sandbox).pay(payment.order_number)
    payment = shop.returned(payment.id, {"token": payment.provider_id, "PayerID": "PAYERAB234567"})
    shown = controls_of(sandbox).show_order(payment.order_number)
    assert (payment.status, payment.paid_minor, shown["charges"]) == (Status.PAID, 1234, 1)
    payment = shop.refund(payment.id, reference="back-1", amount=Money("2.34", "EUR"))
    assert [refund.status for refund in payment.refunds] == [RefundStatus.SUCCEEDED]
    assert controls_of(sandbox).show_order(payment.order_number)["refunded_minor"] == 234
    assert shop.query(payment.id).refunded_minor == 234


def test_a_payment_is_authorized_and_a_part_of_it_captured(sandbox: SandboxServer, shop: Any) -> None:
    """With manual capture the money is reserved once the payer agreed, and taken on the caller's word."""
    payment = shop.create(**ORDER, capture="manual")
    controls_of(sandbox).pay(payment.order_number)
    payment = shop.query(payment.id)
    assert (payment.status, payment.authorized_minor, payment.paid_minor) == (Status.AUTHORIZED, 1234, 0)
    payment = shop.capture(payment.id, amount=Money("10.00", "EUR"))
    assert (payment.status, payment.paid_minor) == (Status.PAID, 1000)
    shown = controls_of(sandbox).show_order(payment.order_number)
    assert (shown["paid_minor"], shown["payments"]["authorizations"][0]["status"]) == (1000, "CAPTURED")
    assert shop.query(payment.id).review is False


def test_an_authorized_payment_is_voided(sandbox: SandboxServer, shop: Any) -> None:
    """Closing it gives the payer's money free."""
    payment = shop.create(**ORDER, capture="manual")
    controls_of(sandbox).pay(payment.order_number)
    shop.query(payment.id)
    assert shop.close(payment.id).status is Status.CLOSED
    shown = controls_of(sandbox).show_order(payment.order_number)
    assert shown["payments"]["authorizations"][0]["status"] == "VOIDED"


def test_a_closed_payment_is_never_captured(sandbox: SandboxServer, shop: Any) -> None:
    """PayPal cancels nothing: the payer may still agree, and nothing is taken."""
    payment = shop.create(**ORDER)
    assert shop.close(payment.id).status is Status.CLOSED
    controls_of(sandbox).pay(payment.order_number)
    assert shop.query(payment.id).status is Status.CLOSED
    assert controls_of(sandbox).show_order(payment.order_number)["charges"] == 0


@pytest.mark.parametrize("capture", ["automatic", "manual"])
def test_a_payment_that_is_declined_afterwards_fails(sandbox: SandboxServer, shop: Any, capture: str) -> None:
    """The order is COMPLETED, what was made of it DECLINED or DENIED: nothing was taken."""
    payment = shop.create(**ORDER, capture=capture)
    controls_of(sandbox).decline(payment.order_number)
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.FAILED, 0)
    assert payment.failure.code in ("DECLINED", "DENIED")


def test_a_payer_whose_card_is_declined_agrees_again(sandbox: SandboxServer, shop: Any) -> None:
    """The same order, with a link of its own, is paid by another instrument; it was captured once."""
    payment = shop.create(**ORDER)
    controls_of(sandbox).agree(payment.order_number, "declined")
    payment = shop.query(payment.id)
    assert payment.status is Status.PENDING
    shop.sleep(1.1)  # PayPal tells whole seconds
    controls_of(sandbox).pay(payment.order_number)
    payment = queried_until(shop, payment, lambda payment: payment.status is Status.PAID)
    shown = controls_of(sandbox).show_order(payment.order_number)
    assert (payment.status, shown["charges"]) == (Status.PAID, 1)


def test_a_payer_who_cannot_pay_ends_the_order(sandbox: SandboxServer, shop: Any) -> None:
    """A refusal that is final for this order fails the payment, once a look shows that nothing was taken."""
    payment = shop.create(**ORDER)
    controls_of(sandbox).agree(payment.order_number, "refused")
    payment = shop.query(payment.id)
    assert (payment.status, payment.failure.code) == (Status.FAILED, "PAYER_CANNOT_PAY")


def test_a_transfer_that_takes_days_is_paid_then(sandbox: SandboxServer, shop: Any) -> None:
    """The order says COMPLETED, its capture PENDING: nothing is paid before PayPal says so."""
    payment = shop.create(**ORDER)
    controls_of(sandbox).agree(payment.order_number, "echeck")
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.AUTHORIZED, 0)
    sandbox.gateway.clock.advance(3 * 24 * 3600 + 1)
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.PAID, 1234)
    assert controls_of(sandbox).stats()["requests"]["capture"] == 1


def test_a_lost_create_reply_makes_one_order(sandbox: SandboxServer, shop: Any) -> None:
    """It is found by its request id."""
    sandbox.gateway.faults.add("lose_reply", path="/v2/checkout/orders")
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    payment = queried_until(shop, payment, lambda payment: payment.status is Status.PENDING)
    assert payment.action is not None
    assert len(controls_of(sandbox).show_order(payment.order_number)["orders"]) == 1


def test_a_lost_capture_reply_takes_the_money_once(sandbox: SandboxServer, shop: Any) -> None:
    """The payment is paid, by one capture."""
    payment = shop.create(**ORDER)
    controls_of(sandbox).pay(payment.order_number)
    sandbox.gateway.faults.add("lose_reply", path=f"/v2/checkout/orders/{payment.provider_id}/capture")
    payment = shop.query(payment.id)
    shown = controls_of(sandbox).show_order(payment.order_number)
    assert (payment.status, payment.uncertain, shown["charges"]) == (Status.PAID, False, 1)


def test_a_lost_refund_reply_refunds_once(sandbox: SandboxServer, shop: Any) -> None:
    """It is found by its request id."""
    payment = shop.create(**ORDER)
    controls_of(sandbox).pay(payment.order_number)
    payment = shop.query(payment.id)
    sandbox.gateway.faults.add("lose_reply", path=f"/v2/payments/captures/{payment.ids['capture']}/refund")
    payment = shop.refund(payment.id, reference="back-1", amount=Money("2.34", "EUR"))
    assert payment.refunds[0].status is not RefundStatus.FAILED
    queried_until(shop, payment, lambda payment: payment.refunds[0].status is RefundStatus.SUCCEEDED)
    assert controls_of(sandbox).show_order(payment.order_number)["refunded_minor"] == 234


def test_disputes_are_charge_backs(sandbox: SandboxServer, shop: Any) -> None:
    """What a dispute took, and what of it came back."""
    payment = shop.create(**ORDER)
    controls_of(sandbox).pay(payment.order_number)
    shop.query(payment.id)
    controls_of(sandbox).charge_back(payment.order_number, 500)
    payment = shop.query(payment.id)
    assert (payment.status, payment.charged_back_minor, payment.charge_back_won_minor) == (
        Status.PAID,
        500,
        0,
    )
    controls_of(sandbox).win_charge_back(payment.order_number, None)
    payment = shop.query(payment.id)
    assert (payment.charged_back_minor, payment.charge_back_won_minor) == (500, 500)


def test_a_token_that_is_refused_is_replaced(sandbox: SandboxServer, shop: Any) -> None:
    """The same request is sent once more, with the same number: one order."""
    shop.create(**ORDER)
    sandbox.gateway.faults.add("token_refused", path="/v2/checkout/orders")
    payment = shop.create(**ORDER | {"reference": "order-2"})
    assert payment.status is Status.PENDING
    assert len(controls_of(sandbox).show_order(payment.order_number)["orders"]) == 1
    assert controls_of(sandbox).stats()["requests"]["token"] == 2
