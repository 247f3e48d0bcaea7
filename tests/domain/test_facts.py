"""What single changes make of a payment, each on its own."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from paycore import Money, Payment, RefundStatus, ReviewReason, Status
from paycore.domain.events import NamespaceGiven, Observed, OperationEnded, PaymentBegun
from paycore.domain.lifecycle import evolve
from paycore.domain.observation import PaymentObservation, RefundObservation, digest
from paycore.domain.payment import Failure, OperationState
from tests.domain.histories import AMOUNT, BAD_KEY, DECLINED, LINK, NOW, QUIET, History

LATER = NOW + timedelta(minutes=1)


def fate(payment: Payment) -> tuple[Status, OperationState]:
    """The payment's status, and the state of the order in force."""
    return payment.status, payment.creation.state


# --- history -----------------------------------------------------------------------------------------


def test_payment_begins_at_version_one_and_every_change_is_dated() -> None:
    """The version counts the events; `updated_at` is the time of the last one."""
    history = History()
    assert (history.payment.version, history.payment.created_at) == (1, NOW)
    changed = evolve(history.payment, Observed(observation=history.order_is(Status.PENDING)), LATER)
    assert (changed.version, changed.updated_at, changed.created_at) == (2, LATER, NOW)


def test_times_are_those_at_which_a_status_first_was() -> None:
    """Authorized, closed and paid keep the time of the first event with that status, whatever follows."""
    history = History()
    times = [NOW + timedelta(minutes=n) for n in range(5)]
    payment = history.payment
    assert (payment.authorized_at, payment.closed_at, payment.paid_at) == (None, None, None)
    for at, status in zip(
        times, (Status.AUTHORIZED, Status.CLOSED, Status.PAID, Status.FAILED), strict=False
    ):
        payment = evolve(payment, Observed(observation=history.order_is(status)), at)
    assert payment.status is Status.PAID
    assert (payment.authorized_at, payment.closed_at, payment.paid_at) == tuple(times[:3])
    again = evolve(payment, Observed(observation=history.order_is(Status.PAID, provider_id="C2")), times[4])
    assert (again.version, again.paid_at) == (payment.version + 1, times[2])


def test_history_that_does_not_begin_once_is_refused() -> None:
    """The error names the first change if it is no beginning, or the second beginning."""
    history = History()
    with pytest.raises(ValueError, match="starts with payment_begun, not Observed"):
        evolve(None, Observed(observation=history.order_is(Status.PAID)), NOW)
    again = PaymentBegun(
        payment_id="P2",
        account="hk",
        provider="toy",
        order=history.payment.order,
        operation=history.payment.creation,
    )
    with pytest.raises(ValueError, match="a payment begins once"):
        evolve(history.payment, again, NOW)


def test_namespace_is_what_the_beginning_or_a_migration_gave() -> None:
    """The namespace comes from the first event or from a migration."""
    payment = History().payment
    begun = PaymentBegun(
        payment_id="P2",
        account="hk",
        provider="toy",
        order=payment.order,
        operation=payment.creation,
        namespace="shop",
    )
    assert evolve(None, begun, NOW).namespace == "shop"
    given = evolve(payment, NamespaceGiven(namespace="hk"), LATER)
    assert given == replace(payment, namespace="hk", version=2, updated_at=LATER)


# --- operations --------------------------------------------------------------------------------------


def test_link_stays_while_another_operation_is_under_way() -> None:
    """While an order is being closed its link is still shown."""
    assert History().accepted().closing().payment.action == LINK


def test_sending_again_forgets_why_the_last_send_failed() -> None:
    """Send time and deadline are those of the new send, and the old reason is removed."""
    creation = History().unknown().sent_again(at=QUIET).payment.creation
    assert (creation.sent_at, creation.in_flight_until, creation.problem) == (
        QUIET,
        QUIET + (QUIET - NOW),
        "",
    )


def test_sending_again_takes_absence_back() -> None:
    """A number proven absent may exist after it is sent again."""
    assert History().unknown().absent().sent_again(at=QUIET).payment.creation.proven_absent_at is None


def test_accepted_stays_accepted() -> None:
    """A later attempt that is unanswered or refused does not undo an acceptance."""
    for state in (OperationState.UNKNOWN, OperationState.INTENT):
        assert fate(History().accepted().ended(state).payment) == (Status.PENDING, OperationState.DONE)


def test_absence_is_of_one_number_without_an_answer() -> None:
    """Unknown, observed and resolved numbers are not absent."""
    absent = History().absent()
    assert absent.payment.creation.state is OperationState.UNKNOWN
    assert absent.payment.creation.proven_absent_at == NOW
    assert History().absent("N9").payment.creation.proven_absent_at is None
    assert History().unknown().sees(Status.PENDING).absent().payment.creation.proven_absent_at is None
    assert History().accepted().absent().payment.creation.proven_absent_at is None
    refused = History().ended(OperationState.REJECTED, failure=BAD_KEY).absent()
    assert fate(refused.payment) == (Status.CREATED, OperationState.REJECTED)


