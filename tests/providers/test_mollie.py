"""Mollie by its miniature provider."""

from datetime import timedelta
from typing import Any

from paycore import Money
from paycore.domain.payment import RefundStatus, ReviewReason, Status
from paycore.plugin import Redirect
from tests.providers.conftest import OpenShop, Serve, eventually
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.mollie import Mollie

ORDER = {
    "reference": "order-1",
    "amount": Money("25.00", "EUR"),
    "method": "ideal",
    "channel": "web",
    "return_url": "https://shop.example/thanks",
    "notify_url": "https://shop.example/mollie",
}


class MollieGateway(Gateway):
    """Payments by id; refunds below their payment; a key that is known gets the payment it made."""

    def __init__(self) -> None:
        super().__init__()
        self.payments: dict[str, dict[str, Any]] = {}
        self.refunds: dict[tuple[str, str], dict[str, Any]] = {}

    def answer(self, asked: Asked) -> tuple[int, object]:
        answered: tuple[int, object]
        match [asked.method, *asked.path.removeprefix("/v2/payments").strip("/").split("/")]:
            case ["POST", ""]:
                answered = self.once(asked.headers["idempotency-key"], lambda: (201, self._made(asked)))
            case ["GET", payment_id] if payment_id in self.payments:
                answered = 200, self.payments[payment_id]
            case ["DELETE", payment_id]:
                answered = 200, self.payments[payment_id] | {"status": "canceled"}
            case ["POST", payment_id, "refunds"]:
                key = asked.headers["idempotency-key"]
                answered = self.once(key, lambda: (201, self._refunded(payment_id, asked)))
            case ["GET", payment_id, "refunds", refund_id]:
                answered = 200, self.refunds[payment_id, refund_id]
            case _:
                answered = 404, {"title": "Not Found", "detail": "no payment has this id"}
        return answered

    def _refunded(self, payment_id: str, asked: Asked) -> dict[str, Any]:
        refund_id = f"re_{len(self.refunds) + 1}"
        self.refunds[payment_id, refund_id] = {"id": refund_id, "status": "pending", **asked.document}
        return self.refunds[payment_id, refund_id]

    def _made(self, asked: Asked) -> dict[str, Any]:
        payment_id = f"tr_{len(self.payments) + 1}"
        checkout = {"href": f"https://www.mollie.com/checkout/{payment_id}"}
        made = {"id": payment_id, "status": "open", "amount": asked.document["amount"]}
        self.payments[payment_id] = made | {"_links": {"checkout": checkout}}
        return self.payments[payment_id]


def notify(shop: Any, payment_id: str) -> None:
    shop.receive("shop", body=f"id={payment_id}".encode(), headers={})


def test_an_unsigned_id_makes_the_payment_due(serve: Serve[MollieGateway], open_shop: OpenShop) -> None:
    """The webhook names an id of Mollie's and nothing else: the payment is asked about at once."""
    gateway = serve(MollieGateway())
    shop = open_shop(Mollie, gateway, api_key="test_1")
    payment = shop.create(**ORDER)
    assert payment.action == Redirect(url="https://www.mollie.com/checkout/tr_1")
    gateway.payments["tr_1"]["status"] = "paid"
    notify(shop, "tr_1")
    eventually(shop, payment, lambda payment: payment.status is Status.PAID)


def test_a_forged_id_moves_nothing(serve: Serve[MollieGateway], open_shop: OpenShop) -> None:
    """Whoever sends it: only Mollie's answer counts, and an id that nobody knows is asked about by nobody."""
    gateway = serve(MollieGateway())
    shop = open_shop(Mollie, gateway, api_key="test_1")
    payment = shop.create(**ORDER)
    notify(shop, "tr_1")
    notify(shop, "tr_9")
    shop.sleep(1)
    assert shop.get(payment.id).status is Status.PENDING
    assert len(gateway.calls("GET", "/tr_1")) == 1
    assert gateway.calls("GET", "/tr_9") == []


def test_a_refund_is_found_below_its_payment(serve: Serve[MollieGateway], open_shop: OpenShop) -> None:
    """It is asked about by the ids of both."""
    gateway = serve(MollieGateway())
    shop = open_shop(Mollie, gateway, api_key="test_1")
    payment = shop.create(**ORDER)
    gateway.payments["tr_1"]["status"] = "paid"
    shop.query(payment.id)
    payment = shop.refund(payment.id, reference="back-1", amount=Money("5.00", "EUR"))
    assert payment.refunds[0].status is RefundStatus.PENDING
    gateway.refunds["tr_1", "re_1"]["status"] = "refunded"
    assert shop.query(payment.id).refunds[0].status is RefundStatus.SUCCEEDED


