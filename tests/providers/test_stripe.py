"""Stripe Checkout by its miniature provider."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from paycore import Money
from paycore.domain.payment import RefundStatus, ReviewReason, Status
from paycore.errors import ConfigError, NotSent, WrongState
from paycore.plugin import Redirect, Secret
from tests.providers.conftest import OpenShop, Serve, eventually
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.stripe import Stripe, sign

SETTINGS = {"api_key": "sk_test_1", "webhook_secret": ["whsec_new", "whsec_old"]}
ORDER = {
    "reference": "order-1",
    "amount": Money("25.99", "EUR"),
    "method": "card",
    "channel": "web",
    "return_url": "https://shop.example/thanks",
}


class StripeGateway(Gateway):
    """Sessions by id; a key that is known gets the answer it got first."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.disputes: list[dict[str, Any]] = []
        self.busy = False

    def answer(self, asked: Asked) -> tuple[int, object]:
        if self.busy:
            return 429, {
                "error": {"type": "invalid_request_error", "code": "rate_limit", "message": "slow down"}
            }
        key = asked.headers.get("idempotency-key")
        return self.once(key, lambda: self._route(asked)) if key else self._route(asked)

    def _route(self, asked: Asked) -> tuple[int, object]:
        answered: tuple[int, object]
        match [asked.method, *asked.path.removeprefix("/v1/").split("/")]:
            case ["POST", "checkout", "sessions"]:
                answered = 200, self._create(asked.form)
            case ["GET", "checkout", "sessions"]:
                answered = 200, self._page([*self.sessions], asked.query.get("starting_after"))
            case ["GET", "checkout", "sessions", session_id]:
                answered = 200, self.sessions[session_id]
            case ["POST", "checkout", "sessions", session_id, "expire"]:
                self.sessions[session_id]["status"] = "expired"
                answered = 200, self.sessions[session_id]
            case ["POST", "refunds"]:
                answered = 200, self._refund(asked.form)
            case ["GET", "refunds", refund_id]:
                answered = 200, self.refunds[refund_id]
            case ["GET", "disputes"]:
                answered = 200, {"data": self.disputes}
            case _:
                answered = 404, {"error": {"type": "invalid_request_error", "message": "no such path"}}
        return answered

    def _create(self, form: dict[str, str]) -> dict[str, Any]:
        session_id = f"cs_test_{len(self.sessions) + 1}"
        self.sessions[session_id] = {
            "id": session_id,
            "object": "checkout.session",
            "created": int(time.time()),
            "status": "open",
            "payment_status": "unpaid",
            "payment_intent": None,
            "amount_total": int(form["line_items[0][price_data][unit_amount]"]),
            "currency": form["line_items[0][price_data][currency]"],
            "client_reference_id": form["client_reference_id"],
            "metadata": {"reference": form["metadata[reference]"]},
            "url": f"https://checkout.stripe.com/c/pay/{session_id}",
        }
        return self.sessions[session_id]

    def _page(self, ids: list[str], after: str | None) -> dict[str, Any]:
        left = ids if after is None else ids[ids.index(after) + 1 :]
        return {"data": [self.sessions[session_id] for session_id in left[:2]], "has_more": len(left) > 2}

    def _refund(self, form: dict[str, str]) -> dict[str, Any]:
        charge = next(s["payment_intent"] for s in self.sessions.values() if s["payment_intent"])[
            "latest_charge"
        ]
        charge["amount_refunded"] += int(form["amount"])
        refund = {"id": f"re_{len(self.refunds) + 1}", "status": "succeeded", **form}
        self.refunds[refund["id"]] = refund
        return refund

    def event(self, session_id: str) -> dict[str, Any]:
        """What an event says of a session: its payment intent is not expanded."""
        session = self.sessions[session_id]
        return session | {"payment_intent": (session["payment_intent"] or {}).get("id")}

    def pay(self) -> dict[str, Any]:
        """The payer pays the first session; its charge."""
        session = self.sessions["cs_test_1"]
        charge = {"id": "ch_1", "amount_refunded": 0, "disputed": False, "status": "succeeded"}
        session |= {"status": "complete", "payment_status": "paid"}
        session["payment_intent"] = {"id": "pi_1", "latest_charge": charge}
        return charge


def send_event(
    shop: Any, about: dict[str, Any], *, secret: str = "whsec_new", at: float | None = None
) -> None:
    body = json.dumps({"data": {"object": about}}).encode()
    at = int(at or time.time())
    signature = sign(f"{at}.".encode() + body, Secret(secret))
    shop.receive("shop", body=body, headers={"Stripe-Signature": f"t={at},v1={signature}"})


