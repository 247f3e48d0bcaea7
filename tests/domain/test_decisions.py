"""What a command may do to a payment in each state: both sides of every rule."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from paycore import Money, RefundStatus, Status
from paycore.domain.closing import begin_close
from paycore.domain.decisions import (
    Numbering,
    Outcome,
    begin_payment,
    end_attempt,
    end_unsent,
    first_difference,
    may_send,
    renumber,
    send_again,
)
from paycore.domain.events import Change, OperationBegun, OperationEnded, OperationSent, ProvenAbsent
from paycore.domain.payment import OperationKind, OperationState, Order
from paycore.domain.provider import Created, Done, Rejected, Unknown
from paycore.domain.recovery import give_up_absent, withdraw
from paycore.domain.refunding import begin_refund
from paycore.errors import InvalidMoney, NotSupported, ReferenceConflict, RefundTooLarge, WrongState
from tests.domain.histories import (
    AMOUNT,
    BAD_KEY,
    DEADLINE,
    DECLINED,
    LINK,
    NOW,
    QUIET,
    History,
    concluded,
    paid,
    product,
)

NUMBERING = Numbering(operation_id="new", number="NEW")
PROOF = timedelta(seconds=5)


# --- a new payment ------------------------------------------------------------------------------------


@pytest.mark.parametrize("expires_in_s", [None, 300])
def test_new_payment_records_its_namespace_its_end_and_the_order_before_it_is_sent(
    expires_in_s: int | None,
) -> None:
    """The expiry counts from the beginning, on paycore's clock; without an `expires_in_s` none is recorded."""
    order = Order(reference="order-1", amount=AMOUNT, method="toy", channel="web", expires_in_s=expires_in_s)
    begun = begin_payment(
        NOW,
        payment_id="P1",
        account="hk",
        provider="toy",
        namespace="shop-a",
        order=order,
        numbering=NUMBERING,
        deadline=DEADLINE,
        needs_action=True,
        ignored=("subject",),
    )
    assert (begun.namespace, begun.order, begun.ignored) == ("shop-a", order, ("subject",))
    assert begun.expires_at == (None if expires_in_s is None else NOW + timedelta(seconds=expires_in_s))
    sent = begun.operation
    assert (sent.number, sent.state, sent.begun_at, sent.in_flight_until, sent.needs_action) == (
        "NEW",
        OperationState.SENT,
        NOW,
        QUIET,
        True,
    )


# --- the same reference ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("amount", Money("88.01", "HKD"), "amount"),
        ("channel", "wap", "channel"),
        ("extra", {"limit_pay": "no_credit"}, "extra"),
        ("auth_code_hash", "0" * 64, "auth_code"),
    ],
)
def test_first_difference_names_the_callers_field(field: str, value: object, named: str) -> None:
    """The error has the caller's name of the field, `auth_code` and not that of its hash."""
    order = {"reference": "r", "amount": AMOUNT, "method": "toy", "channel": "web"}
    assert first_difference(Order(**order), Order(**{**order, field: value})) == named  # type: ignore[arg-type]
    assert first_difference(Order(**order), Order(**order)) is None  # type: ignore[arg-type]


# --- sending -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "now", "expected"),
    [
        (History().ended(OperationState.INTENT), NOW, True),
        (History(), QUIET - timedelta(milliseconds=1), False),
        (History(), QUIET, True),
        (History().unknown(), QUIET - timedelta(milliseconds=1), False),
        (History().unknown(), QUIET, True),
        (History().accepted(), QUIET, False),
        (History().ended(OperationState.REJECTED, failure=DECLINED), QUIET, False),
    ],
)
def test_sending_never_races_an_earlier_send(history: History, now: datetime, expected: bool) -> None:
    """Unsent: at once. Unanswered: after its deadline. Resolved: never."""
    assert may_send(history.payment.creation, now) is expected
    assert bool(send_again(history.payment, now, "create-N1", DEADLINE)) is expected


def test_sending_again_keeps_the_number_and_moves_the_deadline() -> None:
    """The operation stays the same; only its send time and deadline are new."""
    (change,) = send_again(History().unknown().payment, QUIET, "create-N1", DEADLINE)
    assert change == OperationSent(operation_id="create-N1", sent_at=QUIET, in_flight_until=QUIET + DEADLINE)
    again = History().unknown().change(change).payment.creation
    assert (again.number, again.state, again.send_count) == ("N1", OperationState.SENT, 2)


def paid_after_closing(state: OperationState, **fields: Any) -> History:
    """N1 was closed to be replaced by N2 and was paid all the same; N2 ended in `state`."""
    history = History().unknown().sees(Status.PENDING).closing(replaces=True).sees(Status.CLOSED)
    return history.renumbered("N2").ended(state, "create-N2", **fields).sees(Status.PAID)


