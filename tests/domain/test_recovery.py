"""What recovery does next about an operation without an answer, for each state."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from paycore import Payment, Status
from paycore.domain.decisions import Numbering
from paycore.domain.events import Change, OperationBegun, OperationEnded, OperationSent
from paycore.domain.payment import Failure, Operation, OperationKind, OperationState
from paycore.domain.provider import Lookup, Resend
from paycore.domain.recovery import Context, next_changes
from tests.domain.histories import DEADLINE, NOW, QUIET, TOO_LATE, History, capabilities, product

SAME, REFUSED, UNSAFE = Resend("same_result"), Resend("refused_as_duplicate"), Resend("unsafe")


class SendAgain(msgspec.Struct, frozen=True):
    """The operation is sent again with its number."""

    operation: Operation


class GiveUp(msgspec.Struct, frozen=True):
    """The operation is refused for good: it never arrived."""

    operation: Operation


class Renumber(msgspec.Struct, frozen=True):
    """An order under a new number is begun."""


class Replace(msgspec.Struct, frozen=True):
    """A close before a new number is sent."""


class Withdraw(msgspec.Struct, frozen=True):
    """A close of an order that is not needed is begun."""


Move = SendAgain | GiveUp | Renumber | Replace | Withdraw


def move(
    history: History,
    resend: Resend = REFUSED,
    *,
    now: datetime = QUIET,
    close: bool = True,
    has_auth_code: bool = False,
) -> Move | None:
    """Recovery's next step for this history, once every deadline has passed."""
    context = Context(
        capabilities=capabilities(resend, product(close=close)),
        numbering=Numbering(operation_id="new", number="NEW"),
        deadline=DEADLINE,
        has_auth_code=has_auth_code,
    )
    changes = next_changes(history.payment, now, context)
    return _move(history.payment, changes[0], now) if changes else None


def _move(payment: Payment, change: Change, now: datetime) -> Move:
    match change:
        case OperationSent(operation_id=operation_id, sent_at=at, in_flight_until=until):
            assert (at, until) == (now, now + DEADLINE)
            return SendAgain(payment.operation(operation_id))
        case OperationEnded(
            operation_id=operation_id,
            state=OperationState.REJECTED,
            failure=Failure() as why,
            in_flight_until=until,
        ):
            assert (why.code, until) == ("never_arrived", now)
            return GiveUp(payment.operation(operation_id))
        case OperationBegun(operation=Operation(kind=OperationKind.CREATE, number="NEW")):
            return Renumber()
        case OperationBegun(operation=Operation(kind=OperationKind.CLOSE, number=number, replaces=replaces)):
            assert number == payment.order_number
            return Replace() if replaces else Withdraw()
        case _:
            raise AssertionError(change)


@pytest.mark.parametrize("resend", [SAME, REFUSED, UNSAFE])
def test_absent_order_is_sent_again_with_the_same_number(resend: Resend) -> None:
    """Once proven absent, resending the same number is safe at every provider."""
    history = History().unknown().absent()
    assert move(history, resend) == SendAgain(history.payment.creation)


@pytest.mark.parametrize("resend", [SAME, REFUSED, UNSAFE])
def test_unknown_order_is_not_touched_before_absence_is_proven(resend: Resend) -> None:
    """Neither found nor proven absent: nothing is sent, whatever the provider declares."""
    assert move(History(), resend) is None
    assert move(History().unknown(), resend) is None


def test_absent_order_is_not_sent_while_a_request_may_be_under_way() -> None:
    """Nothing is sent before the last send's deadline."""
    history = History().unknown().absent()
    assert move(history, now=QUIET - timedelta(milliseconds=1)) is None
    assert move(history, now=QUIET) is not None


def test_absent_order_past_its_time_is_given_up() -> None:
    """An expired order is not sent again."""
    history = History(expires_at=QUIET).unknown().absent()
    assert move(history) == GiveUp(history.payment.creation)
    history = History(expires_at=QUIET + timedelta(seconds=1)).unknown().absent()
    assert move(history) == SendAgain(history.payment.creation)


