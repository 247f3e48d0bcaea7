"""What sessions, intents, disputes and refunds say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paycore.plugin import Done, Money, PaymentObservation, RefundObservation
from plugins.stripe_checkout.tests import vectors
from plugins.stripe_checkout.tests.support import (
    NUMBER,
    Script,
    account,
    answer,
    capture_of,
    intent,
    paid_session,
    ref,
    run,
    session,
)


def seen(*documents: object) -> PaymentObservation:
    """What a query says, whose requests are answered with these."""
    outcome = run(account().query([ref()]), Script(*map(answer, documents)))
    assert isinstance(outcome, Done)
    (observation,) = outcome.value.observations
    assert isinstance(observation, PaymentObservation)
    return observation


def seen_refund(document: object) -> RefundObservation:
    order = ref(kind="refund", number="R1", provider_id="re_1")
    outcome = run(account().query([order]), Script(answer(document)))
    assert isinstance(outcome, Done)
    (observation,) = outcome.value.observations
    assert isinstance(observation, RefundObservation)
    return observation


COMPLETE: dict[str, Any] = {"status": "complete", "url": None}
EXPIRED: dict[str, Any] = {"status": "expired", "url": None}
STATES = [
    (session(), "pending"),
    (session(payment_intent=intent("requires_payment_method")), "pending"),
    (session(payment_intent=intent("requires_action")), "pending"),
    (session(payment_intent=intent("canceled")), "pending"),
    (paid_session(), "paid"),
    (paid_session(payment_intent="pi_1"), "paid"),
    (session(**COMPLETE, payment_intent=intent("processing")), "pending"),
    (session(**COMPLETE, payment_intent=intent("requires_action")), "pending"),
    (session(**COMPLETE, payment_intent="pi_1"), "pending"),
    (session(**COMPLETE, payment_intent=intent("requires_payment_method")), "failed"),
    (session(**COMPLETE, payment_intent=intent("requires_capture")), "authorized"),
    (session(**COMPLETE, payment_intent=intent("succeeded")), "paid"),
    (session(**COMPLETE, payment_intent=intent("canceled")), "closed"),
    (session(**EXPIRED), "closed"),
    (session(**EXPIRED, payment_intent=intent("canceled")), "closed"),
    (session(**EXPIRED, payment_intent=intent("requires_payment_method")), "closed"),
    (session(**EXPIRED, payment_intent=intent("processing")), "pending"),
    (session(**EXPIRED, payment_intent=intent("requires_action")), "pending"),
    (session(**EXPIRED, payment_intent="pi_1"), "pending"),
    (session(status="marinating"), "pending"),
    (session(status=None), "pending"),
    (session(payment_status="marinating", **COMPLETE), "pending"),
    (session(**COMPLETE, payment_intent=intent("marinating")), "pending"),
    (session(**EXPIRED, payment_intent=intent("marinating")), "pending"),
    (session(**COMPLETE, payment_status="no_payment_required"), "pending"),
]


@pytest.mark.parametrize(("document", "status"), STATES)
def test_a_session_and_its_intent_say_what_a_payment_is(document: dict[str, Any], status: str) -> None:
    """Complete alone is not paid, expired alone is not closed, a word nobody knows changes nothing."""
    assert seen(document).status == status


def test_a_session_just_made() -> None:
    """Open and unpaid, without an intent."""
    one = seen(vectors.OPEN_SESSION)
    assert (one.status, one.amount, one.ids) == ("pending", Money("25.99", "EUR"), {})
    assert one.provider_id == "cs_test_a1Ref0002"


def test_a_session_that_was_paid_in_another_currency() -> None:
    """What the payer's card was charged is information only."""
    one = seen(vectors.CONVERTED_SESSION)
    assert (one.status, one.amount) == ("paid", Money("25.99", "EUR"))


def test_an_authorized_intent() -> None:
    """2599 are held, nothing is taken."""
    held = json.loads(vectors.AUTHORIZED_INTENT)
    one = seen(session(**COMPLETE, payment_intent=held))
    assert (one.status, one.paid_minor, one.ids) == ("authorized", None, {"payment_intent": "pi_3Ref0005"})


def test_a_partial_capture_says_what_was_taken() -> None:
    """Beside the order's amount, which stays."""
    one = seen(paid_session(intent={"amount_received": 2000}))
    assert (one.amount, one.paid_minor) == (Money("25.99", "EUR"), 2000)
    taken = intent("succeeded", amount_received=2000)
    outcome = run(account().capture(capture_of(Money("20.00", "EUR"))), Script(answer(taken)))
    assert isinstance(outcome, Done)
    told = outcome.value
    assert (told.number, told.status, told.amount, told.paid_minor) == (
        NUMBER,
        "paid",
        Money("25.99", "EUR"),
        2000,
    )


def test_the_charge_of_a_declined_attempt_is_not_the_payments() -> None:
    """An id never changes, and the next attempt has another charge."""
    declined = intent("requires_payment_method", charge={"id": "ch_declined", "status": "failed"})
    assert seen(session(payment_intent=declined)).ids == {"payment_intent": "pi_1"}
    assert seen(paid_session()).ids == {"payment_intent": "pi_1", "charge": "ch_1"}


def test_a_debit_that_failed_says_why() -> None:
    """By the code of the intent's last error; what a payer is not to be told stays out."""
    error = {
        "type": "invalid_request_error",
        "code": "payment_intent_payment_attempt_failed",
        "message": "No.",
    }
    failed = intent("requires_payment_method", last_payment_error=error | {"decline_code": "fraudulent"})
    failure = seen(session(**COMPLETE, payment_intent=failed)).failure
    assert failure is not None
    assert (failure.code, failure.who_acts) == ("payment_intent_payment_attempt_failed", "payer")


