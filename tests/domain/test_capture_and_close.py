"""Callers, workers, late answers and reports in any order: an authorization is captured once, or voided, never both."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from paycore import Money, Status
from paycore.domain.capturing import begin_capture
from paycore.domain.closing import begin_close
from paycore.domain.decisions import (
    Answered,
    Numbering,
    Outcome,
    conclude_from_query,
    end_attempt,
    end_unsent,
)
from paycore.domain.events import Change, Observed, OperationBegun, OperationSent
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Payment,
    may_have_arrived,
)
from paycore.domain.provider import Done, NotNow, Rejected, Resend, Unknown
from paycore.domain.recovery import Context, next_changes
from paycore.domain.schedule import due_at, is_open
from paycore.errors import RequestError
from tests.domain.histories import BAD_KEY, DEADLINE, DECLINED, NOW, TOO_LATE, History, capabilities, product

OFFERED = product(capture="partial")
PROOF = timedelta(seconds=5)
BUSY = Failure(code="busy", message="busy", who_acts="provider")


class Course:
    """One payment, its clock, and the requests of ours that are under way."""

    def __init__(self, *, is_automatic: bool) -> None:
        capture: Any = "automatic" if is_automatic else "manual"
        self.payment = History(capture=capture).accepted().authorized(NOW).payment
        self.now = NOW + timedelta(seconds=20)
        self.under_way: list[Operation] = []
        self._drawn = 0

    def record(self, changes: list[Change]) -> None:
        """Record what was decided, and send what is to be sent."""
        for change in changes:
            before = self.payment
            self.payment = evolve(self.payment, change, self.now)
            if isinstance(change, OperationBegun | OperationSent):
                is_begun = isinstance(change, OperationBegun)
                sent = self.payment.operation(change.operation.id if is_begun else change.operation_id)  # type: ignore[union-attr]
                check_send(before, sent)
                self.under_way.append(sent)

    def numbering(self) -> Numbering:
        self._drawn += 1
        return Numbering(
            operation_id=f"op-{self._drawn}", number=f"no-{self._drawn}", nonce=f"nonce-{self._drawn}"
        )

    def capture(self, minor: int | None) -> None:
        """A caller captures."""
        amount = None if minor is None else Money.from_minor(minor, "HKD")
        self._called(
            lambda: begin_capture(
                self.payment,
                self.now,
                amount=amount,
                product=OFFERED,
                numbering=self.numbering(),
                deadline=DEADLINE,
            )
        )

    def close(self, _: object) -> None:
        """A caller closes."""
        self._called(
            lambda: begin_close(
                self.payment, self.now, product=OFFERED, numbering=self.numbering(), deadline=DEADLINE
            )
        )

    def _called(self, decide: Callable[[], list[Change]]) -> None:
        try:
            self.record(decide())
        except RequestError:
            return

    def recover(self, resend: Resend) -> None:
        """A worker takes the next step."""
        able = capabilities(resend, OFFERED, capture_resend=resend)
        context = Context(capabilities=able, numbering=self.numbering(), deadline=DEADLINE)
        self.record(next_changes(self.payment, self.now, context))

    def answer(self, given: tuple[int, Outcome | None]) -> None:
        """One of the requests under way is answered, or turns out not to have been sent."""
        which, outcome = given
        if not self.under_way:
            return
        sent = self.under_way.pop(which % len(self.under_way))
        if outcome is None:
            self.record(end_unsent(self.payment, self.now, sent=sent, problem="no route"))
        else:
            self.record(end_attempt(self.payment, self.now, sent=sent, outcome=outcome))

    def see(self, status: Status) -> None:
        """A poll or a notification reports this."""
        seen = History().order_is(status, occurred_at=self.now if status is Status.AUTHORIZED else None)
        self.record([Observed(observation=seen)])

    def ask(self, *_: object) -> None:
        """A query still shows it authorized."""
        answered = Answered(asked_at=self.now, authorized={"N1"}, proves_after=PROOF)
        self.record(conclude_from_query(self.payment, answered))

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def check_send(before: Payment, sent: Operation) -> None:
    """What is sent now must not meet what may have been sent before."""
    others = [op for op in before.operations if op.id != sent.id and may_have_arrived(op)]
    kinds = {op.kind for op in others} - {OperationKind.CREATE}
    if sent.kind is OperationKind.CAPTURE:
        assert before.status is Status.AUTHORIZED, "only what is authorized is captured"
        assert not kinds, "captured beside a close, or twice"
    if sent.kind is OperationKind.CLOSE:
        assert OperationKind.CAPTURE not in kinds, "closed after a capture may have been sent"


def seen_by_reply(status: Status) -> Outcome:
    return Done(History().order_is(status))


OUTCOMES: list[Outcome | None] = [
    None,
    Rejected(failure=BAD_KEY),
    Rejected(failure=DECLINED),
    Rejected(failure=TOO_LATE),
    Rejected(failure=BUSY),
    Rejected(failure=BUSY, is_duplicate=True),
    NotNow(problem="busy", retry_after_s=30),
    Unknown(problem="no answer"),
    seen_by_reply(Status.AUTHORIZED),
    seen_by_reply(Status.PENDING),
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("capture"), st.sampled_from([None, 7000, 8800])),
        st.tuples(st.just("close"), st.none()),
        st.tuples(st.just("recover"), st.sampled_from([Resend("same_result", 60), Resend("unsafe")])),
        st.tuples(st.just("answer"), st.tuples(st.integers(0, 3), st.sampled_from(OUTCOMES))),
        st.tuples(st.just("ask"), st.none()),
        st.tuples(st.just("see"), st.just(Status.AUTHORIZED)),
        st.tuples(st.just("pass_time"), st.sampled_from([0.001, 2.0, 15.0, 90.0])),
    ),
    max_size=25,
)
ENDS = st.sampled_from([None, Status.PAID, Status.CLOSED])


@settings(max_examples=300)
@given(STEPS, ENDS, st.booleans())
def test_authorization_is_captured_once_or_voided(
    steps: list[tuple[str, Any]], end: Status | None, is_automatic: bool
) -> None:
    """At every send, whoever decided on it; and a settled order ends every operation."""
    course = Course(is_automatic=is_automatic)
    for name, value in steps:
        getattr(course, name)(value)
    if end is not None:
        course.see(end)
        course.pass_time(60)
        check_settled(course)


def check_settled(course: Course) -> None:
    """Nothing of it goes on: no capture is open, and after a last question nothing is due or sent."""
    for operation in course.payment.operations:
        if operation.kind is OperationKind.CAPTURE:
            assert operation.state in (OperationState.DONE, OperationState.REJECTED)
    course.ask()
    course.recover(Resend("same_result"))
    assert not is_open(course.payment)
    due: datetime | None = due_at(course.payment, course.now)
    assert due is None or due - course.now > timedelta(minutes=50)


@given(STEPS)
def test_payment_on_its_way_is_always_due(steps: list[tuple[str, Any]]) -> None:
    """Whatever happened, somebody looks at an automatic payment again within a minute, or an hour where it is left."""
    course = Course(is_automatic=True)
    for name, value in steps:
        getattr(course, name)(value)
    due = due_at(course.payment, course.now)
    assert due is not None
    assert due - course.now <= timedelta(seconds=1.2 * 3600)
