"""A merchant's client that signs by its own code, independent of the plugin's and the sandbox's."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from typing import Any

import httpx2

from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox.gateway import QFPayGateway

PAYMENT = "/trade/v1/payment"
QUERY = "/trade/v1/query"
REFUND = "/trade/v1/refund"
CLOSE = "/trade/v1/close"
REVERSAL = "/trade/v1/reversal"

NEEDED = {
    "800107": {"openid": "2088802811715388"},
    "800108": {"auth_code": "283854702356157409"},
    "800008": {"auth_code": "283854702356157409"},
    "801110": {"goods_name": "tea", "return_url": "shop://paid"},
    "801510": {"goods_name": "tea", "return_url": "shop://paid"},
}
"""What a pay type needs beyond the public fields."""

_count = itertools.count(1)


def sign(fields: dict[str, str], key: str, digest: str = "md5") -> str:
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)) + key
    return hashlib.new(digest, text.encode()).hexdigest()


def now() -> str:
    return dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def new_number() -> str:
    return f"N{next(_count):06d}"


class Merchant:
    """Talks HTTP to one sandbox; `gateway` acts as payer and operator."""

    def __init__(self, server: SandboxServer, http: httpx2.Client) -> None:
        self.server = server
        self.http = http
        self.url = server.url
        self.key = server.settings["client_key"]
        self.app_code = server.settings["app_code"]
        assert isinstance(server.gateway, QFPayGateway)
        self.gateway = server.gateway

    def send(
        self,
        path: str,
        fields: dict[str, str],
        *,
        method: str = "POST",
        digest: str = "md5",
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        signed = {"X-QF-APPCODE": self.app_code, "X-QF-SIGN": sign(fields, self.key, digest).upper()}
        if digest == "sha256":
            signed["X-QF-SIGNTYPE"] = "SHA256"
        signed |= headers or {}
        if method == "GET":
            return self.http.get(self.url + path, params=fields, headers=signed)
        return self.http.post(self.url + path, data=fields, headers=signed)

    def payment(self, pay_type: str = "801101", **fields: str) -> dict[str, Any]:
        """A payment with sensible defaults; a field given as "" is left out."""
        full = {
            "txamt": "8800",
            "txcurrcd": "HKD",
            "pay_type": pay_type,
            "out_trade_no": new_number(),
            "txdtm": now(),
            **NEEDED.get(pay_type, {}),
            **fields,
        }
        if pay_type in ("800108", "800008") and "auth_code" not in fields:
            full["auth_code"] = f"28{next(_count):016d}99"
        return self.ask(PAYMENT, {name: value for name, value in full.items() if value != ""})

    def ask(self, path: str, fields: dict[str, str]) -> dict[str, Any]:
        reply = self.send(path, fields)
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def query(self, **fields: str) -> list[dict[str, Any]]:
        answer = self.ask(QUERY, fields)
        assert answer["respcd"] == "0000", answer
        records: list[dict[str, Any]] = answer["data"]
        return records

    def record(self, out_trade_no: str) -> dict[str, Any]:
        (record,) = self.query(out_trade_no=out_trade_no)
        return record

    def paid(self, pay_type: str = "801101", **fields: str) -> dict[str, Any]:
        """A payment that the payer has paid."""
        order = self.payment(pay_type, **fields)
        self.gateway.orders.pay(order["syssn"])
        return order

    def refund(self, order: dict[str, Any], amount: str, **fields: str) -> dict[str, Any]:
        full = {
            "syssn": order["syssn"],
            "out_trade_no": new_number(),
            "txamt": amount,
            "txdtm": now(),
            **fields,
        }
        return self.ask(REFUND, {name: value for name, value in full.items() if value != ""})

    def close(
        self, order: dict[str, Any], path: str = CLOSE, method: str = "POST", **fields: str
    ) -> dict[str, Any]:
        full = {"syssn": order["syssn"], "txamt": order["txamt"], "txdtm": now(), **fields}
        full = {name: value for name, value in full.items() if value != ""}
        answer: dict[str, Any] = self.send(path, full, method=method).json()
        return answer

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        return self.http.request(method, f"{self.url}/_sandbox/{path}", json=body)
