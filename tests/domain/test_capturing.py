"""An authorized payment is captured once, never beside a close, and by whoever may."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from paycore import Money, Status
from paycore.domain.bounds import OPERATIONS_MAX
from paycore.domain.capturing import begin_capture, is_still_to_capture
from paycore.domain.closing import begin_close
from paycore.domain.decisions import Numbering, Outcome, end_attempt, end_unsent, send_again
from paycore.domain.events import Change, OperationBegun, OperationEnded, OperationSent, ProvenAbsent
from paycore.domain.payment import Failure, Operation, OperationKind, OperationState
from paycore.domain.provider import Done, Lookup, NotNow, Product, Rejected, Resend, Unknown
from paycore.domain.recovery import Context, next_changes, withdraw
from paycore.domain.schedule import is_moving
from paycore.errors import InvalidField, InvalidMoney, NotSupported, ReferenceConflict, TooMany, WrongState
from tests.domain.histories import (
    BAD_KEY,
    DEADLINE,
    DECLINED,
    NOW,
    QUIET,
    TOO_LATE,
    History,
    capabilities,
    concluded,
    paid,
    product,
)

NUMBERING = Numbering(operation_id="new", number="NEW", nonce="NONCE")
PARTIAL, WHOLE = product(capture="partial"), product(capture="full")
SEVENTY = Money("70.00", "HKD")
SAME = Resend("same_result")
PROOF = timedelta(seconds=5)


def authorized(at: datetime | None = None, **order: Any) -> History:
    """The payer of 88.00 HKD has agreed."""
    return History(**order).accepted().authorized(at)


def capture(
    history: History, amount: Money | None = None, offered: Product = PARTIAL, now: datetime = QUIET
) -> list[Change]:
    """What a call to capture decides."""
    return begin_capture(
        history.payment, now, amount=amount, product=offered, numbering=NUMBERING, deadline=DEADLINE
    )


def close(history: History, now: datetime = QUIET) -> list[Change]:
    """What a call to close decides."""
    return begin_close(history.payment, now, product=PARTIAL, numbering=NUMBERING, deadline=DEADLINE)


def recovered(history: History, now: datetime = QUIET, **fields: Any) -> list[Change]:
    """Recovery's next step."""
    context = Context(
        capabilities=capabilities(SAME, PARTIAL, **{"capture_resend": SAME, **fields}),
        numbering=NUMBERING,
        deadline=DEADLINE,
    )
    return next_changes(history.payment, now, context)


def begun(changes: list[Change]) -> Operation:
    """The operation that is begun by the last of these."""
    assert isinstance(changes[-1], OperationBegun)
    return changes[-1].operation


def answered(history: History, outcome: Outcome, operation_id: str = "capture-C1") -> History:
    """The attempt that is under way ends with this answer, at QUIET."""
    sent = history.payment.operation(operation_id)
    return history.change(*end_attempt(history.payment, QUIET, sent=sent, outcome=outcome))


# --- what is captured ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "minor"), [(None, 8800), (SEVENTY, 7000), (Money("0.01", "HKD"), 1)])
def test_capture_is_recorded_before_it_is_sent(amount: Money | None, minor: int) -> None:
    """Its own number, the order's number, the amount and the nonce are fixed; None is all that is authorized."""
    operation = begun(capture(authorized(), amount))
    assert (operation.kind, operation.number, operation.order_number) == (OperationKind.CAPTURE, "NEW", "N1")
    assert (operation.amount_minor, operation.nonce, operation.state) == (minor, "NONCE", OperationState.SENT)
    assert operation.in_flight_until == QUIET + DEADLINE


@pytest.mark.parametrize(
    ("amount", "offered", "error", "words"),
    [
        (Money("88.01", "HKD"), PARTIAL, InvalidField, r"88\.00 HKD is authorized"),
        (Money("0.00", "HKD"), PARTIAL, InvalidField, "close the payment to release it"),
        (Money("70.00", "USD"), PARTIAL, InvalidMoney, "in the payment's currency, HKD, not in USD"),
        (SEVENTY, WHOLE, NotSupported, "only be captured whole"),
        (None, product(), NotSupported, "has no capture: it is paid at once"),
    ],
)
def test_amount_that_can_not_be_captured_is_refused(
    amount: Money | None, offered: Product, error: type[Exception], words: str
) -> None:
    """More than is authorized, nothing, another currency, a part or anything where the product has no such capture."""
    with pytest.raises(error, match=words) as caught:
        capture(authorized(), amount, offered)
    if isinstance(caught.value, InvalidField):
        assert caught.value.field == "amount"
    else:
        assert caught.value.payment_id == "P1"  # type: ignore[attr-defined]