def test_a_session_is_paid_and_refunded(serve: Serve[StripeGateway], open_shop: OpenShop) -> None:
    """A redirect, an event signed with any of several secrets, a refund by intent, and amounts as Stripe counts."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    assert payment.action == Redirect(url="https://checkout.stripe.com/c/pay/cs_test_1")
    gateway.pay()
    send_event(shop, gateway.event("cs_test_1"), secret="whsec_old")
    payment = shop.get(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.PAID, 2599)
    payment = shop.query(payment.id)
    assert (payment.provider_id, dict(payment.ids)) == ("cs_test_1", {"intent": "pi_1", "charge": "ch_1"})
    payment = shop.refund(payment.id, reference="back-1", amount=Money("6.00", "EUR"))
    assert payment.refunds[0].status is RefundStatus.SUCCEEDED
    assert gateway.refunds["re_1"]["payment_intent"] == "pi_1"
    payment = shop.create(**ORDER | {"reference": "order-2", "amount": Money("5", "ISK")})
    assert gateway.sessions["cs_test_2"]["amount_total"] == 500
    assert shop.close(payment.id).status is Status.CLOSED


def test_a_lost_session_is_found_by_its_key_within_a_day(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """No query finds it: the same key does, with the same content, and makes no second session."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    gateway.lose_reply("/sessions")
    payment = shop.create(**ORDER)
    assert payment.status is Status.UNKNOWN
    payment = shop.query(payment.id)
    assert payment.action == Redirect(url="https://checkout.stripe.com/c/pay/cs_test_1")
    first, second = gateway.calls("POST", "/sessions")
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])
    assert len(gateway.sessions) == 1


def test_a_session_lost_for_a_day_is_for_a_person(serve: Serve[StripeGateway], open_shop: OpenShop) -> None:
    """Once the key may be forgotten nothing is sent any more: an operator records what the portal says."""
    gateway = serve(StripeGateway())
    gateway.lose_reply("/sessions")
    payment = open_shop(Stripe, gateway, **SETTINGS).create(**ORDER)
    tomorrow = open_shop(Stripe, gateway, later=timedelta(hours=23), **SETTINGS)
    payment = tomorrow.query(payment.id)
    assert payment.review_reasons == (ReviewReason.UNRESOLVABLE,)
    tomorrow.query(payment.id)
    assert len(gateway.calls("POST", "/sessions")) == 1
    payment = tomorrow.record(
        payment.id, "paid", by="ada", note="seen in the dashboard", provider_id="cs_test_1"
    )
    assert (payment.status, payment.review_reasons) == (Status.PAID, ())