def test_absent_scanned_code_order_needs_the_code_again() -> None:
    """A scanned code is never stored: without it the order is given up."""
    history = History(auth_code_hash="0" * 64).unknown().absent()
    assert move(history) == GiveUp(history.payment.creation)
    assert move(history, has_auth_code=True) == SendAgain(history.payment.creation)


def test_unsent_successor_of_a_scanned_code_order_needs_the_code_too() -> None:
    """The new order is sent only if the caller has the code."""
    history = History(auth_code_hash="0" * 64, needs_action=False).accepted()
    history.closing(OperationState.DONE, replaces=True).sees(Status.CLOSED)
    history.renumbered("N2").ended(OperationState.INTENT, "create-N2")
    assert move(history) == GiveUp(history.payment.creation)
    assert move(history, has_auth_code=True) == SendAgain(history.payment.creation)


def test_lost_link_is_fetched_by_the_same_number_where_that_gives_the_same_order() -> None:
    """Where a resend returns the existing order, the link is fetched by resending."""
    history = History().unknown().sees(Status.PENDING)
    assert move(history, SAME) == SendAgain(history.payment.creation)


@pytest.mark.parametrize("resend", [REFUSED, UNSAFE])
def test_lost_link_elsewhere_makes_room_for_a_new_number(resend: Resend) -> None:
    """
    Where resending gives a refusal at best, the old order is closed first.

    Resending a known number could only make a second order, at a gateway that does not refuse duplicates as
    declared.
    """
    history = History().unknown().sees(Status.PENDING)
    assert move(history, resend) == Replace()
    assert move(history, resend, close=False) is None, "what can't be closed is not replaced"


def test_lost_link_of_an_order_that_the_provider_can_not_be_told_of_waits() -> None:
    """It can't be closed; a query or a notification may tell its id."""
    history = History().unknown().sees(Status.PENDING, provider_id=None)
    by_id = capabilities(REFUSED, proof_s=None, lookup=Lookup.BY_PROVIDER_ID)
    numbering = Numbering(operation_id="new", number="NEW")
    context = Context(capabilities=by_id, numbering=numbering, deadline=DEADLINE)
    assert next_changes(history.payment, QUIET, context) == []
    assert move(history) == Replace()
    assert next_changes(history.sees(Status.PENDING).payment, QUIET, context) != []


def test_lost_link_refused_as_duplicate_makes_room_for_a_new_number() -> None:
    """After a resend was refused as a duplicate the old order is closed."""
    history = History().unknown().sees(Status.PENDING).sent_again()
    history.ended(OperationState.UNKNOWN, is_duplicate=True)
    assert move(history, SAME) == Replace()


def test_replacing_close_without_an_answer_is_sent_again() -> None:
    """An unanswered close is repeated, whether or not its end was recorded."""
    for history in (
        History().unknown().sees(Status.PENDING).closing(replaces=True),
        History().unknown().sees(Status.PENDING).closing(OperationState.UNKNOWN, replaces=True),
    ):
        assert move(history) == SendAgain(history.payment.operation("close-N1"))


def test_replaced_order_closed_and_confirmed_gets_a_new_number() -> None:
    """Only a confirmed close allows a new number."""
    history = History().unknown().sees(Status.PENDING).closing(replaces=True)
    assert move(history) != Renumber()
    assert move(history.sees(Status.CLOSED)) == Renumber()


def unsent_successor(**fields: Any) -> History:
    """The old order is closed to be replaced; the new one was not sent."""
    history = History(**fields).unknown().sees(Status.PENDING).closing(replaces=True)
    history.sees(Status.CLOSED).ended(OperationState.DONE, "close-N1")
    return history.renumbered("N2").ended(OperationState.INTENT, "create-N2")


def test_successor_that_could_not_be_sent_is_sent_later() -> None:
    """Recovery closed the payer's order, so it must send the new one."""
    history = unsent_successor()
    assert history.payment.status is Status.CREATED
    assert move(history) == SendAgain(history.payment.operation("create-N2"))


def test_successor_that_could_not_be_sent_in_time_is_given_up() -> None:
    """After its expiry the new order is given up."""
    history = unsent_successor(expires_at=QUIET)
    assert move(history) == GiveUp(history.payment.operation("create-N2"))