def test_whole_amount_is_captured_where_only_that_can_be() -> None:
    """The authorized amount itself is no part of it."""
    assert begun(capture(authorized(), Money("88.00", "HKD"), WHOLE)).amount_minor == 8800


@pytest.mark.parametrize(
    "history",
    [History(), History().unknown(), History().accepted(), History().accepted().sees(Status.CLOSED)],
)
def test_what_is_not_authorized_is_not_captured(history: History) -> None:
    """The error has the present status."""
    words = f"the payment is {history.payment.status}; only an authorized one"
    with pytest.raises(WrongState, match=words) as caught:
        capture(history)
    assert caught.value.payment_id == "P1"


@pytest.mark.parametrize("state", [OperationState.SENT, OperationState.UNKNOWN, OperationState.DONE])
def test_capture_is_made_once(state: OperationState) -> None:
    """A second call with the same amount, or with none, does nothing; with another amount it conflicts."""
    history = authorized().capturing(7000)
    if state is not OperationState.SENT:
        history.ended(state, "capture-C1")
    assert capture(history) == capture(history, SEVENTY) == []
    with pytest.raises(ReferenceConflict, match=r"order-1.*amount differs") as caught:
        capture(history, Money("88.00", "HKD"))
    assert caught.value.payment_id == "P1"


def test_paid_payment_is_not_captured() -> None:
    """Whoever took the money: nothing is sent, and another amount than was taken conflicts."""
    assert capture(paid()) == capture(paid(), Money("88.00", "HKD")) == []
    with pytest.raises(ReferenceConflict, match="amount differs"):
        capture(paid(), SEVENTY)


def test_unsent_capture_keeps_its_number() -> None:
    """It was begun, and nothing left this machine: the same operation is sent, for the same amount."""
    history = authorized().capturing(7000).ended(OperationState.INTENT, "capture-C1")
    assert capture(history, SEVENTY) == [
        OperationSent(
            operation_id="capture-C1", sent_at=QUIET, in_flight_until=QUIET + DEADLINE, nonce="NONCE"
        )
    ]
    with pytest.raises(ReferenceConflict):
        capture(history, Money("88.00", "HKD"))


def test_refused_capture_can_be_made_again_for_another_amount() -> None:
    """Nothing moved, so there is no conflict; it has a number of its own."""
    refused = Failure(code="too_much", message="too much", who_acts="caller")
    history = authorized().capturing().ended(OperationState.REJECTED, "capture-C1", failure=refused)
    assert begun(capture(history, SEVENTY)).amount_minor == 7000


def test_captures_of_a_payment_are_limited() -> None:
    """After 200 refused ones the provider's portal has to do."""
    history = authorized()
    for number in range(OPERATIONS_MAX):
        history.capturing(8800, f"C{number}")
        history.ended(OperationState.REJECTED, f"capture-C{number}", failure=BAD_KEY)
    with pytest.raises(TooMany, match="200 operations to capture"):
        capture(history)


# --- captured or closed, never both -------------------------------------------------------------------


@pytest.mark.parametrize("state", [OperationState.SENT, OperationState.UNKNOWN, OperationState.DONE])
def test_nothing_is_captured_once_a_close_may_have_been_sent(state: OperationState) -> None:
    """Not by its caller, not by recovery, whatever the close's answer: it may be voided."""
    history = authorized().closing(state)
    with pytest.raises(WrongState, match="asked to be closed") as caught:
        capture(history)
    assert caught.value.payment_id == "P1"
    assert not is_still_to_capture(history.payment, QUIET)
    assert not any(isinstance(change, OperationBegun) for change in recovered(history))


def test_refused_close_leaves_the_payment_to_be_captured() -> None:
    """The provider said that it was not voided."""
    history = authorized().closing().ended(OperationState.REJECTED, "close-N1", failure=TOO_LATE)
    assert begun(capture(history)).kind is OperationKind.CAPTURE
    assert begun(recovered(history)).kind is OperationKind.CAPTURE


