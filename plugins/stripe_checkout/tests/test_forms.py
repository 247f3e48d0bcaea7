"""Forms as Stripe's own library writes them, and what a session is asked for with."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from paycore.plugin import InvalidField, Money, Rejected
from plugins.stripe_checkout.tests import vectors
from plugins.stripe_checkout.tests.support import (
    Script,
    account,
    answer,
    capture_of,
    error,
    new_order,
    refund_of,
    run,
    session,
)
from stripe_checkout.messages import form


@pytest.mark.parametrize(
    ("params", "written"),
    [
        (vectors.CREATE_PARAMS, vectors.CREATE_FORM),
        (vectors.YEN_PARAMS, vectors.YEN_FORM),
        (vectors.LIST_PARAMS, vectors.LIST_FORM),
        ({"expand": ["a", "b"], "f": True}, "expand[0]=a&expand[1]=b&f=true"),
        ({"metadata": {"a&b": "1=2"}}, "metadata[a%26b]=1%3D2"),
    ],
)
def test_nested_parameters_are_written_as_by_stripes_library(params: dict[str, object], written: str) -> None:
    """Brackets bare, arrays numbered, spaces as `+`, booleans in words."""
    assert form(params) == written


def test_a_session_is_asked_for() -> None:
    """All parameters of a creation, its key and its version; `payment_method_types` is not among them."""
    script = Script(answer(session()))
    run(account().create(new_order(extra={"locale": "de"})), script)
    (request,) = script.requests
    assert (request.method, request.path) == ("POST", "/v1/checkout/sessions")
    assert request.headers == {
        "authorization": "Bearer sk_test_of_these_tests",
        "stripe-version": "2026-10-28.endive",
        "content-type": "application/x-www-form-urlencoded",
        "idempotency-key": new_order().number,
    }
    number = new_order().number
    assert dict(parse_qsl(request.body.decode())) == {
        "mode": "payment",
        "client_reference_id": number,
        "line_items[0][price_data][currency]": "eur",
        "line_items[0][price_data][unit_amount]": "2599",
        "line_items[0][price_data][product_data][name]": "Two tickets! #5",
        "line_items[0][quantity]": "1",
        "metadata[paycore_number]": number,
        "metadata[paycore_reference]": "order-1",
        "metadata[paycore_method]": "card",
        "payment_intent_data[metadata][paycore_number]": number,
        "payment_intent_data[metadata][paycore_reference]": "order-1",
        "payment_intent_data[metadata][paycore_method]": "card",
        "success_url": "https://shop.example/ok",
        "cancel_url": "https://shop.example/ok",
        "adaptive_pricing[enabled]": "false",
        "allowed_payment_method_types[0]": "card",
        "locale": "de",
    }


@pytest.mark.parametrize(
    ("method", "capture", "expected"),
    [
        ("card", "manual", {"allowed_payment_method_types[0]": "card", "capture": "manual"}),
        ("sepa_debit", "automatic", {"allowed_payment_method_types[0]": "sepa_debit"}),
        ("any", "automatic", {}),
    ],
)
def test_a_method_is_a_filter_of_what_the_dashboard_offers(
    method: str, capture: str, expected: dict[str, str]
) -> None:
    """`any` sends none; a manual capture is asked for on the intent."""
    script = Script(answer(session()))
    run(account().create(new_order(method=method, capture=capture)), script)
    sent = dict(parse_qsl(script.requests[0].body.decode()))
    filters = {name: value for name, value in sent.items() if name.startswith("allowed")}
    wanted = dict(expected)
    assert sent.get("payment_intent_data[capture_method]") == wanted.pop("capture", None)
    assert filters == wanted


def test_a_long_subject_is_shortened_and_a_missing_one_is_the_reference() -> None:
    """250 characters, whatever they are."""
    for subject, written in (("株" * 400, "株" * 250), (None, "order-1")):
        script = Script(answer(session()))
        run(account().create(new_order(subject=subject)), script)
        sent = dict(parse_qsl(script.requests[0].body.decode()))
        assert sent["line_items[0][price_data][product_data][name]"] == written


def test_a_resend_is_the_same_request() -> None:
    """The same bytes and the same key, whenever it is sent."""
    first, second = Script(answer(session())), Script(answer(session()))
    run(account().create(new_order()), first)
    run(account().create(new_order()), second)
    assert first.requests == second.requests


def test_a_refund_is_asked_for() -> None:
    """By the intent, with our number as its key and in its metadata; only two of Stripe's reasons are passed on."""
    for reason, sent_reason in (("duplicate", "&reason=duplicate"), ("fraudulent", ""), ("too late", "")):
        script = Script(error("resource_missing", status=404))
        run(account().refund(refund_of(Money("5.00", "EUR"), reason=reason)), script)
        (request,) = script.requests
        assert (request.path, request.headers["idempotency-key"]) == ("/v1/refunds", "R1")
        written = f"payment_intent=pi_1&amount=500&metadata[paycore_number]=R1&metadata[reason]={reason}"
        assert request.body.decode() == written.replace(" ", "+") + sent_reason


def test_a_refund_carries_the_callers_reference() -> None:
    """In its metadata, so that a ledger that lost the refund can have it back by its name."""
    script = Script(error("resource_missing", status=404))
    run(account().refund(refund_of(Money("5.00", "EUR"), reference="back 1")), script)
    assert b"metadata[paycore_reference]=back+1" in script.requests[0].body


def test_a_capture_is_asked_for() -> None:
    """A part of what is held; Stripe releases the rest."""
    script = Script(error("resource_missing", status=404))
    run(account().capture(capture_of(Money("20.00", "EUR"))), script)
    (request,) = script.requests
    assert (request.path, request.headers["idempotency-key"]) == ("/v1/payment_intents/pi_1/capture", "C1")
    assert request.body == b"amount_to_capture=2000&expand[0]=latest_charge"


@pytest.mark.parametrize(("amount", "currency", "units"), vectors.AMOUNTS)
def test_amounts_are_written_as_stripe_counts(amount: str, currency: str, units: int) -> None:
    """Zero-, two-, three-decimal and special currencies."""
    script = Script(answer(session()))
    order = new_order(amount=Money(amount, currency))
    account().check(order)
    run(account().create(order), script)
    sent = dict(parse_qsl(script.requests[0].body.decode()))
    assert sent["line_items[0][price_data][unit_amount]"] == str(units)


@pytest.mark.parametrize(("amount", "currency"), [("1.234", "KWD"), ("1.50", "MGA")])
def test_amounts_that_stripe_can_not_take_are_refused_before_any_request(amount: str, currency: str) -> None:
    """A last digit of a three-decimal currency, and a decimal that Stripe has not; of refunds and captures too."""
    money = Money(amount, currency)
    with pytest.raises(InvalidField, match="multiples of"):
        account().check(new_order(amount=money))
    for flow in (account().refund(refund_of(money)), account().capture(capture_of(money))):
        outcome = run(flow, Script())
        assert isinstance(outcome, Rejected)
        assert outcome.failure.who_acts == "caller"
