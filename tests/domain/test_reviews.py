"""A contradiction needs review until an operator has looked at it, and again only with a new fact."""

from copy import copy
from typing import Any

import pytest

from paycore import Money, RefundStatus, ReviewReason, Status
from paycore.domain.codec import decode, encode
from paycore.domain.events import Finding, FoundUnresolvable, Observed, ReviewAcknowledged
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import OperationState, Payment
from paycore.domain.review import acknowledge
from paycore.errors import WrongState
from tests.domain.histories import AMOUNT, NOW, History, paid

SEEN = Finding(by="ops", note="looked at it")
OTHER = Money("1.00", "HKD")


def acknowledged(history: History, reason: ReviewReason) -> History:
    """An operator has looked at this reason."""
    changes = acknowledge(history.payment, NOW, reason=reason, finding=SEEN)
    assert changes == [ReviewAcknowledged(reason=reason, finding=SEEN)]
    return history.change(*changes)


def reasons(history: History) -> tuple[ReviewReason, ...]:
    """Why it needs review now."""
    return history.payment.review_reasons


def charged_back(minor: int, won: int = 0) -> History:
    return paid().sees(Status.PAID, charged_back_minor=minor, charge_back_won_minor=won)


RAISED: list[tuple[ReviewReason, History]] = [
    (ReviewReason.AMOUNT_DIFFERS, History().accepted().sees(Status.PAID, amount=OTHER)),
    (ReviewReason.CHARGED_BACK, charged_back(1)),
    (ReviewReason.IDS_DIFFER, paid().sees(Status.PAID, ids={"c": "1"}).sees(Status.PAID, ids={"c": "2"})),
    (ReviewReason.PAID_TWICE, paid().sees(Status.PAID, provider_id="S2")),
    (ReviewReason.PAID_AFTER_CLOSING, History().accepted().sees(Status.CLOSED).sees(Status.PAID)),
    (ReviewReason.REFUND_AMOUNT_DIFFERS, paid().refunding().refund_is(RefundStatus.SUCCEEDED, amount=OTHER)),
    (
        ReviewReason.REFUNDED_AFTER_FAILING,
        paid().refunding().refund_is(RefundStatus.FAILED).refund_is(RefundStatus.SUCCEEDED),
    ),
    (ReviewReason.REFUNDED_TOO_MUCH, paid().sees(Status.PAID, refunded_minor=8801)),
    (ReviewReason.SIGNATURE_WRONG, paid().sees(Status.PENDING, is_signed_wrong=True)),
]


@pytest.mark.parametrize("number", range(len(RAISED)), ids=[reason for reason, _ in RAISED])
def test_acknowledged_reason_is_gone_and_stays_gone(number: int) -> None:
    """Also when everything that is known is reported again; it is acknowledged once."""
    reason, history = RAISED[number][0], copy(RAISED[number][1])
    assert reasons(history) == (reason,)
    acknowledged(history, reason)
    assert (reasons(history), history.payment.review) == ((), False)
    assert acknowledge(history.payment, NOW, reason=reason, finding=SEEN) == []
    again = history.payment
    for seen in [history.order_is(Status.PENDING), history.order_is(Status.PAID)]:
        again = evolve(again, Observed(observation=seen), NOW)
    assert again.review_reasons == ()
    assert decode(encode(again), Payment) == again


def test_acknowledging_one_reason_leaves_the_others() -> None:
    """Each is looked at for itself."""
    history = charged_back(500).sees(Status.PAID, provider_id="S2")
    assert reasons(history) == (ReviewReason.CHARGED_BACK, ReviewReason.PAID_TWICE)
    acknowledged(history, ReviewReason.CHARGED_BACK)
    assert reasons(history) == (ReviewReason.PAID_TWICE,)
    acknowledged(history, ReviewReason.PAID_TWICE)
    assert reasons(history) == ()