def test_successor_that_could_not_be_sent_stays_unsent_once_the_old_one_is_paid() -> None:
    """After late money on the closed order nothing is sent."""
    assert move(unsent_successor().sees(Status.PAID)) is None


def test_order_closed_for_good_is_not_made_anew() -> None:
    """After the caller's own close nothing is sent."""
    history = History().accepted().closing(OperationState.DONE).sees(Status.CLOSED)
    assert history.payment.status is Status.CLOSED
    assert move(history) is None


def test_refused_close_of_a_lost_link_is_not_repeated_for_ever() -> None:
    """Recovery does not repeat a close that the provider refused."""
    history = History().unknown().sees(Status.PENDING).closing(OperationState.REJECTED, replaces=True)
    assert move(history) is None


def test_close_refused_before_its_order_had_arrived_is_tried_again() -> None:
    """That refusal says nothing about the order that arrived afterwards."""
    history = late_money_on_the_old_number().sees(Status.PENDING, "N2").closing(sent_at=NOW)
    assert move(history.ended(OperationState.REJECTED, "close-N2", failure=TOO_LATE)) == Withdraw()


def test_close_refused_long_ago_is_tried_again() -> None:
    """A refused close is repeated after an hour, not at every look."""
    history = late_money_on_the_old_number().sees(Status.PENDING, "N2").closing()
    history.ended(OperationState.REJECTED, "close-N2", failure=TOO_LATE)
    assert move(history, now=QUIET + timedelta(minutes=59)) is None
    assert move(history, now=QUIET + timedelta(hours=1)) == Withdraw()


def test_close_refused_for_the_account_is_tried_again() -> None:
    """That refusal is about the account's key, not about the order, whichever close it was."""
    bad_key = Failure(code="1108", message="bad signature", who_acts="operator")
    history = History().unknown().sees(Status.PENDING).closing(replaces=True)
    assert move(history.ended(OperationState.REJECTED, "close-N1", failure=bad_key)) == Replace()
    history = late_money_on_the_old_number().sees(Status.PENDING, "N2").closing()
    assert move(history.ended(OperationState.REJECTED, "close-N2", failure=bad_key)) == Withdraw()


@pytest.mark.parametrize("state", [OperationState.SENT, OperationState.UNKNOWN])
def test_close_without_an_answer_is_sent_again(state: OperationState) -> None:
    """A close is safe to repeat; the next one waits for the deadline of the last."""
    history = History().accepted().closing(state)
    assert move(history, now=QUIET - timedelta(milliseconds=1)) is None
    assert move(history) == SendAgain(history.payment.operation("close-N1"))


@pytest.mark.parametrize(("sends", "pause_s"), [(2, 2.0), (3, 3.0), (4, 4.5)])
@pytest.mark.parametrize("what", ["close", "order", "link", "refund"])
def test_repeated_failures_lengthen_the_pause_between_sends(what: str, sends: int, pause_s: float) -> None:
    """For every operation and failure the pause grows with each repetition."""
    sent_at = QUIET + timedelta(minutes=1)
    history, operation_id = {
        "close": (History().accepted().closing(OperationState.UNKNOWN), "close-N1"),
        "order": (History().unknown().absent(), "create-N1"),
        "link": (History().unknown().sees(Status.PENDING), "create-N1"),
        "refund": (History().accepted().sees(Status.PAID).refunding(), "refund-R1"),
    }[what]
    for _ in range(sends - 1):
        history.sent_again(operation_id, sent_at).change(
            OperationEnded(operation_id=operation_id, state=OperationState.UNKNOWN, in_flight_until=sent_at)
        )
        if what in ("order", "refund"):
            history.absent("N1" if what == "order" else "R1")
    rested = sent_at + timedelta(seconds=pause_s)
    assert move(history, SAME, now=rested - timedelta(milliseconds=1)) is None
    assert move(history, SAME, now=rested) == SendAgain(history.payment.operation(operation_id))