@pytest.mark.parametrize("state", [OperationState.INTENT, OperationState.REJECTED])
def test_close_that_was_accepted_stands_whatever_became_of_a_later_one(state: OperationState) -> None:
    """The later one may have been refused because the order is being voided already."""
    history = authorized().closing(OperationState.DONE)
    history.change(*close(history)).ended(state, "new", failure=TOO_LATE)
    with pytest.raises(WrongState, match="asked to be closed"):
        capture(history)
    assert recovered(history) == []
    assert is_moving(history.payment)


@pytest.mark.parametrize("take", [capture, recovered])
def test_close_that_was_not_sent_is_given_up_by_a_capture(take: Callable[[History], list[Change]]) -> None:
    """Its caller was told that nothing was sent, so the payment goes on as before; recovery's own is over, too."""
    history = authorized().closing(OperationState.INTENT)
    given_up, *_ = changes = take(history)
    assert begun(changes).kind is OperationKind.CAPTURE
    assert isinstance(given_up, OperationEnded)
    assert given_up.in_flight_until == QUIET
    history.change(given_up)
    ended = history.payment.operation("close-N1")
    assert ended.state is OperationState.REJECTED
    assert ended.failure == Failure(
        code="captured_instead", message="the payment was captured before this was sent", who_acts="caller"
    )


@pytest.mark.parametrize("state", [OperationState.SENT, OperationState.UNKNOWN, OperationState.DONE])
def test_nothing_is_closed_once_a_capture_may_have_been_sent(state: OperationState) -> None:
    """It may be paid: only a refund gives that back."""
    history = authorized().capturing()
    if state is not OperationState.SENT:
        history.ended(state, "capture-C1")
    with pytest.raises(WrongState, match=r"its capture was sent, so it can't be closed; refund") as caught:
        close(history)
    assert caught.value.payment_id == "P1"


def test_capture_that_was_not_sent_is_given_up_by_a_close() -> None:
    """It is recorded as given up together with the close, and never sent afterwards."""
    history = authorized().capturing().ended(OperationState.INTENT, "capture-C1")
    given_up, closing = close(history)
    assert isinstance(given_up, OperationEnded)
    assert given_up.in_flight_until == QUIET
    history.change(given_up, closing)
    capture_ = history.payment.operation("capture-C1")
    assert capture_.state is OperationState.REJECTED
    assert capture_.failure == Failure(
        code="closed_instead", message="the payment was closed before this was sent", who_acts="caller"
    )
    assert begun([closing]).kind is OperationKind.CLOSE
    assert send_again(history.payment, QUIET, "capture-C1", DEADLINE) == []


def test_unsent_close_is_sent_again_with_a_nonce_of_its_own() -> None:
    """It is another attempt to send the same."""
    (change,) = close(authorized().closing(OperationState.INTENT))
    assert isinstance(change, OperationSent)
    assert (change.operation_id, change.nonce) == ("close-N1", "NONCE")


def test_order_that_the_provider_can_not_be_told_of_is_not_closed() -> None:
    """It finds orders by its own id only, and has told none."""
    history = History().unknown().sees(Status.PENDING, provider_id=None)
    by_id: dict[str, Any] = {
        "product": PARTIAL,
        "numbering": NUMBERING,
        "deadline": DEADLINE,
        "lookup": Lookup.BY_PROVIDER_ID,
    }
    by_another_id = History().unknown().sees(Status.PENDING, provider_id=None, ids={"intent": "pi_1"})
    assert begin_close(by_another_id.payment, QUIET, **by_id) != []
    with pytest.raises(WrongState, match="told no id of it, so it can't be closed; query it") as caught:
        begin_close(history.payment, QUIET, **by_id)
    assert caught.value.payment_id == "P1"
    assert close(history) != []
    assert begin_close(history.sees(Status.PENDING).payment, QUIET, **by_id) != []


def test_refused_capture_leaves_the_payment_to_be_closed() -> None:
    """Nothing was taken: it is voided like one that was never captured."""
    history = authorized().capturing().ended(OperationState.REJECTED, "capture-C1", failure=DECLINED)
    assert [begun([change]).kind for change in close(history)] == [OperationKind.CLOSE]


def test_authorized_payment_is_voided_by_its_close() -> None:
    """Only the provider's answer closes it."""
    history = authorized()
    history.change(*close(history))
    assert history.payment.status is Status.AUTHORIZED
    seen = history.order_is(Status.CLOSED)
    assert answered(history, Done(seen), "new").payment.status is Status.CLOSED


# --- whoever sees it first ----------------------------------------------------------------------------


