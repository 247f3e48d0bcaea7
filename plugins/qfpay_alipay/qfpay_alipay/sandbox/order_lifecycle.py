"""What happens to an order: what the merchant requests and what the payer does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.sandbox.virtual_clock import SandboxClock
from qfpay_alipay.sandbox import codes
from qfpay_alipay.sandbox.barcodes import read_barcode
from qfpay_alipay.sandbox.book import OrderBook
from qfpay_alipay.sandbox.codes import Refusal
from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES, Shape
from qfpay_alipay.sandbox.numbers import Numbers
from qfpay_alipay.sandbox.order_records import OrderState, SandboxOrder, SandboxRefund
from qfpay_alipay.sandbox.rules import CancelParams, PaymentParams, RefundParams

_NOT_CLOSABLE = {
    OrderState.PAID: codes.ALREADY_PAID,
    OrderState.FAILED: codes.ORDER_CLOSED,
    OrderState.CLOSED: codes.CANCELLED,
    OrderState.EXPIRED: codes.ORDER_CLOSED,
}
"""The code for closing an order in a final state is documented for paid ones only; the others are chosen here."""

_NOT_REFUNDABLE = {
    OrderState.UNPAID: codes.NOT_PAID,
    OrderState.FAILED: codes.NOT_PAID,
    OrderState.CLOSED: codes.ORDER_CLOSED,
    OrderState.EXPIRED: codes.NOT_PAID,
}


class OrderLifecycle:
    """
    The rules for changes of orders in the book.

    `takes_late_money` decides whether an order that is closed, expired or declined can be paid. `on_made`, `on_paid`
    and `on_refunded` are called after the change is written.
    """

    def __init__(
        self,
        clock: SandboxClock,
        book: OrderBook,
        *,
        duplicate_policy: str,
        takes_late_money: Callable[[], bool],
        on_made: Callable[[SandboxOrder], None],
        on_paid: Callable[[SandboxOrder], None],
        on_refunded: Callable[[SandboxOrder, SandboxRefund], None],
    ) -> None:
        self.book = book
        self._clock = clock
        self._duplicate_policy = duplicate_policy
        self._takes_late_money = takes_late_money
        self._on_made = on_made
        self._on_paid = on_paid
        self._on_refunded = on_refunded
        self._numbers = Numbers(clock, known=book.given_numbers())
        self._requests: Counter[str] = Counter()
        self._used_barcodes = {order.auth_code for order in book.orders()}

    def create(self, asked: PaymentParams) -> SandboxOrder:
        """Open an order, or return the existing one if the policy says so. `Refusal` 1251 for a used number."""
        with self.book.lock:
            self._requests[asked.out_trade_no] += 1
            if self.book.numbered(asked.out_trade_no) and self._duplicate_policy != "charge_blindly":
                return self._repeated(asked)
            order = self._new_order(asked)
            self._used_barcodes.add(order.auth_code)
            self.book.add(order)
        self._on_made(order)
        if order.state is OrderState.PAID:
            self._on_paid(order)
        self._plan_payer(order)
        return order

    def cancel(self, asked: CancelParams) -> tuple[SandboxOrder, str]:
        """Close an unpaid order: the order, and the cancellation's own syssn. 1268, 1267, 1266, 1260, 1263, 1264."""
        with self.book.lock:
            order = self._named(asked)
            if asked.txamt != order.txamt:
                raise Refusal(codes.WRONG_AMOUNT, f"txamt of the order is {order.txamt}")
            if order.state is not OrderState.UNPAID:
                raise Refusal(_NOT_CLOSABLE[order.state], f"order is {order.state.value}")
            mark = PAY_TYPES[order.pay_type].cancel
            order = self.book.change(order, state=OrderState.CLOSED, respcd=codes.CLOSED, cancel=mark)
        return order, self._numbers.syssn()

    def refund(
        self, asked: RefundParams, *, after_ms: int = 0, respcd: str = codes.OK
    ) -> tuple[SandboxOrder, SandboxRefund]:
        """
        Refund a paid order: the order as it is now, and the refund, which gets `respcd` after `after_ms`.

        1251 for a used number, 1268 unknown order, 1261 unpaid, 1264 closed or wholly refunded, 1272 too much.
        """
        with self.book.lock:
            if self.book.numbered(asked.out_trade_no):
                # Source: 91APP; also while the earlier refund is still pending.
                raise Refusal(codes.NUMBER_USED, "out_trade_no is used")
            order = self.book.entry(asked.syssn)
            if not isinstance(order, SandboxOrder):
                raise Refusal(codes.NO_SUCH_ORDER, "no payment with this syssn")
            self._check_refundable(order, asked.txamt)
            refund = self._new_refund(order, asked, after_ms, respcd)
            self.book.add(refund)
        if after_ms == 0:
            self._refund_done(refund)
        else:
            self._clock.call_at(refund.done_at, lambda: self._refund_done(refund))
        return order, refund

    def fail_refund(self, number: str) -> SandboxRefund:
        """A pending refund fails now. `NotPossible` once it has ended: QFPay knows no refund that comes back."""
        with self.book.lock:
            refund, now = self.book.find_refund(number), self._clock.now_ms()
            if refund.done_at <= now:
                raise NotPossible(f"the refund has ended with {refund.respcd}")
            return self.book.change(refund, done_at=now, respcd=codes.FAILED)

    def pay(self, number: str) -> SandboxOrder:
        """The payer pays. `NotPossible` when the order is not open, unless late money is taken."""
        with self.book.lock:
            order = self.book.find(number)
            if order.state is OrderState.PAID:
                raise NotPossible("order is already paid")
            if order.state is not OrderState.UNPAID and not self._takes_late_money():
                raise NotPossible(
                    f"order is {order.state.value}; the fault late_pay lets it be paid all the same"
                )
            order = self.book.change(
                order,
                state=OrderState.PAID,
                respcd=codes.OK,
                cancel="0",
                paid_at=self._clock.now_ms(),
                charges=order.charges + 1,
            )
        self._on_paid(order)
        return order

    def is_open(self, number: str) -> bool:
        """Whether its payer can pay."""
        return self.book.find(number).state is OrderState.UNPAID

    def decline(self, number: str) -> SandboxOrder:
        """The payer declines: the order fails with 1205 (the real code is undocumented)."""
        return self._end(number, OrderState.FAILED, codes.FAILED)

    def expire(self, number: str) -> SandboxOrder:
        """The order's time is up now."""
        return self._end(number, OrderState.EXPIRED, codes.EXPIRED)

    def cancel_mark(self, order: SandboxOrder) -> str:
        """
        The `cancel` field: what is on the order itself, or 5 partly and 3 wholly refunded (1 for barcode payments).

        Refunds that are not done do not count. Source: G4/G5 "Transaction Enquiry".
        """
        now = self._clock.now_ms()
        done = sum(
            refund.txamt for refund in self.book.refunds_of(order) if refund.respcd_at(now) == codes.OK
        )
        if done == 0:
            return order.cancel
        if done < order.txamt:
            return "5"
        return "1" if PAY_TYPES[order.pay_type].shape is Shape.RESULT else "3"

    def requests_for(self, out_trade_no: str) -> int:
        """How often a payment with this number was asked for since the start, refused repeats included."""
        return self._requests[out_trade_no]

    def resume(self) -> None:
        """Schedule again what was still to happen when the last process ended."""
        now = self._clock.now_ms()
        for order in self.book.orders():
            self._plan_payer(order)
        for refund in self.book.refunds():
            if refund.done_at > now:
                self._clock.call_at(refund.done_at, lambda late=refund: self._refund_done(late))  # type: ignore[misc]

    def _plan_payer(self, order: SandboxOrder) -> None:
        if order.state is OrderState.UNPAID and order.pays_at is not None:
            self._clock.call_at(order.pays_at, lambda: self._pay_if_open(order.syssn))

    def _pay_if_open(self, syssn: str) -> None:
        with self.book.lock:
            if self.is_open(syssn):
                self.pay(syssn)

    def _end(self, number: str, state: OrderState, respcd: str) -> SandboxOrder:
        with self.book.lock:
            order = self.book.find(number)
            if order.state is not OrderState.UNPAID:
                raise NotPossible(f"order is {order.state.value}")
            return self.book.change(order, state=state, respcd=respcd)

    def _refund_done(self, made: SandboxRefund) -> None:
        refund = self.book.find_refund(made.syssn)
        if refund.respcd == codes.OK:
            self._on_refunded(self.book.find(refund.orig_syssn), refund)

    def _repeated(self, asked: PaymentParams) -> SandboxOrder:
        entry = self.book.numbered(asked.out_trade_no)[-1]
        if (
            self._duplicate_policy == "same_result"
            and isinstance(entry, SandboxOrder)
            and entry.state is OrderState.UNPAID
            and (entry.pay_type, entry.txamt, entry.txcurrcd)
            == (asked.pay_type.code, asked.txamt, asked.txcurrcd)
        ):
            return entry
        raise Refusal(codes.NUMBER_USED, "out_trade_no is used")

    def _new_order(self, asked: PaymentParams) -> SandboxOrder:
        now = self._clock.now_ms()
        given = msgspec.structs.asdict(asked)
        kind, life_min = given.pop("pay_type"), given.pop("life_min")
        order = SandboxOrder(
            **given,
            syssn=self._numbers.syssn(),
            trade_no=self._numbers.trade_no(),
            pay_type=kind.code,
            created_at=now,
            expires_at=now + life_min * 60_000,
        )
        return self._scanned(order) if kind.shape is Shape.RESULT else order

    def _scanned(self, order: SandboxOrder) -> SandboxOrder:
        """A barcode payment gets its result at once, or waits for the payer."""
        result = read_barcode(order.auth_code, is_used=order.auth_code in self._used_barcodes)
        change = msgspec.structs.replace
        if result.respcd == codes.OK:
            return change(order, state=OrderState.PAID, respcd=codes.OK, paid_at=order.created_at, charges=1)
        if not result.is_open:
            return change(order, state=OrderState.FAILED, respcd=result.respcd)
        if result.pays_after_ms is not None:
            order = change(order, pays_at=order.created_at + result.pays_after_ms)
        return change(order, respcd=result.respcd)

    def _new_refund(
        self, order: SandboxOrder, asked: RefundParams, after_ms: int, respcd: str
    ) -> SandboxRefund:
        now = self._clock.now_ms()
        return SandboxRefund(
            syssn=self._numbers.syssn(),
            out_trade_no=asked.out_trade_no,
            orig_syssn=order.syssn,
            txamt=asked.txamt,
            txcurrcd=order.txcurrcd,
            txdtm=asked.txdtm,
            trade_no=order.trade_no,
            created_at=now,
            done_at=now + after_ms,
            respcd=respcd,
            udid=asked.udid,
        )

    def _named(self, asked: CancelParams) -> SandboxOrder:
        try:
            order = self.book.find(asked.syssn or asked.out_trade_no)
        except UnknownOrder:
            raise Refusal(codes.NO_SUCH_ORDER, "no such order") from None
        if asked.out_trade_no and asked.out_trade_no != order.out_trade_no:
            raise Refusal(codes.MISMATCH, "syssn and out_trade_no are of different orders")
        return order

    def _check_refundable(self, order: SandboxOrder, amount: int) -> None:
        if order.state is not OrderState.PAID:
            raise Refusal(_NOT_REFUNDABLE[order.state], f"order is {order.state.value}")
        now = self._clock.now_ms()
        # A pending refund holds its share of the sum; a failed one gives it back.
        live = [
            refund
            for refund in self.book.refunds_of(order)
            if refund.respcd_at(now) in (codes.OK, codes.UNPAID)
        ]
        left = order.txamt - sum(refund.txamt for refund in live)
        if left == 0:
            # Source: 91APP, a refund after a full refund.
            raise Refusal(codes.ORDER_CLOSED, "wrong cancel")
        if amount > left:
            raise Refusal(codes.TOO_MUCH, f"at most {left} can be refunded")