def test_paid_payment_is_not_ordered_again() -> None:
    """After late money on a closed order, its unsent or refused successor is never sent."""
    unsent = paid_after_closing(OperationState.INTENT)
    assert send_again(unsent.payment, QUIET, "create-N2", DEADLINE) == []
    refused = paid_after_closing(OperationState.REJECTED, failure=BAD_KEY)
    assert renumber(refused.payment, QUIET, NUMBERING, DEADLINE) == []


def test_sending_what_never_left_is_a_first_send() -> None:
    """While the provider can't be reached the payment is `created`, not `unknown`."""
    history = History()
    for _ in range(3):
        history.change(*end_unsent(history.payment, NOW, sent=history.payment.creation, problem="no route"))
        assert (history.payment.status, history.payment.uncertain) == (Status.CREATED, False)
        history.sent_again()
        assert history.payment.creation.send_count == 1


def test_not_sent_after_a_send_that_may_have_arrived_is_still_unknown() -> None:
    """The last send failed, but an earlier one may have arrived: only a query resolves it."""
    history = History().unknown().sent_again(at=QUIET)
    history.change(*end_unsent(history.payment, QUIET, sent=history.payment.creation, problem="no route"))
    assert (history.payment.status, history.payment.creation.state) == (
        Status.UNKNOWN,
        OperationState.UNKNOWN,
    )


# --- how an attempt ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status", "state"),
    [
        ("created", Status.PENDING, OperationState.DONE),
        (Rejected(failure=DECLINED), Status.FAILED, OperationState.REJECTED),
        (Rejected(failure=BAD_KEY), Status.CREATED, OperationState.REJECTED),
        (Rejected(failure=DECLINED, is_duplicate=True), Status.UNKNOWN, OperationState.UNKNOWN),
        (Unknown(problem="HTTP 500"), Status.UNKNOWN, OperationState.UNKNOWN),
        ("incomplete", Status.PENDING, OperationState.UNKNOWN),
    ],
)
def test_answer_ends_the_attempt(outcome: Any, status: Status, state: OperationState) -> None:
    """Definite answers resolve; a refused account or a number in use does not fail the payment."""
    history = History()
    seen = history.order_is(Status.PENDING)
    outcomes: dict[str, Outcome] = {
        "created": Done(Created(observation=seen, action=LINK)),
        "incomplete": Unknown(problem="no url", observation=seen),
    }
    outcome = outcomes.get(outcome, outcome) if isinstance(outcome, str) else outcome
    history.change(*end_attempt(history.payment, NOW, sent=history.payment.creation, outcome=outcome))
    assert (history.payment.status, history.payment.creation.state) == (status, state)
    assert history.payment.creation.in_flight_until == NOW, "this attempt's request is not under way any more"


# --- a new number ------------------------------------------------------------------------------------


def test_renumber_after_a_refused_account_and_after_a_confirmed_close() -> None:
    """A new number needs a present one that can't be paid any more."""
    refused = History().ended(OperationState.REJECTED, failure=BAD_KEY)
    replaced = History().unknown().sees(Status.PENDING).closing(replaces=True).sees(Status.CLOSED)
    for history in (refused, replaced):
        (change,) = renumber(history.payment, NOW, NUMBERING, DEADLINE)
        assert isinstance(change, OperationBegun)
        assert (change.operation.number, change.operation.needs_action) == ("NEW", True)


@pytest.mark.parametrize(
    "history",
    [
        History(),
        History().unknown(),
        History().accepted(),
        History().ended(OperationState.REJECTED, failure=DECLINED),
        History().unknown().sees(Status.PENDING).closing(replaces=True),
        History().accepted().closing().sees(Status.CLOSED),
        paid(),
    ],
)
def test_renumber_never_beside_a_payable_or_settled_order(history: History) -> None:
    """Unknown, payable, declined, closed for good or paid: no second number."""
    assert renumber(history.payment, QUIET, NUMBERING, DEADLINE) == []


def test_withdrawing_closes_an_order_that_is_not_needed() -> None:
    """Only an open order beside a paid one is closed, once, where closing is supported."""
    options: dict[str, Any] = {"numbering": NUMBERING, "now": QUIET, "deadline": DEADLINE}
    history = paid_after_closing(OperationState.UNKNOWN).sees(Status.PENDING, "N2")
    (change,) = withdraw(history.payment, product=product(), **options)
    assert isinstance(change, OperationBegun)
    assert (change.operation.kind, change.operation.replaces) == (OperationKind.CLOSE, False)
    assert withdraw(history.payment, product=product(close=False), **options) == []
    closed = history.closing(OperationState.INTENT)
    assert withdraw(closed.payment, product=product(), **options) == [], "that was tried just now"
    later = QUIET + timedelta(seconds=7)
    assert withdraw(closed.payment, product=product(), **{**options, "now": later}) == [
        OperationSent(operation_id="close-N2", sent_at=later, in_flight_until=later + DEADLINE)
    ]
    refused = closed.ended(OperationState.REJECTED, "close-N2", failure=BAD_KEY)
    assert len(withdraw(refused.payment, product=product(), **options)) == 1
    assert withdraw(closed.ended(OperationState.DONE, "close-N2").payment, product=product(), **options) == []


