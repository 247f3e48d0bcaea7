"""
Acme Pay's gateway on a socket, as docs/writing-a-plugin.md describes the company: it counts what it charged.

Signed both ways with HMAC-SHA256; a number that is in use is refused; an order is open until it is paid or cancelled.
"""

import contextlib
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MERCHANT = "M-1001"
KEY = "acme-key"


class Gateway:
    """Orders and refunds by number. `lose_replies`: how many of the next answers never arrive."""

    def __init__(self) -> None:
        self.url = ""
        self.lose_replies = 0
        self.orders: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}

    def pay(self, number: str) -> None:
        """The payer pays."""
        assert self.orders[number]["state"] == "open"
        self.orders[number]["state"] = "paid"

    def notification(self, number: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a genuine notification."""
        body = json.dumps(self.orders[number]).encode()
        return body, {"X-Acme-Signature": _sign(body)}

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and document for one request."""
        if headers["x-acme-merchant"] != MERCHANT:
            return 401, {"error": "no_such_merchant"}
        if not hmac.compare_digest(headers["x-acme-signature"], _sign(body or path.encode())):
            return 401, {"error": "bad_signature"}
        return self._route(method, path, body)

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        match [method, *path.removeprefix("/v1/").split("/")]:
            case ["POST", "orders"]:
                return self._create(json.loads(body))
            case ["GET", "orders", number]:
                return self._tell(self.orders, number)
            case ["GET", "refunds", number]:
                return self._tell(self.refunds, number)
            case ["POST", "orders", number, "refunds"]:
                return self._refund(self.orders[number], json.loads(body))
            case ["POST", "orders", number, "cancel"]:
                return self._cancel(self.orders[number])
            case _:
                return 500, {}

    def _create(self, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if fields["title"] == "risky":
            return 422, {"error": "risk"}
        if fields["number"] in self.orders:
            return 409, {"error": "number_in_use"}
        order = {name: fields[name] for name in ("number", "amount", "currency")}
        order |= {"id": f"A{len(self.orders) + 1}", "state": "open"}
        self.orders[fields["number"]] = order
        return 201, {**order, "pay_url": f"https://pay.acme.example/{order['id']}"}

    def _tell(self, known: dict[str, dict[str, Any]], number: str) -> tuple[int, dict[str, Any]]:
        return (200, known[number]) if number in known else (404, {"error": "not_found"})

    def _refund(self, order: dict[str, Any], fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if fields["number"] in self.refunds:
            return 409, {"error": "number_in_use"}
        back = sum(refund["amount"] for refund in self.refunds.values() if refund["order"] == order["id"])
        if order["state"] != "paid" or back + fields["amount"] > order["amount"]:
            return 422, {"error": "too_much"}
        refund = {**fields, "id": f"R{len(self.refunds) + 1}", "state": "succeeded", "order": order["id"]}
        self.refunds[fields["number"]] = refund
        return 200, refund

    def _cancel(self, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if order["state"] != "open":
            return 422, {"error": "not_open"}
        order["state"] = "cancelled"
        return 200, order


def _sign(body: bytes) -> str:
    return hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()


@contextlib.contextmanager
def acme_gateway() -> Iterator[Gateway]:
    """Serve a gateway on a free port of this machine."""
    gateway = Gateway()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(gateway))
    server.daemon_threads, server.block_on_close = True, False
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, document = gateway.answer(self.command, self.path, self.headers, body)
            if gateway.lose_replies:
                gateway.lose_replies -= 1
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            reply = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST  # noqa: N815 - the name http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler
