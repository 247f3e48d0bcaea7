"""The documented messages: what is sent is as PayPal shows it, and what it shows is read as it means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paycore.plugin import (
    Created,
    Done,
    Found,
    InvalidField,
    Mention,
    Money,
    Notification,
    NotNow,
    PaymentObservation,
    Redirect,
    RefundStatus,
    Rejected,
    Session,
    Status,
    Unknown,
)
from paypal_orders import messages
from plugins.paypal_orders.tests.support import (
    AMOUNT,
    BEGUN_AT,
    CAPTURE_ID,
    NUMBER,
    ORDER_ID,
    REFUND_ID,
    Script,
    make_attempt,
    make_capture,
    make_order,
    make_provider,
    make_ref,
    make_refund,
    run,
)
from plugins.paypal_orders.tests.vectors import VECTORS


def seen_by_query(answers: Script, **changes: Any) -> PaymentObservation:
    """What a query observes of the one order."""
    outcome = run(make_provider().query([make_ref(**changes)]), answers)
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Found)
    (seen,) = outcome.value.observations
    assert isinstance(seen, PaymentObservation)
    return seen


def test_v1_a_token_is_fetched_by_basic_and_held_for_less_than_it_says() -> None:
    """One form, the pair as Basic, and a margin off `expires_in`, which is no constant."""
    script = Script(VECTORS["TOKEN"])
    outcome = run(make_provider().open_session(make_attempt()), script)
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Session)
    assert (outcome.value.value.reveal(), outcome.value.lasts_s) == ("A21AAsandboxTOKEN0001", 31608.0)
    (request,) = script.requests
    assert request.headers["authorization"] == "Basic Y2xpZW50LTEyMzpzM2NyZXQ="
    assert (request.path, request.body, request.safe) == (
        "/v1/oauth2/token",
        b"grant_type=client_credentials",
        True,
    )


def test_v2_a_wrong_client_is_the_operators_to_mend() -> None:
    """The token call says `invalid_client`."""
    outcome = run(make_provider().open_session(make_attempt()), Script((401, VECTORS["INVALID_CLIENT"])))
    assert isinstance(outcome, Rejected)
    assert (outcome.failure.code, outcome.failure.who_acts) == ("invalid_client", "operator")


@pytest.mark.parametrize("name", ["INVALID_TOKEN", "AUTHENTICATION_FAILURE"])
def test_v2_an_old_token_asks_for_a_new_one(name: str) -> None:
    """Both forms of a 401 say that nothing was done."""
    outcome = run(make_provider().create(make_order()), Script((401, VECTORS[name])))
    assert isinstance(outcome, NotNow)
    assert outcome.is_session_refused


def test_v3_an_order_is_asked_for_as_paypal_shows_it() -> None:
    """Intent, amount, our number, and the page's settings; the request id is our number."""
    script = Script((201, VECTORS["CREATED"]))
    run(make_provider().create(make_order()), script)
    (request,) = script.requests
    sent, shown = json.loads(request.body), json.loads(VECTORS["CREATE"])
    shown["purchase_units"][0]["custom_id"] += ".order-1"
    del shown["purchase_units"][0]["invoice_id"]
    shown["payment_source"]["paypal"]["experience_context"]["cancel_url"] = "https://shop.example/return"
    assert sent == shown
    assert request.headers["paypal-request-id"] == NUMBER
    assert request.headers["prefer"] == "return=representation"
    assert request.headers["authorization"] == "Bearer A21AAsandboxTOKEN0001"


@pytest.mark.parametrize("status", [200, 201])
def test_v4_the_payer_is_sent_to_the_payers_link(status: int) -> None:
    """First or repeated, the order is pending, and has a link."""
    outcome = run(make_provider().create(make_order()), Script((status, VECTORS["CREATED"])))
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Created)
    seen = outcome.value.observation
    assert (seen.status, seen.provider_id, seen.amount) == (Status.PENDING, ORDER_ID, AMOUNT)
    link = f"https://www.sandbox.paypal.com/checkoutnow?token={ORDER_ID}"
    assert outcome.value.action == Redirect(url=link)


def test_v5_an_approved_order_is_agreed_to_and_nothing_is_paid() -> None:
    """Approved is authorized, without a payment."""
    seen = seen_by_query(Script(VECTORS["APPROVED"]))
    assert (seen.status, seen.paid_minor, seen.ids) == (Status.AUTHORIZED, None, {})