@pytest.mark.parametrize("history", [History(), History().accepted(), paid()])
def test_withdrawing_leaves_every_other_order_alone(history: History) -> None:
    """Orders that are unknown, payable or paid themselves are not closed."""
    options: dict[str, Any] = {"numbering": NUMBERING, "now": QUIET, "deadline": DEADLINE}
    assert withdraw(history.payment, product=product(), **options) == []


# --- refunds -----------------------------------------------------------------------------------------


def refund(
    history: History, reference: str = "back-1", amount: Money | None = None, **fields: Any
) -> list[Change]:
    """The change that a refund of `amount` makes."""
    fields = {
        "reason": None,
        "product": product(),
        "numbering": NUMBERING,
        "now": QUIET,
        "deadline": DEADLINE,
        **fields,
    }
    return begin_refund(history.payment, reference=reference, amount=amount, **fields)


def test_refund_of_what_is_left_up_to_the_last_cent() -> None:
    """88.00 paid and 20.00 being refunded: 68.00 is accepted, 68.01 refused, and None means 68.00."""
    history = paid().refunding(2000)
    for amount in (Money("68.00", "HKD"), None):
        (change,) = refund(history, "other", amount)
        assert isinstance(change, OperationBegun)
        assert change.refund is not None
        assert change.refund.amount == Money("68.00", "HKD")
    with pytest.raises(RefundTooLarge, match=r"68\.00 HKD is left"):
        refund(history, "other", Money("68.01", "HKD"))


@pytest.mark.parametrize("minor", [0])
def test_refund_of_nothing_is_refused(minor: int) -> None:
    """Zero is refused; so is a refund of the rest when nothing is left."""
    with pytest.raises(RefundTooLarge):
        refund(paid(), amount=Money.from_minor(minor, "HKD"))
    with pytest.raises(RefundTooLarge):
        refund(paid().refunding(8800), "other")


def test_refund_in_another_currency_is_refused() -> None:
    """A refund has the payment's currency."""
    with pytest.raises(InvalidMoney, match="in the payment's currency, HKD, not in USD"):
        refund(paid(), amount=Money("1.00", "USD"))


@pytest.mark.parametrize("history", [History(), History().unknown(), History().accepted()])
def test_refund_of_what_is_not_paid_is_refused(history: History) -> None:
    """Only paid payments are refunded; the error has the present status."""
    with pytest.raises(WrongState, match=history.payment.status.value):
        refund(history)


def test_refund_a_product_does_not_offer_is_refused() -> None:
    """Products without refunds, or without partial ones."""
    with pytest.raises(NotSupported, match="can't be refunded"):
        refund(paid(), product=product(refund="none"))
    with pytest.raises(NotSupported, match="only be refunded whole"):
        refund(paid(), amount=Money("1.00", "HKD"), product=product(refund="full"))
    assert refund(paid(), amount=AMOUNT, product=product(refund="full"))


def test_refund_that_failed_frees_its_share_and_one_that_may_not_have_does_not() -> None:
    """Only a definite refusal makes the amount refundable again."""
    history = paid().refunding(8800)
    for blocked in (history, history.ended(OperationState.UNKNOWN, "refund-R1")):
        with pytest.raises(RefundTooLarge):
            refund(blocked, "other", Money("0.01", "HKD"))
    assert refund(history.refund_is(RefundStatus.FAILED), "other", AMOUNT)


def test_refund_seen_at_the_provider_counts_whoever_made_it() -> None:
    """Money refunded in the provider's portal is not refunded again."""
    history = paid().sees(Status.PAID, refunded_minor=8000)
    with pytest.raises(RefundTooLarge, match=r"8\.00 HKD is left"):
        refund(history, amount=Money("8.01", "HKD"))


def test_refund_same_reference_is_one_refund() -> None:
    """Pending or done: no change. Another amount or reason: a conflict that names it."""
    history = paid().refunding(2000)
    twenty = Money("20.00", "HKD")
    assert refund(history, amount=twenty) == refund(history) == []
    with pytest.raises(ReferenceConflict, match="amount differs"):
        refund(history, amount=Money("21.00", "HKD"))
    with pytest.raises(ReferenceConflict, match="reason differs"):
        refund(history, amount=twenty, reason="broken")
    assert refund(history.refund_is(RefundStatus.SUCCEEDED), amount=twenty) == []


