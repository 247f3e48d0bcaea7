"""What is printed of a payment for a person, and the exit codes of states that no sandbox here reaches."""

import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from paycore import Money, Payment
from paycore.cli import endings
from paycore.cli.endings import Exit
from paycore.cli.render.blocks import payment_block, timeline_block
from paycore.cli.render.documents import payment_document
from paycore.cli.render.standing import advice, next_steps
from paycore.cli.render.tables import payment_table
from paycore.cli.render.text import STATUS_COLOURS, Style, width
from paycore.cli.render.timeline import tell
from paycore.domain.decisions import end_unsent
from paycore.domain.events import FoundUnresolvable, Observed, Returned, Source
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Failure, RefundStatus, ReviewReason, Status
from paycore.domain.provider import Created, Done, NotNow, Rejected, Unknown
from paycore.plugin import Action, ClientCall, Instructions, QRCode, Redirect
from tests.cli.conftest import Cli
from tests.cli.payments import START, History, authorized
from tests.ledger.workload import refund_seen, seen

PLAIN = Style(enabled=False)


def rows(payment: Payment) -> dict[str, list[str]]:
    """The texts of each label."""
    found: dict[str, list[str]] = {}
    lines = payment_block(payment, PLAIN)
    start = next(line for line in lines if line.startswith("payment ")).index(payment.id)
    label = ""
    for line in lines:
        label = line[:start].strip() or label
        found.setdefault(label, []).append(line[start:])
    return found


def pending(action: Action | None) -> History:
    """A payment whose payer must do this."""
    history = History()
    history.answer(Done(Created(observation=seen(history.payment.order_number), action=action)))
    return history


@pytest.mark.parametrize("status", [*Status, *RefundStatus])
def test_every_status_has_a_colour(status: Status | RefundStatus) -> None:
    """No status of a payment or refund lacks a colour."""
    assert status in STATUS_COLOURS


def test_instructions_are_rows_of_their_own() -> None:
    """Each field is a line under one label, so that none passes for a row of the payment."""
    fields = {"status": "paid", "IBAN": "HK12\n3456", "account holder": "A\u202eB"}
    told = rows(pending(Instructions(fields=fields)).payment)
    assert told["pay with"] == [
        "status:          paid",
        "IBAN:            HK12 3456",
        "account holder:  A\ufffdB",
    ]
    assert told["status"] == ["pending: 88.00 HKD, not paid yet"]
    assert told["next"] == ["the payer pays elsewhere, with what follows"]


def test_client_call_shows_script_and_parameters() -> None:
    """The script and what it is handed are shown, nested values as JSON."""
    call = ClientCall(script="https://pay.example/dropin.js", params={"id": "CS1", "locale": {"lang": "en"}})
    told = rows(pending(call).payment)
    assert told["script"] == ["https://pay.example/dropin.js"]
    assert told["with"] == ['id=CS1, locale={"lang":"en"}']
    assert told["next"] == ["the payer goes on in your page, which loads the script"]
    bare = rows(pending(ClientCall(script="https://pay.example/dropin.js", params={})).payment)
    assert "with" not in bare


@pytest.mark.parametrize(
    ("capture", "meaning"),
    [
        ("automatic", "a worker, or `paycore await P1`, takes the money"),
        ("manual", "you must take the money by `paycore capture P1`, or let it go by `paycore close P1`"),
    ],
)
def test_authorized_says_what_comes_next(capture: str, meaning: str) -> None:
    """An authorized payment says whether its caller has to capture it."""
    payment = authorized(capture=capture).payment
    assert rows(payment)["status"] == ["authorized: 88.00 HKD, the payer agreed, nothing is taken yet"]
    assert rows(payment)["next"] == [meaning]
    document = payment_document(payment)
    assert (document["status"], document["capture"]) == ("authorized", capture)
    assert (document["authorized_minor"], document["paid_minor"]) == (8800, 0)


def test_capture_refused_for_good_is_left_to_the_caller() -> None:
    """A capture that does not go on by itself says so, with the provider's reason."""
    told = rows(refused(authorized(), "caller").payment)
    assert told["next"] == [
        "you must take the money by `paycore capture P1`, or let it go by `paycore close P1`"
    ]
    assert told["not captured"] == ["51 no"]
    waiting = rows(refused(authorized(), "operator").payment)
    assert waiting["next"] == ["a worker, or `paycore await P1`, takes the money"]


