"""What each documented reply says about the money."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from paycore.plugin import Done, NotNow, Rejected, Response, Unknown
from plugins.stripe_checkout.tests import vectors
from plugins.stripe_checkout.tests.support import (
    Script,
    account,
    answer,
    capture_of,
    error,
    intent,
    new_order,
    paid_session,
    ref,
    refund_of,
    run,
    session,
)

FLOWS: dict[str, Callable[[], Any]] = {
    "create": lambda: account().create(new_order()),
    "capture": lambda: account().capture(capture_of()),
    "refund": lambda: account().refund(refund_of()),
    "query": lambda: account().query([ref()]),
    "query of a refund": lambda: account().query([ref(kind="refund", number="R1", provider_id="re_1")]),
}

DEFINITE = [
    # (response, code, who acts)
    (answer(vectors.DECLINED, 402), "card_declined/insufficient_funds", "payer"),
    (
        error("card_declined", status=402, kind="card_error", decline_code="lost_card"),
        "card_declined",
        "payer",
    ),
    (error("amount_too_small"), "amount_too_small", "caller"),
    (error(None, param="amount"), "invalid_request_error/amount", "caller"),
    (error("charge_already_refunded"), "charge_already_refunded", "caller"),
    (error("charge_disputed"), "charge_disputed", "caller"),
    (error("balance_insufficient"), "balance_insufficient", "operator"),
    (error("api_key_expired", status=401), "api_key_expired", "operator"),
    (error(None, status=401), "invalid_request_error", "operator"),
    (error(None, status=403), "invalid_request_error", "operator"),
    (error("testmode_charges_only"), "testmode_charges_only", "operator"),
]

OPEN = [
    answer(vectors.KEY_IN_USE, 409),
    answer(vectors.MISMATCH, 400),
    error("something", kind="a_new_type"),
    error("something", status=424),
    error("something", status=418),
    error(None, status=500, kind="api_error"),
    error("rate_limit", status=500),
    Response(status=500, body=b"Internal Server Error"),
    Response(status=502, body=b"<html><h1>502 Bad Gateway</h1></html>"),
    Response(status=404, body=b"<html><h1>404 Not Found</h1></html>"),
    Response(status=302, headers={"location": "/"}),
    Response(status=400, body=b"Bad Request"),
    Response(status=400, body=b'{"error":"text"}'),
    Response(status=200, body=b"<html><h1>Welcome</h1></html>"),
    Response(status=200, body=b""),
    Response(status=200, body=b"[]"),
    Response(status=200, body=b'{"id":"cs_1"'),
    Response(status=200, body=b"[" * 100_000),
    Response(status=200, body=b"\xff\xfe"),
    Response(status=204),
]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(("response", "code", "who_acts"), DEFINITE)
def test_documented_refusals_are_definite(name: str, response: Response, code: str, who_acts: str) -> None:
    """HTTP 400, 401, 402 and 403 with an error of Stripe's: nothing moved, and who can do something about it."""
    outcome = run(FLOWS[name](), Script(response))
    assert isinstance(outcome, Rejected)
    assert (outcome.failure.code, outcome.failure.who_acts) == (code, who_acts)
    assert not outcome.is_duplicate


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("response", OPEN, ids=lambda response: f"{response.status}-{response.body[:24]!r}")
def test_everything_else_says_nothing(name: str, response: Response) -> None:
    """A key in use or used otherwise, a server that failed, what is no answer of Stripe's."""
    assert isinstance(run(FLOWS[name](), Script(response)), Unknown)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(
    ("response", "pause_s"),
    [
        (answer(vectors.LOCKED, 429), 1.0),
        (error("rate_limit", status=429), 2.0),
        (error("rate_limit", status=400), 2.0),
        (error("rate_limit", status=429, kind="rate_limit_error"), 2.0),
        (Response(status=429, body=b"Too Many Requests"), 2.0),
    ],
)
def test_a_limit_is_not_now(name: str, response: Response, pause_s: float) -> None:
    """It was never carried out, and may be sent again; Stripe does not say when."""
    outcome = run(FLOWS[name](), Script(response))
    assert isinstance(outcome, NotNow)
    assert outcome.retry_after_s == pause_s


def test_a_session_that_stripe_does_not_know_is_undecided() -> None:
    """Its id was Stripe's own: that it is gone proves nothing of our number."""
    for name in ("query", "query of a refund"):
        outcome = run(FLOWS[name](), Script(answer(vectors.MISSING, 404)))
        assert isinstance(outcome, Done)
        assert (outcome.value.absent, len(outcome.value.undecided)) == (frozenset(), 1)
    assert isinstance(run(FLOWS["refund"](), Script(answer(vectors.MISSING, 404))), Rejected)


def test_a_reply_about_another_order_says_nothing() -> None:
    """Of a creation by our number, of a refund by the intent; and one without an id is none."""
    assert isinstance(run(FLOWS["create"](), Script(answer(session(id="")))), Unknown)
    assert isinstance(run(FLOWS["create"](), Script(answer(session(client_reference_id="other")))), Unknown)
    refund = {"id": "re_1", "status": "succeeded", "payment_intent": "pi_other"}
    assert isinstance(run(FLOWS["refund"](), Script(answer(refund))), Unknown)


def test_a_replayed_creation_is_read_anew() -> None:
    """The stored reply shows the session as it was made: it may have been paid or have expired since."""
    replayed = answer(session(), idempotent_replayed="true")
    script = Script(replayed, answer(paid_session()))
    outcome = run(FLOWS["create"](), script)
    assert isinstance(outcome, Done)
    assert (outcome.value.observation.status, outcome.value.action) == ("paid", None)
    assert script.requests[1].method == "GET"
    unread = run(FLOWS["create"](), Script(replayed, Response(status=500)))
    assert isinstance(unread, Unknown)
    assert unread.observation is not None


