"""A bank with client certificates by its miniature provider."""

from typing import Any

from paycore import Money
from paycore.domain.payment import Status
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
