"""Scanned codes by their miniature provider."""

from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import Status
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.till_qr import TillQR

ORDER = {
    "reference": "order-1",
    "amount": Money("88.00", "HKD"),
    "method": "wallet",
    "channel": "barcode",
    "auth_code": "287700000000000001",
}


class TillGateway(Gateway):
    """Payments by our number; `state` is what a new one has."""

    def __init__(self, state: str) -> None:
        super().__init__()
        self.state = state
        self.payments: dict[str, dict[str, Any]] = {}

    def answer(self, asked: Asked) -> tuple[int, object]:
        _, _, number, *reversal = asked.path.split("/")
        if reversal:
            self.payments[number]["state"] = "reversed"
        elif asked.method == "POST":
            self.payments[number] = {"id": f"W{len(self.payments) + 1}", "state": self.state}
        return (200, self.payments[number]) if number in self.payments else (404, {"error": "not found"})


@pytest.mark.parametrize(("state", "status"), [("paid", Status.PAID), ("refused", Status.FAILED)])
def test_a_scanned_code_is_paid_or_refused_at_once(
    serve: Serve[TillGateway], open_shop: OpenShop, state: str, status: Status
) -> None:
    """There is nothing for the payer to do, so there is no action."""
    payment = open_shop(TillQR, serve(TillGateway(state)), token="t").create(**ORDER)
    assert (payment.status, payment.action) == (status, None)


def test_a_lost_reply_is_asked_about(serve: Serve[TillGateway], open_shop: OpenShop) -> None:
    """The payer may have paid: the query says so, and nothing is sent again."""
    gateway = serve(TillGateway("paid"))
    shop = open_shop(TillQR, gateway, token="t")
    gateway.lose_reply("")
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    assert shop.query(payment.id).status is Status.PAID
    assert len(gateway.payments) == 1


def test_a_payer_who_hesitates_is_reversed(serve: Serve[TillGateway], open_shop: OpenShop) -> None:
    """The wallet asks for a password; the shop gives up, and only the provider's answer closes the payment."""
    gateway = serve(TillGateway("waiting"))
    shop = open_shop(TillQR, gateway, token="t")
    payment = shop.create(**ORDER)
    assert payment.status is Status.PENDING
    assert shop.close(payment.id).status is Status.CLOSED
