"""Signatures of events, and what authentic ones say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paycore.plugin import (
    MalformedNotification,
    Mention,
    Money,
    NotAuthentic,
    Notice,
    PaymentObservation,
    RefundObservation,
    Secret,
)
from plugins.stripe_checkout.tests import vectors
from plugins.stripe_checkout.tests.support import (
    NUMBER,
    account,
    event,
    notification,
    paid_session,
    session,
    signed,
)
from stripe_checkout.webhooks import check_signature

BOTH = (Secret(vectors.SECRET_1), Secret(vectors.SECRET_2))


def check(body: bytes, header: str, *, at: float, secrets: tuple[Secret, ...] = BOTH) -> None:
    check_signature(notification(body, header, received_at=at), secrets, tolerance_s=300)


def read(body: bytes, **settings: Any) -> list[Notice]:
    return list(account(**settings).verify(signed(body)))


@pytest.mark.parametrize("secrets", [BOTH[:1], BOTH])
def test_the_published_construction_verifies(secrets: tuple[Secret, ...]) -> None:
    """HMAC-SHA256 by the whole secret over time, point and body."""
    check(vectors.SMALL, vectors.SMALL_HEADER, at=vectors.SMALL_AT, secrets=secrets)
    header = f"t={vectors.PAID_AT},v1={vectors.PAID_SIGNATURE}"
    check(vectors.PAID, header, at=vectors.PAID_AT, secrets=secrets)


@pytest.mark.parametrize("secrets", [BOTH[:1], BOTH[1:], BOTH])
def test_either_secret_holds_while_one_is_rolled(secrets: tuple[Secret, ...]) -> None:
    """One `v1` of each; the rest of the header counts for nothing."""
    check(vectors.SMALL, vectors.ROLLED_HEADER, at=vectors.SMALL_AT, secrets=secrets)


@pytest.mark.parametrize("off_s", [-300, 300])
def test_the_signed_time_is_near(off_s: int) -> None:
    """Five minutes before and after, and no second more."""
    check(vectors.SMALL, vectors.ROLLED_HEADER, at=vectors.SMALL_AT + off_s)
    with pytest.raises(NotAuthentic, match="300 s"):
        check(vectors.SMALL, vectors.ROLLED_HEADER, at=vectors.SMALL_AT + off_s + (1 if off_s > 0 else -1))


def test_bytes_are_signed() -> None:
    """UTF-8 as it came, a line end included."""
    header = f"t={vectors.TEXT_AT},v1="
    check(vectors.TEXT, header + vectors.TEXT_SIGNATURE, at=vectors.TEXT_AT)
    check(vectors.TEXT + b"\n", header + vectors.TEXT_AND_NEWLINE_SIGNATURE, at=vectors.TEXT_AT)
    with pytest.raises(NotAuthentic):
        check(vectors.TEXT + b"\n", header + vectors.TEXT_SIGNATURE, at=vectors.TEXT_AT)


def test_a_body_that_was_parsed_and_written_anew_is_refused() -> None:
    """The same JSON with spaces, and each single byte that is another."""
    header = f"t={vectors.PAID_AT},v1={vectors.PAID_SIGNATURE}"
    body = vectors.PAID
    changed = [body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :] for place in range(len(body))]
    changed.append(json.dumps(json.loads(body)).encode())
    for body in changed:
        with pytest.raises(NotAuthentic):
            check(body, header, at=vectors.PAID_AT)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1795000000",
        vectors.SMALL_HEADER.partition(",")[2],
        vectors.SMALL_HEADER.replace("v1=", "v0="),
        vectors.SMALL_HEADER.replace("t=1795000000", "t=1795000001"),
        vectors.SMALL_HEADER.replace("t=1795000000", "t=x"),
        vectors.SMALL_HEADER.replace("t=1795000000", "t=１７９５００００００"),
        vectors.SMALL_HEADER.replace("t=1795000000", "t=" + "9" * 40),
        vectors.SMALL_HEADER + ",t=1795000000",
        vectors.SMALL_HEADER[:-1],
        vectors.SMALL_HEADER.upper(),
        "t=1795000000,v1=ß",
        "t=1795000000,v1=\udc80",
    ],
)
def test_a_header_that_is_not_stripes_is_refused(header: str) -> None:
    """Missing, halved, doubled, in other digits."""
    with pytest.raises(NotAuthentic):
        check(vectors.SMALL, header, at=vectors.SMALL_AT)


def test_without_secrets_nothing_is_authentic() -> None:
    """Nobody can make a signature by no secret."""
    with pytest.raises(NotAuthentic):
        account(webhook_secret=()).verify(signed(event("x", session()), secrets=()))
    with pytest.raises(NotAuthentic):
        account(webhook_secret=()).verify(signed(event("x", session()), secrets=("",)))


def test_a_paid_session_is_evidence() -> None:
    """With our number, Stripe's ids, and the amount."""
    (seen,) = read(event("checkout.session.completed", paid_session(payment_intent="pi_1")))
    assert isinstance(seen, PaymentObservation)
    assert (seen.number, seen.status, seen.amount) == (NUMBER, "paid", Money("25.99", "EUR"))
    assert (seen.provider_id, seen.ids) == ("cs_test_a1Session", {"payment_intent": "pi_1"})


