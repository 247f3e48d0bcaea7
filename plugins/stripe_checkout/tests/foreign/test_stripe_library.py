"""Stripe's own Python library as a client of the sandbox: it knows nothing of this project."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from paycore.sandbox.server import SandboxServer
from plugins.stripe_checkout.tests import vectors
from plugins.stripe_checkout.tests.conftest import OpenSandbox
from plugins.stripe_checkout.tests.receiver import Receiver
from plugins.stripe_checkout.tests.support import SECRET, event, paid_session, signed
from stripe_checkout.messages import form

PARAMS: dict[str, Any] = {
    "mode": "payment",
    "client_reference_id": "ref-1001",
    "line_items": [
        {
            "price_data": {"currency": "eur", "unit_amount": 2599, "product_data": {"name": "Order & more"}},
            "quantity": 1,
        }
    ],
    "metadata": {"order": "ref-1001"},
    "success_url": "https://shop.example/ok?sid={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://shop.example/back",
}


def library(sandbox: SandboxServer, **options: Any) -> Any:
    """The library's client, pointed at the sandbox, without retries of its own unless asked for."""
    given = {"max_network_retries": 0} | options
    key = given.pop("api_key", sandbox.settings["api_key"])
    return stripe.StripeClient(key, base_addresses={"api": sandbox.url}, **given)


def test_it_makes_reads_and_refunds_a_session(open_sandbox: OpenSandbox) -> None:
    """Create, retrieve with expansion, list, refund, and the refund as the charge shows it."""
    sandbox = open_sandbox()
    client = library(sandbox)
    made = client.v1.checkout.sessions.create(PARAMS)
    assert (made.status, made.payment_status, made.payment_intent) == ("open", "unpaid", None)
    assert (made.amount_total, made.currency, made.livemode) == (2599, "eur", False)
    sandbox.gateway.controls.pay("ref-1001")
    expand = {"expand": ["payment_intent.latest_charge"]}
    paid = client.v1.checkout.sessions.retrieve(made.id, expand)
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    intent: Any = paid.payment_intent
    assert (intent.status, intent.amount_received, intent.latest_charge.status) == (
        "succeeded",
        2599,
        "succeeded",
    )
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 600, "metadata": {"r": "1"}})
    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 600, intent.latest_charge.id)
    charge: Any = client.v1.charges.retrieve(intent.latest_charge.id)
    assert (charge.amount_refunded, charge.refunded) == (600, False)
    assert [one.id for one in client.v1.refunds.list({"payment_intent": intent.id}).data] == [refund.id]
    assert [one.id for one in client.v1.checkout.sessions.list({"payment_intent": intent.id}).data] == [
        made.id
    ]


def test_it_captures_and_cancels(open_sandbox: OpenSandbox) -> None:
    """Manual capture, in part; and a void."""
    sandbox = open_sandbox()
    client = library(sandbox)
    held = []
    for number in ("one", "two"):
        wanted = PARAMS | {
            "client_reference_id": number,
            "payment_intent_data": {"capture_method": "manual"},
        }
        session = client.v1.checkout.sessions.create(wanted)
        sandbox.gateway.controls.pay(number)
        now: Any = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
        assert (now.status, now.payment_status, now.payment_intent.status) == (
            "complete",
            "unpaid",
            "requires_capture",
        )
        held.append(now.payment_intent.id)
    taken = client.v1.payment_intents.capture(held[0], {"amount_to_capture": 2000})
    assert (taken.status, taken.amount, taken.amount_received) == ("succeeded", 2599, 2000)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(held[0])
    assert refused.value.code == "payment_intent_unexpected_state"
    void = client.v1.payment_intents.cancel(held[1], {"cancellation_reason": "abandoned"})
    assert (void.status, void.cancellation_reason) == ("canceled", "abandoned")


def test_it_expires_a_session_once(open_sandbox: OpenSandbox) -> None:
    """The second time it is refused without a code, as recorded from Stripe."""
    client = library(open_sandbox())
    made = client.v1.checkout.sessions.create(PARAMS)
    assert client.v1.checkout.sessions.expire(made.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="status of expired") as refused:
        client.v1.checkout.sessions.expire(made.id)
    assert (refused.value.code, refused.value.http_status) == (None, 400)


