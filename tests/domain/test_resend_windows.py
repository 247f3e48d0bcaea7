"""What no query finds is sent again only while the provider remembers its number; then only an operator knows."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from paycore import ReviewReason, Status
from paycore.domain.decisions import Numbering, end_attempt, is_in_window, send_again
from paycore.domain.events import Change, FoundUnresolvable, OperationSent
from paycore.domain.payment import OperationState
from paycore.domain.provider import Lookup, NotNow, Rejected, Resend
from paycore.domain.recovery import LOOKED_FOR, Context, next_changes
from paycore.domain.schedule import due_at, is_awaited
from tests.domain.histories import (
    BAD_KEY,
    DEADLINE,
    DECLINED,
    NOW,
    QUIET,
    History,
    capabilities,
    paid,
    product,
    replaced,
)

HOUR = Resend("same_result", 3600)
FOR_EVER = Resend("same_result")
MS = timedelta(milliseconds=1)
NONCE = "NONCE"
CAPTURED = product(capture="partial")


def recovered(
    history: History,
    now: datetime,
    resend: Resend = HOUR,
    lookup: Lookup = Lookup.BY_PROVIDER_ID,
    proof_s: float | None = None,
) -> list[Change]:
    """Recovery's next step, with the same resend for every operation."""
    able = capabilities(
        resend, CAPTURED, proof_s=proof_s, lookup=lookup, capture_resend=resend, refund_resend=resend
    )
    numbering = Numbering(operation_id="new", number="NEW", nonce=NONCE)
    return next_changes(
        history.payment, now, Context(capabilities=able, numbering=numbering, deadline=DEADLINE)
    )


def lost(kind: str) -> tuple[History, str]:
    """An operation whose reply was lost, sent at NOW; and its id."""
    match kind:
        case "create":
            history, operation_id = History(), "create-N1"
        case "capture":
            history, operation_id = History().accepted().authorized().capturing(), "capture-C1"
        case _:
            history, operation_id = paid().refunding(), "refund-R1"
    return history.ended(OperationState.UNKNOWN, operation_id), operation_id


KINDS = ("create", "capture", "refund")
LAST = NOW + timedelta(hours=1) - DEADLINE
"""From here on a request may arrive when the provider has forgotten the number."""


@pytest.mark.parametrize("kind", KINDS)
def test_window_ends_so_that_the_last_byte_arrives_within_it(kind: str) -> None:
    """To the millisecond: one before, the same number is sent; then never again."""
    history, operation_id = lost(kind)
    operation = history.payment.operation(operation_id)
    assert is_in_window(operation, HOUR, LAST - MS, DEADLINE)
    assert not is_in_window(operation, HOUR, LAST, DEADLINE)
    (change,) = recovered(history, LAST - MS)
    assert change == OperationSent(
        operation_id=operation_id, sent_at=LAST - MS, in_flight_until=LAST - MS + DEADLINE, nonce=NONCE
    )
    for now in (LAST, LAST + timedelta(days=400)):
        assert not any(isinstance(change, OperationSent) for change in recovered(history, now))


@pytest.mark.parametrize("kind", KINDS)
def test_window_without_an_end_never_ends(kind: str) -> None:
    """The provider remembers the number for ever."""
    history, _ = lost(kind)
    assert isinstance(recovered(history, NOW + timedelta(days=4000), FOR_EVER)[0], OperationSent)


@pytest.mark.parametrize("resend", [Resend("unsafe"), Resend("refused_as_duplicate", 3600)])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_sent_blindly_where_that_is_not_the_same_result(kind: str, resend: Resend) -> None:
    """It could be done twice, or the refusal would bring no answer."""
    history, _ = lost(kind)
    assert not is_in_window(history.payment.operations[-1], resend, QUIET, DEADLINE)
    assert not any(isinstance(change, OperationSent) for change in recovered(history, QUIET, resend))


@pytest.mark.parametrize(("kind", "other"), [("capture", "refund"), ("refund", "capture")])
def test_captures_and_refunds_each_have_their_own_resend(kind: str, other: str) -> None:
    """What is safe for one says nothing of the other."""
    fields: dict[str, Any] = {f"{kind}_resend": FOR_EVER, f"{other}_resend": Resend("unsafe")}
    able = capabilities(Resend("unsafe"), CAPTURED, proof_s=None, **fields)
    numbering = Numbering(operation_id="new", number="NEW", nonce=NONCE)
    context = Context(capabilities=able, numbering=numbering, deadline=DEADLINE)
    assert isinstance(next_changes(lost(kind)[0].payment, QUIET, context)[0], OperationSent)
    assert next_changes(lost(other)[0].payment, QUIET, context) == []


@pytest.mark.parametrize(
    "history",
    [
        History().unknown().sees(Status.PENDING),
        History().accepted().closing(OperationState.UNKNOWN),
        paid().refunding().ended(OperationState.UNKNOWN, "refund-R1").absent("R1"),
        replaced().sees(Status.PENDING, "N2").sees(Status.PAID).closing(OperationState.INTENT),
    ],
)
def test_every_resend_has_a_nonce_of_its_own(history: History) -> None:
    """For a link, of a close, after an absence, and to withdraw an order: each is signed anew."""
    (change,) = recovered(history, QUIET + timedelta(minutes=1))
    assert isinstance(change, OperationSent)
    assert change.nonce == NONCE


