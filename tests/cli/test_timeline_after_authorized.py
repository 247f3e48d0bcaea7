"""`show` describes captures, what was put off, charge backs, and what an operator recorded."""

from datetime import timedelta

from paycore import Money
from paycore.cli.render.timeline import tell
from paycore.domain.closing import begin_close
from paycore.domain.events import Finding, FoundUnresolvable, ProvenAbsent, Returned, Source
from paycore.domain.findings import record_finding
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Failure, RefundStatus, ReviewReason, Status
from paycore.domain.provider import Done, NotNow, Rejected, Unknown
from paycore.domain.review import acknowledge
from paycore.plugin import Instructions
from tests.cli.payments import CAPTURED, DEADLINE, History, authorized
from tests.ledger.workload import numbering

OPERATOR = Finding(by="kim", note="asked their support")


def told(history: History, skip: int = 0) -> list[str]:
    """Source and sentence of each event."""
    return [f"{entry.source}: {entry.what}" for entry in tell(history.events)[skip:]]


def test_capture_by_the_caller_names_its_amount() -> None:
    """The intent says who captures; the capture and what was taken of the amount are named."""
    history = authorized(capture="manual")
    capture = history.capture(Money("20.00", "HKD"))
    own_id = f"C1-{history.payment.order_number}"
    taken = PaymentObservation(
        number=history.payment.order_number, status=Status.PAID, provider_id=own_id, paid_minor=2000
    )
    history.answer(Done(taken))
    assert told(history) == [
        (
            f"caller: recorded the intent: 88.00 HKD by toy/web as number {history.payment.order_number},"
            " to be captured when its caller says so"
        ),
        f"poll: the provider says authorized, 88.00 HKD, its id {own_id}",
        f"caller: recorded the capture of 20.00 HKD as number {capture.number}",
        f"reply: the provider accepted the capture: paid, 20.00 HKD taken, its id {own_id}",
    ]


def test_capture_that_got_lost_or_was_refused() -> None:
    """Each way a capture can end is told as such; a refusal for the payer says that they must agree again."""
    history = authorized()
    lost = history.capture(source=Source.RECOVERY)
    history.answer(Unknown(problem="no answer"))
    history.add(Source.POLL, ProvenAbsent(number=lost.number))
    assert told(history, 2) == [
        f"recovery: recorded the capture of 88.00 HKD as number {lost.number}",
        "reply: no definite answer to the capture: no answer",
        f"poll: the order is still authorized: its capture, number {lost.number}, never arrived there",
    ]
    refused = authorized()
    refused.capture(source=Source.RECOVERY)
    refused.answer(Rejected(failure=Failure(code="51", message="no funds", who_acts="payer")))
    assert told(refused, 3) == [
        "reply: the provider refused the capture: 51 no funds; the payer must agree again"
    ]
    assert refused.payment.status is Status.PENDING


def test_request_put_off_says_until_when() -> None:
    """What the provider asked to send later names the time and its words, and is not called a refusal."""
    history = authorized()
    capture = history.capture(source=Source.RECOVERY)
    history.answer(NotNow(problem="HTTP 429", retry_after_s=30))
    again = History()
    again.answer(NotNow(problem="HTTP 429"))
    until = history.payment.operation(capture.id).not_before
    assert until is not None
    assert told(history, 3) == [f"reply: the capture waits until {until:%H:%M:%S} UTC: HTTP 429"]
    assert told(again, 1) == ["reply: the order waits until 12:00:01 UTC: HTTP 429"]


def test_capture_given_up_for_a_close_is_no_refusal() -> None:
    """A capture that waits when its caller closes the payment is given up, not refused by the provider."""
    history = authorized(capture="manual")
    history.capture()
    history.answer(NotNow(problem="HTTP 429"))
    names = numbering()
    history.decide(
        Source.CALLER,
        lambda payment, now: begin_close(payment, now, product=CAPTURED, numbering=names, deadline=DEADLINE),
    )
    assert told(history, 4) == [
        "caller: gave up the capture: the payment was closed before this was sent",
        f"caller: recorded that order {history.payment.order_number} is to be closed",
    ]


def test_total_that_is_the_amount_is_not_repeated() -> None:
    """What was taken is named only where it is not the amount."""
    history = History()
    history.observe(Status.PAID, paid_minor=8800, refunded_minor=0, charged_back_minor=0)
    assert told(history, 1) == [
        f"poll: the provider says paid, 88.00 HKD, its id C1-{history.payment.order_number}"
    ]


