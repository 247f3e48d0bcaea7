"""Orders, refunds and notifications as the sandbox stores them. Times are ms since the epoch, on the sandbox clock."""

from __future__ import annotations

import enum

import msgspec

from paycore.sandbox.deliveries import Delivery
from qfpay_alipay.sandbox import codes


class OrderState(enum.Enum):
    UNPAID = "unpaid"
    PAID = "paid"
    FAILED = "declined"
    CLOSED = "closed"
    EXPIRED = "expired"


class SandboxOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    One payment order, with QFPay's field names.

    `respcd` is its result in a query. `pays_at` is when the payer of a scanned code pays by itself, `None` for never.
    `trade_no` is the wallet's number, shown to the merchant once paid. `charges` is how often money was taken.
    """

    syssn: str
    out_trade_no: str
    pay_type: str
    txamt: int
    txcurrcd: str
    txdtm: str
    trade_no: str
    created_at: int
    expires_at: int
    state: OrderState = OrderState.UNPAID
    respcd: str = codes.UNPAID
    cancel: str = "0"
    pays_at: int | None = None
    paid_at: int | None = None
    charges: int = 0
    warning: str = ""
    auth_code: str = ""
    goods_name: str = ""
    goods_info: str = ""
    limit_pay: str = ""
    notify_url: str = ""
    openid: str = ""
    pay_tag: str = ""
    return_url: str = ""
    seller_id: str = ""
    udid: str = ""

    def at(self, now_ms: int) -> SandboxOrder:
        """The order as it is at `now_ms`: unpaid ones expire by themselves."""
        if self.state is OrderState.UNPAID and now_ms >= self.expires_at:
            return msgspec.structs.replace(self, state=OrderState.EXPIRED, respcd=codes.EXPIRED)
        return self


class SandboxRefund(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted refund: its result is 1143 until `done_at`, then `respcd`."""

    syssn: str
    out_trade_no: str
    orig_syssn: str
    txamt: int
    txcurrcd: str
    txdtm: str
    trade_no: str
    created_at: int
    done_at: int
    respcd: str = codes.OK
    udid: str = ""

    def respcd_at(self, now_ms: int) -> str:
        return self.respcd if now_ms >= self.done_at else codes.UNPAID


class SandboxNotice(Delivery, frozen=True, kw_only=True):
    """One notification: `order` is the payment's syssn, `about` that of the payment or refund it is about."""

    order: str
    about: str
    notify_type: str
    url: str
