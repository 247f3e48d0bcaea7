"""A payment from its order to its money, through both clients."""

from __future__ import annotations

from paycore.domain.payment import Status
from paycore.testing.conformance.check import check, require
from paycore.testing.conformance.rig import Rig


@check(read="what-an-outcome-says-about-the-money")
def paid_order_is_paid_once(rig: Rig) -> None:
    """
    An order that its payer pays becomes a paid payment of exactly its amount, with one charge.

    Made and queried through the sync and the async client, once for every product.
    """
    for kind in ("sync", "async"):
        for product in rig.products:
            client = rig.client(kind)
            payment = client.create(**rig.arguments(product))
            if payment.status is Status.PENDING:
                rig.controls.pay(payment.order_number)
            payment = rig.settled(
                lambda: client.query(payment.id),  # noqa: B023 - called within the loop
                lambda payment: payment.status in (Status.PAID, Status.AUTHORIZED) and not payment.uncertain,
                f"{product.method}/{product.channel}: the payer has paid, and the payment is not paid",
            )
            shown = rig.controls.show_order(payment.order_number)
            require(
                payment.paid_minor == payment.amount.minor == shown["paid_minor"] and shown["charges"] == 1,
                f"{product.method}/{product.channel}: {payment.paid_minor} minor units are recorded as paid,"
                f" {shown['paid_minor']} of {payment.amount.minor} were taken, in {shown['charges']} charges",
                "report the amount in minor units of its currency, and leave `paid_minor` out where it is the order's",
            )