def test_automatic_capture_begins_as_soon_as_the_payment_is_authorized() -> None:
    """Recovery takes all of it, once; with manual capture it is left to the caller."""
    assert begun(recovered(authorized())).amount_minor == 8800
    assert recovered(authorized(capture="manual")) == []
    assert recovered(authorized().capturing()) == []


def test_product_that_lost_its_capture_is_left_alone() -> None:
    """After a change of the account's offer recovery goes on without an error."""
    context = Context(capabilities=capabilities(SAME, product()), numbering=NUMBERING, deadline=DEADLINE)
    assert next_changes(authorized().payment, QUIET, context) == []
    gone = Context(
        capabilities=capabilities(SAME, Product(method="other", channel="web", currencies={})),
        numbering=NUMBERING,
        deadline=DEADLINE,
    )
    assert next_changes(authorized().payment, QUIET, gone) == []


@pytest.mark.parametrize(("who_acts", "again"), [("operator", True), ("caller", False), ("provider", False)])
def test_refused_automatic_capture_is_made_again_for_the_account_only(who_acts: Any, *, again: bool) -> None:
    """Under a new number after a pause; any other refusal is for a person, and the payment says why."""
    failure = Failure(code="no", message="no", who_acts=who_acts)
    history = authorized().capturing(sent_at=QUIET)
    history.ended(OperationState.REJECTED, "capture-C1", failure=failure)
    assert (history.payment.status, history.payment.capture_failure) == (Status.AUTHORIZED, failure)
    assert recovered(history, QUIET + timedelta(seconds=1.999)) == []
    assert bool(recovered(history, QUIET + timedelta(seconds=2))) is again


def test_pause_before_a_further_capture_grows() -> None:
    """A second refusal: three seconds instead of two."""
    history = authorized()
    for number in ("C1", "C2"):
        history.capturing(8800, number, sent_at=QUIET)
        history.ended(OperationState.REJECTED, f"capture-{number}", failure=BAD_KEY)
    assert recovered(history, QUIET + timedelta(seconds=2.999)) == []
    assert begun(recovered(history, QUIET + timedelta(seconds=3))).number == "NEW"


def test_refused_closes_do_not_lengthen_that_pause() -> None:
    """Only captures are counted."""
    history = authorized()
    for _ in range(3):
        history.closing().ended(OperationState.REJECTED, "close-N1", failure=TOO_LATE)
    history.capturing(sent_at=QUIET).ended(OperationState.REJECTED, "capture-C1", failure=BAD_KEY)
    assert recovered(history, QUIET + timedelta(seconds=2)) != []


def test_capture_that_was_given_up_without_a_reason_is_not_made_again() -> None:
    """Nobody knows why."""
    history = authorized().capturing(sent_at=NOW).ended(OperationState.REJECTED, "capture-C1")
    assert not is_still_to_capture(history.payment, QUIET + timedelta(days=1))


def test_unsent_automatic_capture_is_sent_after_a_rest() -> None:
    """The provider could not be reached: the same number, 2 s after it was begun."""
    history = authorized().capturing()
    sent = history.payment.operation("capture-C1")
    history.change(*end_unsent(history.payment, NOW, sent=sent, problem="no route"))
    assert recovered(history, NOW + timedelta(seconds=1.999)) == []
    (change,) = recovered(history, NOW + timedelta(seconds=2))
    assert isinstance(change, OperationSent)


@pytest.mark.parametrize("order", [{}, {"capture": "manual"}])
def test_capture_that_was_put_off_goes_on_by_itself_in_time(order: Any) -> None:
    """Neither recovery nor a call sends it a millisecond before the provider asked for it."""
    history = answered(authorized(**order).capturing(), NotNow(problem="busy", retry_after_s=60))
    assert history.payment.operation("capture-C1").state is OperationState.INTENT
    due = QUIET + timedelta(seconds=60)
    early = due - timedelta(milliseconds=1)
    assert recovered(history, early) == capture(history, now=early) == []
    for changes in (recovered(history, due), capture(history, now=due)):
        assert isinstance(changes[0], OperationSent)
    assert is_still_to_capture(history.payment, due)
    assert not is_still_to_capture(history.payment, early)


# --- a payer who must agree again ---------------------------------------------------------------------


def declined(agreed_at: datetime | None) -> History:
    """The payer agreed then; the capture of it was refused for them, at QUIET."""
    return answered(authorized(agreed_at).capturing(), Rejected(failure=DECLINED))


