"""The control endpoints for QFPay orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from paycore.sandbox.api import Document, NotPossible, UnknownOrder
from qfpay_alipay.sandbox import codes
from qfpay_alipay.sandbox.book import Entry
from qfpay_alipay.sandbox.links import Links
from qfpay_alipay.sandbox.notifications import Notifier
from qfpay_alipay.sandbox.order_lifecycle import OrderLifecycle
from qfpay_alipay.sandbox.order_records import OrderState, SandboxOrder, SandboxRefund
from qfpay_alipay.sandbox.routes import TradeApi
from qfpay_alipay.sandbox.times import render_time

_NOTIFY_KINDS = ("repeat", "late", "forged")


class QFPayControls:
    """`paycore.sandbox.api.Controls` for this gateway."""

    def __init__(
        self,
        orders: OrderLifecycle,
        notifier: Notifier,
        links: Links,
        api: TradeApi,
        now_ms: Callable[[], int],
    ) -> None:
        self._orders = orders
        self._notifier = notifier
        self._links = links
        self._api = api
        self._now_ms = now_ms

    def list_orders(self, limit: int) -> list[Document]:
        return [self._summary(order) for order in self._orders.book.orders()[:limit]]

    def show_order(self, number: str) -> Document:
        order = self._orders.book.find(number)
        same = [
            entry
            for entry in self._orders.book.numbered(order.out_trade_no)
            if isinstance(entry, SandboxOrder)
        ]
        return {
            **self._summary(order),
            # Of all orders with this number: with `charge_blindly` there may be several.
            "charges": sum(one.charges for one in same),
            "orders": [one.syssn for one in same],
            "paid_minor": sum(int(one.txamt) * one.charges for one in same),
            "refunded_minor": self._refunded(order),
            "refunds": [self._refund(refund) for refund in self._orders.book.refunds_of(order)],
            "notifications": [msgspec.to_builtins(notice) for notice in self._notifier.notices_of(order)],
        }

    def pay(self, number: str) -> Document:
        return self.show_order(self._orders.pay(number).syssn)

    def decline(self, number: str) -> Document:
        return self.show_order(self._orders.decline(number).syssn)

    def expire(self, number: str) -> Document:
        return self.show_order(self._orders.expire(number).syssn)

    def fail_refund(self, number: str) -> Document:
        """See `paycore.sandbox.api.FullControls`; only a refund that is still pending can fail."""
        return self.show_order(self._orders.fail_refund(number).orig_syssn)

    def notify(self, number: str, *, kind: str, seconds: float) -> Document:
        """Send one. `repeat` and `late` need a success to notify of; `forged` claims one in any case."""
        if kind not in _NOTIFY_KINDS:
            raise ValueError(f"kind is one of {', '.join(_NOTIFY_KINDS)}, not {kind!r}")
        entry = self._any_entry(number)
        order = self._orders.book.find(entry.orig_syssn) if isinstance(entry, SandboxRefund) else entry
        if kind != "forged" and not self._has_succeeded(entry):
            raise NotPossible("only successful payments and refunds are notified")
        notice = self._notifier.send_again(
            entry,
            order,
            cancel=self._orders.cancel_mark(order),
            after_s=seconds if kind == "late" else 0.0,
            is_forged=kind == "forged",
        )
        document: Document = msgspec.to_builtins(notice)
        return document

    def stats(self) -> Document:
        orders = self._orders.book.orders()
        return {
            "requests": dict(self._api.requests),
            "limited": self._api.limited,
            "refused": dict(self._api.refused),
            "orders": len(orders),
            "distinct_orders": len({order.out_trade_no for order in orders}),
            "charges": sum(order.charges for order in orders),
            "refunds": len(self._orders.book.refunds()),
            **self._notifier.totals(),
        }

    def _refunded(self, order: SandboxOrder) -> int:
        """What was returned of it: a refund that is under way is not yet."""
        now_ms = self._now_ms()
        refunds = self._orders.book.refunds_of(order)
        return sum(int(one.txamt) for one in refunds if one.respcd_at(now_ms) == codes.OK)

    def _any_entry(self, number: str) -> Entry:
        entry = self._orders.book.entry(number) or next(reversed(self._orders.book.numbered(number)), None)
        if entry is None:
            raise UnknownOrder(f"no order or refund {number!r}")
        return entry

    def _has_succeeded(self, entry: Entry) -> bool:
        if isinstance(entry, SandboxRefund):
            return entry.respcd_at(self._now_ms()) == codes.OK
        return entry.state is OrderState.PAID

    def _summary(self, order: SandboxOrder) -> Document:
        return {
            "out_trade_no": order.out_trade_no,
            "syssn": order.syssn,
            "trade_no": order.trade_no,
            "state": order.state.value,
            "respcd": order.respcd,
            "cancel": self._orders.cancel_mark(order),
            "pay_type": order.pay_type,
            "txamt": order.txamt,
            "txcurrcd": order.txcurrcd,
            "txdtm": order.txdtm,
            "goods_name": order.goods_name,
            "created": render_time(order.created_at),
            "expires": render_time(order.expires_at),
            "paid": None if order.paid_at is None else render_time(order.paid_at),
            "wallet_url": self._links.wallet_page(order),
            "charges": order.charges,
            "requests": self._orders.requests_for(order.out_trade_no),
        }

    def _refund(self, refund: SandboxRefund) -> dict[str, Any]:
        return {
            "out_trade_no": refund.out_trade_no,
            "syssn": refund.syssn,
            "txamt": refund.txamt,
            "respcd": refund.respcd_at(self._now_ms()),
            "created": render_time(refund.created_at),
        }