def test_a_lost_session_is_found_before_it_is_closed(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """Stripe can only be told by its id which session is meant: the same key finds that first."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    gateway.lose_reply("/sessions")
    payment = shop.create(**ORDER)
    assert shop.close(payment.id).status is Status.CLOSED
    assert gateway.sessions["cs_test_1"]["status"] == "expired"


def test_a_session_that_can_not_be_found_is_not_closed(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """No request is made that could only name a session by an id that nobody knows."""
    gateway = serve(StripeGateway())
    gateway.lose_reply("/sessions")
    payment = open_shop(Stripe, gateway, **SETTINGS).create(**ORDER)
    tomorrow = open_shop(Stripe, gateway, later=timedelta(hours=23), **SETTINGS)
    with pytest.raises(WrongState, match="no id"):
        tomorrow.close(payment.id)
    assert gateway.calls("POST", "/expire") == []


def test_a_lost_session_is_found_by_its_event_whenever_it_comes(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """It has both our number and its id, and it is signed: nothing is left for a person to resolve."""
    gateway = serve(StripeGateway())
    gateway.lose_reply("/sessions")
    payment = open_shop(Stripe, gateway, **SETTINGS).create(**ORDER)
    gateway.pay()
    tomorrow = open_shop(Stripe, gateway, later=timedelta(hours=23), **SETTINGS)
    assert tomorrow.query(payment.id).review_reasons == (ReviewReason.UNRESOLVABLE,)
    send_event(tomorrow, gateway.event("cs_test_1"), at=time.time() + 23 * 3600)
    payment = tomorrow.get(payment.id)
    assert (payment.status, payment.review_reasons) == (Status.PAID, ())


@pytest.mark.parametrize(("mode", "key"), [("test", "rk_live_1"), ("live", "sk_test_1")])
def test_a_key_of_another_mode_is_refused(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch, mode: str, key: str
) -> None:
    """Test and live share a host: the key says which it is, and one for the other mode is refused."""
    monkeypatch.setenv("STRIPE_KEY", key)
    monkeypatch.setenv("STRIPE_WEBHOOK", "whsec_1")
    settings = {"api_key": {"env": "STRIPE_KEY"}, "webhook_secret": {"env": "STRIPE_WEBHOOK"}}
    shop = open_shop(Stripe, mode=mode, **settings)
    with pytest.raises(ConfigError, match="its credentials are for"):
        shop.create(**ORDER)


def test_a_test_key_is_taken_on_the_shared_host(open_shop: OpenShop) -> None:
    """The host alone makes no account a live one."""
    with pytest.raises(NotSent, match=r"api\.stripe\.com"):
        open_shop(Stripe, mode="test", **SETTINGS).create(**ORDER)


def test_an_event_that_names_only_the_intent_is_about_its_session(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """`charge.refunded` names charge and intent: it is a refund made elsewhere, and no second payment."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    charge = gateway.pay()
    shop.query(payment.id)
    charge["amount_refunded"] = 600
    send_event(shop, {"object": "charge", "id": "ch_1", "payment_intent": "pi_1"})
    payment = shop.query(payment.id)
    assert (payment.refunded_minor, payment.refundable_minor, payment.review_reasons) == (600, 1999, ())


def test_a_dispute_is_a_charge_back_until_it_is_won(serve: Serve[StripeGateway], open_shop: OpenShop) -> None:
    """What was taken can't be refunded any more; what was won back can. A person looks at both."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    gateway.pay()["disputed"] = True
    gateway.disputes = [{"id": "dp_1", "amount": 2599, "status": "needs_response"}]
    payment = shop.query(payment.id)
    assert (payment.status, payment.charged_back_minor, payment.refundable_minor) == (Status.PAID, 2599, 0)
    shop.acknowledge(payment.id, ReviewReason.CHARGED_BACK, by="ada", note="evidence is sent")
    gateway.disputes[0]["status"] = "won"
    payment = shop.query(payment.id)
    assert (payment.charge_back_won_minor, payment.refundable_minor) == (2599, 2599)
    assert payment.review_reasons == (ReviewReason.CHARGED_BACK,)


def test_a_debit_that_fails_after_days_is_a_charge_back(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """The payment stays paid: what the bank took back is counted beside it."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    charge = gateway.pay()
    shop.query(payment.id)
    charge["status"] = "failed"
    payment = shop.query(payment.id)
    assert (payment.status, payment.charged_back_minor, payment.refundable_minor) == (Status.PAID, 2599, 0)


def test_a_refund_that_fails_after_it_succeeded_gives_its_amount_back(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """Its event names the intent: a payment of which nothing is open is asked about with its refunds."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    charge = gateway.pay()
    shop.query(payment.id)
    payment = shop.refund(payment.id, reference="back-1")
    assert payment.refunds[0].status is RefundStatus.SUCCEEDED
    assert shop.query(payment.id).refunded_minor == 2599
    charge["amount_refunded"] = 0
    gateway.refunds["re_1"] |= {"status": "failed", "failure_balance_transaction": "txn_1"}
    send_event(shop, {"object": "refund", "id": "re_1", "payment_intent": "pi_1"})
    payment = eventually(shop, payment, lambda payment: payment.refundable_minor > 0)
    assert (payment.refunds[0].status, payment.refundable_minor) == (RefundStatus.REVERSED, 2599)


def test_too_many_requests_fail_nothing(serve: Serve[StripeGateway], open_shop: OpenShop) -> None:
    """HTTP 429 means that nothing was sent: the same call makes the payment later."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    gateway.busy = True
    with pytest.raises(NotSent) as error:
        shop.create(**ORDER)
    assert (error.value.retry_after_s, error.value.money_moved) == (0.1, "no")
    gateway.busy = False
    time.sleep(0.1)
    assert shop.create(**ORDER).status is Status.PENDING


def test_what_stripe_lists_has_our_numbers_and_references(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """Page by page, with what Stripe carries for us."""
    gateway = serve(StripeGateway())
    shop = open_shop(Stripe, gateway, **SETTINGS)
    made = [shop.create(**ORDER | {"reference": f"order-{i}"}) for i in range(3)]
    since = made[0].created_at - timedelta(minutes=1)
    listed = shop.provider_list(since=since, until=since + timedelta(hours=1))
    assert [(item.reference, item.observation.number) for item in listed] == [
        (payment.reference, payment.order_number) for payment in made
    ]
