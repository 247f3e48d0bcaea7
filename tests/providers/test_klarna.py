"""Klarna by its miniature provider."""

from datetime import UTC, datetime
from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import Status
from paycore.errors import NotSent
from paycore.plugin import ClientCall
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.klarna import Klarna

SETTINGS = {"username": "PK1", "password": "klarna-password"}
ORDER = {"reference": "order-1", "amount": Money("88.00", "EUR"), "method": "klarna", "channel": "web"}


class KlarnaGateway(Gateway):
    """Sessions; orders once a payer's `tokens` are used; a key that is known gets what it got first."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = {"token-1"}
        self.orders: dict[str, dict[str, Any]] = {}

    def answer(self, asked: Asked) -> tuple[int, object]:
        key = asked.headers.get("klarna-idempotency-key")
        return self.once(key, lambda: self._route(asked)) if key else self._route(asked)

    def _route(self, asked: Asked) -> tuple[int, object]:
        answered: tuple[int, object]
        match [asked.method, *asked.path.strip("/").split("/")]:
            case ["POST", "payments", "v1", "sessions"]:
                answered = 200, {"session_id": "S1", "client_token": "client-token"}
            case ["POST", "payments", "v1", "authorizations", token, "order"] if token in self.tokens:
                self.tokens.remove(token)
                answered = 200, self._order()
            case ["GET", "ordermanagement", "v1", "orders", order_id]:
                answered = 200, self.orders[order_id]
            case ["POST", "ordermanagement", "v1", "orders", order_id, "captures"]:
                captured = asked.document["captured_amount"]
                self.orders[order_id] |= {"status": "CAPTURED", "captured_amount": captured}
                answered = 201, {}
            case ["POST", "ordermanagement", "v1", "orders", order_id, "cancel"]:
                self.orders[order_id]["status"] = "CANCELLED"
                answered = 204, {}
            case _:
                answered = 404, {"error_code": "NOT_FOUND"}
        return answered

    def _order(self) -> dict[str, Any]:
        order_id = f"K{len(self.orders) + 1}"
        made = {"order_id": order_id, "status": "AUTHORIZED", "captured_amount": 0}
        self.orders[order_id] = made | {"created_at": datetime.now(UTC).isoformat()}
        return self.orders[order_id]


def test_what_the_payer_brings_back_makes_the_order(serve: Serve[KlarnaGateway], open_shop: OpenShop) -> None:
    """The token is recorded, and handed to the query, which finds the payment authorized; it is captured later."""
    gateway = serve(KlarnaGateway())
    shop = open_shop(Klarna, gateway, **SETTINGS)
    payment = shop.create(**ORDER, capture="manual")
    assert isinstance(payment.action, ClientCall)
    assert payment.action.params == {"client_token": "client-token"}
    assert shop.query(payment.id).status is Status.PENDING
    payment = shop.returned(payment.id, {"authorization_token": "token-1"})
    assert (payment.status, payment.authorized_minor) == (Status.AUTHORIZED, 8800)
    payment = shop.capture(payment.id, amount=Money("80.00", "EUR"))
    assert (payment.status, payment.paid_minor, payment.review) == (Status.PAID, 8000, False)


def test_a_forged_token_proves_nothing(serve: Serve[KlarnaGateway], open_shop: OpenShop) -> None:
    """Anybody can come back: the payment stays as it was, and the right token still makes the order."""
    gateway = serve(KlarnaGateway())
    shop = open_shop(Klarna, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    assert shop.returned(payment.id, {"authorization_token": "forged"}).status is Status.PENDING
    assert gateway.orders == {}
    assert shop.returned(payment.id, {"authorization_token": "token-1"}).status is Status.PAID


def test_a_token_reaches_no_other_path(serve: Serve[KlarnaGateway], open_shop: OpenShop) -> None:
    """It comes from anybody's browser: it stays one part of the path."""
    gateway = serve(KlarnaGateway())
    shop = open_shop(Klarna, gateway, **SETTINGS)
    payment = shop.create(**ORDER, capture="manual")
    shop.returned(payment.id, {"authorization_token": "../../../ordermanagement/v1/orders/K1/cancel?é\n"})
    (asked,) = gateway.calls("POST", "/order")
    assert asked.path.count("/") == 5


def test_an_order_whose_reply_was_lost_is_made_once(serve: Serve[KlarnaGateway], open_shop: OpenShop) -> None:
    """Making it takes no money: the next query asks again with the same key, and nothing is left unknown."""
    gateway = serve(KlarnaGateway())
    shop = open_shop(Klarna, gateway, **SETTINGS)
    payment = shop.create(**ORDER, capture="manual")
    gateway.lose_reply("/order")
    with pytest.raises(NotSent):
        shop.returned(payment.id, {"authorization_token": "token-1"})
    payment = shop.query(payment.id)
    assert (payment.status, payment.uncertain, len(gateway.orders)) == (Status.AUTHORIZED, False, 1)


def test_an_authorized_order_is_voided(serve: Serve[KlarnaGateway], open_shop: OpenShop) -> None:
    """Closing releases what was authorized."""
    gateway = serve(KlarnaGateway())
    shop = open_shop(Klarna, gateway, **SETTINGS)
    payment = shop.create(**ORDER, capture="manual")
    shop.returned(payment.id, {"authorization_token": "token-1"})
    assert shop.close(payment.id).status is Status.CLOSED
    assert gateway.orders["K1"]["status"] == "CANCELLED"


def test_a_lost_partial_capture_took_what_was_asked_for(
    serve: Serve[KlarnaGateway], open_shop: OpenShop
) -> None:
    """The query finds it captured with that amount: it is paid, and nothing is captured twice."""
    gateway = serve(KlarnaGateway())
    shop = open_shop(Klarna, gateway, **SETTINGS)
    payment = shop.create(**ORDER, capture="manual")
    shop.returned(payment.id, {"authorization_token": "token-1"})
    gateway.lose_reply("/captures")
    payment = shop.capture(payment.id, amount=Money("80.00", "EUR"))
    assert payment.uncertain
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor, payment.review) == (Status.PAID, 8000, False)
    assert len(gateway.calls("POST", "/captures")) == 1