def test_an_event_of_something_else_at_the_same_account_is_about_nothing() -> None:
    """The published example has a number that is not paycore's, and a payment link has none."""
    assert (
        read(vectors.PAID)
        == read(event("checkout.session.completed", session(client_reference_id=None)))
        == []
    )
    nobodys = session(client_reference_id=None, metadata={})
    assert read(event("checkout.session.completed", nobodys)) == []
    subscribed = paid_session(payment_intent=None, mode="subscription")
    assert read(event("checkout.session.completed", subscribed)) == []
    assert read(event("balance.available", {"object": "balance", "available": []})) == []
    assert read(event("invoice.paid", {"object": "invoice", "id": None, "payment_intent": {}})) == []
    assert read(event("customer.created", {"id": "cus_1", "object": "customer"})) == []
    assert (
        read(event("payment_intent.succeeded", {"id": "pi_9", "object": "payment_intent", "metadata": {}}))
        == []
    )


def ours(body: bytes) -> bytes:
    """A published example as it were for a session of ours."""
    return body.replace(b'"metadata":{"order":"ref-1004"}', b'"metadata":{"paycore_number":"ref-1004"}')


def test_a_delayed_method_is_pending_and_then_failed() -> None:
    """Completed is not paid: it is asked about."""
    seen, mention = read(ours(vectors.DELAYED))
    assert isinstance(seen, PaymentObservation)
    assert (seen.status, mention) == ("pending", Mention(number="ref-1004"))
    (failed,) = read(ours(vectors.DELAYED_FAILED))
    assert isinstance(failed, PaymentObservation)
    assert failed.status == "failed"


def test_an_expired_session_is_closed_unless_an_attempt_was_begun() -> None:
    """With an intent there may be an attempt under way: it is asked about."""
    (seen,) = read(event("checkout.session.expired", session(status="expired", url=None)))
    assert isinstance(seen, PaymentObservation)
    assert seen.status == "closed"
    with_intent = session(status="expired", url=None, payment_intent="pi_1")
    seen, mention = read(event("checkout.session.expired", with_intent))
    assert isinstance(seen, PaymentObservation)
    assert (seen.status, mention) == ("pending", Mention(number=NUMBER))


def test_a_refund_that_failed_after_it_succeeded_is_reversed() -> None:
    """And its payment is asked about."""
    body = vectors.FAILED_REFUND.replace(b'{"refund":"ref-r-1"}', b'{"paycore_number":"ref-r-1"}')
    mention, seen = read(body)
    assert isinstance(seen, RefundObservation)
    assert (seen.number, seen.status, seen.amount) == ("ref-r-1", "reversed", Money("5.00", "EUR"))
    assert mention == Mention(id="pi_3Ref0006")
    assert read(vectors.FAILED_REFUND) == [Mention(id="pi_3Ref0006")]


def test_a_refund_that_is_pending_is_asked_about() -> None:
    """With its payment."""
    refund = json.loads(vectors.PENDING_REFUND) | {"object": "refund", "metadata": {"paycore_number": "R1"}}
    assert read(event("refund.created", refund)) == [Mention(id="pi_3Ref0006"), Mention(number="R1")]


def test_events_of_charges_and_disputes_name_the_intent() -> None:
    """Totals are asked for: an event shows them as they were."""
    assert read(vectors.CHARGE_REFUNDED) == [Mention(id="pi_3Ref0040")]
    assert read(vectors.DISPUTE_EVENT) == [Mention(id="pi_3Ref0030")]
    charge = {
        "id": "ch_1",
        "object": "charge",
        "payment_intent": "pi_1",
        "metadata": {"paycore_number": NUMBER},
    }
    assert read(event("charge.captured", charge)) == [Mention(number=NUMBER)]


def test_a_notification_without_its_object_names_it() -> None:
    """It is asked about by its id."""
    assert read(vectors.NOTIFICATION_EVENT) == [Mention(id="cs_test_a1Ref0050")]


def test_an_event_of_the_other_mode_is_about_nothing() -> None:
    """One URL may be set for both."""
    body = event("checkout.session.completed", paid_session(payment_intent="pi_1"), livemode=True)
    assert read(body) == []
    assert len(read(body, api_key=Secret("sk_live_1"))) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        event("x", {"object": 5}),
        event("x", {"object": "checkout.session", "id": 5}),
        event("x", {"object": "charge", "payment_intent": {}}),
        event("x", session(amount_total="2599")),
        event("x", session(created=10**30)),
        event("x", session(), livemode="no"),
    ],
)
def test_what_is_signed_and_no_event_is_malformed(body: bytes) -> None:
    """It is ours and says nothing."""
    with pytest.raises(MalformedNotification):
        read(body)
