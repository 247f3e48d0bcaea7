"""A bank transfer by its miniature provider."""

from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import ReviewReason, Status
from paycore.errors import NotSupported
from paycore.plugin import Instructions
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.bank_transfer import BankTransfer

ORDER = {"reference": "order-1", "amount": Money("88.00", "EUR"), "method": "bank_transfer", "channel": "web"}


class Bank(Gateway):
    """Virtual accounts by our number."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[str, dict[str, Any]] = {}

    def answer(self, asked: Asked) -> tuple[int, object]:
        number = asked.path.rpartition("/")[2]
        if asked.method == "PUT":
            self.accounts.setdefault(
                number, {"iban": "DE89370400440532013000", "name": "Shop", "received": "0.00"}
            )
        return (200, self.accounts[number]) if number in self.accounts else (404, {"error": "not found"})


def test_a_transfer_is_paid_by_what_is_shown(serve: Serve[Bank], open_shop: OpenShop) -> None:
    """The payer is shown where to pay; the payment is found paid, cannot be closed and not be refunded."""
    bank = serve(Bank())
    shop = open_shop(BankTransfer, bank, token="t")
    payment = shop.create(**ORDER)
    number = payment.order_number
    shown = {"iban": "DE89370400440532013000", "name": "Shop", "reference": number}
    assert payment.action == Instructions(fields=shown)
    with pytest.raises(NotSupported):
        shop.close(payment.id)
    bank.accounts[number]["received"] = "88.00"
    payment = shop.query(payment.id)
    assert (payment.status, payment.action) == (Status.PAID, None)
    with pytest.raises(NotSupported):
        shop.refund(payment.id, reference="back-1")


def test_a_transfer_of_another_amount_is_looked_at(serve: Serve[Bank], open_shop: OpenShop) -> None:
    """A payer can transfer anything: that is not paid, and a person looks."""
    bank = serve(Bank())
    shop = open_shop(BankTransfer, bank, token="t")
    payment = shop.create(**ORDER)
    bank.accounts[payment.order_number]["received"] = "80.00"
    payment = shop.query(payment.id)
    assert (payment.status, payment.review_reasons) == (Status.PENDING, (ReviewReason.AMOUNT_DIFFERS,))


def test_what_a_transfer_has_no_use_for_is_left_out(serve: Serve[Bank], open_shop: OpenShop) -> None:
    """An account is changed in the configuration alone: fields that only inform are ignored, and named."""
    shop = open_shop(BankTransfer, serve(Bank()), token="t")
    payment = shop.create(**ORDER, subject="Tea", notify_url="https://shop.example/hook")
    assert payment.ignored == ("notify_url", "subject")
