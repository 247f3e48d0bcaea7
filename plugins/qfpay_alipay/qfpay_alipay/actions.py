"""What the payer must do next, read from the reply to a creation."""

from __future__ import annotations

from collections.abc import Mapping

from paycore.plugin import Action, AppCall, QRCode, Redirect, WalletCall
from qfpay_alipay.mapping import PayType
from qfpay_alipay.urls import url_problem
from qfpay_alipay.wire import Malformed, PaymentReply, decode_params

_SIGNATURE_FIELDS = ("sign", "sign_type")


def action_of(reply: PaymentReply, row: PayType) -> Action | None:
    """
    The action of an order of this pay type; None for `final` replies, which leave the payer nothing to do.

    `Malformed` when the reply lacks it or its URL must not be shown: the order exists all the same.
    Source: SOURCES.md §3.3; for 800107 no official sample reply exists, only its field table.
    """
    if row.reply == "final":
        return None
    if row.reply == "pay_url":
        return Redirect(url=_shown("pay_url", reply.pay_url), show_as=row.show_as)
    if row.reply == "qrcode":
        return QRCode(content=_shown("qrcode", reply.qrcode))
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

    Values stand as QFPay printed them (`total_fee="3.0"` for the number 3.0), since its signature is over
    them; `sign` arrives percent-encoded and stays so. `Malformed` when it can't be made.
    Source: sdk.qfapi.com "Alipay In-App Payments"; SOURCES.md §3.3.
    """
    missing = [name for name in _SIGNATURE_FIELDS if not printed.get(name)]
    if missing:
        raise Malformed(f"pay_params.{missing[0]} is missing")
    if any('"' in value for value in printed.values()):
        raise Malformed("pay_params has a quotation mark in a value")
    names = sorted(name for name in printed if name not in _SIGNATURE_FIELDS)
    return "&".join(f'{name}="{printed[name]}"' for name in (*names, *_SIGNATURE_FIELDS))


def _shown(field: str, url: str | None) -> str:
    if not url:
        raise Malformed(f"{field} is missing")
    problem = url_problem(url)
    if problem:
        raise Malformed(f"{field} has {problem}")
    return url