def test_charge_back_and_reversed_refund() -> None:
    """Totals of the payer's bank are amounts; a charge back is a reason for review with its amount."""
    history = History()
    own_id = f"C1-{history.payment.order_number}"
    history.observe(Status.PAID)
    number = history.refund("r1", Money("8.00", "HKD")).number
    refund = RefundObservation(number=number, status=RefundStatus.REVERSED, ids={"request": "q1"})
    history.answer(Done(refund))
    history.observe(Status.PAID, charged_back_minor=5000, refunded_minor=800)
    history.observe(Status.PAID, charged_back_minor=5000, charge_back_won_minor=2000)
    paid = "poll: the provider says paid, 88.00 HKD"
    assert told(history, 3) == [
        "reply: the provider accepted the refund r1: reversed, request q1",
        (
            f"{paid}, 8.00 HKD went back, 50.00 HKD charged back, its id {own_id};"
            " needs review: the payer's bank took back 50.00 HKD"
        ),
        f"{paid}, 50.00 HKD charged back, 20.00 HKD of it won back, its id {own_id}",
    ]


def test_charge_back_acknowledged_comes_back_with_a_new_one() -> None:
    """Who acknowledged what and why is told, and a new charge back after it is a new reason."""
    history = History()
    history.observe(Status.PAID, charged_back_minor=5000)
    reason = ReviewReason.CHARGED_BACK
    history.decide(
        Source.OPERATOR, lambda payment, now: acknowledge(payment, now, reason=reason, finding=OPERATOR)
    )
    history.observe(Status.PAID, charged_back_minor=8800)
    assert told(history, 2)[0] == "operator: kim acknowledged charged back (asked their support)"
    assert told(history, 3)[0].endswith("; needs review: the payer's bank took back 88.00 HKD")


def test_ids_that_differ_are_shown() -> None:
    """Ids are shown by name; a second one of a name is a reason for review."""
    history = History()
    history.observe(Status.PENDING, ids={"intent": "pi_1", "charge": "ch_1"})
    history.observe(Status.PENDING, ids={"intent": "pi_2"})
    assert told(history, 1)[0].endswith(", charge ch_1, intent pi_1")
    assert told(history, 2)[0].endswith(", intent pi_2; needs review: an id differs from the one told before")


def test_what_an_operator_found_is_shown_with_name_and_note() -> None:
    """Unresolvable orders, and each finding about them, are told with who found it."""
    histories = []
    for found in ("paid", "absent"):
        history = History()
        history.answer(Unknown(problem="no answer"))
        history.add(Source.RECOVERY, FoundUnresolvable(operation_id=history.payment.creation.id))
        history.now += timedelta(minutes=1)
        history.decide(
            Source.OPERATOR,
            lambda payment, now, found=found: record_finding(  # type: ignore[misc]
                payment, now, found=found, finding=OPERATOR, provider_id="X1" if found == "paid" else None
            ),
        )
        histories.append(told(history, 2))
    unresolvable = (
        "recovery: the order can't be looked up, and it is too late to send it again;"
        " needs review: only the provider's portal tells what became of it"
    )
    assert histories == [
        [
            unresolvable,
            "operator: kim found at the provider: paid, 88.00 HKD, its id X1 (asked their support)",
        ],
        [
            unresolvable,
            "operator: kim found at the provider: the order never arrived there (asked their support)",
        ],
    ]


def test_return_names_parameters_without_their_values() -> None:
    """What the payer came back with is told by its names: values may be tokens."""
    history = History(ignored=("subject",))
    history.add(Source.CALLER, Returned(params={"token": "t-1", "sessionResult": "s-1"}))
    assert told(history)[0].endswith("; toy/web has no use for subject")
    assert told(history, 1) == ["caller: the payer came back with sessionResult, token"]


def test_new_action_is_named() -> None:
    """An observation that asks the payer to act again says by what."""
    history = History()
    history.observe(Status.PENDING, action=Instructions(fields={"IBAN": "HK1"}))
    assert told(history, 1)[0].endswith(", the payer must act again (instructions)")


def test_history_with_its_beginning_missing_is_shown() -> None:
    """Without the events that say what an operation is, the others are shown as far as they are known."""
    history = authorized(capture="manual")
    capture = history.capture(Money("20.00", "HKD"))
    history.answer(NotNow(problem="HTTP 429"))
    history.add(Source.POLL, ProvenAbsent(number=capture.number))
    history.observe(Status.PAID, paid_minor=2000, charged_back_minor=5000)
    assert [entry.what for entry in tell(history.events[2:])] == [
        f"recorded the capture as number {capture.number}",
        "an operation nothing is recorded of waits until 12:00:05 UTC: HTTP 429",
        f"the provider does not know number {capture.number}: it never arrived there",
        (
            "the provider says paid, 88.00 HKD, 2000 minor units taken, 5000 minor units charged back,"
            f" its id C1-{history.payment.order_number}"
        ),
    ]
