"""The control endpoints for PayPal orders."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from paycore.sandbox.api import Document, NotPossible
from paycore.sandbox.virtual_clock import SandboxClock
from paypal_orders.sandbox.amounts import document, from_iso
from paypal_orders.sandbox.api import Api
from paypal_orders.sandbox.order_flow import OrderFlow
from paypal_orders.sandbox.records import TAKEN, SandboxDispute, SandboxOrder
from paypal_orders.sandbox.replies import Documents, time_of
from paypal_orders.sandbox.webhooks import Webhooks

_NOTIFY_KINDS = ("repeat", "late", "forged")


class PayPalControls:
    """`paycore.sandbox.api.FullControls` for this gateway."""

    def __init__(
        self, orders: OrderFlow, webhooks: Webhooks, documents: Documents, api: Api, clock: SandboxClock
    ) -> None:
        self._orders = orders
        self._webhooks = webhooks
        self._documents = documents
        self._api = api
        self._clock = clock

    def list_orders(self, limit: int) -> list[Document]:
        return [self._summary(order) for order in self._orders.book.orders()[:limit]]

    def show_order(self, number: str) -> Document:
        order = self._orders.book.find(number)
        same = self._orders.book.numbered(order.number) or [order]
        return {
            **self._summary(order),
            "orders": [one.id for one in same],
            "charges": sum(one.charges for one in same),
            "paid_minor": sum(one.paid_minor for one in same),
            "refunded_minor": sum(one.refunded_minor for one in same),
            "payments": self._documents.payments(order),
            "disputes": [self._documents.dispute(order, one) for one in order.disputes],
            "webhooks": [msgspec.to_builtins(one) for one in self._webhooks.of_order(order.id)],
        }

    def pay(self, number: str) -> Document:
        """The payer agrees; the money moves when the merchant captures."""
        return self.show_order(self._orders.approve(number).id)

    def decline(self, number: str) -> Document:
        """The payer agrees to what PayPal declines afterwards: the capture, or the authorization."""
        return self.show_order(self._orders.approve(number, "lost").id)

    def agree(self, number: str, instrument: str) -> Document:
        """The payer agrees to pay with one of `order_flow.INSTRUMENTS`."""
        return self.show_order(self._orders.approve(number, instrument).id)

    def decline_capture(self, number: str) -> Document:
        """The payer agrees to pay by a card that is declined; they may agree again."""
        return self.agree(number, "declined")

    def expire(self, number: str) -> Document:
        return self.show_order(self._orders.expire(number).id)

    def settle(self, number: str, *, is_good: bool = True) -> Document:
        """What was pending is completed, or declined."""
        return self.show_order(self._orders.settle(number, is_good=is_good).id)

    def settle_refund(self, number: str) -> Document:
        """A pending refund is completed."""
        return self.show_order(self._orders.settle_refund(*self._orders.book.refund(number), "COMPLETED").id)

    def fail_refund(self, number: str) -> Document:
        """A pending refund fails. `NotPossible` for one that is completed: PayPal documents no such change."""
        return self.show_order(self._orders.settle_refund(*self._orders.book.refund(number), "FAILED").id)

    def charge_back(self, number: str, minor: int | None) -> Document:
        """A dispute of the order's capture that the payer won."""
        with self._orders.book.lock:
            order = self._orders.book.find(number)
            capture = next((one for one in order.captures if one.status in TAKEN), None)
            left = (
                0 if capture is None else capture.units - sum(one.units - one.back for one in order.disputes)
            )
            units = left if minor is None else from_iso(minor, order.currency)
            if not 0 < units <= left:
                raise NotPossible(f"{left} can be taken back")
            now = self._clock.now_ms()
            dispute_id = f"PP-R-{self._orders.book.new_id()[:3]}-{now % 10**8:08d}"
            dispute = SandboxDispute(id=dispute_id, units=units, created_at=now, updated_at=now)
            order = self._orders.book.put(replace(order, disputes=(*order.disputes, dispute)))
        self._tell_dispute(order, dispute)
        return self.show_order(order.id)

    def win_charge_back(self, number: str, minor: int | None) -> Document:
        """The merchant gets back what the last dispute took, or a part of it."""
        with self._orders.book.lock:
            order = self._orders.book.find(number)
            if not order.disputes:
                raise NotPossible("nothing was taken back")
            *earlier, last = order.disputes
            units = last.units - last.back if minor is None else from_iso(minor, order.currency)
            if not 0 < units <= last.units - last.back:
                raise NotPossible(f"{last.units - last.back} can come back")
            last = replace(last, back=last.back + units, updated_at=self._clock.now_ms())
            order = self._orders.book.put(replace(order, disputes=(*earlier, last)))
        self._tell_dispute(order, last)
        return self.show_order(order.id)

    def notify(self, number: str, *, kind: str, seconds: float) -> Document:
        """Send the last event of the order once more; a `forged` one says that it was paid, and is signed wrong."""
        if kind not in _NOTIFY_KINDS:
            raise ValueError(f"kind is one of {', '.join(_NOTIFY_KINDS)}, not {kind!r}")
        order = self._orders.book.find(number)
        if kind == "forged":
            webhook = self._webhooks.forge(
                order.id, "PAYMENT.CAPTURE.COMPLETED", self._documents.forged_capture(order)
            )
        else:
            webhook = self._webhooks.send_again(order.id, after_s=seconds if kind == "late" else 0.0)
        shown: Document = msgspec.to_builtins(webhook)
        return shown

    def stats(self) -> Document:
        orders = self._orders.book.orders()
        return {
            "requests": dict(self._api.requests),
            "limited": self._api.limited,
            "refused": dict(self._api.refused),
            "orders": len(orders),
            "charges": sum(order.charges for order in orders),
            "refunds": sum(len(order.refunds) for order in orders),
            **self._webhooks.totals(),
        }

    def _tell_dispute(self, order: SandboxOrder, dispute: SandboxDispute) -> None:
        self._webhooks.tell(
            order.id,
            "CUSTOMER.DISPUTE.RESOLVED",
            self._documents.dispute(order, dispute),
            f"A dispute was resolved with case # {dispute.id}",
        )

    def _summary(self, order: SandboxOrder) -> dict[str, Any]:
        return {
            "id": order.id,
            "custom_id": order.custom_id,
            "state": "gone" if order.is_expired else order.status.lower(),
            "intent": order.intent,
            **document(order.units, order.currency),
            "description": order.description,
            "instrument": order.instrument,
            "created": time_of(order.created_at),
            "ends": time_of(order.ends_at),
            "payer_url": self._documents.payer_url(order.id),
            "charges": order.charges,
            "requests": self._orders.requests[order.number],
        }