def test_refund_certainly_unsent_keeps_its_number_and_one_refused_for_the_account_gets_a_new_one() -> None:
    """An unsent refund keeps its number; a number the provider has seen is not used twice."""
    unsent = paid().refunding(2000).ended(OperationState.INTENT, "refund-R1")
    (change,) = refund(unsent)
    assert isinstance(change, OperationSent)
    refused = paid().refunding(2000).ended(OperationState.REJECTED, "refund-R1", failure=BAD_KEY)
    (change,) = refund(refused)
    assert isinstance(change, OperationBegun)
    assert change.operation.number == "NEW"
    declined = paid().refunding(2000).ended(OperationState.REJECTED, "refund-R1", failure=DECLINED)
    assert refund(declined) == []


# --- closing -----------------------------------------------------------------------------------------


def close(history: History, **fields: Any) -> list[Change]:
    """The change that closing makes."""
    fields = {
        "product": product(),
        "numbering": NUMBERING,
        "now": QUIET,
        "deadline": DEADLINE,
        **fields,
    }
    return begin_close(history.payment, **fields)


def test_close_of_what_may_be_payable() -> None:
    """A pending or unknown order is closed."""
    for history in (History().accepted(), History().unknown(), History()):
        (change,) = close(history)
        assert isinstance(change, OperationBegun)
        assert change.operation.kind is OperationKind.CLOSE


def test_close_of_an_ended_payment_is_nothing_and_of_an_unsent_one_refused() -> None:
    """Paid, closed and failed: no change. Never sent: refused."""
    assert close(History().accepted().sees(Status.CLOSED)) == []
    assert close(History().accepted().sees(Status.FAILED)) == []
    assert close(paid()) == []
    for history in (
        History().ended(OperationState.INTENT),
        History().ended(OperationState.REJECTED, failure=BAD_KEY),
    ):
        with pytest.raises(WrongState, match="nothing was sent"):
            close(history)
    with pytest.raises(NotSupported, match="expires by itself"):
        close(History().accepted(), product=product(close=False))


def test_close_under_way_is_joined_and_one_without_an_answer_repeated() -> None:
    """One close at a time: before its deadline it is joined, afterwards sent again."""
    history = History().accepted().closing()
    assert close(history, now=QUIET - timedelta(milliseconds=1)) == []
    (change,) = close(history)
    assert isinstance(change, OperationSent)
    (change,) = close(History().accepted().closing(OperationState.REJECTED))
    assert isinstance(change, OperationBegun)


# --- what silence says -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_at", "proof", "expected"),
    [
        (QUIET + PROOF, PROOF, [ProvenAbsent(number="N1")]),
        (QUIET + PROOF - timedelta(milliseconds=1), PROOF, []),
        (QUIET, timedelta(0), [ProvenAbsent(number="N1")]),
        (QUIET + timedelta(days=365), None, []),
    ],
)
def test_absence_is_proof_only_late_enough(
    asked_at: datetime, proof: timedelta | None, expected: list[Change]
) -> None:
    """An answer of "not found" is proof only after the last send's deadline and the provider's window."""
    assert concluded(History().unknown().payment, {"N1"}, asked_at, proof) == expected
    assert concluded(History().unknown().payment, set(), asked_at, proof) == []


def test_absence_of_what_was_seen_or_is_settled_proves_nothing() -> None:
    """An order that was reported once is never considered absent."""
    for history in (
        History().unknown().sees(Status.PENDING),
        History().accepted(),
        History().unknown().absent(),
    ):
        assert concluded(history.payment, {"N1"}, QUIET + PROOF, PROOF) == []


def test_close_took_effect_when_its_order_is_final() -> None:
    """Once the close's deadline has passed, a final order confirms it; a pending one does not."""
    closed = History().accepted().closing().sees(Status.CLOSED)
    (change,) = concluded(closed.payment, set(), QUIET, PROOF)
    assert change == OperationEnded(operation_id="close-N1", state=OperationState.DONE, in_flight_until=QUIET)
    assert concluded(closed.payment, set(), QUIET - timedelta(milliseconds=1), PROOF) == []
    assert concluded(History().accepted().closing().payment, set(), QUIET, PROOF) == []


def test_given_up_order_failed_and_nothing_moved() -> None:
    """The payment fails with a reason the caller can act on."""
    history = History().unknown().absent()
    history.change(*give_up_absent(history.payment.creation, QUIET))
    assert history.payment.status is Status.FAILED
    assert history.payment.failure is not None
    assert (history.payment.failure.code, history.payment.failure.who_acts) == ("never_arrived", "caller")
