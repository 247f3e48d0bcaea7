"""The size of a payment is bounded, whatever is reported and requested; its money is always counted."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from paycore import RefundStatus, Status
from paycore.domain import bounds
from paycore.domain.bounds import CHARGES_MAX, FACTS_MAX, OPERATIONS_MAX, REFUNDS_MAX
from paycore.domain.closing import CLOSE_AGAIN_AFTER, begin_close
from paycore.domain.codec import decode, encode
from paycore.domain.decisions import Numbering, renumber
from paycore.domain.events import Change, Observed, OperationEnded
from paycore.domain.lifecycle import bounded, evolve
from paycore.domain.observation import Observation, RefundObservation
from paycore.domain.payment import Failure, OperationState, ReviewReason
from paycore.domain.recovery import withdraw
from paycore.domain.refunding import begin_refund
from paycore.errors import TooMany
from tests.domain.histories import BAD_KEY, DEADLINE, NOW, QUIET, History, product


def told(history: History, *observations: Observation) -> list[Change]:
    """The changes that the ledger records for these observations; those that add nothing are left out."""
    recorded = []
    for observation in observations:
        change = bounded(history.payment, Observed(observation=observation))
        before = history.payment
        history.change(change)
        if history.payment is not before:
            recorded.append(change)
    return recorded


def full() -> History:
    """A payment with as many distinct observations as are kept, none of them paid."""
    history = History().accepted()
    told(history, *(history.order_is(Status.PENDING, provider_id=f"S{n:04}") for n in range(FACTS_MAX - 1)))
    assert len(history.payment.evidence) == FACTS_MAX
    return history


def test_facts_up_to_the_bound_are_all_kept_and_need_no_review() -> None:
    """Up to the bound every observation is recorded, without review."""
    history = full()
    assert history.payment.review_reasons == ()
    assert b"is_beyond" not in encode(
        bounded(History().payment, Observed(observation=history.order_is(Status.PAID)))
    )


def test_bounds_are_these() -> None:
    """The documented bounds, far above ordinary use."""
    assert (FACTS_MAX, CHARGES_MAX, REFUNDS_MAX, OPERATIONS_MAX) == (1000, 20, 100, 200)
    assert (bounds.IDS_MAX, bounds.ID_MAX) == (100, 256)


def test_repeated_facts_at_the_bound_change_nothing() -> None:
    """Repeated observations at the bound cause no review."""
    history = full()
    known = history.order_is(Status.PENDING, provider_id="S0007")
    recorded = bounded(history.payment, Observed(observation=known))
    assert isinstance(recorded, Observed)
    assert not recorded.is_beyond
    assert told(history, known) == []
    assert history.payment.review_reasons == ()


def test_facts_beyond_the_bound_are_one_event_and_review() -> None:
    """The first observation beyond the bound is recorded and needs review; a thousand more change nothing."""
    history = full()
    beyond = [history.order_is(Status.PENDING, provider_id=f"T{n}") for n in range(1000)]
    (change,) = told(history, *beyond)
    assert isinstance(change, Observed)
    assert change.is_beyond
    assert history.payment.review_reasons == (ReviewReason.TOO_MANY_FACTS,)
    assert len(history.payment.evidence) == FACTS_MAX


def test_money_beyond_the_bound_is_never_lost() -> None:
    """Paid, refunded and failed refunds count beyond the bound; the charge has its reported id."""
    history = full()
    told(history, history.order_is(Status.PAID, provider_id="CHARGED"))
    assert history.payment.status is Status.PAID
    assert [charge.provider_id for charge in history.payment.charges] == ["CHARGED"]
    history.refunding()
    told(history, RefundObservation(number="R1", status=RefundStatus.SUCCEEDED, provider_id="F1"))
    assert history.payment.refunded_minor == 2000
    assert history.payment.refunds[0].provider_id == "F1"
    told(history, history.order_is(Status.PAID, refunded_minor=3000))
    assert history.payment.refunded_minor == 3000


def test_another_order_paid_beyond_the_bound_is_paid_twice() -> None:
    """The first charge of a number is kept, however many observations there are."""
    history = full()
    history.ended(OperationState.UNKNOWN).closing(OperationState.DONE, replaces=True).sees(Status.CLOSED)
    history.renumbered("N2")
    told(history, history.order_is(Status.PAID), history.order_is(Status.PAID, "N2"))
    assert [charge.number for charge in history.payment.charges] == ["N1", "N2"]
    assert ReviewReason.PAID_TWICE in history.payment.review_reasons


def test_a_difference_beyond_the_bound_needs_review_and_is_not_paid() -> None:
    """A differing amount is still detected beyond the bound."""
    history = full()
    told(history, history.order_is(Status.PAID, amount=replace_amount(history, 10)))
    assert history.payment.status is Status.PENDING
    assert history.payment.review_reasons == (ReviewReason.AMOUNT_DIFFERS, ReviewReason.TOO_MANY_FACTS)


def replace_amount(history: History, minor: int) -> object:
    amount = history.payment.amount
    return type(amount).from_minor(minor, amount.currency)


def test_charges_are_bounded_and_the_payment_is_still_refundable() -> None:
    """Of 3,000 paid records of one number twenty are kept and the next is one event; refunds still work."""
    history = History().accepted()
    recorded = told(history, *(history.order_is(Status.PAID, provider_id=f"C{n:04}") for n in range(3000)))
    assert (len(history.payment.charges), len(recorded)) == (CHARGES_MAX, CHARGES_MAX + 1)
    assert history.payment.review_reasons == (ReviewReason.PAID_TWICE, ReviewReason.TOO_MANY_FACTS)
    (pending,) = told(history, history.order_is(Status.PENDING, provider_id="D"))
    assert isinstance(pending, Observed)
    assert not pending.is_beyond, "no charge, so none too many"
    (known,) = told(history, history.order_is(Status.PAID, provider_id="C0003", refunded_minor=5))
    assert isinstance(known, Observed)
    assert not known.is_beyond
    assert history.refunding().payment.refunds


def test_a_failure_beyond_the_bound_keeps_the_known_one() -> None:
    """New failure messages beyond the bound make no further events."""
    history = full()
    failures = [
        history.order_is(Status.FAILED, failure=Failure(code=f"{n:04}", message="no")) for n in range(50)
    ]
    assert len(told(history, *failures)) == 1
    assert history.payment.status is Status.FAILED
    assert history.payment.failure == Failure(code="0000", message="no")


def test_a_reply_beyond_the_bound_says_so_too() -> None:
    """The observation in an operation's answer has the same bound as that of a query."""
    history = full()
    answer = OperationEnded(
        operation_id="create-N1",
        state=OperationState.DONE,
        in_flight_until=QUIET,
        observation=history.order_is(Status.PENDING, provider_id="T"),
    )
    change = bounded(history.payment, answer)
    assert isinstance(change, OperationEnded)
    assert change.is_beyond
    assert history.change(change).payment.review_reasons == (ReviewReason.TOO_MANY_FACTS,)