def test_amounts_after_paid() -> None:
    """A partial capture, what went back and what the bank took back are amounts beside the payment's."""
    history = authorized(capture="manual")
    history.capture(Money("20.00", "HKD"))
    number = history.payment.order_number
    history.answer(
        Done(PaymentObservation(number=number, status=Status.PAID, provider_id="C1", paid_minor=2000))
    )
    history.observe(Status.PAID, provider_id="C1", paid_minor=2000, refunded_minor=500)
    history.observe(
        Status.PAID, provider_id="C1", paid_minor=2000, charged_back_minor=1000, charge_back_won_minor=300
    )
    (told,) = rows(history.payment)["status"]
    assert told.startswith("paid: 20.00 of 88.00 HKD at 2026-01-01 12:00:03 UTC, of which 5.00 went back")
    assert told.endswith("went back, charged back 10.00, won back 3.00")
    document = payment_document(history.payment)
    assert (document["paid_minor"], document["refunded_minor"]) == (2000, 500)
    assert (document["charged_back_minor"], document["charge_back_won_minor"]) == (1000, 300)
    (_, line) = payment_table([history.payment], PLAIN, None)
    assert "review partly refunded charged back" in line


def test_details_are_shown_where_there_are_any() -> None:
    """Further ids, ignored fields, what the payer came back with: a row each, and none without them."""
    history = History(ignored=("device_id", "subject"))
    bare = rows(History().payment)
    history.observe(Status.PENDING, ids={"intent": "pi_1", "charge": "ch_1"})
    history.add(Source.CALLER, Returned(params={"token": "t-1"}))
    told = rows(history.payment)
    assert told["ids"] == ["charge=ch_1, intent=pi_1"]
    assert told["ignored"] == ["device_id, subject: toy/web has no use for it"]
    assert told["returned"] == ["the payer came back with token"]
    assert not {"ids", "ignored", "returned", "charge", "review"} & set(bare)
    document = payment_document(history.payment)
    assert document["ids"] == {"charge": "ch_1", "intent": "pi_1"}
    assert (document["ignored"], document["returned"]) == (("device_id", "subject"), {"token": "t-1"})


def test_what_waits_says_until_when() -> None:
    """An operation that the provider put off is a next step until it is sent."""
    history = authorized()
    capture = history.capture(source=Source.RECOVERY)
    history.answer(NotNow(problem="HTTP 429", retry_after_s=30))
    at = START + timedelta(seconds=33)
    assert rows(history.payment)["next"] == [
        f"a worker, or `paycore await P1`, sends the capture from {at:%Y-%m-%d %H:%M:%S} UTC on: HTTP 429"
    ]
    history.now += timedelta(minutes=1)
    history.capture()
    assert history.payment.operation(capture.id).send_count == 1
    assert rows(history.payment)["next"] == [
        "the provider owes an answer to the capture: `paycore query P1` asks for it"
    ]


def paid(history: History) -> History:
    """The same, once its capture took the money."""
    history.capture()
    history.answer(Done(seen(history.payment.order_number, Status.PAID)))
    return history


def refused(history: History, who_acts: str) -> History:
    """The same, once its capture was refused."""
    history.capture()
    failure = Failure(code="51", message="no", who_acts=who_acts)  # type: ignore[arg-type]
    history.answer(Rejected(failure=failure))
    return history


def put_off(history: History) -> History:
    """The same, once its capture was put off."""
    history.capture()
    history.answer(NotNow(problem="HTTP 429", retry_after_s=30))
    return history


def lost(history: History) -> History:
    """The same, without an answer to its capture."""
    history.capture()
    history.answer(Unknown(problem="no answer"))
    return history


