"""That a payment is paid once, as its caller and its gateway see it."""

from __future__ import annotations

from typing import Any

from paycore.domain.payment import Payment, Status
from paycore.testing.conformance.caller import settled_paid
from paycore.testing.conformance.check import require
from paycore.testing.conformance.rig import Rig


def require_paid_once(rig: Rig, client: Any, payment: Payment) -> None:
    """Have the payer pay where they still do; the payment is paid, and the money was taken once."""
    if payment.status is Status.PENDING:
        rig.controls.pay(payment.order_number)
    require_taken_once(rig, client, payment, f"{payment.method}/{payment.channel}")


def require_taken_once(rig: Rig, client: Any, payment: Payment, at: str) -> None:
    """The payer has paid: the payment is paid once it is asked about, of exactly its amount, with one charge."""
    payment = settled_paid(rig, client, payment, f"{at}: the payer has paid, and the payment is not paid")
    shown = rig.controls.show_order(payment.order_number)
    require(
        payment.paid_minor == payment.amount.minor == shown["paid_minor"] and shown["charges"] == 1,
        f"{at}: {payment.paid_minor} minor units are recorded as paid,"
        f" {shown['paid_minor']} of {payment.amount.minor} were taken, in {shown['charges']} charges",
        "report the amount in minor units of its currency, and leave `paid_minor` out where it is the order's",
    )