# --- status ------------------------------------------------------------------------------------------


def test_order_that_was_seen_has_arrived_once_nothing_is_missing() -> None:
    """An observed order without its required link is unresolved until it is final."""
    assert fate(History().unknown().sees(Status.PENDING).payment) == (Status.PENDING, OperationState.UNKNOWN)
    needs_none = History(needs_action=False).unknown().sees(Status.PENDING)
    assert fate(needs_none.payment) == (Status.PENDING, OperationState.DONE)
    assert fate(History().unknown().sees(Status.FAILED).payment) == (Status.FAILED, OperationState.DONE)
    assert fate(History().unknown().sees(Status.CLOSED).payment) == (Status.CLOSED, OperationState.DONE)
    assert fate(History().unknown().sees(Status.PAID).payment) == (Status.PAID, OperationState.DONE)


def test_order_whose_link_came_before_the_answer_was_lost_has_arrived() -> None:
    """With the first reply's link known, an observation resolves an unanswered resend."""
    history = History().ended(OperationState.UNKNOWN, action=LINK).sees(Status.PENDING)
    assert fate(history.payment) == (Status.PENDING, OperationState.DONE)


def test_status_before_anything_is_known() -> None:
    """Intended, sent, sent again, unanswered, refused for the account."""
    assert History().payment.status is Status.CREATED
    assert History().ended(OperationState.INTENT).payment.status is Status.CREATED
    assert History().unknown().payment.status is Status.UNKNOWN
    assert History().unknown().sent_again().payment.status is Status.UNKNOWN
    assert History().ended(OperationState.INTENT).sent_again().payment.status is Status.CREATED
    assert History().ended(OperationState.REJECTED, failure=BAD_KEY).payment.status is Status.CREATED
    assert History().ended(OperationState.REJECTED, failure=DECLINED).payment.status is Status.FAILED
    assert History().ended(OperationState.REJECTED).payment.status is Status.FAILED
    assert History().ended(OperationState.DONE).payment.status is Status.PENDING


def test_order_closed_for_a_new_number_is_pending_unless_the_close_was_refused() -> None:
    """If the close was refused the order was closed elsewhere, and the payment is closed."""
    history = History().accepted().closing(replaces=True).sees(Status.CLOSED)
    assert history.payment.status is Status.PENDING
    refused = History().accepted().closing(OperationState.REJECTED, replaces=True).sees(Status.CLOSED)
    assert refused.payment.status is Status.CLOSED
    assert History().accepted().closing().sees(Status.CLOSED).payment.status is Status.CLOSED


def test_reason_of_a_failure_is_the_orders_while_it_is_failed() -> None:
    """The reason is shown only while the payment is failed."""
    history = History().accepted().sees(Status.PENDING, failure=DECLINED)
    assert history.payment.failure is None
    assert history.sees(Status.FAILED, failure=DECLINED).payment.failure == DECLINED
    assert history.sees(Status.PAID).payment.failure is None


# --- observations ------------------------------------------------------------------------------------


def test_charge_that_already_pays_another_payment_does_not_pay_this_one() -> None:
    """A charge that the ledger marks as another payment's needs review."""
    history = History().accepted()
    history.change(Observed(observation=history.order_is(Status.PAID), charge_of="P2"))
    assert (history.payment.status, history.payment.paid_minor) == (Status.PENDING, 0)
    assert history.payment.review_reasons == (ReviewReason.CHARGE_OF_ANOTHER,)


def test_charge_of_another_payment_in_a_reply_does_not_pay_either() -> None:
    """The same when the answer to an operation reports it."""
    history = History(needs_action=False)
    seen = history.order_is(Status.PAID)
    history.change(
        OperationEnded(
            operation_id="create-N1",
            state=OperationState.DONE,
            in_flight_until=QUIET,
            observation=seen,
            charge_of="P2",
        )
    )
    assert history.payment.paid_minor == 0
    assert history.payment.review_reasons == (ReviewReason.CHARGE_OF_ANOTHER,)


def test_digest_never_changes() -> None:
    """Stored digests identify repeats in existing ledgers, so the function never changes."""
    seen = PaymentObservation(
        number="N1", status=Status.FAILED, provider_id="S1", amount=AMOUNT, failure=DECLINED, occurred_at=NOW
    )
    assert digest(seen) == "888cf7918d20"
    refund = RefundObservation(number="R1", status=RefundStatus.PENDING, words={"respcd": "1143"})
    assert digest(refund) == "7a5b3bf1be8c"


def test_digest_is_of_who_what_and_how_much() -> None:
    """It covers number, status and amounts, not the time or the provider's message."""
    seen = PaymentObservation(number="N1", status=Status.FAILED, provider_id="S1", failure=DECLINED)
    reworded = Failure(code="1205", message="the bank said no", advice="Try another card.")
    assert digest(seen) == digest(replace(seen, occurred_at=NOW, words={"a": "b"}, failure=reworded))
    others = [
        replace(seen, number="N2"),
        replace(seen, status=Status.CLOSED),
        replace(seen, provider_id="S2"),
        replace(seen, amount=Money("1.00", "HKD")),
        replace(seen, refunded_minor=1),
        replace(seen, failure=Failure(code="1201", message="declined")),
        replace(seen, failure=None),
    ]
    assert len({digest(other) for other in [seen, *others]}) == len(others) + 1


