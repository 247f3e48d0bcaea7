"""A whole payment through the public API, at the sandbox over HTTP, with both clients."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import pytest

from paycore import Client, Money
from paycore.domain.payment import RefundStatus, ReviewReason, Status
from paycore.engine.config import parse_config
from paycore.errors import ConfigError
from paycore.plugin import Redirect, RefundObservation
from plugins.stripe_checkout.tests.conftest import OpenSandbox, OpenShop
from plugins.stripe_checkout.tests.receiver import Receiver
from stripe_checkout.sandbox.controls import StripeControls

ORDER: dict[str, Any] = {
    "reference": "order-1",
    "amount": Money("25.99", "EUR"),
    "method": "card",
    "channel": "web",
    "subject": "Two tickets! #5",
    "return_url": "https://shop.example/thanks",
    "notify_url": "https://shop.example/notify",
    "expires_in_s": 300,
}


def test_a_session_is_paid_and_refunded(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """Created, opened, paid, partly refunded; what Stripe can't use is ignored and told."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    assert payment.status is Status.PENDING
    assert isinstance(payment.action, Redirect)
    assert payment.action.url.startswith(f"{sandbox.url}/c/pay/cs_test_")
    assert set(payment.ignored) == {"notify_url", "expires_in_s"}
    sandbox.gateway.controls.pay(payment.order_number)
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.PAID, 2599)
    assert set(payment.ids) == {"payment_intent", "charge"}
    payment = shop.refund(payment.id, reference="back-1", amount=Money("6.00", "EUR"))
    assert payment.refunds[0].status is RefundStatus.SUCCEEDED
    payment = shop.query(payment.id)
    assert (payment.refunded_minor, payment.refundable_minor) == (600, 1999)
    shown = sandbox.gateway.controls.show_order(payment.order_number)
    assert (shown["state"], shown["charges"], shown["paid_minor"], shown["refunded_minor"]) == (
        "paid",
        1,
        2599,
        600,
    )