@pytest.mark.parametrize(
    ("history", "capturing", "asking", "waiting"),
    [
        (authorized(), Exit.PENDING, Exit.DONE, Exit.PENDING),
        (authorized(capture="manual"), Exit.PENDING, Exit.DONE, Exit.DONE),
        (paid(authorized()), Exit.DONE, Exit.DONE, Exit.DONE),
        (lost(authorized()), Exit.UNKNOWN, Exit.UNKNOWN, Exit.UNKNOWN),
        (lost(authorized(capture="manual")), Exit.UNKNOWN, Exit.UNKNOWN, Exit.UNKNOWN),
        (put_off(authorized()), Exit.PENDING, Exit.DONE, Exit.PENDING),
        (put_off(authorized(capture="manual")), Exit.PENDING, Exit.DONE, Exit.PENDING),
        (refused(authorized(), "payer"), Exit.FAILED, Exit.DONE, Exit.PENDING),
        (refused(authorized(), "operator"), Exit.FAILED, Exit.DONE, Exit.PENDING),
        (refused(authorized(), "caller"), Exit.FAILED, Exit.FAILED, Exit.FAILED),
        (refused(authorized(capture="manual"), "operator"), Exit.FAILED, Exit.DONE, Exit.DONE),
    ],
)
def test_exit_codes_of_authorized(history: History, capturing: Exit, asking: Exit, waiting: Exit) -> None:
    """A capture is done once the money is taken; a wait, once its caller can capture it, or has to."""
    payment = history.payment
    assert endings.after_capture(payment) is capturing
    assert endings.after_asking(payment) is asking
    assert endings.after_waiting(payment) is waiting


def test_exit_code_of_a_refund_that_was_put_off_4() -> None:
    """A refund that goes on by itself is pending, for `await` and `refund` alike; the payment is not done before."""
    history = History()
    history.observe(Status.PAID)
    history.refund("r1", Money("8.00", "HKD"))
    history.answer(NotNow(problem="HTTP 429", retry_after_s=30))
    assert history.payment.refunds[0].status is RefundStatus.CREATED
    assert endings.after_waiting(history.payment) is Exit.PENDING
    assert endings.after_refund(history.payment, "r1") is Exit.PENDING
    (told,) = rows(history.payment)["next"]
    assert told.startswith("a worker, or `paycore await P1`, sends the refund r1 from 2026-01-01 12:00:3")


def test_exit_code_of_an_unresolvable_payment_9() -> None:
    """What only an operator can resolve needs review."""
    history = History()
    history.answer(Unknown(problem="no answer"))
    history.add(Source.RECOVERY, FoundUnresolvable(operation_id=history.payment.creation.id))
    for code_of in (
        endings.after_asking,
        endings.after_waiting,
        endings.after_capture,
        endings.after_closing,
    ):
        assert code_of(history.payment) is Exit.REVIEW


# --- what is read first ------------------------------------------------------------------------------


def test_what_is_read_first_comes_first() -> None:
    """How it stands, what is owed next, what a person must look at; then the names, and what is rarely read."""
    history = History()
    history.observe(Status.PAID)
    history.observe(Status.PAID, provider_id="C2")
    history.refund("back-1", Money("8.00", "HKD"))
    labels = list(rows(history.payment))
    assert labels[:4] == ["status", "next", "review", "payment"]
    assert labels[-2:] == ["created", "refund"]
    assert rows(history.payment)["charge"] == [
        f"C1-{history.payment.order_number}  88.00 HKD",
        f"C2{' ' * 27}  88.00 HKD",
    ]


def unsent() -> History:
    """A payment whose request was never sent."""
    history = History()
    history.decide(
        Source.REPLY,
        lambda payment, now: end_unsent(payment, now, sent=payment.creation, problem="no route"),
    )
    return history


def unanswered(*, is_unresolvable: bool = False) -> History:
    """A payment whose order nobody answered."""
    history = History()
    history.answer(Unknown(problem="no answer"))
    if is_unresolvable:
        history.add(Source.RECOVERY, FoundUnresolvable(operation_id=history.payment.creation.id))
    return history


def observed(status: Status) -> History:
    """A payment that the provider says is so."""
    history = History()
    history.observe(status)
    return history


def refunding(status: RefundStatus | None) -> History:
    """A paid payment with a refund that the provider says is so; None: it was never sent."""
    history = observed(Status.PAID)
    operation = history.refund("r1", Money("8.00", "HKD"))
    if status is None:
        history.decide(
            Source.REPLY, lambda payment, now: end_unsent(payment, now, sent=operation, problem="no route")
        )
    else:
        history.add(Source.POLL, Observed(observation=refund_seen(operation.number, status)))
    return history


