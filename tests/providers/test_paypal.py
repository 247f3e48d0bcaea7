"""PayPal Orders by its miniature provider."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import RefundStatus, Status
from paycore.plugin import Redirect
from tests.providers.conftest import OpenShop, Serve, eventually
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.paypal import PayPal

SETTINGS = {"client_id": "client-123", "client_secret": "client-secret"}
ORDER = {
    "reference": "order-1",
    "amount": Money("12.34", "EUR"),
    "method": "paypal",
    "channel": "web",
    "return_url": "https://shop.example/thanks",
}


class PayPalGateway(Gateway):
    """
    Orders by id, captured once the payer approved.

    `declines`: of how many captures the payer's card is refused; `busy`: how many are put off. `captured_as` is the
    status of a new capture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []
        self.clients: list[str] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.captures: list[str] = []
        self.refunds: list[str] = []
        self.declines = 0
        self.busy = 0
        self.captured_as = "COMPLETED"

    def answer(self, asked: Asked) -> tuple[int, object]:
        if asked.path == "/v1/oauth2/token":
            self.clients.append(base64.b64decode(asked.headers["authorization"].split()[1]).decode())
            self.tokens.append(f"token-{len(self.tokens) + 1}")
            return 200, {"access_token": self.tokens[-1], "expires_in": 32400}
        if asked.headers["authorization"] != f"Bearer {self.tokens[-1]}":
            return 401, {"name": "AUTHENTICATION_FAILURE", "message": "the token is unknown"}
        number = asked.headers.get("paypal-request-id")
        answered = self.once(number, lambda: self._route(asked)) if number else self._route(asked)
        if answered[0] >= 400 and number:
            self.forget(number)
        return answered

    def _route(self, asked: Asked) -> tuple[int, object]:
        answered: tuple[int, object]
        match [asked.method, *asked.path.removeprefix("/v2/").split("/")]:
            case ["POST", "checkout", "orders"]:
                answered = 201, self._create(asked.document)
            case ["GET", "checkout", "orders", order_id]:
                answered = 200, self.orders[order_id]
            case ["POST", "checkout", "orders", order_id, "capture"]:
                answered = self._capture(self.orders[order_id])
            case ["POST", "payments", "captures", capture_id, "refund"] if capture_id in self.captures:
                self.refunds.append(f"R{len(self.refunds) + 1}")
                answered = 201, {"id": self.refunds[-1], "status": "PENDING"}
            case ["GET", "payments", "refunds", refund_id]:
                answered = 200, {"id": refund_id, "status": "COMPLETED"}
            case _:
                answered = 404, {"name": "RESOURCE_NOT_FOUND", "message": "there is none"}
        return answered

    def _create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        order_id = f"PP{len(self.orders) + 1}"
        order = {"id": order_id, "purchase_units": wanted["purchase_units"]}
        self.orders[order_id] = _at(order, "PAYER_ACTION_REQUIRED")
        return self.orders[order_id]

    def approve(self, order_id: str) -> None:
        """The payer agrees."""
        _at(self.orders[order_id], "APPROVED")

    def _capture(self, order: dict[str, Any]) -> tuple[int, object]:
        unit = order["purchase_units"][0]
        if self.busy:
            self.busy -= 1
            return 429, {"name": "RATE_LIMIT_REACHED", "message": "Too many requests."}
        if "payments" in unit or order["status"] != "APPROVED":
            issue = "ORDER_ALREADY_CAPTURED" if "payments" in unit else "ORDER_NOT_APPROVED"
        elif self.declines:
            self.declines -= 1
            _at(order, "PAYER_ACTION_REQUIRED", "again")
            issue = "INSTRUMENT_DECLINED"
        else:
            self.captures.append(f"C{len(self.captures) + 1}")
            unit["payments"] = {"captures": [{"id": self.captures[-1], "status": self.captured_as}]}
            return 201, _at(order, "COMPLETED")
        details = [{"issue": issue}]
        return 422, {"name": "UNPROCESSABLE_ENTITY", "message": "it can't be done", "details": details}


def _at(order: dict[str, Any], status: str, more: str = "") -> dict[str, Any]:
    """The order, brought to this status now."""
    order |= {"status": status, "update_time": datetime.now(UTC).isoformat(), "links": []}
    if status == "PAYER_ACTION_REQUIRED":
        href = f"https://www.paypal.com/checkoutnow?token={order['id']}{more}"
        order["links"] = [{"rel": "payer-action", "href": href}]
    return order


def send_event(shop: Any, resource: dict[str, Any]) -> None:
    shop.receive("shop", body=json.dumps({"resource": resource}).encode(), headers={})