def test_unsendable_operations_are_tried_less_and_less_often() -> None:
    """The same while the provider is down or the plugin fails before its request."""
    history = (
        History().unknown().sees(Status.CLOSED).renumbered("N2").ended(OperationState.INTENT, "create-N2")
    )
    begun_at, tries = history.payment.creation.begun_at, 0
    now = begun_at
    while now < begun_at + timedelta(hours=1):
        if move(history, now=now) == SendAgain(history.payment.creation):
            tries += 1
            history.sent_again("create-N2", now).ended(OperationState.INTENT, "create-N2")
        now += timedelta(seconds=1)
    assert 60 <= tries <= 70


def test_repeatedly_refused_close_is_repeated_less_often() -> None:
    """Refusals of successive closes are counted together."""
    bad_key = Failure(code="1108", message="bad signature", who_acts="operator")
    history = History().unknown().sees(Status.PENDING)
    for _ in range(2):
        history.closing(replaces=True).ended(OperationState.REJECTED, "close-N1", failure=bad_key)
    assert move(history, now=QUIET + timedelta(seconds=1.9)) is None
    assert move(history, now=QUIET + timedelta(seconds=2)) == Replace()


def test_refund_is_sent_again_only_once_proven_absent() -> None:
    """An unknown refund is queried; the same number is sent again once proven absent."""
    history = History().accepted().sees(Status.PAID).refunding()
    assert move(history) is None
    history.ended(OperationState.UNKNOWN, "refund-R1")
    assert move(history) is None
    history.absent("R1")
    assert move(history) == SendAgain(history.payment.operation("refund-R1"))
    assert move(history, now=NOW) is None


def test_paid_order_is_left_alone() -> None:
    """Once there is a charge nothing more is sent for the order."""
    assert move(History().unknown().sees(Status.PAID)) is None


def late_money_on_the_old_number() -> History:
    """The first order was replaced and paid all the same; the second one's creation is unanswered."""
    history = History().unknown().sees(Status.PENDING).closing(OperationState.DONE, replaces=True)
    history.sees(Status.CLOSED).renumbered("N2").ended(OperationState.UNKNOWN, "create-N2")
    return history.sees(Status.PAID)


def test_newer_number_that_never_arrived_is_given_up_once_the_old_one_is_paid() -> None:
    """It is neither sent, as a second payable order, nor queried for ever."""
    history = late_money_on_the_old_number()
    assert move(history) is None
    history.absent("N2")
    assert move(history) == GiveUp(history.payment.operation("create-N2"))


def test_newer_number_that_arrived_is_withdrawn_once_the_old_one_is_paid() -> None:
    """It needs no link, since it must not be paid any more: it is closed, once."""
    history = late_money_on_the_old_number().sees(Status.PENDING, "N2")
    assert (history.payment.status, history.payment.uncertain) == (Status.PAID, False)
    assert move(history) == Withdraw()
    assert move(history, close=False) is None
    history.closing(OperationState.UNKNOWN)
    assert move(history) == SendAgain(history.payment.operation("close-N2"))
    assert move(history.ended(OperationState.REJECTED, "close-N2")) is None


def test_newer_number_that_the_provider_can_not_be_told_of_is_not_withdrawn() -> None:
    """Orders are found by the provider's id only, and it has told none yet."""
    history = late_money_on_the_old_number().sees(Status.PENDING, "N2", provider_id=None)
    by_id = capabilities(REFUSED, proof_s=None, lookup=Lookup.BY_PROVIDER_ID)
    numbering = Numbering(operation_id="new", number="NEW")
    context = Context(capabilities=by_id, numbering=numbering, deadline=DEADLINE)
    assert next_changes(history.payment, QUIET, context) == []
    assert move(history) == Withdraw()
    assert next_changes(history.sees(Status.PENDING, "N2").payment, QUIET, context) != []


def test_newer_number_that_ended_is_not_withdrawn() -> None:
    """Closed, failed or paid too: nothing is open."""
    for status in (Status.CLOSED, Status.FAILED, Status.PAID):
        assert move(late_money_on_the_old_number().sees(Status.PENDING, "N2").sees(status, "N2")) is None


def test_settled_payments_need_no_move() -> None:
    """Accepted, failed, or certainly unsent: nothing is outstanding."""
    assert move(History().accepted()) is None
    assert move(History().ended(OperationState.REJECTED)) is None
    assert move(History().ended(OperationState.INTENT)) is None