def test_nothing_is_sent_blindly_after_it_was_refused_as_a_duplicate() -> None:
    """The provider does not answer with what it made, whatever is declared."""
    history = History().ended(OperationState.UNKNOWN, is_duplicate=True)
    assert not is_in_window(history.payment.creation, FOR_EVER, QUIET, DEADLINE)


def test_nothing_is_sent_blindly_where_a_query_can_prove_absence() -> None:
    """Asking is always safe."""
    history, _ = lost("create")
    assert recovered(history, QUIET + timedelta(days=9), FOR_EVER, Lookup.BY_NUMBER, 5.0) == []


def test_window_counts_from_the_first_send_that_can_have_arrived() -> None:
    """Not from the beginning of what could not be sent, nor from a send that was proven absent; nor from the last."""
    later = NOW + timedelta(minutes=30)
    again = later + timedelta(minutes=10)
    unsent = History().ended(OperationState.INTENT)
    absent = History().unknown().absent()
    for history in (unsent, absent):
        for at in (later, again):
            history.change(*send_again(history.payment, at, "create-N1", DEADLINE, NONCE))
            history.unknown()
        assert history.payment.creation.sent_at == again
        end = later + timedelta(hours=1) - DEADLINE
        assert is_in_window(history.payment.creation, HOUR, end - MS, DEADLINE)
        assert not is_in_window(history.payment.creation, HOUR, end, DEADLINE)


def test_window_of_an_older_history_counts_from_the_beginning() -> None:
    """Its sends have no nonce: their times are not known to be first ones."""
    history = History().ended(OperationState.INTENT).sent_again(at=NOW + timedelta(minutes=30)).unknown()
    assert history.payment.creation.first_sent_at is None
    assert not is_in_window(history.payment.creation, HOUR, LAST, DEADLINE)


# --- what only an operator can resolve ----------------------------------------------------------------


def unresolvable(kind: str) -> History:
    """Its window has passed, and no query finds it."""
    history, operation_id = lost(kind)
    return history.change(FoundUnresolvable(operation_id=operation_id))


