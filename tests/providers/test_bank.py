"""A bank with client certificates by its miniature provider."""

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest

from paycore import Money
from paycore.domain.payment import Status
from paycore.engine import transport
from paycore.errors import MaybeSent, NotSent
from paycore.plugin import Redirect
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.bank import Bank

SETTINGS = {"iban": "DE89370400440532013000"}
ORDER = {
    "reference": "order-1",
    "amount": Money("88.00", "EUR"),
    "method": "bank_transfer",
    "channel": "web",
    "return_url": "https://shop.example/thanks",
}


PEM = Path(__file__).parents[1] / "support" / "tls"
"""`authority.pem` signed `server.pem` and `client.pem`, which have their keys."""


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's, that wants a certificate of the authority; clients trust that authority too."""
    monkeypatch.setattr(certifi, "where", lambda: str(PEM / "authority.pem"))
    transport._tls.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM / "server.pem")
    context.load_verify_locations(PEM / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    yield context
    transport._tls.cache_clear()


class BankGateway(Gateway):
    """Payments by our number."""

    def __init__(self) -> None:
        super().__init__()
        self.payments: dict[str, dict[str, Any]] = {}

    def answer(self, asked: Asked) -> tuple[int, object]:
        number = asked.path.rpartition("/")[2]
        if asked.method == "PUT":
            made = {"id": "B1", "state": "RCVD", "authorise": "https://bank.example/a/1"}
            self.payments.setdefault(number, made | {"amount": asked.document["amount"]})
        if asked.method == "PATCH":
            self.payments[number] |= asked.document
        return (200, self.payments[number]) if number in self.payments else (404, {"error": "none"})


def test_a_payment_is_put_under_our_number_and_patched(
    serve: Serve[BankGateway], open_shop: OpenShop
) -> None:
    """PUT makes the same payment however often it is sent; PATCH cancels it."""
    gateway = serve(BankGateway())
    shop = open_shop(Bank, gateway, **SETTINGS)
    gateway.lose_reply(ending="")
    payment = shop.create(**ORDER)
    payment = shop.query(payment.id)
    assert payment.action == Redirect(url="https://bank.example/a/1")
    assert [asked.method for asked in gateway.asked] == ["PUT", "GET", "PUT"]
    assert shop.close(payment.id).status is Status.CLOSED


def test_the_bank_knows_its_customer_by_a_certificate(
    serve: Serve[BankGateway], open_shop: OpenShop, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """It is a file that the account names; the provider itself knows nothing of it."""
    gateway = serve(BankGateway(), tls)
    shutil.copy(PEM / "client.pem", tmp_path / "client.pem")
    (tmp_path / "client.pem").chmod(0o600)
    shop = open_shop(Bank, gateway, **SETTINGS, client_certificate="client.pem")
    payment = shop.create(**ORDER)
    assert payment.action == Redirect(url="https://bank.example/a/1")
    gateway.payments[payment.order_number]["state"] = "ACSC"
    assert shop.query(payment.id).status is Status.PAID


def test_without_a_certificate_the_bank_is_asked_nothing(
    serve: Serve[BankGateway], open_shop: OpenShop, tls: ssl.SSLContext
) -> None:
    """The bank ends the connection, so that no request reaches it."""
    gateway = serve(BankGateway(), tls)
    shop = open_shop(Bank, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    with pytest.raises((NotSent, MaybeSent)):
        shop.query(payment.id)
    assert (payment.status, gateway.asked) == (Status.UNKNOWN, [])