def test_known_fact_recorded_as_beyond_the_bound_changes_nothing() -> None:
    """When two processes record the same observation the second changes nothing."""
    history = History().accepted().sees(Status.PENDING, provider_id="S2")
    known = Observed(observation=history.order_is(Status.PENDING, provider_id="S2"), is_beyond=True)
    assert evolve(history.payment, known, LATER) is history.payment


def test_second_charge_beyond_the_bound_is_the_first_one() -> None:
    """A paid number keeps its first charge id."""
    history = History().accepted().sees(Status.PENDING, provider_id="A-order")
    history.sees(Status.PAID, provider_id="B-charge")
    beyond = history.order_is(Status.PAID, provider_id="C-charge")
    history.change(Observed(observation=beyond, is_beyond=True))
    assert [charge.provider_id for charge in history.payment.charges] == ["B-charge"]
    assert history.payment.review_reasons == (ReviewReason.TOO_MANY_FACTS,)


def test_refund_reported_under_an_orders_number_needs_review() -> None:
    """A refund observation under an order's number needs review and changes nothing else."""
    history = History().accepted().sees(Status.PAID).refund_is(RefundStatus.SUCCEEDED, "N1")
    assert history.payment.refunded_minor == 0
    assert history.payment.review_reasons == (ReviewReason.REFUND_AMOUNT_DIFFERS,)


def test_refund_has_the_reason_and_the_id_the_provider_told() -> None:
    """Of two reasons or ids the same one is kept, in either order."""
    other = Failure(code="1206", message="other")
    for first, second in ((DECLINED, other), (other, DECLINED)):
        history = History().accepted().sees(Status.PAID).refunding()
        history.refund_is(RefundStatus.FAILED, failure=first, provider_id="F1")
        assert history.payment.refunds[0].failure == first
        history.refund_is(RefundStatus.FAILED, failure=second, provider_id="F2")
        (refund,) = history.payment.refunds
        assert (refund.failure, refund.provider_id, refund.status) == (other, "F1", RefundStatus.FAILED)


def test_order_has_the_reason_and_the_id_the_provider_told() -> None:
    """The same for an order; a later observation without a reason keeps the known one."""
    other = Failure(code="1206", message="other")
    for first, second in ((DECLINED, other), (other, DECLINED)):
        history = History().accepted().sees(Status.FAILED, failure=first, provider_id="S1")
        assert history.payment.failure == first
        history.sees(Status.FAILED, failure=second, provider_id="S2").sees(Status.FAILED, provider_id="S3")
        assert history.payment.failure == other
        assert history.payment.provider_id == "S-N1"


def test_refund_status_without_an_observation() -> None:
    """Without an observation: accepted is pending; unsent and refused for the account are created."""
    expected = {
        OperationState.DONE: RefundStatus.PENDING,
        OperationState.UNKNOWN: RefundStatus.UNKNOWN,
        OperationState.INTENT: RefundStatus.CREATED,
    }
    for state, status in expected.items():
        history = History().accepted().sees(Status.PAID).refunding().ended(state, "refund-R1")
        assert history.payment.refunds[0].status is status
    refused = History().accepted().sees(Status.PAID).refunding()
    assert refused.payment.refunds[0].status is RefundStatus.CREATED
    refused.ended(OperationState.REJECTED, "refund-R1", failure=BAD_KEY)
    assert refused.payment.refunds[0].status is RefundStatus.CREATED
    refused = History().accepted().sees(Status.PAID).refunding()
    refused.ended(OperationState.REJECTED, "refund-R1", failure=DECLINED)
    assert refused.payment.refunds[0].status is RefundStatus.FAILED


def test_refund_that_was_seen_has_arrived() -> None:
    """An observation resolves a refund, whatever its own reply said."""
    history = History().accepted().sees(Status.PAID).refunding().ended(OperationState.UNKNOWN, "refund-R1")
    assert history.payment.uncertain
    assert not history.refund_is(RefundStatus.PENDING).payment.uncertain


def test_refused_close_leaves_the_order_as_it_was() -> None:
    """A refused close does not fail the payment."""
    assert History().accepted().closing(OperationState.REJECTED).payment.status is Status.PENDING


def test_refunded_total_never_goes_back() -> None:
    """An observation without a total does not reduce it."""
    history = History().accepted().sees(Status.PAID, refunded_minor=500)
    history.sees(Status.PAID, refunded_minor=300).sees(Status.PAID)
    assert history.payment.refunded_minor == 500
    exact = History().accepted().sees(Status.PAID, refunded_minor=8800)
    assert (exact.payment.review_reasons, exact.payment.refundable_minor) == ((), 0)
    unpaid = History().accepted().sees(Status.PENDING, refunded_minor=500)
    assert unpaid.payment.review_reasons == ()