def test_replaying_needs_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history recorded under any bound, or under none, replays to the same payment under any other."""
    history, changes = History().accepted(), []
    begun = history.payment
    for limit in (5, 20, 3):
        monkeypatch.setattr(bounds, "CHARGES_MAX", limit)
        changes += told(
            history, *(history.order_is(Status.PAID, provider_id=f"{limit}-{n}") for n in range(limit + 9))
        )
    again = begun
    for change in changes:
        again = evolve(again, decode(encode(change), Change), NOW)  # type: ignore[arg-type]
    assert again == history.payment


# --- what a caller asks for --------------------------------------------------------------------------


def _refund(history: History, reference: str, minor: int | None) -> list[Change]:
    return begin_refund(
        history.payment,
        reference=reference,
        amount=None if minor is None else type(history.payment.amount).from_minor(minor, "HKD"),
        reason=None,
        product=product(),
        numbering=Numbering(operation_id=reference, number=reference),
        now=NOW,
        deadline=DEADLINE,
    )


def test_refunds_are_bounded_but_for_one_of_all_that_is_left() -> None:
    """The refund beyond the bound is refused with advice; the rest can always be refunded in one."""
    history = History().accepted().sees(Status.PAID)
    for n in range(REFUNDS_MAX):
        history.refunding(10, f"back-{n}", f"R{n}")
    with pytest.raises(TooMany, match="all that is left") as raised:
        _refund(history, "one more", 10)
    assert raised.value.payment_id == "P1"
    assert _refund(history, f"back-{REFUNDS_MAX - 1}", 10) == []
    assert len(_refund(history, "the rest", None)) == 1


def _attempts(history: History, change: Change, state: OperationState, failure: Failure) -> History:
    """As many operations of one kind as a payment may have, each refused."""
    payment, operation = history.payment, change.operation  # type: ignore[union-attr]
    refused = tuple(
        replace(operation, id=f"{operation.id}-{n}", state=state, failure=failure)
        for n in range(OPERATIONS_MAX)
    )
    history.payment = replace(payment, operations=(*payment.operations, *refused))
    return history


def test_attempts_at_one_refund_are_bounded() -> None:
    """A refund repeatedly refused for the account is refused for good at the bound."""
    history = History().accepted().sees(Status.PAID)
    (begun,) = _refund(history, "back", 10)
    history.change(begun).ended(OperationState.REJECTED, "back", failure=BAD_KEY)
    assert _refund(history, "back", 10)
    _attempts(history, begun, OperationState.REJECTED, BAD_KEY)
    with pytest.raises(TooMany, match="refund") as raised:
        _refund(history, "back", 10)
    assert raised.value.payment_id == "P1"


def test_closings_and_new_numbers_are_bounded() -> None:
    """Closes and new numbers of one payment are bounded."""
    later = NOW + CLOSE_AGAIN_AFTER + timedelta(hours=1)
    numbering = Numbering(operation_id="again", number="N1")

    def close(history: History) -> list[Change]:
        return begin_close(
            history.payment, product=product(close=True), numbering=numbering, now=later, deadline=DEADLINE
        )

    history = History().accepted()
    (begun,) = close(history)
    with pytest.raises(TooMany, match="close"):
        close(_attempts(history, begun, OperationState.REJECTED, BAD_KEY))

    refused = History().ended(OperationState.REJECTED, failure=BAD_KEY)
    (anew,) = renumber(refused.payment, later, numbering, DEADLINE)
    with pytest.raises(TooMany, match="create"):
        renumber(
            _attempts(refused, anew, OperationState.REJECTED, BAD_KEY).payment, later, numbering, DEADLINE
        )


def test_withdrawals_are_bounded() -> None:
    """Closes of an order that is not needed are bounded."""
    history = History().unknown().sees(Status.PENDING).closing(replaces=True).sees(Status.CLOSED)
    history.renumbered("N2").sees(Status.PENDING, "N2").sees(Status.PAID)
    now = NOW + CLOSE_AGAIN_AFTER + timedelta(hours=1)

    def withdrawn(now: datetime) -> list[Change]:
        numbering = Numbering(operation_id="again", number="N2")
        return withdraw(history.payment, product=product(), numbering=numbering, now=now, deadline=DEADLINE)

    (begun,) = withdrawn(now)
    _attempts(history, begun, OperationState.REJECTED, BAD_KEY)
    with pytest.raises(TooMany, match="close"):
        withdrawn(now + CLOSE_AGAIN_AFTER)