def test_v6_a_capture_that_is_completed_is_paid() -> None:
    """The amount and id are the capture's."""
    script = Script((201, VECTORS["CAPTURED"]))
    outcome = run(make_provider().capture(make_capture()), script)
    assert isinstance(outcome, Done)
    seen = outcome.value
    assert (seen.status, seen.paid_minor, seen.provider_id) == (Status.PAID, 1234, ORDER_ID)
    assert seen.ids == {"capture": CAPTURE_ID}
    assert script.paths == [f"POST /v2/checkout/orders/{ORDER_ID}/capture"]
    assert (script.requests[0].body, script.requests[0].headers["paypal-request-id"]) == (b"{}", "cap_0001")


def test_v7_a_capture_that_is_pending_is_not_paid() -> None:
    """Though the order is COMPLETED."""
    outcome = run(make_provider().capture(make_capture()), Script((201, VECTORS["PENDING"])))
    assert isinstance(outcome, Done)
    assert (outcome.value.status, outcome.value.paid_minor) == (Status.PENDING, None)


def test_v8_a_declined_instrument_is_the_payers_to_mend() -> None:
    """The order is looked at first, and shows no capture."""
    script = Script((422, VECTORS["DECLINED"]), VECTORS["CREATED"])
    outcome = run(make_provider().capture(make_capture()), script)
    assert isinstance(outcome, Rejected)
    assert (outcome.failure.code, outcome.failure.who_acts) == ("INSTRUMENT_DECLINED", "payer")
    assert script.paths[1] == f"GET /v2/checkout/orders/{ORDER_ID}"


def test_v9_what_was_captured_already_is_looked_at() -> None:
    """ORDER_ALREADY_CAPTURED is no failure: the order says what was taken."""
    script = Script((422, VECTORS["ALREADY_CAPTURED"]), VECTORS["CAPTURED"])
    outcome = run(make_provider().capture(make_capture()), script)
    assert isinstance(outcome, Done)
    assert (outcome.value.status, outcome.value.paid_minor) == (Status.PAID, 1234)


def test_v9_an_order_that_is_gone_has_expired() -> None:
    """404 on an order that nobody captured: it takes no money any more."""
    assert seen_by_query(Script((404, VECTORS["GONE"]))).status is Status.CLOSED


def test_v9_a_request_that_runs_is_unknown() -> None:
    """409: an earlier request may still take the money."""
    outcome = run(make_provider().capture(make_capture()), Script((409, VECTORS["RUNNING"])))
    assert isinstance(outcome, Unknown)


def test_v9_too_many_requests_are_not_now() -> None:
    """429 without `Retry-After` waits as long as PayPal's sample does."""
    outcome = run(make_provider().capture(make_capture()), Script((429, VECTORS["RATE_LIMITED"])))
    assert isinstance(outcome, NotNow)
    assert outcome.retry_after_s == 30.0


def test_v10_a_refund_has_its_amount_and_a_time_with_an_offset() -> None:
    """2.34 EUR of the capture went back."""
    script = Script((201, VECTORS["REFUNDED"]))
    outcome = run(make_provider().refund(make_refund()), script)
    assert isinstance(outcome, Done)
    seen = outcome.value
    assert (seen.status, seen.provider_id, seen.amount) == (
        RefundStatus.SUCCEEDED,
        REFUND_ID,
        Money("2.34", "EUR"),
    )
    assert seen.occurred_at is not None
    assert seen.occurred_at.isoformat() == "2026-03-03T09:00:00+00:00"
    assert json.loads(script.requests[0].body)["amount"] == {"currency_code": "EUR", "value": "2.34"}
    assert script.paths == [f"POST /v2/payments/captures/{CAPTURE_ID}/refund"]


@pytest.mark.parametrize(
    ("name", "mentions"),
    [
        ("EVENT", {"number:pay_0001", f"id:{ORDER_ID}"}),
        ("REVERSED", {"id:6RV11111AA222222B", f"id:{CAPTURE_ID}"}),
        ("DISPUTE_LOST", {"number:pay_0001", f"id:{CAPTURE_ID}"}),
    ],
)
def test_v11_v14_v15_an_event_mentions_what_it_is_about(name: str, mentions: set[str]) -> None:
    """By our number where it has one, by PayPal's ids, and never as evidence."""
    told = make_provider().verify(Notification(body=VECTORS[name], received_at=BEGUN_AT))
    assert all(isinstance(one, Mention) for one in told)
    named = {
        f"number:{one.number}" if one.number else f"id:{one.id}" for one in told if isinstance(one, Mention)
    }
    assert named == mentions