STATES: dict[str, tuple[History, str]] = {
    "unsent": (unsent(), "you must create the payment again, with the same reference: nothing was sent"),
    "being sent": (History(), "the provider owes an answer to the order: `paycore query P1` asks for it"),
    "unknown": (unanswered(), "the provider owes an answer to the order: `paycore query P1` asks for it"),
    "scanned": (pending(QRCode(content="c")), "the payer must scan the link below as a QR code"),
    "followed": (pending(Redirect(url="https://pay.example")), "the payer must act"),
    "paid": (observed(Status.PAID), "nothing is owed"),
    "failed": (
        observed(Status.FAILED),
        "nothing is owed; to try again, create a payment with another reference",
    ),
    "refund pending": (
        refunding(RefundStatus.PENDING),
        "the provider has the refund r1 of 8.00 HKD under way",
    ),
    "refund unsent": (
        refunding(None),
        "you must send the refund r1 again, nothing of it moved: `paycore refund P1 --reference r1 --amount 8.00`",
    ),
    "refund done": (refunding(RefundStatus.SUCCEEDED), "nothing is owed"),
    "review": (
        unanswered(is_unresolvable=True),
        "a person must look into the review below; deliver nothing until then",
    ),
}


@pytest.mark.parametrize(("history", "step"), STATES.values(), ids=STATES)
def test_next_says_what_is_owed_and_by_whom(history: History, step: str) -> None:
    """One sentence for each state: you, the payer, the provider, a worker or nobody."""
    assert rows(history.payment)["next"] == [step]


def test_next_says_how_long_the_payer_has() -> None:
    """Until the order expires; and that it has."""
    history = pending(QRCode(content="c"))
    later = replace(history.payment, expires_at=datetime.now(UTC) + timedelta(minutes=10, seconds=5))
    assert rows(later)["next"] == ["the payer must scan the link below as a QR code, within 10 min"]
    over = replace(history.payment, expires_at=START)
    assert rows(over)["next"] == ["the payer must scan the link below as a QR code; the time for it is over"]


@pytest.mark.parametrize("reason", ReviewReason)
def test_every_reason_for_review_says_what_to_do(reason: ReviewReason) -> None:
    """Each with the command that says it is done."""
    payment = observed(Status.PAID).payment
    told = advice(payment, reason)
    assert "{" not in told
    (*_, last) = re.findall(r"`paycore ([^`]+)`", told)
    verb = "record" if reason is ReviewReason.UNRESOLVABLE else "acknowledge"
    assert last.startswith(f"review {verb} P1 ")
    assert rows(replace(payment, review_reasons=(reason,)))["review"] == [
        f"{reason.replace('_', ' ')}: {told}"
    ]


def test_commands_that_are_suggested_can_be_run(cli: Cli) -> None:
    """Every command that a payment suggests has options that exist: it gets as far as the configuration."""
    payment = replace(observed(Status.PAID).payment, review_reasons=tuple(ReviewReason))
    told = [advice(payment, reason) for reason in ReviewReason]
    told += [step for history, _ in STATES.values() for step in next_steps(history.payment)]
    told += next_steps(authorized(capture="manual").payment)
    commands = set(re.findall(r"`paycore ([^`]+)`", " ".join(told)))
    assert len(commands) > 15
    for command in commands:
        ran = cli(*shlex.split(command))
        assert (ran.code, "configuration" in ran.err) == (6, True), (command, ran)


@pytest.mark.parametrize("columns", [80, 120])
def test_words_are_wrapped_and_commands_are_not(columns: int) -> None:
    """In a window words stay within it, and what is to be copied stays whole; into a pipe each row is one line."""
    history = observed(Status.PAID)
    history.observe(Status.PAID, provider_id="C2")
    lines = payment_block(history.payment, PLAIN, columns)
    command = "`paycore review acknowledge P1 --reason paid_twice --note TEXT`"
    assert any(command in line for line in lines)
    assert max(map(width, lines)) <= columns
    assert "\u00a0" not in "".join(lines)
    whole = payment_block(history.payment, PLAIN)
    assert len([line for line in whole if line.startswith("review")]) == 1
    coloured = payment_block(history.payment, Style(enabled=True), columns)
    assert "\u00a0" not in "".join(coloured)
    assert "\x1b[31;1mpaid twice\x1b[0m" in "".join(coloured)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_timeline_uses_the_window(columns: int) -> None:
    """Words go up to its edge, and the arrow stays with the status; into a pipe each event is one line."""
    entries = tell(observed(Status.PAID).events)
    lines = timeline_block(entries, PLAIN, columns)
    assert max(map(width, lines)) <= columns
    (arrow,) = [line for line in lines if line.endswith("-> paid")]
    assert "\u00a0" not in "".join(lines)
    assert len(timeline_block(entries, PLAIN, None)) == len(entries) + 1
    if columns == 120:
        assert arrow.count("  ->") == 1
        assert len(lines) == len(entries) + 1