def test_a_payment_is_cancelled_by_delete(serve: Serve[MollieGateway], open_shop: OpenShop) -> None:
    """Any method of HTTP can be used."""
    gateway = serve(MollieGateway())
    shop = open_shop(Mollie, gateway, api_key="test_1")
    payment = shop.create(**ORDER)
    assert shop.close(payment.id).status is Status.CLOSED
    assert [asked.path for asked in gateway.calls("DELETE", "")] == ["/v2/payments/tr_1"]


def test_a_lost_payment_is_found_within_the_hour_only(
    serve: Serve[MollieGateway], open_shop: OpenShop
) -> None:
    """Within the hour the same key finds it; after that it would make a second one, and a person looks."""
    gateway = serve(MollieGateway())
    shop = open_shop(Mollie, gateway, api_key="test_1")
    gateway.lose_reply("/payments")
    gateway.lose_reply("/payments")
    first, second = shop.create(**ORDER), shop.create(**ORDER | {"reference": "order-2"})
    assert shop.query(first.id).provider_id == "tr_1"
    later = open_shop(Mollie, gateway, later=timedelta(hours=1), api_key="test_1")
    assert later.query(second.id).review_reasons == (ReviewReason.UNRESOLVABLE,)
    assert len(gateway.payments) == 2


def test_an_id_of_another_account_reaches_that_one(serve: Serve[MollieGateway], open_shop: OpenShop) -> None:
    """One webhook URL for two accounts: the payment is asked about with the key of its own."""
    gateway = serve(MollieGateway())
    accounts = {"eu": {"api_key": "test_eu"}, "nl": {"api_key": "test_nl"}}
    shop = open_shop(Mollie, gateway, accounts=accounts)
    payment = shop.create(**ORDER, account="nl")
    gateway.payments["tr_1"]["status"] = "paid"
    shop.receive("eu", body=b"id=tr_1", headers={})
    eventually(shop, payment, lambda payment: payment.status is Status.PAID)
    assert {asked.headers["authorization"] for asked in gateway.asked} == {"Bearer test_nl"}


def test_a_lost_refund_is_made_once(serve: Serve[MollieGateway], open_shop: OpenShop) -> None:
    """Its id was in the lost reply: the same key finds it."""
    gateway = serve(MollieGateway())
    shop = open_shop(Mollie, gateway, api_key="test_1")
    payment = shop.create(**ORDER)
    gateway.payments["tr_1"]["status"] = "paid"
    shop.query(payment.id)
    gateway.lose_reply("/refunds")
    payment = shop.refund(payment.id, reference="back-1")
    assert payment.refunds[0].status is RefundStatus.UNKNOWN
    payment = shop.query(payment.id)
    assert (payment.refunds[0].status, payment.refunds[0].provider_id) == (RefundStatus.PENDING, "re_1")
    assert len(gateway.refunds) == 1


def test_the_same_webhook_again_makes_the_payment_due_again(
    serve: Serve[MollieGateway], open_shop: OpenShop
) -> None:
    """Mollie sends the same body for every change: the payment is asked about each time."""
    gateway = serve(MollieGateway())
    shop = open_shop(Mollie, gateway, api_key="test_1")
    payment = shop.create(**ORDER)
    notify(shop, "tr_1")
    shop.sleep(0.3)
    assert shop.get(payment.id).status is Status.PENDING
    gateway.payments["tr_1"]["status"] = "paid"
    notify(shop, "tr_1")
    payment = eventually(shop, payment, lambda payment: payment.status is Status.PAID)
    gateway.payments["tr_1"]["amountChargedBack"] = {"value": "25.00", "currency": "EUR"}
    notify(shop, "tr_1")
    payment = eventually(shop, payment, lambda payment: payment.review)
    assert payment.charged_back_minor == 2500


def test_a_state_of_no_manual_changes_nothing(serve: Serve[MollieGateway], open_shop: OpenShop) -> None:
    """It is no answer: neither of the payment nor of its refund."""
    gateway = serve(MollieGateway())
    shop = open_shop(Mollie, gateway, api_key="test_1")
    payment = shop.create(**ORDER)
    gateway.payments["tr_1"]["status"] = "on-hold"
    assert shop.query(payment.id).status is Status.PENDING
    gateway.payments["tr_1"]["status"] = "paid"
    shop.query(payment.id)
    shop.refund(payment.id, reference="back-1")
    gateway.refunds["tr_1", "re_1"]["status"] = "on-hold"
    assert shop.query(payment.id).refunds[0].status is RefundStatus.PENDING