def test_its_errors_are_those_of_the_documentation(open_sandbox: OpenSandbox) -> None:
    """By class, code and parameter."""
    sandbox = open_sandbox()
    client = library(sandbox)
    sessions = client.v1.checkout.sessions
    with pytest.raises(stripe.InvalidRequestError) as missing:
        sessions.retrieve("cs_test_nobody")
    assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        sessions.create(PARAMS | {"payment_method_types": ["card"]})
    assert (unknown.value.code, unknown.value.param) == ("parameter_unknown", "payment_method_types")
    with pytest.raises(stripe.AuthenticationError):
        library(sandbox, api_key="sk_test_another").v1.checkout.sessions.list()
    sandbox.gateway.faults.add("rate_limited")
    with pytest.raises(stripe.RateLimitError):
        sessions.list()
    sandbox.gateway.faults.add("stored_500")
    with pytest.raises(stripe.APIError):
        sessions.create(PARAMS)


def test_its_own_key_makes_one_session(open_sandbox: OpenSandbox) -> None:
    """A repeat answers the first result and says that it does; other parameters are refused."""
    sandbox = open_sandbox()
    sessions = library(sandbox).v1.checkout.sessions
    options: Any = {"idempotency_key": "key-1"}
    first, second = sessions.create(PARAMS, options), sessions.create(PARAMS, options)
    assert first.id == second.id
    assert second.last_response is not None
    assert second.last_response.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        sessions.create(PARAMS | {"locale": "de"}, options)
    assert sandbox.gateway.controls.stats()["orders"] == 1


def test_it_retries_what_is_lost_with_one_key(open_sandbox: OpenSandbox) -> None:
    """The library sends again by itself after a lost reply, and makes one session."""
    sandbox = open_sandbox()
    sandbox.gateway.faults.add("lose_reply")
    made = library(sandbox, max_network_retries=1).v1.checkout.sessions.create(PARAMS)
    shown = sandbox.gateway.controls.show_order("ref-1001")
    assert (shown["orders"], shown["requests"]) == ([made.id], 2)


def test_it_pages_through_a_list(open_sandbox: OpenSandbox) -> None:
    """Newest first, each once, with `starting_after`."""
    client = library(open_sandbox())
    ids = [
        client.v1.checkout.sessions.create(PARAMS | {"client_reference_id": str(one)}).id for one in range(5)
    ]
    listed = client.v1.checkout.sessions.list({"limit": 2})
    assert [one.id for one in listed.auto_paging_iter()] == ids[::-1]


def test_it_verifies_what_the_sandbox_sends(open_sandbox: OpenSandbox, receiver: Receiver) -> None:
    """Signature and body of each event, with the library's own verifier."""
    sandbox = open_sandbox(notify_url=receiver.url)
    client = library(sandbox)
    made = client.v1.checkout.sessions.create(PARAMS)
    sandbox.gateway.controls.pay(made.id)
    told = {}
    for arrived in receiver.wait_for(3):
        header, secret = arrived.headers["stripe-signature"], sandbox.settings["webhook_secret"]
        checked: Any = stripe.Webhook.construct_event(arrived.body, header, secret)
        told[checked.type] = checked.data.object
    assert set(told) == {"payment_intent.succeeded", "charge.succeeded", "checkout.session.completed"}
    assert told["checkout.session.completed"].payment_status == "paid"


def test_both_verify_the_same_signatures() -> None:
    """What the tests of the plugin sign is authentic for the library too, and so are the golden vectors."""
    body = event("checkout.session.completed", paid_session(payment_intent="pi_1"))
    verify: Any = stripe.WebhookSignature.verify_header
    assert verify(body.decode(), signed(body).headers["stripe-signature"], SECRET)
    for header in (vectors.SMALL_HEADER, vectors.ROLLED_HEADER):
        assert verify(vectors.SMALL.decode(), header, vectors.SECRET_1)
    assert verify(vectors.TEXT.decode(), f"t={vectors.TEXT_AT},v1={vectors.TEXT_SIGNATURE}", vectors.SECRET_2)


def test_both_write_the_same_form() -> None:
    """The library's encoder and the plugin's."""
    from urllib.parse import urlencode

    encode: Any = stripe._encode._api_encode
    for params in (vectors.CREATE_PARAMS, vectors.YEN_PARAMS, vectors.LIST_PARAMS):
        written = urlencode(list(encode(json.loads(json.dumps(params)))))
        assert written.replace("%5B", "[").replace("%5D", "]") == form(params)
