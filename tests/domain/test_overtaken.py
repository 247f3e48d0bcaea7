"""A process was suspended while others continued: its late result must not undo theirs."""

from datetime import timedelta

import pytest

from paycore import Payment, Status
from paycore.domain.action import Redirect
from paycore.domain.decisions import (
    end_attempt,
    end_unsent,
    send_again,
)
from paycore.domain.events import Change
from paycore.domain.lifecycle import evolve
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Failure, OperationState
from paycore.domain.provider import Created, Done, Rejected, Unknown
from paycore.domain.recovery import give_up_absent
from tests.domain.histories import DEADLINE, NOW, History, concluded

PROOF = timedelta(seconds=5)
LATER = NOW + DEADLINE + PROOF


def sent() -> Payment:
    """A payment whose create is under way."""
    return History().payment


def after(payment: Payment, *changes: Change) -> Payment:
    for change in changes:
        payment = evolve(payment, change, LATER)
    return payment


def proven_absent() -> Payment:
    return after(sent(), *concluded(sent(), {"N1"}, LATER, PROOF))


def given_up() -> Payment:
    absent = proven_absent()
    return after(absent, *give_up_absent(absent.creation, LATER))


def sent_anew() -> Payment:
    absent = proven_absent()
    return after(absent, *send_again(absent, LATER, "create-N1", DEADLINE))


@pytest.mark.parametrize("gone_further", [proven_absent(), given_up(), sent_anew()])
def test_late_attempt_undoes_nothing(gone_further: Payment) -> None:
    """A late "not sent", "no answer" or refusal does not change what others recorded meanwhile."""
    first = sent().creation
    refusal = Rejected(failure=Failure(code="no", message="no"))
    assert end_unsent(gone_further, LATER, sent=first, problem="no route") == []
    assert end_attempt(gone_further, LATER, sent=first, outcome=Unknown(problem="no answer")) == []
    assert end_attempt(gone_further, LATER, sent=first, outcome=refusal) == []


def test_late_acceptance_counts_and_leaves_the_other_request_under_way() -> None:
    """A late acceptance counts; another process's request may still arrive."""
    seen = PaymentObservation(number="N1", status=Status.PENDING, provider_id="T1")
    link = Redirect(url="https://toy.example/pay/T1")
    accepted = Done(Created(observation=seen, action=link))
    payment = after(sent_anew(), *end_attempt(sent_anew(), LATER, sent=sent().creation, outcome=accepted))
    assert payment.action == link
    assert payment.creation.state is OperationState.DONE
    assert payment.creation.in_flight_until == LATER + DEADLINE


def test_given_up_stays_given_up() -> None:
    """An order given up as absent is not reopened by a process that had not sent it."""
    payment = given_up()
    assert payment.status is Status.FAILED
    payment = after(payment, *end_unsent(payment, LATER, sent=sent().creation, problem="no route"))
    assert payment.creation.state is OperationState.REJECTED


def test_what_was_given_up_unsent_stays_given_up() -> None:
    """The same for an order given up unsent, after its expiry."""
    unsent = after(sent(), *end_unsent(sent(), NOW, sent=sent().creation, problem="no route"))
    payment = after(unsent, *give_up_absent(unsent.creation, LATER))
    assert end_unsent(payment, LATER, sent=sent().creation, problem="no route") == []
    assert end_attempt(payment, LATER, sent=sent().creation, outcome=Unknown(problem="no answer")) == []


def test_attempt_in_time_counts() -> None:
    """An attempt that was not sent returns to intent."""
    payment = after(sent(), *end_unsent(sent(), NOW, sent=sent().creation, problem="no route"))
    assert payment.creation.state is OperationState.INTENT