def test_v16_an_authorization_reserves_and_takes_nothing() -> None:
    """The order is COMPLETED, its authorization CREATED."""
    amount = Money("20.00", "USD")
    approved = json.loads(VECTORS["APPROVED"]) | {"id": "9AB12345CD678901E", "intent": "AUTHORIZE"}
    approved["purchase_units"][0] |= {
        "custom_id": "pay_0002",
        "amount": {"currency_code": "USD", "value": "20.00"},
    }
    script = Script(approved, (201, VECTORS["AUTHORIZED"]))
    seen = seen_by_query(script, number="pay_0002", provider_id="9AB12345CD678901E", amount=amount)
    assert (seen.status, seen.paid_minor) == (Status.AUTHORIZED, None)
    assert seen.ids == {"authorization": "3XY45678ZA901234B"}
    assert script.requests[1].is_safe
    assert script.paths[1] == "POST /v2/checkout/orders/9AB12345CD678901E/authorize"


@pytest.mark.parametrize(
    ("minor", "currency", "value"),
    [
        (1, "USD", "0.01"),
        (123400, "EUR", "1234.00"),
        (500, "JPY", "500"),
        (150000, "HUF", "1500"),
        (9900, "TWD", "99"),
    ],
)
def test_v17_amounts_are_written_with_their_decimals(minor: int, currency: str, value: str) -> None:
    """HUF and TWD have two decimals in ISO 4217, and none at PayPal."""
    amount = Money.from_minor(minor, currency)
    assert messages.is_writable(amount)
    assert messages.written(amount) == messages.Amount(currency, value)
    assert messages.read(messages.written(amount)) == (amount, None)


@pytest.mark.parametrize(("minor", "currency"), [(150050, "HUF"), (9999, "TWD")])
def test_v17_amounts_that_would_be_rounded_are_refused(minor: int, currency: str) -> None:
    """Nothing is sent of an amount PayPal can't be told."""
    order = make_order(amount=Money.from_minor(minor, currency))
    with pytest.raises(InvalidField, match="without"):
        make_provider().check(order)


def test_v17_currencies_outside_the_list_are_not_offered() -> None:
    """Nor those that PayPal takes only within their country, unless the account is there."""
    (web, _) = make_provider().capabilities.products
    assert not {"KWD", "TND", "BRL", "CNY", "MYR", "INR", "RUB"} & set(web.currencies)
    assert len(web.currencies) == 21
    assert "BRL" in make_provider(in_country_currency="BRL").capabilities.products[0].currencies


@pytest.mark.parametrize(
    ("value", "currency", "minor"), [("500.00", "JPY", 500), (".5", "USD", 50), ("100", "EUR", 10000)]
)
def test_v17_amounts_are_read_as_numbers(value: str, currency: str, minor: int) -> None:
    """`100` is `100.00`."""
    assert messages.read(messages.Amount(currency, value)) == (Money.from_minor(minor, currency), None)


@pytest.mark.parametrize("value", ["12.345", "-1.00", "1e2", ".", "1,00", "٣", "9" * 40])
def test_v17_what_is_no_amount_is_unreadable(value: str) -> None:
    """Never rounded, never guessed."""
    amount, partial = messages.read(messages.Amount("EUR", value))
    assert amount is None
    assert partial is not None
    assert partial.unreadable


@pytest.mark.parametrize("currency", ["XXX", "EURO", "", "\u0665"])
def test_an_amount_of_no_currency_raises_nothing(currency: str) -> None:
    """It is told as far as it can be read."""
    amount, partial = messages.read(messages.Amount(currency, "1.00"))
    assert amount is None
    assert partial is not None
    assert partial.unreadable


def test_an_amount_without_its_currency_is_half_told() -> None:
    """Counted as one of the currency that is expected, for the core to compare."""
    amount, partial = messages.read(messages.Amount("", "12.33"), "EUR")
    assert amount is None
    assert partial is not None
    assert (partial.minor, partial.currency) == (1233, None)
