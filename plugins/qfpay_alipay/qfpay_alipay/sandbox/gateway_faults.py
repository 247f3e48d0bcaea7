"""Faults inside QFPay, in addition to those of the connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from paycore.sandbox.connection import CONNECTION_FAULTS
from paycore.sandbox.faults import Fault, FaultBoard, FaultKind
from paycore.sandbox.gateway_kinds import COMMON_FAULTS
from qfpay_alipay.sandbox import codes

NOTIFICATION = "notification"
"""The "path" of outgoing notifications, for the faults of amounts and currencies."""

QFPAY_FAULTS = (
    FaultKind(
        name="answer_pending",
        help="the request is carried out and answered 1145, or `code`",
        options={"code": "1145"},
    ),
    FaultKind(
        name="respcd",
        help="the request is answered with `code` and `message`, carried out first if `recorded`",
        options={"code": "1298", "message": "", "recorded": False},
    ),
    FaultKind(name="no_pay_url", help="a payment is accepted, its reply lacks pay_url, qrcode or pay_params"),
    FaultKind(
        name="wrong_amount",
        help="txamt is `by` too high in the next reply or notification",
        options={"by": 1},
    ),
    FaultKind(
        name="wrong_currency",
        help="txcurrcd is `currency` in the next reply or notification",
        options={"currency": "USD"},
    ),
    FaultKind(
        name="no_amount",
        help="txamt is `left` empty, null or missing in the next reply or notification",
        options={"left": "empty"},
        choices={"left": ("empty", "null", "missing")},
    ),
    FaultKind(
        name="no_currency",
        help="txcurrcd is `left` empty, null or missing in the next reply or notification",
        options={"left": "empty"},
        choices={"left": ("empty", "null", "missing")},
    ),
    FaultKind(
        name="odd_amount",
        help="txamt is `txamt` in the next reply or notification: a number where it can be one, else text",
        options={"txamt": "8800.0"},
    ),
    FaultKind(name="numbers_instead_of_strings", help="amounts in the reply are JSON numbers"),
    FaultKind(name="wrong_signature", help="X-QF-SIGN of the reply does not fit its body"),
    FaultKind(
        name="pending_refund",
        help="a refund is answered 1143 and gets `code` after `seconds`",
        options={"seconds": 2.0, "code": codes.OK},
    ),
    FaultKind(name="balance_empty", help="a refund is refused for now with 1269"),
    FaultKind(name="late_pay", help="a closed, expired or declined order can be paid all the same"),
)


def open_board() -> FaultBoard:
    return FaultBoard([*CONNECTION_FAULTS, *COMMON_FAULTS, *QFPAY_FAULTS])


def distort(fields: dict[str, Any], faults: FaultBoard, path: str) -> dict[str, Any]:
    """The fields of a reply or notification, changed by the faults on the board."""
    pending = None if path == NOTIFICATION else faults.take("answer_pending", path=path)
    if pending is not None:
        fields = _pending(fields, pending)
    amount = faults.take("wrong_amount", path=path)
    if amount is not None:
        by = int(amount.number("by"))
        fields = _each(fields, lambda record: _changed(record, "txamt", lambda text: str(int(text) + by)))
    currency = faults.take("wrong_currency", path=path)
    if currency is not None:
        name = currency.text("currency")
        fields = _each(fields, lambda record: _changed(record, "txcurrcd", lambda _: name))
    return _leave_out(fields, faults, path)


def _leave_out(fields: dict[str, Any], faults: FaultBoard, path: str) -> dict[str, Any]:
    """Leave out the amount, the currency or both; or send an amount that is none."""
    odd = faults.take("odd_amount", path=path)
    if odd is not None:
        fields = _each(fields, lambda record: _changed(record, "txamt", lambda _: _value(odd.text("txamt"))))
    for kind, name in (("no_amount", "txamt"), ("no_currency", "txcurrcd")):
        fault = faults.take(kind, path=path)
        if fault is not None:
            left = fault.text("left")
            fields = _each(fields, partial(_left, name=name, left=left))
    return fields


def _left(record: dict[str, Any], *, name: str, left: str) -> dict[str, Any]:
    if left == "missing":
        return {field: value for field, value in record.items() if field != name}
    return _changed(record, name, lambda _: None if left == "null" else "")


def _value(text: str) -> object:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def _pending(fields: dict[str, Any], fault: Fault) -> dict[str, Any]:
    code = fault.text("code")
    change = {"respcd": code, "resperr": codes.text(code)}
    if "data" in fields:
        # The query itself succeeds; each record is in progress.
        blank = {"respcd": code, "errmsg": codes.text(code), "paydtm": "", "chnlsn": "", "cancel": "0"}
        return {**fields, "data": [{**record, **blank} for record in fields["data"]]}
    return {
        name: value
        for name, value in {**fields, **change}.items()
        if name not in ("pay_url", "qrcode", "pay_params")
    }


def _each(fields: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """`fields` changed, or each record of a query's reply."""
    if "data" in fields:
        return {**fields, "data": [change(record) for record in fields["data"]]}
    return change(fields)


def _changed(record: dict[str, Any], name: str, value: Callable[[str], object]) -> dict[str, Any]:
    return {**record, name: value(record[name])} if name in record else record