@pytest.mark.parametrize("agreed_at", [None, NOW, QUIET])
def test_payer_whose_money_could_not_be_taken_must_agree_again(agreed_at: datetime | None) -> None:
    """The payment is pending, says why, has its link, and is not captured, however often that is reported."""
    history = declined(agreed_at).authorized(agreed_at).authorized(None)
    payment = history.payment
    assert (payment.status, payment.capture_failure, payment.authorized_minor) == (
        Status.PENDING,
        DECLINED,
        0,
    )
    assert payment.action is not None
    assert recovered(history, QUIET + timedelta(hours=1)) == []
    with pytest.raises(WrongState, match="the payment is pending"):
        capture(history)


@pytest.mark.parametrize("status", [Status.PENDING, Status.AUTHORIZED])
def test_only_an_agreement_says_when_the_payer_agreed(status: Status) -> None:
    """A later report that they are still to act is none."""
    later = QUIET + timedelta(hours=1)
    history = declined(NOW).sees(status, occurred_at=later, ids={"attempt": "2"})
    assert history.payment.status is status


def test_payer_who_agreed_again_is_captured_once_more() -> None:
    """An authorization later than the refusal is a new one; its capture has a new number."""
    later = QUIET + timedelta(milliseconds=1)
    history = declined(NOW).authorized(later)
    assert (history.payment.status, history.payment.capture_failure) == (Status.AUTHORIZED, DECLINED)
    assert begun(recovered(history, QUIET + timedelta(minutes=1))).number == "NEW"
    history.capturing(8800, "C2", sent_at=later)
    assert (history.payment.status, history.payment.capture_failure) == (Status.AUTHORIZED, None)
    sent = history.payment.operation("capture-C2")
    refused = Rejected(failure=DECLINED)
    history.change(*end_attempt(history.payment, later + DEADLINE, sent=sent, outcome=refused))
    assert history.payment.status is Status.PENDING, "a second refusal needs a third agreement"


def test_capture_refused_for_the_caller_does_not_ask_the_payer() -> None:
    """Only what the payer can mend does."""
    history = authorized().capturing().ended(OperationState.REJECTED, "capture-C1", failure=BAD_KEY)
    assert history.payment.status is Status.AUTHORIZED


# --- a lost reply --------------------------------------------------------------------------------------


def test_capture_without_an_answer_is_done_once_its_order_is_paid() -> None:
    """Whoever reports that."""
    history = answered(authorized().capturing(), Unknown(problem="HTTP 500")).sees(Status.PAID)
    assert history.payment.operation("capture-C1").state is OperationState.DONE
    assert not history.payment.uncertain


@pytest.mark.parametrize("status", [Status.CLOSED, Status.FAILED])
def test_capture_without_an_answer_is_over_once_its_order_is_closed_or_failed(status: Status) -> None:
    """No money was taken; if it was all the same, the capture has arrived, in whatever order that is reported."""
    history = authorized().capturing(7000).ended(OperationState.UNKNOWN, "capture-C1").sees(status)
    assert history.payment.operation("capture-C1").state is OperationState.REJECTED
    assert not history.payment.uncertain
    history.sees(Status.PAID)
    assert history.payment.operation("capture-C1").state is OperationState.DONE
    assert history.payment.paid_minor == 7000


@pytest.mark.parametrize("status", [Status.PAID, Status.CLOSED, Status.FAILED])
def test_unsent_capture_is_given_up_once_its_order_is_settled(status: Status) -> None:
    """Somebody else took the money, or nobody can any more: it is never sent."""
    history = answered(authorized().capturing(7000), NotNow(problem="busy", retry_after_s=5)).sees(status)
    given_up = history.payment.operation("capture-C1")
    assert given_up.state is OperationState.REJECTED
    assert given_up.failure == Failure(
        code="never_sent", message="the payment was settled before this was sent", who_acts="caller"
    )
    assert recovered(history, QUIET + timedelta(days=1)) == []
    assert history.payment.paid_minor == (8800 if status is Status.PAID else 0)