@pytest.mark.parametrize(
    ("total", "currency", "amount", "unreadable"),
    [
        (500, "isk", Money("5", "ISK"), False),
        (501, "isk", None, True),
        (1230, "kwd", Money("1.230", "KWD"), False),
        (500, "mga", Money("500.00", "MGA"), False),
        (2599, "zzz", None, True),
        (-1, "eur", None, True),
        (10**40, "eur", None, True),
        (None, "eur", None, False),
        (2599, None, None, False),
    ],
)
def test_amounts_are_read_as_stripe_counts(
    total: int | None, currency: str | None, amount: Money | None, unreadable: bool
) -> None:
    """What is told in halves, or can't be read, is told as that."""
    one = seen(session(amount_total=total, currency=currency))
    assert one.amount == amount
    assert (one.partial_amount is None) is (amount is not None)
    assert (one.partial_amount is not None and one.partial_amount.unreadable is not None) is unreadable


def test_refunds_are_counted_by_the_charges_total() -> None:
    """600 in all, in the order's minor units."""
    assert seen(paid_session(intent={"charge": {"amount_refunded": 600}})).refunded_minor == 600
    krona = paid_session(currency="isk", amount_total=500, intent={"charge": {"amount_refunded": 300}})
    assert seen(krona).refunded_minor == 3


def test_what_a_partial_capture_releases_is_no_refund() -> None:
    """Stripe counts it in the charge's total all the same."""
    part = {"amount_received": 2000, "charge": {"amount_refunded": 599}}
    assert seen(paid_session(intent=part)).refunded_minor == 0
    assert seen(paid_session(intent=part | {"charge": {"amount_refunded": 1099}})).refunded_minor == 500
    held = session(**COMPLETE, payment_intent=intent("requires_capture"))
    assert seen(held).refunded_minor == 0


DISPUTED = paid_session(intent={"charge": {"disputed": True}})


def disputes(*documents: bytes) -> dict[str, Any]:
    return {"object": "list", "has_more": False, "data": [json.loads(one) for one in documents]}


def test_a_dispute_takes_money_until_it_is_won() -> None:
    """By its status and its bookings; asked about only where the charge is disputed."""
    taken = seen(DISPUTED, disputes(vectors.DISPUTE))
    assert (taken.status, taken.charged_back_minor, taken.charge_back_won_minor) == ("paid", 2599, 0)
    won = seen(DISPUTED, disputes(vectors.DISPUTE_WON))
    assert (won.charged_back_minor, won.charge_back_won_minor) == (2599, 2599)
    assert seen(paid_session()).charged_back_minor is None


def test_what_comes_back_is_what_is_booked() -> None:
    """A part, or in the balance's currency: the share of what was taken."""
    part = vectors.DISPUTE_WON.replace(
        b'"amount":2599,"currency":"eur","fee":0', b'"amount":1000,"currency":"eur"'
    )
    assert seen(DISPUTED, disputes(part)).charge_back_won_minor == 1000
    converted = part.replace(b'"amount":-2599', b'"amount":-3000').replace(b'"amount":1000', b'"amount":1500')
    assert seen(DISPUTED, disputes(converted)).charge_back_won_minor == 1299


@pytest.mark.parametrize(
    ("status", "booked", "taken"),
    [
        ("warning_needs_response", False, None),
        ("warning_closed", False, None),
        ("prevented", False, None),
        ("lost", False, 2599),
        ("appeal_under_review", True, 2599),
        ("marinating", False, None),
        ("marinating", True, 2599),
    ],
)
def test_an_inquiry_takes_nothing(status: str, booked: bool, taken: int | None) -> None:
    """A status nobody knows has taken something where the balance was booked."""
    dispute = json.loads(vectors.DISPUTE) | {"status": status}
    dispute |= {} if booked else {"balance_transactions": []}
    page = {"object": "list", "has_more": False, "data": [dispute]}
    assert seen(DISPUTED, page).charged_back_minor == taken


def test_disputes_take_no_more_than_was_paid() -> None:
    """Two of them, or one that a bank converted."""
    assert seen(DISPUTED, disputes(vectors.DISPUTE, vectors.DISPUTE)).charged_back_minor == 2599


@pytest.mark.parametrize(("currency", "minor"), [("jpy", 10), ("zzz", 2599)])
def test_a_dispute_in_another_currency_takes_all_that_was_paid(currency: str, minor: int) -> None:
    """What part it is can't be told from its amount."""
    dispute = json.loads(vectors.DISPUTE) | {"currency": currency, "amount": minor}
    page = {"object": "list", "has_more": False, "data": [dispute]}
    assert seen(DISPUTED, page).charged_back_minor == 2599


def test_a_charge_that_failed_after_it_was_paid_is_a_charge_back() -> None:
    """The bank took a debit back."""
    one = seen(paid_session(intent={"charge": {"status": "failed"}}))
    assert (one.status, one.charged_back_minor) == ("paid", 2599)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": "succeeded"}, "succeeded"),
        ({"status": "pending"}, "pending"),
        ({"status": "requires_action"}, "pending"),
        ({"status": "marinating"}, "pending"),
        ({"status": None}, "pending"),
        ({"status": "failed", "failure_reason": "declined"}, "failed"),
        ({"status": "canceled"}, "failed"),
        ({"status": "failed", "failure_balance_transaction": "txn_1"}, "reversed"),
    ],
)
def test_a_refund_says_what_it_is(changes: dict[str, Any], status: str) -> None:
    """Reversed where the balance was booked twice; a word nobody knows is pending."""
    one = seen_refund(json.loads(vectors.PENDING_REFUND) | changes)
    assert (one.number, one.status, one.amount) == ("R1", status, Money("5.00", "EUR"))
    assert (one.failure is not None) is (status in ("failed", "reversed"))
