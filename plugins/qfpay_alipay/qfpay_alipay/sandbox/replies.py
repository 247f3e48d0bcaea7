"""Replies, query records and notifications, made from the order book, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qfpay_alipay.sandbox import codes
from qfpay_alipay.sandbox.codes import Refusal
from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES, Shape
from qfpay_alipay.sandbox.order_records import OrderState, SandboxOrder, SandboxRefund
from qfpay_alipay.sandbox.times import render_time

Fields = dict[str, Any]

_DEFAULT_UDID = "qiantai2"
"""What the samples echo when no udid was sent."""
_WALLET_USER = "2088802811715388"
_NUMBERS = ("txamt", "cash_fee", "cash_refund_fee")


def encode(fields: Mapping[str, Any]) -> bytes:
    r"""
    JSON as Python writes it by default: `", "`, `": "` and `\uXXXX`.

    The exact bytes matter: they are signed. Source: G2's raw reply (vector V3).
    """
    return json.dumps(fields).encode("ascii")


def with_numbers(fields: Fields) -> Fields:
    """Amounts as JSON numbers, as the barcode sample has them (SOURCES.md §1)."""
    changed: Fields = {
        name: int(value) if name in _NUMBERS and isinstance(value, str) and value.isdigit() else value
        for name, value in fields.items()
    }
    if isinstance(changed.get("data"), list):
        changed["data"] = [with_numbers(record) for record in changed["data"]]
    return changed


def refusal(error: Refusal) -> Fields:
    """The body of a refused request. Which other fields the real gateway adds is undocumented."""
    return {"respcd": error.code, "resperr": codes.text(error.code), "respmsg": error.message}


def refused_refund(error: Refusal, params: Mapping[str, str], currency: str) -> Fields:
    """A refused refund names the original and has no syssn of its own. Source: 91APP (SOURCES.md §5.1)."""
    fields = {"orig_syssn": params.get("syssn", ""), "out_trade_no": params.get("out_trade_no", "")}
    if currency:
        fields["txcurrcd"] = currency
    return {**fields, **refusal(error)}


def payment(order: SandboxOrder, extra: Mapping[str, Any]) -> Fields:
    """
    The reply to a payment. `respcd` 0000 means accepted; only for barcodes it means paid.

    `paydtm` equals `sysdtm` though nothing was paid, as in the samples.
    """
    is_result = PAY_TYPES[order.pay_type].shape is Shape.RESULT
    respcd = order.respcd if is_result else codes.OK
    return {
        "sysdtm": render_time(order.created_at),
        "paydtm": render_time(order.created_at),
        "txcurrcd": order.txcurrcd,
        "respmsg": order.warning,
        "pay_type": order.pay_type,
        "cardcd": _payer(order),
        "udid": order.udid or _DEFAULT_UDID,
        "txdtm": order.txdtm,
        "txamt": str(order.txamt),
        "resperr": codes.text(respcd),
        "out_trade_no": order.out_trade_no,
        "syssn": order.syssn,
        "respcd": respcd,
        **extra,
        "chnlsn": _wallet_number(order),
        "chnlsn2": "",
    }


def refund(refund: SandboxRefund, order: SandboxOrder, respcd: str) -> Fields:
    return {
        "orig_syssn": refund.orig_syssn,
        "sysdtm": render_time(refund.created_at),
        "paydtm": render_time(refund.created_at),
        "txdtm": refund.txdtm,
        "txamt": str(refund.txamt),
        "txcurrcd": refund.txcurrcd,
        "out_trade_no": refund.out_trade_no,
        "syssn": refund.syssn,
        "chnlsn": refund.trade_no,
        "cardcd": _payer(order),
        "udid": refund.udid or _DEFAULT_UDID,
        "cash_refund_fee": str(refund.txamt),
        "cash_refund_fee_type": refund.txcurrcd,
        "respcd": respcd,
        "resperr": codes.text(respcd),
        "respmsg": "",
    }


def cancellation(order: SandboxOrder, *, syssn: str, txdtm: str, now_ms: int) -> Fields:
    return {
        "syssn": syssn,
        "orig_syssn": order.syssn,
        "out_trade_no": order.out_trade_no,
        "txamt": str(order.txamt),
        "txcurrcd": order.txcurrcd,
        "txdtm": txdtm,
        "sysdtm": render_time(now_ms),
        "chnlsn": "",
        "respcd": codes.OK,
        "resperr": codes.text(codes.OK),
        "respmsg": "",
    }


def payment_record(order: SandboxOrder, *, cancel: str) -> Fields:
    """One payment in the answer to a query: all documented fields and the undocumented ones seen in samples."""
    is_paid = order.state is OrderState.PAID
    return {
        **_common_record(order.respcd),
        "syssn": order.syssn,
        "out_trade_no": order.out_trade_no,
        "chnlsn": _wallet_number(order),
        "goods_name": order.goods_name,
        "goods_info": order.goods_info,
        "txcurrcd": order.txcurrcd,
        "origssn": None,
        "pay_type": order.pay_type,
        "order_type": "payment",
        "txdtm": order.txdtm,
        "txamt": str(order.txamt),
        "sysdtm": render_time(order.created_at),
        "paydtm": "" if order.paid_at is None else render_time(order.paid_at),
        "cancel": cancel,
        "cash_fee": str(order.txamt) if is_paid else "0",
        "cash_fee_type": order.txcurrcd if is_paid else "",
        "cardcd": _payer(order),
        "udid": order.udid or _DEFAULT_UDID,
    }


def refund_record(refund: SandboxRefund, order: SandboxOrder, respcd: str) -> Fields:
    is_done = respcd == codes.OK
    return {
        **_common_record(respcd),
        "syssn": refund.syssn,
        "out_trade_no": refund.out_trade_no,
        "chnlsn": refund.trade_no if is_done else "",
        "goods_name": order.goods_name,
        "goods_info": order.goods_info,
        "txcurrcd": refund.txcurrcd,
        "origssn": refund.orig_syssn,
        "pay_type": order.pay_type,
        "order_type": "refund",
        "txdtm": refund.txdtm,
        "txamt": str(refund.txamt),
        "sysdtm": render_time(refund.created_at),
        "paydtm": render_time(refund.done_at) if is_done else "",
        "cancel": "0",
        "cash_fee": "0",
        "cash_fee_type": "",
        "cash_refund_fee": str(refund.txamt) if is_done else "0",
        "cash_refund_fee_type": refund.txcurrcd if is_done else "",
        "cardcd": _payer(order),
        "udid": refund.udid or _DEFAULT_UDID,
    }


def query(records: list[Fields], *, page: int, page_size: int) -> Fields:
    """Page numbers are integers in real replies, strings in the printed samples (SOURCES.md §4)."""
    return {
        "respcd": codes.OK,
        "resperr": codes.text(codes.OK),
        "respmsg": "",
        "page": page,
        "page_size": page_size,
        "data": records,
    }


def notification(
    entry: SandboxOrder | SandboxRefund, order: SandboxOrder, *, cancel: str, mchid: str
) -> Fields:
    """
    The fields of a payment's or refund's notification, all strings. A refund's has the two numbers of the refund only.

    Source: G4/G5 "Asynchronous Notifications", in the order of fields of vector V10.
    """
    is_refund = isinstance(entry, SandboxRefund)
    paid_at = entry.done_at if isinstance(entry, SandboxRefund) else (entry.paid_at or entry.created_at)
    fields = {
        "status": "1",
        "pay_type": order.pay_type,
        "sysdtm": render_time(entry.created_at),
        "paydtm": render_time(paid_at),
        "goods_name": order.goods_name,
        "txcurrcd": entry.txcurrcd,
        "txdtm": entry.txdtm,
        "txamt": str(entry.txamt),
        "out_trade_no": entry.out_trade_no,
        "syssn": entry.syssn,
        "cancel": "0" if is_refund else cancel,
        "respcd": codes.OK,
        "goods_info": order.goods_info,
        "chnlsn": order.trade_no,
        "cardcd": _WALLET_USER if not order.openid else order.openid,
        "cash_fee": "0" if is_refund else str(order.txamt),
        "cash_fee_type": "" if is_refund else order.txcurrcd,
        "notify_type": "refund" if is_refund else "payment",
    }
    return {**fields, "mchid": mchid} if mchid else fields


def _common_record(respcd: str) -> Fields:
    return {
        "respcd": respcd,
        "errmsg": codes.text(respcd),
        "chnlsn2": "",
        "goods_detail": "",
        "exchange_rate": "",
        "cash_refund_fee": "0",
        "cash_refund_fee_type": "",
        "cardtp": "5",
        "clisn": "000000",
        "userid": "2100000",
    }


def _payer(order: SandboxOrder) -> str:
    """The payer's id; empty until paid."""
    return (order.openid or _WALLET_USER) if order.state is OrderState.PAID else ""


def _wallet_number(order: SandboxOrder) -> str:
    return order.trade_no if order.state is OrderState.PAID else ""