@pytest.mark.parametrize(
    ("reason", "history", "news"),
    [
        (ReviewReason.CHARGED_BACK, charged_back(500), {"charged_back_minor": 501}),
        (
            ReviewReason.CHARGED_BACK,
            charged_back(500),
            {"charged_back_minor": 500, "charge_back_won_minor": 500},
        ),
        (ReviewReason.PAID_TWICE, paid().sees(Status.PAID, provider_id="S2"), {"provider_id": "S3"}),
        (
            ReviewReason.IDS_DIFFER,
            paid().sees(Status.PAID, ids={"c": "1"}).sees(Status.PAID, ids={"c": "2"}),
            {"ids": {"c": "3"}},
        ),
        (
            ReviewReason.IDS_DIFFER,
            paid().sees(Status.PAID, ids={"c": "1"}).sees(Status.PAID, ids={"c": "2", "d": "1"}),
            {"ids": {"d": "2"}},
        ),
        (
            ReviewReason.REFUNDED_TOO_MUCH,
            paid().sees(Status.PAID, refunded_minor=8801),
            {"refunded_minor": 8802},
        ),
        (
            ReviewReason.AMOUNT_DIFFERS,
            History().accepted().sees(Status.PAID, amount=OTHER),
            {"amount": Money("2.00", "HKD")},
        ),
    ],
)
def test_new_fact_raises_an_acknowledged_reason_again(
    reason: ReviewReason, history: History, news: dict[str, Any]
) -> None:
    """The operator has not seen that yet; it can be acknowledged in turn."""
    history = acknowledged(copy(history), reason).sees(Status.PAID, **news)
    assert reason in reasons(history)
    acknowledged(history, reason)
    assert reason not in reasons(history)


def test_more_facts_than_are_kept_are_acknowledged_for_good() -> None:
    """Nothing of them is kept, so a repeat can't be told from a new one: money has reasons of its own."""
    history = History().accepted()
    beyond = Observed(observation=history.order_is(Status.PENDING, provider_id="S9"), is_beyond=True)
    acknowledged(history.change(beyond), ReviewReason.TOO_MANY_FACTS)
    for news in (beyond, Observed(observation=history.order_is(Status.PAID), is_beyond=True)):
        assert history.change(news).payment.review_reasons == ()
    assert history.payment.status is Status.PAID


def test_reason_that_is_not_there_is_not_acknowledged() -> None:
    """It could come later, and must be seen then."""
    assert acknowledge(paid().payment, NOW, reason=ReviewReason.CHARGED_BACK, finding=SEEN) == []


def test_unresolvable_is_resolved_by_a_finding_only() -> None:
    """To have looked at it says nothing of the money."""
    history = History().unknown().change(FoundUnresolvable(operation_id="create-N1"))
    with pytest.raises(WrongState, match="record that as a finding") as caught:
        acknowledge(history.payment, NOW, reason=ReviewReason.UNRESOLVABLE, finding=SEEN)
    assert caught.value.payment_id == "P1"


def test_facts_of_a_reason_name_what_is_behind_it() -> None:
    """The operator's acknowledgement says what it was about."""
    history = paid().refunding().ended(OperationState.DONE, "refund-R1")
    history.refund_is(RefundStatus.FAILED).refund_is(RefundStatus.SUCCEEDED)
    history.sees(Status.PAID, provider_id="S2", charged_back_minor=700, charge_back_won_minor=200)
    history.sees(Status.CLOSED, refunded_minor=17601, ids={"c": "1", "d": "1"})
    history.sees(Status.PAID, provider_id="S2", ids={"c": "2"})
    for reason in history.payment.review_reasons:
        acknowledged(history, reason)
    assert {done.reason.value: done.facts for done in history.payment.acknowledged} == {
        "charged_back": "700, won 200",
        "ids_differ": "c=1 c=2",
        "paid_after_closing": "N1 N1",
        "paid_twice": "S-N1 S2",
        "refunded_after_failing": "R1",
        "refunded_too_much": "17601 of 17600",
    }
    assert history.payment.amount == AMOUNT
