"""
What a payer is given: pay URLs, QR contents, `tradeNO` and the in-app order.

Alipay's values (partner, secondary merchant, signatures) are invented, in the documented form; the URL is that of
the sandbox's wallet page, with the documented query fields. Source: samples on the G4/G5 web, WAP and in-app pages
(SOURCES.md §3.3).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES, GatewayPayType, Shape, major_units
from qfpay_alipay.sandbox.order_records import SandboxOrder
from qfpay_alipay.sandbox.times import render_time

_PARTNER = "2088231234567890"
_MERCHANT = {
    "secondary_merchant_id": "1000000001",
    "secondary_merchant_name": "Sandbox Shop",
    "secondary_merchant_industry": "5311",
}
_LATE_FIELDS = ("sign", "sign_type")


class Links:
    """`public_url` is where payers reach the sandbox; `secret` signs the URLs."""

    def __init__(self, public_url: str, *, secret: str) -> None:
        self.public_url = public_url
        self._secret = secret.encode()

    def reply_fields(self, order: SandboxOrder) -> dict[str, Any]:
        """What the order's pay type adds to the reply of a payment."""
        kind = PAY_TYPES[order.pay_type]
        match kind.shape:
            case Shape.PAY_URL:
                return {"pay_url": self.pay_url(order, kind)}
            case Shape.QRCODE:
                return {"qrcode": self.wallet_page(order)}
            case Shape.TRADE_NO:
                return {"pay_params": {"tradeNO": order.trade_no}}
            case Shape.IN_APP:
                return {"pay_params": self.in_app_params(order)}
            case Shape.RESULT:
                return {}

    def wallet_page(self, order: SandboxOrder) -> str:
        """The order on a phone; what the sandbox's QR codes contain."""
        return f"{self.public_url}/wallet/orders/{order.syssn}"

    def pay_url(self, order: SandboxOrder, kind: GatewayPayType) -> str:
        fields = {
            "_input_charset": "UTF-8",
            "currency": order.txcurrcd,
            "notify_url": "https://o2-hk.qfapi.com/trade/alipay/v1/notify",
            "out_trade_no": order.syssn,
            "partner": _PARTNER,
            "product_code": kind.product,
            "return_url": order.return_url,
            "service": kind.service,
            "subject": order.goods_name or "Payment",
            "total_fee": repr(major_units(order.txamt, order.txcurrcd)),
            **_MERCHANT,
            **_validity(order, kind),
        }
        fields = {name: value for name, value in fields.items() if value}
        fields["sign"] = self._sign(fields)
        fields["sign_type"] = "MD5"
        return f"{self.public_url}/wallet/gateway.do?{urlencode(fields)}"

    def is_genuine(self, query: Mapping[str, str]) -> bool:
        """Whether the query of a pay URL is unchanged."""
        fields = {name: value for name, value in query.items() if name not in _LATE_FIELDS}
        return hmac.compare_digest(self._sign(fields).encode(), query.get("sign", "").encode())

    def in_app_params(self, order: SandboxOrder) -> dict[str, Any]:
        """All fields of G5 "Alipay In-App Payments"; `total_fee` is a number there, `sign` already percent-encoded."""
        params: dict[str, Any] = {
            "_input_charset": "UTF-8",
            "body": order.goods_info,
            "currency": order.txcurrcd,
            "forex_biz": "FP",
            "it_b_pay": f"{(order.expires_at - order.created_at) // 60_000}m",
            "notify_url": "https://o2-hk.qfapi.com/trade/alipay/v1/notify",
            "out_trade_no": order.syssn,
            "partner": _PARTNER,
            "payment_inst": order.pay_tag or "ALIPAYHK",
            "payment_type": "1",
            "product_code": "NEW_WAP_OVERSEAS_SELLER",
            "return_url": order.return_url,
            "seller_id": order.seller_id or _PARTNER,
            "service": "mobile.securitypay.pay",
            "subject": order.goods_name,
            "total_fee": major_units(order.txamt, order.txcurrcd),
            **_MERCHANT,
        }
        params["sign"] = self._rsa_like(params)
        params["sign_type"] = "RSA"
        return params

    def order_string(self, order: SandboxOrder) -> str:
        """
        What a merchant's app must hand to the Alipay SDK: `key="value"` sorted by name, `sign` and `sign_type` last.

        A number is written as JSON writes it. Source: G5 "Alipay In-App Payments".
        """
        params = self.in_app_params(order)
        names = [*sorted(params.keys() - set(_LATE_FIELDS)), *_LATE_FIELDS]
        return "&".join(f'{name}="{_sdk_text(params[name])}"' for name in names)

    def _sign(self, fields: Mapping[str, str]) -> str:
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)).encode()
        return hmac.new(self._secret, text, hashlib.md5).hexdigest()

    def _rsa_like(self, params: Mapping[str, Any]) -> str:
        """A value that looks like an RSA signature, percent-encoded as in the sample; there is no key pair."""
        text = json.dumps(params, sort_keys=True).encode()
        raw = b"".join(hmac.digest(self._secret, text + bytes([part]), "sha256") for part in range(4))
        return quote(base64.b64encode(raw).decode(), safe="")


def _validity(order: SandboxOrder, kind: GatewayPayType) -> dict[str, str]:
    """How long the URL is valid, as its service states it: in seconds for web, in minutes for WAP."""
    seconds = (order.expires_at - order.created_at) // 1000
    if kind.service == "create_forex_trade_wap":
        return {"timeout_rule": f"{seconds // 60}m"}
    return {"order_valid_time": str(seconds), "order_gmt_create": render_time(order.created_at)}


def _sdk_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