def test_an_open_session_is_closed(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """Expired by the API, and confirmed."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    assert shop.close(payment.id).status is Status.CLOSED
    assert sandbox.gateway.controls.show_order(payment.order_number)["state"] == "expired"


def test_events_move_a_payment(open_sandbox: OpenSandbox, open_shop: OpenShop, receiver: Receiver) -> None:
    """Each is acknowledged, in any order, more than once; a trusted one needs no query."""
    sandbox = open_sandbox(notify_url=receiver.url)
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.pay(payment.order_number)
    for arrived in [*receiver.wait_for(3)] * 2:
        assert shop.receive("shop", body=arrived.body, headers=arrived.headers).status == 200
    payment = shop.get(payment.id)
    assert (payment.status, payment.paid_minor, payment.review_reasons) == (Status.PAID, 2599, ())


def test_a_manual_capture_takes_a_part(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """Held, captured in part, the rest released; what was taken is what can be refunded."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER, capture="manual")
    sandbox.gateway.controls.pay(payment.order_number)
    assert shop.query(payment.id).status is Status.AUTHORIZED
    payment = shop.capture(payment.id, amount=Money("20.00", "EUR"))
    assert (payment.status, payment.paid_minor, payment.refundable_minor) == (Status.PAID, 2000, 2000)
    payment = shop.refund(payment.id, reference="back-1")
    assert sandbox.gateway.controls.show_order(payment.order_number)["refunded_minor"] == 2000
    assert shop.query(payment.id).review_reasons == ()


def test_an_authorized_payment_is_voided(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """Closed, and nothing was taken."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER, capture="manual")
    sandbox.gateway.controls.pay(payment.order_number)
    shop.query(payment.id)
    assert shop.close(payment.id).status is Status.CLOSED
    assert sandbox.gateway.controls.show_order(payment.order_number)["state"] == "canceled"


def test_a_close_after_the_payer_paid_is_a_payment(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """The payer was faster."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.pay(payment.order_number)
    assert shop.close(payment.id).status is Status.PAID


def test_a_declined_card_leaves_the_session_open(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """The payer tries another card; ids of the declined attempt are nobody's."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    tap(payment, number="4000000000000002")
    assert shop.query(payment.id).status is Status.PENDING
    tap(payment, number="4242424242424242")
    payment = shop.query(payment.id)
    assert (payment.status, payment.review_reasons) == (Status.PAID, ())
    assert sandbox.gateway.controls.show_order(payment.order_number)["charges"] == 1


def test_a_debit_is_pending_for_days_and_fails(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """Completed is not paid; when the bank does not pay, it has failed with the bank's reason."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER | {"method": "sepa_debit"})
    tap(payment, method="sepa_debit", account="DE62370400440532013001")
    assert shop.query(payment.id).status is Status.PENDING
    sandbox.gateway.clock.advance(5 * 24 * 3600)
    payment = shop.query(payment.id)
    assert payment.status is Status.FAILED
    assert payment.failure.code == "payment_intent_payment_attempt_failed/insufficient_funds"


def test_a_debit_is_paid_after_days(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """And disputed by its payer, with the account that does so."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER | {"method": "any"})
    tap(payment, method="sepa_debit", account="DE35370400440532013002")
    sandbox.gateway.clock.advance(5 * 24 * 3600)
    payment = shop.query(payment.id)
    assert (payment.status, payment.charged_back_minor) == (Status.PAID, 2599)


def test_a_dispute_is_a_charge_back_until_it_is_won(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """What was taken can't be refunded; what comes back, also in part, can."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    controls = sandbox.gateway.controls
    controls.pay(payment.order_number)
    assert isinstance(controls, StripeControls)
    controls.charge_back(payment.order_number, 2000)
    payment = shop.query(payment.id)
    assert (payment.charged_back_minor, payment.refundable_minor) == (2000, 599)
    assert payment.review_reasons == (ReviewReason.CHARGED_BACK,)
    controls.win_charge_back(payment.order_number, 1500)
    payment = shop.query(payment.id)
    assert (payment.charge_back_won_minor, payment.refundable_minor) == (1500, 2099)


def test_a_refund_is_pending_and_one_fails_later(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """By the sandbox's clock: its amount can be refunded again."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.pay(payment.order_number)
    shop.query(payment.id)
    for fault, before, after in (
        ("pending_refund", RefundStatus.PENDING, RefundStatus.SUCCEEDED),
        ("failing_refund", RefundStatus.SUCCEEDED, RefundStatus.REVERSED),
    ):
        sandbox.gateway.faults.add(fault, seconds=1000.0)
        payment = shop.refund(payment.id, reference=fault, amount=Money("5.00", "EUR"))
        assert payment.refunds[-1].status is before
        sandbox.gateway.clock.advance(1001)
        payment = shop.query(payment.id)
        assert payment.refunds[-1].status is after
    assert (payment.refundable_minor, payment.review_reasons) == (2099, ())


def test_a_refund_made_in_the_dashboard_is_counted(open_sandbox: OpenSandbox, open_shop: OpenShop) -> None:
    """It has no number of ours: the charge's total tells."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.pay(payment.order_number)
    payment = shop.query(payment.id)
    head = {"authorization": f"Bearer {sandbox.settings['api_key']}"}
    form = {"payment_intent": payment.ids["payment_intent"], "amount": "700"}
    assert httpx2.post(f"{sandbox.url}/v1/refunds", headers=head, data=form).status_code == 200
    payment = shop.query(payment.id)
    assert (payment.refunded_minor, payment.review_reasons) == (700, ())


def test_what_stripe_lists_has_our_numbers_and_references(
    open_sandbox: OpenSandbox, open_shop: OpenShop
) -> None:
    """Sessions of several pages, then refunds; those of others at the same account without a number."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    made = [shop.create(**ORDER | {"reference": f"order-{one}"}) for one in range(3)]
    sandbox.gateway.controls.pay(made[0].order_number)
    shop.query(made[0].id)
    refunded = shop.refund(made[0].id, reference="back-1", amount=Money("5.00", "EUR"))
    head = {"authorization": f"Bearer {sandbox.settings['api_key']}"}
    form = {
        "mode": "payment",
        "success_url": "https://shop.example/",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "500",
        "line_items[0][price_data][product_data][name]": "Not ours",
    }
    with httpx2.Client() as http:
        for _ in range(120):
            assert (
                http.post(f"{sandbox.url}/v1/checkout/sessions", headers=head, data=form).status_code == 200
            )
    since = made[0].created_at - timedelta(minutes=1)
    listed = list(shop.provider_list(since=since, until=since + timedelta(hours=1)))
    ours = {(item.reference, item.observation.number) for item in listed if item.observation.number}
    expected = {(one.reference, one.order_number) for one in made}
    refunds = [item for item in listed if isinstance(item.observation, RefundObservation)]
    assert (len(listed), len(refunds)) == (124, 1)
    assert ours == expected | {("back-1", refunds[0].observation.number)}
    assert {item.payment_id for item in refunds} == {refunded.ids["payment_intent"]}
    assert {(item.method, item.channel) for item in listed if item.reference == "order-0"} == {
        ("card", "web")
    }
    assert refunds[0].observation.status == refunded.refunds[0].status


@pytest.mark.parametrize(
    ("amount", "currency", "total"),
    [("5", "ISK", 500), ("1.230", "KWD", 1230), ("1000", "JPY", 1000), ("500.00", "MGA", 500)],
)
def test_special_currencies_go_the_whole_way(
    open_sandbox: OpenSandbox, open_shop: OpenShop, amount: str, currency: str, total: int
) -> None:
    """Made, paid, refunded in part: exact in our units and in Stripe's."""
    sandbox = open_sandbox()
    shop = open_shop(sandbox)
    money = Money(amount, currency)
    payment = shop.create(**ORDER | {"amount": money})
    shown = sandbox.gateway.controls.pay(payment.order_number)
    assert (shown["amount_total"], shown["paid_minor"]) == (total, money.minor)
    payment = shop.query(payment.id)
    assert (payment.status, payment.paid_minor) == (Status.PAID, money.minor)
    payment = shop.refund(payment.id, reference="back-1")
    assert shop.query(payment.id).refunded_minor == money.minor


@pytest.mark.parametrize(("mode", "key"), [("test", "rk_live_1"), ("live", "sk_test_1")])
def test_a_key_of_another_mode_is_refused(tmp_path: Path, mode: str, key: str) -> None:
    """Test and live share a host: the key says which it is."""
    account = {"provider": "stripe-checkout", "mode": mode, "api_key": {"env": "STRIPE_KEY"}}
    document = {"ledger": "sqlite:///shop.db", "default_account": "shop", "accounts": {"shop": account}}
    with (
        mock.patch.dict("os.environ", {"STRIPE_KEY": key}),
        Client(parse_config(document, tmp_path / "paycore.toml")) as shop,
        pytest.raises(ConfigError, match="its credentials are for"),
    ):
        shop.create(**ORDER)


def tap(payment: Any, **form: str) -> None:
    """What the payer does on the page."""
    action = payment.action
    assert isinstance(action, Redirect)
    httpx2.post(f"{action.url}/pay", data=form)
