"""What QFPay's replies, records and notifications say of a payment or a refund, and what the payer does next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from paycore.plugin import (
    Action,
    AppCall,
    Failure,
    Money,
    PartialAmount,
    PaymentObservation,
    QRCode,
    Redirect,
    RefundObservation,
    RefundStatus,
    Status,
    WalletCall,
    url_problem,
)
from qfpay_alipay.messages import Malformed, PaymentReply, Trade, decode_params, parse_time, trimmed
from qfpay_alipay.pay_types import PayType
from qfpay_alipay.respcodes import Judgement, failure_of, judge

KnownPaymentStatus = Literal[Status.PENDING, Status.PAID, Status.CLOSED, Status.FAILED]
KnownRefundStatus = Literal[RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED]

REFUNDED_IN_FULL = frozenset({"1", "2", "3"})
"""
`cancel` of a paid record that was refunded in full: 1 reversed, 3 refunded; 2 meant refunded before 2022.
5 is partly refunded, by an amount QFPay does not tell there. Source: SOURCES.md §4.
"""

_SIGNATURE_FIELDS = ("sign", "sign_type")

_PAYMENT_STATUSES: Mapping[Judgement, KnownPaymentStatus] = {
    Judgement.ACCEPTED: Status.PAID,
    Judgement.PENDING: Status.PENDING,
    Judgement.CLOSED: Status.CLOSED,
    Judgement.REJECTED: Status.FAILED,
}
REFUND_STATUSES: Mapping[Judgement, KnownRefundStatus] = {
    Judgement.ACCEPTED: RefundStatus.SUCCEEDED,
    Judgement.PENDING: RefundStatus.PENDING,
    Judgement.REJECTED: RefundStatus.FAILED,
}


def payment_observation(
    trade: Trade,
    status: KnownPaymentStatus,
    *,
    number: str,
    failure: Failure | None = None,
    is_signed_wrong: bool = False,
    asked: Money | None = None,
) -> PaymentObservation:
    """
    A payment with `status`, and what `trade` tells of it. `Malformed` when it is paid without `syssn`.

    `asked` is the amount of the payment, if known: what was refunded in full where the trade tells no amount.
    `occurred_at` is when a paid one was paid (`paydtm`), when a pending one was made (`sysdtm`), else None: QFPay
    does not tell when an order was closed.
    """
    provider_id, words = trade.provider_id, trade.words
    if status is Status.PAID and provider_id is None:
        raise Malformed("paid, but without syssn")
    is_refunded = status is Status.PAID and trimmed(trade.cancel) in REFUNDED_IN_FULL
    times = {Status.PAID: trade.paydtm or trade.sysdtm, Status.PENDING: trade.sysdtm}
    occurred_at = parse_time(times.get(status))
    amount, partial = trade.amounts
    return PaymentObservation(
        number=number,
        status=status,
        provider_id=provider_id,
        amount=amount,
        refunded_minor=_minor_of(amount, partial, asked) if is_refunded else None,
        failure=failure,
        occurred_at=occurred_at,
        words=words,
        partial_amount=partial,
        is_signed_wrong=is_signed_wrong,
    )


def _minor_of(*amounts: Money | PartialAmount | None) -> int | None:
    """The first amount that is known, in minor units."""
    return next((one.minor for one in amounts if one is not None and one.minor is not None), None)


def refund_observation(
    trade: Trade,
    status: KnownRefundStatus,
    *,
    number: str,
    failure: Failure | None = None,
    is_signed_wrong: bool = False,
) -> RefundObservation:
    """A refund with `status`, and what `trade` tells of it."""
    amount, partial = trade.amounts
    return RefundObservation(
        number=number,
        status=status,
        provider_id=trade.provider_id,
        amount=amount,
        failure=failure,
        occurred_at=parse_time(trade.paydtm or trade.sysdtm),
        words=trade.words,
        partial_amount=partial,
        is_signed_wrong=is_signed_wrong,
    )


def read_payment(
    trade: Trade, *, is_signed_wrong: bool = False, asked: Money | None = None
) -> PaymentObservation | None:
    """
    The payment that a record or a notification is about; None when its code says nothing definite.

    For `asked` and errors see `payment_observation`.
    """
    judgement, code = judge("payment record", trade)
    status = _PAYMENT_STATUSES.get(judgement)
    if status is None:
        return None
    failure = failure_of(trade, code) if status in (Status.CLOSED, Status.FAILED) else None
    return payment_observation(
        trade, status, number=trade.number, failure=failure, is_signed_wrong=is_signed_wrong, asked=asked
    )


def read_refund(trade: Trade, *, is_signed_wrong: bool = False) -> RefundObservation | None:
    """The refund that a record or a notification is about; None when its code says nothing definite."""
    judgement, code = judge("refund record", trade)
    status = REFUND_STATUSES.get(judgement)
    if status is None:
        return None
    failure = failure_of(trade, code) if status is RefundStatus.FAILED else None
    return refund_observation(
        trade, status, number=trade.number, failure=failure, is_signed_wrong=is_signed_wrong
    )


def action_of(reply: PaymentReply, row: PayType) -> Action | None:
    """
    The action of an order of this pay type; None for `final` replies, which leave the payer nothing to do.

    `Malformed` when the reply lacks it or its code must not be shown; paycore checks the URL of a redirect. The order
    exists in either case.
    Source: SOURCES.md §3.3; for 800107 no official sample reply exists, only its field table.
    """
    if row.reply == "final":
        return None
    if row.reply == "pay_url":
        if not reply.pay_url:
            raise Malformed("pay_url is missing")
        return Redirect(url=reply.pay_url, show_as=row.show_as)
    if row.reply == "qrcode":
        return QRCode(content=_link_in_code(reply.qrcode))
    if not bytes(reply.pay_params):
        raise Malformed("pay_params is missing")
    values, printed = decode_params(reply.pay_params)
    if row.reply == "sdk_params":
        return AppCall(order=sdk_order_string(printed), params=values)
    trade_no = printed.get("tradeNO")
    if not trade_no:
        raise Malformed("pay_params.tradeNO is missing")
    return WalletCall(call="tradePay", params={"tradeNO": trade_no})


def sdk_order_string(printed: Mapping[str, str]) -> str:
    """
    The order string for the Alipay SDK: `key="value"` by name, joined with `&`, then `sign` and `sign_type`.

    Values stay as QFPay printed them (`total_fee="3.0"` for the number 3.0), because its signature covers
    them; `sign` arrives percent-encoded and stays so. `Malformed` when a part is missing.
    Source: sdk.qfapi.com "Alipay In-App Payments"; SOURCES.md §3.3.
    """
    missing = [name for name in _SIGNATURE_FIELDS if not printed.get(name)]
    if missing:
        raise Malformed(f"pay_params.{missing[0]} is missing")
    if any('"' in value for value in printed.values()):
        raise Malformed("pay_params has a quotation mark in a value")
    names = sorted(name for name in printed if name not in _SIGNATURE_FIELDS)
    return "&".join(f'{name}="{printed[name]}"' for name in (*names, *_SIGNATURE_FIELDS))


def _link_in_code(url: str | None) -> str:
    """The content of a QR code, which is a link here; paycore takes any text."""
    if not url:
        raise Malformed("qrcode is missing")
    problem = url_problem(url)
    if problem:
        raise Malformed(f"qrcode has {problem}")
    return url