def test_authorized_order_proves_that_its_capture_never_arrived() -> None:
    """Asked after the proof window, by a query that still shows it; then the same number is sent again."""
    history = authorized().capturing().ended(OperationState.UNKNOWN, "capture-C1")
    asked_at = QUIET + PROOF
    assert concluded(history.payment, (), asked_at, PROOF) == []
    assert concluded(history.payment, (), asked_at - timedelta(milliseconds=1), PROOF, {"N1"}) == []
    assert concluded(history.payment, (), asked_at, None, {"N1"}) == []
    assert concluded(history.payment, (), asked_at, PROOF, {"N2"}) == []
    history.change(*concluded(history.payment, (), asked_at, PROOF, {"N1"}))
    (change,) = recovered(history, asked_at)
    assert isinstance(change, OperationSent)
    assert change.operation_id == "capture-C1"


def test_query_tells_of_every_operation_at_once() -> None:
    """The close of the old order has taken effect, and the capture of the new one never arrived."""
    history = History().accepted().closing(OperationState.UNKNOWN, replaces=True).sees(Status.CLOSED)
    history.renumbered("N2").sees(Status.AUTHORIZED, "N2").capturing()
    history.ended(OperationState.UNKNOWN, "capture-C1")
    closed, absent = concluded(history.payment, (), QUIET + PROOF, PROOF, {"N2"})
    assert isinstance(closed, OperationEnded)
    assert isinstance(absent, ProvenAbsent)
    assert (closed.operation_id, absent.number) == ("close-N1", "C1")


def test_capture_without_an_answer_is_not_sent_again_before_that() -> None:
    """Where a query can prove it, nothing is sent blindly, whatever the provider does with a repeat."""
    history = authorized().capturing().ended(OperationState.UNKNOWN, "capture-C1")
    assert recovered(history, QUIET + timedelta(days=2)) == []


def test_captures_of_another_order_say_nothing_of_this_one() -> None:
    """The closed order's refused capture neither delays nor replaces that of its successor."""
    history = authorized().capturing(sent_at=QUIET)
    history.ended(OperationState.REJECTED, "capture-C1", failure=BAD_KEY)
    history.closing(OperationState.DONE, replaces=True).sees(Status.CLOSED).renumbered("N2")
    history.sees(Status.AUTHORIZED, "N2")
    assert history.payment.capture_failure is None
    assert begun(recovered(history)).order_number == "N2"


# --- beside an order that took the money ---------------------------------------------------------------


def authorized_successor() -> History:
    """N1 was closed and replaced by N2, whose payer agreed."""
    history = History().accepted().closing(OperationState.DONE, replaces=True).sees(Status.CLOSED)
    return history.renumbered("N2").sees(Status.AUTHORIZED, "N2")


def test_order_beside_a_paid_one_is_voided_and_not_captured() -> None:
    """Late money on the closed order: the successor is closed, and its unsent capture given up."""
    history = authorized_successor().capturing().ended(OperationState.INTENT, "capture-C1", not_before=NOW)
    history.sees(Status.PAID)
    assert history.payment.operation("capture-C1").state is OperationState.REJECTED
    change = begun(recovered(history))
    assert (change.kind, change.number) == (OperationKind.CLOSE, "N2")


@pytest.mark.parametrize("state", [OperationState.SENT, OperationState.UNKNOWN, OperationState.DONE])
def test_order_that_may_have_been_captured_is_not_withdrawn(state: OperationState) -> None:
    """It is neither closed nor captured a second time; if it was paid, that needs review."""
    history = authorized_successor().capturing()
    if state is not OperationState.SENT:
        history.ended(state, "capture-C1")
    history.sees(Status.PAID)
    options: dict[str, Any] = {"numbering": NUMBERING, "deadline": DEADLINE, "product": PARTIAL}
    assert withdraw(history.payment, QUIET, **options) == []
    assert send_again(history.payment, QUIET, "capture-C1", DEADLINE) == []


def test_capture_that_never_arrived_is_given_up_beside_a_paid_order() -> None:
    """It must not be sent any more; then the order is voided."""
    history = authorized_successor().capturing().ended(OperationState.UNKNOWN, "capture-C1")
    history.sees(Status.PAID).absent("C1")
    (given_up,) = recovered(history)
    assert isinstance(given_up, OperationEnded)
    assert given_up.operation_id == "capture-C1"
    assert begun(recovered(history.change(given_up))).kind is OperationKind.CLOSE


def test_close_of_a_settled_order_is_not_sent() -> None:
    """What is paid is not voided by a close that was put off or had no answer."""
    for state in (OperationState.INTENT, OperationState.UNKNOWN):
        history = authorized().closing(state).sees(Status.PAID)
        assert send_again(history.payment, QUIET, "close-N1", DEADLINE) == []
