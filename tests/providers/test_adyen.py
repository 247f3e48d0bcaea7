"""Adyen by its miniature provider."""

import json
from typing import Any

import pytest

from paycore import Money, Payment
from paycore.domain.payment import RefundStatus, ReviewReason, Status
from paycore.errors import ConfigError, NotAuthentic, NotSent
from paycore.plugin import ClientCall, Secret
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.adyen import SCRIPT, Adyen, sign

KEYS = {"Shop_EU": "AA" * 32, "Shop_US": "BB" * 32}
SETTINGS = {
    "api_key": "api-key",
    "client_key": "test_CLIENT",
    "merchant_account": "Shop_EU",
    "hmac_key": KEYS["Shop_EU"],
}
US = SETTINGS | {"merchant_account": "Shop_US", "hmac_key": KEYS["Shop_US"]}
ORDER = {
    "reference": "order-1",
    "amount": Money("88.00", "EUR"),
    "method": "card",
    "channel": "web",
    "return_url": "https://shop.example/thanks",
}


class AdyenGateway(Gateway):
    """Sessions by key; refunds are received, and what becomes of them only events tell."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = 0

    def answer(self, asked: Asked) -> tuple[int, object]:
        if asked.path.endswith("/refunds"):
            return 201, {"pspReference": "PSP-REFUND", "status": "received"}
        if asked.method == "POST":
            return self.once(asked.headers["idempotency-key"], self._session)
        is_paid = asked.query["sessionResult"] == "result-1"
        payments = {"payments": [{"pspReference": "PSP1"}]} if is_paid else {}
        return 200, {"status": "completed" if is_paid else "expired"} | payments

    def _session(self) -> tuple[int, object]:
        self.sessions += 1
        return 201, {"id": f"CS{self.sessions}", "sessionData": "session-data"}


def event(code: str, number: str, *, merchant: str = "Shop_EU", **fields: Any) -> dict[str, Any]:
    item = {
        "eventCode": code,
        "success": "true",
        "merchantAccountCode": merchant,
        "merchantReference": number,
        "pspReference": "PSP1",
        "amount": {"value": 8800, "currency": "EUR"},
        **fields,
    }
    return item | {"additionalData": {"hmacSignature": sign(item, Secret(KEYS[merchant]))}}


def send_events(shop: Any, items: list[dict[str, Any]], account: str = "shop") -> None:
    batch = {"notificationItems": [{"NotificationRequestItem": item} for item in items]}
    shop.receive(account, body=json.dumps(batch).encode(), headers={})


def paid(shop: Any) -> Payment:
    payment = shop.create(**ORDER)
    send_events(shop, [event("AUTHORISATION", payment.order_number)])
    found: Payment = shop.get(payment.id)
    assert found.status is Status.PAID
    return found


def test_the_browser_brings_the_result_back(serve: Serve[AdyenGateway], open_shop: OpenShop) -> None:
    """A script shows the form; its result goes to Adyen, whose answer counts: a forged one changes nothing."""
    gateway = serve(AdyenGateway())
    shop = open_shop(Adyen, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    params = {"id": "CS1", "sessionData": "session-data", "clientKey": "test_CLIENT"}
    assert payment.action == ClientCall(script=SCRIPT, params=params)
    assert shop.query(payment.id).status is Status.PENDING
    assert shop.returned(payment.id, {"sessionResult": "forged"}).status is Status.PENDING
    payment = shop.returned(payment.id, {"sessionResult": "result-1"})
    assert (payment.status, payment.provider_id) == (Status.PAID, "PSP1")
    send_events(shop, [event("AUTHORISATION", payment.order_number)])
    assert shop.get(payment.id).paid_minor == 8800


def test_a_refund_fails_after_it_succeeded(serve: Serve[AdyenGateway], open_shop: OpenShop) -> None:
    """Only events tell of refunds: what comes back later can be refunded again."""
    shop = open_shop(Adyen, serve(AdyenGateway()), **SETTINGS)
    payment = paid(shop)
    payment = shop.refund(payment.id, reference="back-1")
    assert payment.refunds[0].status is RefundStatus.PENDING
    number = payment.refunds[0].number
    for code, status, left in (
        ("REFUND", RefundStatus.SUCCEEDED, 0),
        ("REFUND_FAILED", RefundStatus.REVERSED, 8800),
    ):
        send_events(shop, [event(code, number, pspReference="PSP-REFUND", originalReference="PSP1")])
        payment = shop.get(payment.id)
        assert (payment.refunds[0].status, payment.refundable_minor) == (status, left)
    assert payment.review_reasons == ()


def test_a_charge_back_is_counted_once_until_it_is_won(
    serve: Serve[AdyenGateway], open_shop: OpenShop
) -> None:
    """However often an event arrives, and in whatever order."""
    shop = open_shop(Adyen, serve(AdyenGateway()), **SETTINGS)
    payment = paid(shop)
    taken, won = (
        event(code, payment.order_number, pspReference="PSP-CB", originalReference="PSP1")
        for code in ("CHARGEBACK", "CHARGEBACK_REVERSED")
    )
    send_events(shop, [taken])
    send_events(shop, [taken, taken])
    payment = shop.get(payment.id)
    assert (payment.charged_back_minor, payment.refundable_minor) == (8800, 0)
    send_events(shop, [won, taken])
    payment = shop.get(payment.id)
    assert (payment.charge_back_won_minor, payment.refundable_minor) == (8800, 8800)
    assert payment.review_reasons == (ReviewReason.CHARGED_BACK,)


def test_a_batch_of_several_merchants_reaches_each(serve: Serve[AdyenGateway], open_shop: OpenShop) -> None:
    """250 events in one body: each account takes those its own key verifies; what nobody knows is kept."""
    shop = open_shop(Adyen, serve(AdyenGateway()), accounts={"eu": SETTINGS, "us": US})
    ours = [shop.create(**ORDER, account="eu"), shop.create(**ORDER | {"reference": "order-2"}, account="us")]
    merchants = ("Shop_EU", "Shop_US")
    named = [
        event("AUTHORISATION", payment.order_number, merchant=merchant, pspReference=f"PSP-{merchant}")
        for payment, merchant in zip(ours, merchants, strict=True)
    ]
    strangers = [event("AUTHORISATION", f"ELSEWHERE{i}", pspReference=f"X{i}") for i in range(248)]
    send_events(shop, [*strangers, *named], account="eu")
    assert [shop.get(payment.id).status for payment in ours] == [Status.PAID, Status.PAID]


def test_an_event_forged_for_a_neighbour_moves_nothing(
    serve: Serve[AdyenGateway], open_shop: OpenShop
) -> None:
    """A key of one merchant signs nothing of another."""
    shop = open_shop(Adyen, serve(AdyenGateway()), accounts={"eu": SETTINGS, "us": US})
    payment = shop.create(**ORDER, account="us")
    forged = event("AUTHORISATION", payment.order_number) | {"merchantAccountCode": "Shop_US"}
    send_events(shop, [forged], account="eu")
    assert shop.get(payment.id).status is Status.PENDING
    with pytest.raises(NotAuthentic):
        send_events(shop, [forged], account="us")


def test_a_live_account_has_a_host_of_its_own(open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the settings, under a suffix that is Adyen's: any other host is refused before any request."""
    monkeypatch.setenv("API_KEY", "live-api-key")
    monkeypatch.setenv("HMAC_KEY", "AA" * 32)
    live = SETTINGS | {"api_key": {"env": "API_KEY"}, "hmac_key": {"env": "HMAC_KEY"}}
    shop = open_shop(Adyen, mode="live", live_prefix="1797a841fbb37ca7-Shop", **live)
    with pytest.raises(NotSent, match=r"1797a841fbb37ca7-shop-checkout-live\.adyenpayments\.com"):
        shop.create(**ORDER)
    shop = open_shop(Adyen, mode="live", live_prefix="evil.example/", **live)
    with pytest.raises(ConfigError, match="a live account uses https"):
        shop.create(**ORDER)