def test_a_stored_failure_is_looked_for_page_by_page() -> None:
    """Of 100 sessions each, newest first, until our number is there; what is not found says nothing."""
    failure = error(None, status=500, kind="api_error")
    failure = Response(status=500, body=failure.body, headers={"idempotent-replayed": "true"})
    other = {"object": "list", "data": [session(id="cs_2", client_reference_id="x")], "has_more": True}
    script = Script(failure, answer(other), answer(other | {"data": [session()]}))
    outcome = run(FLOWS["create"](), script)
    assert isinstance(outcome, Done)
    assert outcome.value.observation.provider_id == "cs_test_a1Session"
    assert script.paths[1:] == [
        "GET /v1/checkout/sessions?created[gte]=1795002900&created[lt]=1795006800&limit=100",
        "GET /v1/checkout/sessions?created[gte]=1795002900&created[lt]=1795006800&limit=100&starting_after=cs_2",
    ]
    assert isinstance(run(FLOWS["create"](), Script(failure, *[answer(other)] * 8)), Unknown)
    assert isinstance(run(FLOWS["create"](), Script(failure, answer(other | {"data": []}))), Unknown)
    for refused in (Response(status=500), error("resource_missing", status=404), error(None, status=403)):
        assert isinstance(run(FLOWS["create"](), Script(failure, refused)), Unknown)


def test_a_creation_tells_its_lifetime_by_both_clocks() -> None:
    """The time on Stripe's clock, and the seconds between."""
    outcome = run(FLOWS["create"](), Script(answer(session())))
    assert isinstance(outcome, Done)
    assert (outcome.value.expires_at.timestamp(), outcome.value.expires_in_s) == (1795086500, 86400)


@pytest.mark.parametrize("state", ["succeeded", "canceled"])
def test_a_capture_of_what_is_captured_already_is_asked_about(state: str) -> None:
    """Perhaps it was us: the query that follows tells."""
    inner = {"id": "pi_1", "object": "payment_intent", "status": state}
    response = error("payment_intent_unexpected_state", payment_intent=inner)
    assert isinstance(run(FLOWS["capture"](), Script(response)), Unknown)
    assert isinstance(run(FLOWS["capture"](), Script(error("charge_already_captured"))), Unknown)


def test_the_intent_is_read_where_nothing_has_told_it() -> None:
    """A refund before any query: one safe request more. Without an intent there is nothing to refund."""
    refund = refund_of(order=ref(ids={}))
    accepted = answer({"id": "re_1", "status": "succeeded", "payment_intent": "pi_1"})
    script = Script(answer(paid_session()), accepted)
    assert isinstance(run(account().refund(refund), script), Done)
    assert [request.is_safe for request in script.requests] == [True, False]
    assert isinstance(run(account().refund(refund), Script(answer(session()))), Rejected)
    assert isinstance(run(account().refund(refund), Script(Response(status=500))), Unknown)


class TestClose:
    """A close says what the session is now, whatever its own reply was."""

    def test_an_open_session_is_expired(self) -> None:
        """And read: the reply to it does not show its intent."""
        over = answer(session(status="expired", url=None))
        script = Script(over, over)
        outcome = run(account().close(ref()), script)
        assert isinstance(outcome, Done)
        assert outcome.value.status == "closed"
        path = "/v1/checkout/sessions/cs_test_a1Session"
        assert script.paths == [f"POST {path}/expire", f"GET {path}?expand[0]=payment_intent.latest_charge"]
        assert "idempotency-key" not in script.requests[0].headers

    @pytest.mark.parametrize(
        ("now", "status"),
        [
            (paid_session(), "paid"),
            (session(status="expired", url=None), "closed"),
            (session(status="complete", payment_intent=intent("canceled")), "closed"),
        ],
    )
    def test_a_refusal_is_not_read_alone(self, now: dict[str, Any], status: str) -> None:
        """The payer was faster, or it had ended."""
        outcome = run(account().close(ref()), Script(error(None), answer(now)))
        assert isinstance(outcome, Done)
        assert outcome.value.status == status

    def test_a_session_whose_debit_is_under_way_is_not_closed(self) -> None:
        """Stripe refuses, and it is still to be paid."""
        now = session(status="complete", payment_intent=intent("processing"))
        assert isinstance(run(account().close(ref()), Script(error(None), answer(now))), Rejected)

    def test_an_authorized_session_is_voided(self) -> None:
        """By its intent, for the session itself is complete."""
        held = session(status="complete", payment_intent=intent("requires_capture"))
        void = session(status="complete", payment_intent=intent("canceled"))
        script = Script(error(None), answer(held), answer(intent("canceled")), answer(void))
        outcome = run(account().close(ref()), script)
        assert isinstance(outcome, Done)
        assert outcome.value.status == "closed"
        assert script.paths[2] == "POST /v1/payment_intents/pi_1/cancel"

    def test_a_server_that_failed_leaves_it_unknown_unless_it_is_over(self) -> None:
        """HTTP 500 to the close: what the session is now decides."""
        broken = Response(status=500)
        assert isinstance(run(account().close(ref()), Script(broken, broken)), Unknown)
        assert isinstance(run(account().close(ref()), Script(broken, answer(session()))), Unknown)
        assert isinstance(
            run(account().close(ref()), Script(broken, answer(session(status="expired")))), Done
        )

    def test_a_limit_is_not_now(self) -> None:
        """And no further request is made."""
        assert isinstance(run(account().close(ref()), Script(answer(vectors.LOCKED, 429))), NotNow)