def test_an_approved_order_is_captured_and_refunded(serve: Serve[PayPalGateway], open_shop: OpenShop) -> None:
    """The payer comes back, the order is captured once; the refund goes back from the capture, not from the order."""
    gateway = serve(PayPalGateway())
    shop = open_shop(PayPal, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    assert payment.action == Redirect(url="https://www.paypal.com/checkoutnow?token=PP1")
    gateway.approve("PP1")
    payment = shop.returned(payment.id, {"token": "PP1", "PayerID": "P1"})
    assert (payment.status, dict(payment.ids)) == (Status.PAID, {"capture": "C1"})
    payment = shop.refund(payment.id, reference="back-1", amount=Money("2.34", "EUR"))
    assert payment.refunds[0].status is RefundStatus.PENDING
    assert shop.query(payment.id).refunds[0].status is RefundStatus.SUCCEEDED


def test_manual_capture_waits_for_its_caller(serve: Serve[PayPalGateway], open_shop: OpenShop) -> None:
    """The payer agreed, and no money is taken before the caller says so."""
    gateway = serve(PayPalGateway())
    shop = open_shop(PayPal, gateway, **SETTINGS)
    payment = shop.create(**ORDER, capture="manual")
    gateway.approve("PP1")
    payment = shop.query(payment.id)
    assert (payment.status, payment.authorized_minor, gateway.captures) == (Status.AUTHORIZED, 1234, [])
    assert shop.capture(payment.id).status is Status.PAID


def test_a_lost_capture_reply_takes_the_money_once(serve: Serve[PayPalGateway], open_shop: OpenShop) -> None:
    """It is never shown as pending while its money moved: the same request finds what the first one took."""
    gateway = serve(PayPalGateway())
    shop = open_shop(PayPal, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.approve("PP1")
    gateway.lose_reply("/capture")
    payment = shop.query(payment.id)
    assert (payment.status, payment.uncertain, gateway.captures) == (Status.PAID, False, ["C1"])
    first, second = gateway.calls("POST", "/capture")
    assert first.headers["paypal-request-id"] == second.headers["paypal-request-id"]


def test_a_payer_whose_card_is_declined_agrees_again(
    serve: Serve[PayPalGateway], open_shop: OpenShop
) -> None:
    """The capture is refused for the payer: the same order is pending again, with a link of its own."""
    gateway = serve(PayPalGateway())
    shop = open_shop(PayPal, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.approve("PP1")
    gateway.declines = 1
    payment = shop.query(payment.id)
    assert payment.status is Status.PENDING
    payment = shop.query(payment.id)
    assert payment.action == Redirect(url="https://www.paypal.com/checkoutnow?token=PP1again")
    gateway.approve("PP1")
    shop.sleep(2.1)  # a capture that was refused rests
    payment = shop.query(payment.id)
    assert (payment.status, gateway.captures) == (Status.PAID, ["C1"])


def test_an_event_that_only_paypal_can_verify_is_a_mention(
    serve: Serve[PayPalGateway], open_shop: OpenShop
) -> None:
    """It names the order by PayPal's id; the query that follows finds it approved, and captures it."""
    gateway = serve(PayPalGateway())
    shop = open_shop(PayPal, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.approve("PP1")
    send_event(shop, {"id": "PP1"})
    eventually(shop, payment, lambda payment: payment.status is Status.PAID)


def test_a_token_is_fetched_once_until_it_is_refused(
    serve: Serve[PayPalGateway], open_shop: OpenShop
) -> None:
    """All flows share it; when it is refused another is opened, and the same request is sent once more."""
    gateway = serve(PayPalGateway())
    shop = open_shop(PayPal, gateway, **SETTINGS)
    first = shop.create(**ORDER)
    shop.query(first.id)
    assert gateway.tokens == ["token-1"]
    gateway.tokens.append("token-2")  # nobody told us
    second = shop.create(**ORDER | {"reference": "order-2"})
    assert second.status is Status.PENDING
    assert gateway.tokens == ["token-1", "token-2", "token-3"]
    numbers = [asked.headers["paypal-request-id"] for asked in gateway.calls("POST", "/orders")]
    assert numbers == [first.order_number, second.order_number, second.order_number]


def test_a_capture_that_is_put_off_goes_on_by_itself(
    serve: Serve[PayPalGateway], open_shop: OpenShop
) -> None:
    """Too many requests: nothing was taken, nothing failed, and whoever looks after the payment captures it later."""
    gateway = serve(PayPalGateway())
    shop = open_shop(PayPal, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.approve("PP1")
    gateway.busy = 1
    send_event(shop, {"id": "PP1"})
    payment = shop.wait(payment.id, 8)
    assert (payment.status, gateway.captures) == (Status.PAID, ["C1"])
    first, second = gateway.calls("POST", "/capture")
    assert first.headers["paypal-request-id"] == second.headers["paypal-request-id"]


@pytest.mark.parametrize(
    ("became", "status", "paid_minor"), [("COMPLETED", Status.PAID, 1234), ("DECLINED", Status.FAILED, 0)]
)
def test_a_capture_that_takes_days_is_not_repeated(
    serve: Serve[PayPalGateway], open_shop: OpenShop, became: str, status: Status, paid_minor: int
) -> None:
    """The order says that it is completed while the money is under way: it is asked about, and taken once or never."""
    gateway = serve(PayPalGateway())
    shop = open_shop(PayPal, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.approve("PP1")
    gateway.captured_as = "PENDING"
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.AUTHORIZED, 0)
    assert shop.query(payment.id).status is Status.AUTHORIZED
    gateway.orders["PP1"]["purchase_units"][0]["payments"]["captures"][0]["status"] = became
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor, payment.review) == (status, paid_minor, False)
    assert len(gateway.calls("POST", "/capture")) == 1


def test_each_account_has_a_token_of_its_own(serve: Serve[PayPalGateway], open_shop: OpenShop) -> None:
    """The token of one is never sent for another."""
    gateway = serve(PayPalGateway())
    other = SETTINGS | {"client_id": "client-456"}
    shop = open_shop(PayPal, gateway, accounts={"eu": SETTINGS, "us": other})
    shop.create(**ORDER, account="eu")
    shop.create(**ORDER | {"reference": "order-2"}, account="us")
    assert gateway.clients == ["client-123:client-secret", "client-456:client-secret"]
    sent = [asked.headers["authorization"] for asked in gateway.calls("POST", "/orders")]
    assert sent == ["Bearer token-1", "Bearer token-2"]
