"""M-Pesa by its miniature provider."""

import json
from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import ReviewReason, Status
from paycore.errors import InvalidField, NotSent
from tests.providers.conftest import OpenShop, Serve, eventually
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.mpesa import MPesa

SETTINGS = {"consumer_key": "ck", "consumer_secret": "cs-1", "shortcode": "174379", "passkey": "pass-key"}
ORDER = {
    "reference": "order-1",
    "amount": Money("100.00", "KES"),
    "method": "mpesa",
    "channel": "app",
    "payer_id": "254700000001",
    "notify_url": "https://shop.example/mpesa",
}


class MPesaGateway(Gateway):
    """Pushes by checkout id; a token is good until `tokens` says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.token = 0
        self.results: dict[str, str] = {}

    def answer(self, asked: Asked) -> tuple[int, object]:
        if asked.path == "/oauth/v1/generate":
            self.token += 1
            return 200, {"access_token": f"token-{self.token}", "expires_in": "3599"}
        if asked.headers["authorization"] != f"Bearer token-{self.token}":
            return 401, {"errorCode": "404.001.03", "errorMessage": "Invalid Access Token"}
        if asked.path.endswith("/query"):
            return 200, {"ResultCode": self.results[asked.document["CheckoutRequestID"]]}
        checkout_id = f"ws_CO_{len(self.results) + 1}"
        self.results[checkout_id] = "4999"  # the payer has not answered
        return 200, {"MerchantRequestID": "29115-1", "CheckoutRequestID": checkout_id, "ResponseCode": "0"}


def call_back(shop: Any, checkout_id: str) -> None:
    body = {"Body": {"stkCallback": {"CheckoutRequestID": checkout_id, "ResultCode": 0}}}
    shop.receive("shop", body=json.dumps(body).encode(), headers={})


def test_a_callback_without_our_number_is_about_its_payment(
    serve: Serve[MPesaGateway], open_shop: OpenShop
) -> None:
    """Both ids are kept; the callback is unsigned, so it is a mention, and the query says that it is paid."""
    gateway = serve(MPesaGateway())
    shop = open_shop(MPesa, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    assert (payment.status, payment.action) == (Status.PENDING, None)
    assert (payment.provider_id, dict(payment.ids)) == ("ws_CO_1", {"merchant_request": "29115-1"})
    gateway.results["ws_CO_1"] = "0"
    call_back(shop, "ws_CO_1")
    eventually(shop, payment, lambda payment: payment.status is Status.PAID)
    assert gateway.token == 1


def test_a_lost_push_is_never_sent_again(serve: Serve[MPesaGateway], open_shop: OpenShop) -> None:
    """It would ask the payer twice, and its id is not known: a person looks, and says what the portal has."""
    gateway = serve(MPesaGateway())
    shop = open_shop(MPesa, gateway, **SETTINGS)
    gateway.lose_reply("/processrequest")
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    payment = shop.query(payment.id)
    assert payment.review_reasons == (ReviewReason.UNRESOLVABLE,)
    call_back(shop, "ws_CO_1")  # an id that nobody here knows: kept, and nothing changes
    payment = shop.record(payment.id, "paid", by="ada", note="in the statement", provider_id="ws_CO_1")
    assert (payment.status, payment.review_reasons) == (Status.PAID, ())
    assert len(gateway.results) == 1


def test_a_token_that_was_lost_sends_nothing(serve: Serve[MPesaGateway], open_shop: OpenShop) -> None:
    """What fails before the push has moved nothing: the payment is not left unknown."""
    gateway = serve(MPesaGateway())
    shop = open_shop(MPesa, gateway, **SETTINGS)
    gateway.lose_reply("/generate")
    with pytest.raises(NotSent) as error:
        shop.create(**ORDER)
    assert error.value.money_moved == "no"
    assert shop.create(**ORDER).status is Status.PENDING


def test_an_amount_it_can_not_take_is_refused(serve: Serve[MPesaGateway], open_shop: OpenShop) -> None:
    """Before anything is recorded or sent."""
    shop = open_shop(MPesa, serve(MPesaGateway()), **SETTINGS)
    with pytest.raises(InvalidField, match="whole shillings"):
        shop.create(**ORDER | {"amount": Money("100.50", "KES")})