def test_order_that_is_lost_for_good_is_found_unresolvable_at_once() -> None:
    """Where nothing finds it, as soon as it can't be sent again."""
    for kind in ("create", "refund"):
        history, operation_id = lost(kind)
        assert recovered(history, LAST) == [FoundUnresolvable(operation_id=operation_id)]
        assert recovered(history, QUIET, Resend("unsafe")) == [FoundUnresolvable(operation_id=operation_id)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_query_may_find_is_looked_for_a_day(kind: str) -> None:
    """By our number, or by its order; where absence is proven in time, it is never unresolvable."""
    history, operation_id = lost(kind)
    lookup = Lookup.BY_PROVIDER_ID if kind == "capture" else Lookup.BY_NUMBER
    end = QUIET + LOOKED_FOR
    assert timedelta(days=1) == LOOKED_FOR
    assert recovered(history, end - MS, lookup=lookup) == []
    assert recovered(history, end, lookup=lookup) == [FoundUnresolvable(operation_id=operation_id)]
    assert recovered(history, end + LOOKED_FOR, lookup=Lookup.BY_NUMBER, proof_s=5.0) == []


@pytest.mark.parametrize("resend", [HOUR, FOR_EVER, Resend("unsafe")])
def test_order_that_is_lost_once_another_one_took_the_money_is_not_looked_for_for_ever(
    resend: Resend,
) -> None:
    """It must not be sent any more, so no window is waited for: it is unresolvable as soon as nothing finds it."""
    history = History().accepted().closing(replaces=True).sees(Status.CLOSED).renumbered("N2")
    history.ended(OperationState.UNKNOWN, "create-N2").sees(Status.PAID)
    assert (history.payment.status, history.payment.creation.state) == (Status.PAID, OperationState.UNKNOWN)
    gone = FoundUnresolvable(operation_id="create-N2")
    assert recovered(history, QUIET, resend) == [gone]
    assert recovered(history, QUIET + LOOKED_FOR - MS, resend, Lookup.BY_NUMBER) == []
    assert recovered(history, QUIET + LOOKED_FOR, resend, Lookup.BY_NUMBER) == [gone]
    assert recovered(history, QUIET + LOOKED_FOR, resend, Lookup.BY_NUMBER, 5.0) == []
    assert recovered(history.change(gone), QUIET + LOOKED_FOR, resend) == []


def test_scanned_code_that_is_gone_can_not_be_sent_again() -> None:
    """Within the window nothing is done without it, after it the order is unresolvable."""
    history = History(auth_code_hash="0" * 64).unknown()
    assert recovered(history, LAST - MS) == []
    assert recovered(history, LAST) == [FoundUnresolvable(operation_id="create-N1")]


@pytest.mark.parametrize("kind", KINDS)
def test_unresolvable_needs_review_and_is_left_alone(kind: str) -> None:
    """The money may have moved; nothing is sent, nobody waits, and it is found so once."""
    history = unresolvable(kind)
    assert history.payment.uncertain
    assert history.payment.review_reasons == (ReviewReason.UNRESOLVABLE,)
    assert not is_awaited(history.payment)
    for now in (QUIET, NOW + timedelta(days=30)):
        assert recovered(history, now) == []


def test_unresolvable_is_not_asked_about() -> None:
    """No look is due; the order whose capture is unresolvable may still change, so that one is rare."""
    assert due_at(unresolvable("create").payment, QUIET) is None
    assert due_at(unresolvable("refund").payment, QUIET) is None
    rare = due_at(unresolvable("capture").payment, QUIET + timedelta(days=1))
    assert rare is not None
    assert rare > QUIET + timedelta(days=1, minutes=40)


def test_open_refund_beside_an_unresolvable_one_is_asked_about() -> None:
    """Each refund for itself."""
    history = unresolvable("refund")
    history.refunding(1000, "back-2", "R2").ended(OperationState.DONE, "refund-R2")
    assert due_at(history.payment, QUIET) is not None


def test_unresolvable_that_is_reported_all_the_same_is_resolved() -> None:
    """A notification, or a query by an operator, is evidence as ever."""
    history = unresolvable("create").sees(Status.PAID)
    assert (history.payment.status, history.payment.uncertain) == (Status.PAID, False)
    assert history.payment.review_reasons == ()


def test_unresolvable_order_that_is_found_without_its_link_is_not_lost_any_more() -> None:
    """It is sent again for its link where that is safe, like any other."""
    history = unresolvable("create").sees(Status.PENDING)
    assert history.payment.review_reasons == ()
    assert isinstance(recovered(history, QUIET)[0], OperationSent)


def test_unresolvable_that_is_proven_absent_can_be_sent_again() -> None:
    """The provider has learned to be asked meanwhile."""
    history = unresolvable("create").absent()
    assert history.payment.review_reasons == ()
    assert isinstance(recovered(history, QUIET)[0], OperationSent)


@pytest.mark.parametrize("kind", KINDS)
def test_number_that_is_refused_as_known_and_is_not_known_is_unresolvable(kind: str) -> None:
    """The provider contradicts itself: it is not sent again for ever."""
    history, operation_id = lost(kind)
    history.ended(OperationState.UNKNOWN, operation_id, is_duplicate=True)
    history.absent(history.payment.operation(operation_id).number)
    (change,) = recovered(history, QUIET, lookup=Lookup.BY_NUMBER, proof_s=5.0)
    assert change == FoundUnresolvable(operation_id=operation_id)
    assert history.change(change).payment.review_reasons == (ReviewReason.UNRESOLVABLE,)
    assert recovered(history, QUIET + timedelta(days=1), lookup=Lookup.BY_NUMBER, proof_s=5.0) == []


def test_late_answer_that_nothing_moved_makes_it_resolvable() -> None:
    """Its sender had stood still: it may be sent once more, and is not under review while it is."""
    history = unresolvable("create")
    late = NotNow(problem="busy")
    history.change(*end_attempt(history.payment, LAST, sent=history.payment.creation, outcome=late))
    assert history.payment.review_reasons == ()
    history.change(*send_again(history.payment, LAST, "create-N1", DEADLINE, NONCE))
    assert (history.payment.creation.send_count, history.payment.review_reasons) == (1, ())


# --- a resend that is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_refusal_of_the_account_on_a_resend_says_nothing_of_the_send_before(kind: str) -> None:
    """The key is judged before the number is looked at: a new number could make it a second time."""
    history, operation_id = lost(kind)
    history.change(*send_again(history.payment, QUIET, operation_id, DEADLINE, NONCE))
    sent = history.payment.operation(operation_id)
    refused: Any = Rejected(failure=BAD_KEY)
    history.change(*end_attempt(history.payment, QUIET, sent=sent, outcome=refused))
    operation = history.payment.operation(operation_id)
    assert (operation.state, operation.problem) == (
        OperationState.UNKNOWN,
        "sending it again was refused: 1108",
    )


def test_refusal_of_the_account_counts_where_all_earlier_sends_were_proven_absent() -> None:
    """Then nothing has arrived, and a new number is safe."""
    history = History().unknown().absent()
    history.change(*send_again(history.payment, QUIET, "create-N1", DEADLINE, NONCE))
    sent = history.payment.creation
    history.change(*end_attempt(history.payment, QUIET, sent=sent, outcome=Rejected(failure=BAD_KEY)))
    assert history.payment.creation.state is OperationState.REJECTED


def test_refusal_of_the_order_on_a_resend_is_that_of_the_first_send() -> None:
    """The provider answers with what the first one made: nothing."""
    history = History().unknown()
    history.change(*send_again(history.payment, QUIET, "create-N1", DEADLINE, NONCE))
    sent = history.payment.creation
    history.change(*end_attempt(history.payment, QUIET, sent=sent, outcome=Rejected(failure=DECLINED)))
    assert history.payment.status is Status.FAILED
