"""What an answer records in the operation it ends: everything it reported, and why it resolved nothing."""

from datetime import timedelta

from paycore import Status
from paycore.domain.decisions import end_attempt, end_unsent
from paycore.domain.events import OperationEnded, ProvenAbsent
from paycore.domain.payment import Failure, OperationState
from paycore.domain.provider import Created, Done, Rejected, Unknown
from paycore.domain.recovery import give_up_absent
from tests.domain.histories import BAD_KEY, DECLINED, LINK, NOW, QUIET, History, concluded


def answered(history: History, outcome: object) -> History:
    """End the attempt under way with this answer."""
    payment = history.payment
    return history.change(*end_attempt(payment, QUIET, sent=payment.creation, outcome=outcome))  # type: ignore[arg-type]


def test_acceptance_brings_the_order_and_its_link() -> None:
    """The provider's id and status are known from the reply on, not from the first poll."""
    history = History()
    seen = history.order_is(Status.PENDING)
    creation = answered(history, Done(Created(observation=seen, action=LINK))).payment.creation
    assert (creation.observed, creation.provider_id) == ((Status.PENDING,), "S-N1")
    assert history.payment.action == LINK


def test_number_that_is_there_already_is_remembered() -> None:
    """A number refused as a duplicate is recorded, and is not sent a third time for its link."""
    creation = answered(History(), Rejected(failure=DECLINED, is_duplicate=True)).payment.creation
    assert creation.is_duplicate is True
    assert creation.problem == "the provider already has this number"


def test_attempt_without_an_answer_says_why() -> None:
    """The operation records the reason."""
    assert answered(History(), Unknown(problem="HTTP 500")).payment.creation.problem == "HTTP 500"


def test_attempt_that_was_not_sent_says_why() -> None:
    """The operation records the reason."""
    history = History()
    history.change(*end_unsent(history.payment, NOW, sent=history.payment.creation, problem="no route"))
    assert history.payment.creation.problem == "no route"


def test_refused_resend_of_an_order_that_is_there_refuses_only_the_resend() -> None:
    """An earlier send has arrived: the order stays, and the refusal's code is recorded."""
    history = History().unknown().sees(Status.PENDING).sent_again(at=QUIET)
    creation = answered(history, Rejected(failure=BAD_KEY)).payment.creation
    assert creation.state is OperationState.UNKNOWN
    assert creation.problem == "sending it again was refused: 1108"


def test_refusal_of_the_only_send_that_counts_is_a_refusal() -> None:
    """With one send, or the earlier one proven absent, a refusal refuses the order."""
    seen_before = History().sees(Status.PENDING)
    absent_before = History().unknown().absent().sent_again(at=QUIET)
    for history in (seen_before, absent_before):
        creation = answered(history, Rejected(failure=DECLINED)).payment.creation
        assert (creation.state, creation.failure) == (OperationState.REJECTED, DECLINED)
        assert history.payment.status is Status.FAILED


def test_absence_is_recorded_for_every_operation() -> None:
    """One answer proves several refunds absent and confirms a close."""
    history = History().accepted().closing(replaces=True).sees(Status.CLOSED).sees(Status.PAID)
    history.refunding(10, "one", "R1").refunding(20, "two", "R2").refunding(30, "three", "R3")
    late = QUIET + timedelta(hours=1)
    changes = concluded(history.payment, {"R1", "R2", "R3"}, late, timedelta(seconds=5))
    assert [type(change) for change in changes] == [OperationEnded, ProvenAbsent, ProvenAbsent, ProvenAbsent]
    closed_last = History().accepted().sees(Status.PAID).refunding(10, "one", "R1").closing()
    changes = concluded(closed_last.payment, {"R1"}, late, timedelta(seconds=5))
    assert [type(change) for change in changes] == [ProvenAbsent, OperationEnded]


def test_order_given_up_says_that_the_caller_may_try_again() -> None:
    """No money moved: the code, who acts, and what to do."""
    history = History().unknown().absent()
    history.change(*give_up_absent(history.payment.creation, QUIET))
    assert history.payment.failure == Failure(
        code="never_arrived",
        message="the order never reached the provider, and its time has passed",
        who_acts="caller",
        advice="Create it again under a new reference.",
    )
