"""Webhooks: signed as PayPal's documentation says, sent until they are received, and verified by call."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from paycore.sandbox.server import SandboxServer
from paypal_orders.sandbox.sandbox_settings import WEBHOOK_ID
from paypal_orders.sandbox.signing import base_string
from plugins.paypal_orders.tests.sandbox.merchant import HTTP, Merchant
from plugins.paypal_orders.tests.vectors import VECTORS

Received = list[tuple[dict[str, str], bytes]]


class Receiver:
    """A merchant's URL: what arrived there, and the statuses it answers with, 200 when there are no more."""

    def __init__(self) -> None:
        self.received: Received = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.append(
                    ({name.lower(): value for name, value in self.headers.items()}, body)
                )
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def first(self, count: int) -> Received:
        """The first so many, once they are there; AssertionError after five seconds."""
        for _ in range(500):
            if len(self.received) >= count:
                return self.received[:count]
            time.sleep(0.01)
        raise AssertionError(f"{len(self.received)} of {count} arrived")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def merchant(open_sandbox: Callable[..., SandboxServer], receiver: Receiver) -> Merchant:
    """A merchant whose account has that URL."""
    return Merchant(open_sandbox(notify_url=receiver.url))


def verified(headers: dict[str, str], body: bytes, certificate: bytes) -> bool:
    """Whether the certificate's key signed it, as PayPal's documentation says, by another implementation of RSA."""
    key = x509.load_pem_x509_certificate(certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    parts = [headers["paypal-transmission-id"], headers["paypal-transmission-time"], WEBHOOK_ID]
    told = "|".join([*parts, str(zlib.crc32(body))])
    signature = base64.b64decode(headers["paypal-transmission-sig"])
    try:
        key.verify(signature, told.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def test_an_event_is_signed_by_the_certificate_it_names(merchant: Merchant, receiver: Receiver) -> None:
    """Over its bytes as they were sent, and any change of them is noticed."""
    merchant.paid()
    for headers, body in receiver.first(2):
        certificate = HTTP.get(headers["paypal-cert-url"]).content
        assert headers["paypal-auth-algo"] == "SHA256withRSA"
        assert verified(headers, body, certificate)
        assert not verified(headers, body + b"\n", certificate)
        assert not verified(headers, json.dumps(json.loads(body)).encode(), certificate)


def test_the_base_string_is_that_of_the_documented_event() -> None:
    """Vector V11 with its checksum, and the signature by its own key."""
    at, transmission_id = "2026-03-02T10:15:32Z", "b1f0c0a0-1623-11f1-9d2b-5d3f0a7c1e22"
    assert len(VECTORS["EVENT"]) == 1438
    told = base_string(transmission_id, at, "7WH12345AB678901C", VECTORS["EVENT"])
    assert told == f"{transmission_id}|{at}|7WH12345AB678901C|2509789706"
    key = x509.load_der_x509_certificate(base64.b64decode(VECTORS["CERTIFICATE"])).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signature = base64.b64decode(VECTORS["SIGNATURE"])
    key.verify(signature, told.encode(), padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("body", "checksum"),
    [
        (b"", 0),
        (b"123456789", 3421780262),
        (b"{}", 2745614147),
        (b'{"id":"WH-1"}', 838965618),
        (b'{"id": "WH-1"}', 606402450),
        ('{"summary":"10 €"}'.encode(), 1219353814),
        (b'{"q":1.0}', 1341144148),
        (b'{"n":90}', 1807868),
    ],
)
def test_the_checksum_is_an_unsigned_decimal_number(body: bytes, checksum: int) -> None:
    """Vector V13: without a sign, without padding."""
    assert base_string("a", "b", "c", body) == f"a|b|c|{checksum}"


def verify_by_call(merchant: Merchant, headers: dict[str, str], event: bytes, **changes: str) -> Any:
    asked = {
        "auth_algo": headers["paypal-auth-algo"],
        "cert_url": headers["paypal-cert-url"],
        "transmission_id": headers["paypal-transmission-id"],
        "transmission_sig": headers["paypal-transmission-sig"],
        "transmission_time": headers["paypal-transmission-time"],
        "webhook_id": WEBHOOK_ID,
        **changes,
    }
    body = json.dumps(asked).encode()[:-1] + b', "webhook_event": ' + event + b"}"
    answer = merchant.post("/v1/notifications/verify-webhook-signature", body)
    return answer.json()["verification_status"]


def test_an_event_is_verified_by_call(merchant: Merchant, receiver: Receiver) -> None:
    """With the bytes as they came; written anew, or for another subscription, it fails."""
    merchant.paid()
    headers, body = receiver.first(1)[0]
    assert verify_by_call(merchant, headers, body) == "SUCCESS"
    assert verify_by_call(merchant, headers, json.dumps(json.loads(body)).encode()) == "FAILURE"
    assert verify_by_call(merchant, headers, body, webhook_id="WEBHOOK_ID") == "FAILURE"


def test_a_payment_and_a_refund_are_told(merchant: Merchant, receiver: Receiver) -> None:
    """Approval and capture, with the order's id; a refund, with its capture."""
    order = merchant.paid()
    capture = order["purchase_units"][0]["payments"]["captures"][0]
    merchant.refund(capture["id"], "2.34")
    told = {json.loads(body)["event_type"]: json.loads(body) for _, body in receiver.first(3)}
    assert set(told) == {"CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED", "PAYMENT.CAPTURE.REFUNDED"}
    kinds = {name: event["resource_type"] for name, event in told.items()}
    assert list(map(kinds.get, sorted(told))) == ["checkout-order", "capture", "refund"]
    related = told["PAYMENT.CAPTURE.COMPLETED"]["resource"]["supplementary_data"]["related_ids"]
    assert related["order_id"] == order["id"]
    links = {link["rel"]: link["href"] for link in told["PAYMENT.CAPTURE.REFUNDED"]["resource"]["links"]}
    assert links["up"].endswith(f"/v2/payments/captures/{capture['id']}")


def attempted(merchant: Merchant, order_id: str, count: int) -> dict[str, Any]:
    """The one webhook of an order, once so many attempts are recorded; AssertionError after five seconds."""
    webhook: dict[str, Any] = {}
    for _ in range(500):
        (webhook,) = merchant.controls.show_order(order_id)["webhooks"]
        if len(webhook["attempts"]) >= count:
            return webhook
        time.sleep(0.01)
    raise AssertionError(f"not {count} attempts: {webhook}")


def test_an_event_is_sent_again_until_it_is_received(merchant: Merchant, receiver: Receiver) -> None:
    """The same event, with a signature of its own each time, 25 times at most."""
    receiver.statuses = [503, 500]
    order = merchant.approved()
    for count in (1, 2, 3):
        receiver.first(count)
        attempted(merchant, order["id"], count)  # the next is planned by then
        merchant.gateway.clock.advance(4 * 3600)
    bodies = [body for _, body in receiver.first(3)]
    assert len(set(bodies)) == 1
    assert len({headers["paypal-transmission-id"] for headers, _ in receiver.received}) == 3
    webhook = attempted(merchant, order["id"], 3)
    assert ([one["status"] for one in webhook["attempts"]], webhook["is_accepted"]) == ([503, 500, 200], True)


def test_faults_of_webhooks(merchant: Merchant, receiver: Receiver) -> None:
    """Dropped, doubled, late, repeated, forged."""
    merchant.gateway.faults.add("drop_notification")
    merchant.approved()
    merchant.gateway.faults.add("duplicate_notification")
    order = merchant.approved()
    (_, first), (_, second) = receiver.first(2)
    assert first == second
    assert json.loads(first)["resource"]["id"] == order["id"]
    merchant.gateway.faults.add("late_notification", seconds=600)
    merchant.approved()
    merchant.gateway.clock.advance(601)
    receiver.first(3)
    merchant.controls.notify(order["id"], kind="repeat", seconds=0)
    headers, body = receiver.first(4)[3]
    certificate = HTTP.get(headers["paypal-cert-url"]).content
    assert verified(headers, body, certificate)
    merchant.controls.notify(order["id"], kind="forged", seconds=0)
    headers, body = receiver.first(5)[4]
    assert not verified(headers, body, certificate)
