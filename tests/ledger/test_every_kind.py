"""Every kind of event is recorded, listed, verified and exported, the same on both databases."""

from datetime import datetime, timedelta
from functools import partial
from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from paycore import Money, Payment, RefundStatus, ReviewReason, Status
from paycore.domain.capturing import begin_capture
from paycore.domain.closing import begin_close
from paycore.domain.decisions import Answered, Outcome, conclude_from_query, end_attempt
from paycore.domain.events import Change, Finding, FoundUnresolvable, NamespaceGiven, Returned, Source
from paycore.domain.findings import record_finding
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import OperationKind, OperationState
from paycore.domain.provider import Done, NotNow, Unknown
from paycore.domain.review import acknowledge
from paycore.ledger.api import Filter, Rescheduled
from paycore.ledger.audit import records, render_record, verify
from paycore.ledger.base import SqlLedger
from tests.ledger.conftest import Database
from tests.ledger.workload import (
    ACCOUNT,
    AMOUNT,
    DEADLINE,
    PRODUCT,
    answered,
    begun,
    numbering,
    observe,
    paid_payment,
    pending_payment,
    refund_seen,
    refunding,
    seen,
)
from tests.support.due import next_due

CAPTURABLE = replace(PRODUCT, capture="partial")
LOOKED = Finding(by="ada", note="portal, 14:05")
PART = Money("50.00", "HKD")


def change(ledger: SqlLedger, payment: Payment, *changes: Change, source: Source = Source.CALLER) -> Payment:
    """The payment after these changes."""
    return ledger.change(payment.id, lambda _, __: changes, source).result().payment


def authorized(ledger: SqlLedger, reference: str) -> Payment:
    """A payment whose payer agreed."""
    payment = pending_payment(ledger, reference)
    return observe(ledger, seen(payment.order_number, Status.AUTHORIZED))[0].payment


def capturing(ledger: SqlLedger, payment: Payment, amount: Money | None = None) -> Payment:
    """The payment with a capture on its way, or with the same one sent again."""
    decide = partial(
        begin_capture, amount=amount, product=CAPTURABLE, numbering=numbering(), deadline=DEADLINE
    )
    return ledger.change(payment.id, decide, Source.CALLER).result().payment


def ended(ledger: SqlLedger, payment: Payment, kind: OperationKind, outcome: Outcome) -> Payment:
    """The payment once its last operation of a kind was answered."""
    sent = [operation for operation in payment.operations if operation.kind is kind][-1]
    decide = partial(end_attempt, sent=sent, outcome=outcome)
    return ledger.change(payment.id, decide, Source.REPLY).result().payment


def captured(number: str, amount: Money, **told: object) -> PaymentObservation:
    """An order of which this much was taken."""
    return replace(seen(number, Status.PAID), paid_minor=amount.minor, **told)


def put_off_and_captured(ledger: SqlLedger) -> Payment:
    """The payer came back and agreed; a capture of a part was put off, then done; a part was charged back."""
    payment = change(ledger, authorized(ledger, "captured"), Returned(params={"sessionResult": "abc"}))
    payment = capturing(ledger, payment, PART)
    busy = NotNow(problem="too many requests", retry_after_s=30.0)
    payment = ended(ledger, payment, OperationKind.CAPTURE, busy)
    later = ledger.now() + timedelta(seconds=31)
    again = partial(begin_capture, amount=PART, product=CAPTURABLE, numbering=numbering(), deadline=DEADLINE)
    payment = ledger.change(payment.id, lambda known, _: again(known, later), Source.CALLER).result().payment
    payment = ended(ledger, payment, OperationKind.CAPTURE, Done(captured(payment.order_number, PART)))
    lost = captured(payment.order_number, PART, charged_back_minor=2000, charge_back_won_minor=500)
    payment = observe(ledger, lost)[0].payment
    seen_by_a_person = partial(acknowledge, reason=ReviewReason.CHARGED_BACK, finding=LOOKED)
    return ledger.change(payment.id, seen_by_a_person, Source.OPERATOR).result().payment


def voided(ledger: SqlLedger) -> Payment:
    """Authorized, then closed: the answer was lost, and a query shows it."""
    payment = authorized(ledger, "voided")
    decide = partial(begin_close, product=CAPTURABLE, numbering=numbering(), deadline=DEADLINE)
    payment = ledger.change(payment.id, decide, Source.CALLER).result().payment
    payment = ended(ledger, payment, OperationKind.CLOSE, Unknown(problem="the connection was lost"))
    payment = observe(ledger, seen(payment.order_number, Status.CLOSED))[0].payment
    later = Answered(asked_at=ledger.now() + timedelta(minutes=1))
    return (
        ledger.change(payment.id, lambda known, _: conclude_from_query(known, later), Source.POLL)
        .result()
        .payment
    )


def reversed_refund(ledger: SqlLedger) -> Payment:
    """A refund that succeeded, and came back."""
    payment = paid_payment(ledger, "reversed")
    payment = ledger.change(payment.id, refunding("back-1"), Source.CALLER).result().payment
    told = (RefundStatus.SUCCEEDED, RefundStatus.REVERSED)
    observe(ledger, *(refund_seen(payment.refunds[0].number, status) for status in told))
    return ledger.get(payment.id).result()


def unresolvable(ledger: SqlLedger) -> Payment:
    """A create whose reply was lost, at a provider that can't be asked about it."""
    payment = ledger.begin(*begun("unresolvable")).result().payment
    payment = ledger.change(payment.id, answered(Unknown(problem="no answer")), Source.REPLY).result().payment
    return change(
        ledger, payment, FoundUnresolvable(operation_id=payment.creation.id), source=Source.RECOVERY
    )


def found_paid(ledger: SqlLedger) -> Payment:
    """One that an operator found paid in the provider's portal."""
    payment = unresolvable(ledger)
    decide = partial(record_finding, found="paid", finding=LOOKED, provider_id="tr_9")
    return ledger.change(payment.id, decide, Source.OPERATOR).result().payment


def never_arrived(ledger: SqlLedger) -> Payment:
    """A create that a query proves absent, sent again and given another namespace."""
    payment = ledger.begin(*begun("absent")).result().payment
    payment = ledger.change(payment.id, answered(Unknown(problem="no answer")), Source.REPLY).result().payment

    def absent(known: Payment, now: datetime) -> list[Change]:
        asked = Answered(
            asked_at=now + timedelta(minutes=5),
            absent={known.order_number},
            proves_after=timedelta(seconds=5),
        )
        return conclude_from_query(known, asked)

    payment = ledger.change(payment.id, absent, Source.POLL).result().payment
    return change(ledger, payment, NamespaceGiven(namespace="till"), source=Source.OPERATOR)


LIVES = (put_off_and_captured, voided, reversed_refund, found_paid, never_arrived)


def test_every_kind_of_event_is_what_the_rows_say(database: Database) -> None:
    """Whatever happened to them, payments are recomputed from their events, by this process and by another."""
    ledger = database.open()
    payments = [life(ledger) for life in LIVES]
    assert [payment.status for payment in payments] == ["paid", "closed", "paid", "paid", "unknown"]
    for each in (ledger, database.open()):
        assert [each.get(payment.id).result() for payment in payments] == payments
        verdicts = list(verify(each))
        assert [verdict.difference for verdict in verdicts] == [None] * len(payments)


def test_every_kind_of_event_is_exported(ledger: SqlLedger) -> None:
    """The export has each change as it was stored, so that its hash can be checked."""
    for life in LIVES:
        life(ledger)
    exported = [msgspec.json.decode(render_record(record)) for record in records(ledger)]
    events = [record for record in exported if record["type"] == "event"]
    kinds = {kind.__struct_config__.tag for kind in get_args(Change)}
    assert {event["kind"] for event in events} == kinds
    assert {event["change"]["type"] for event in events} == kinds
    notes = [event["change"].get("finding") for event in events if event["source"] == "operator"]
    assert [note for note in notes if note] == [{"by": "ada", "note": "portal, 14:05"}] * 2


def test_what_came_after_paid_stands_in_the_row(ledger: SqlLedger) -> None:
    """The columns that lists and reports read follow from captures, charge backs and reversed refunds."""
    payment, other = put_off_and_captured(ledger), reversed_refund(ledger)
    assert (payment.paid_minor, payment.charged_back_minor, payment.refundable_minor) == (5000, 2000, 3500)
    assert (payment.review_reasons, payment.returned) == ((), {"sessionResult": "abc"})
    assert (other.refunds[0].status, other.refunded_minor) == (RefundStatus.REVERSED, 0)
    sql = "SELECT id, paid_minor, refunded_minor, review, open FROM payments"
    rows = ledger.read(lambda tx: tx.execute(sql).fetchall()).result()
    assert sorted(rows) == sorted([(payment.id, 5000, 0, 0, 0), (other.id, AMOUNT.minor, 0, 0, 0)])


def test_authorized_payments_are_listed(ledger: SqlLedger) -> None:
    """Whoever captures by hand asks for those that wait for it; they are open, and due by themselves."""
    waiting, other = authorized(ledger, "order-1"), authorized(ledger, "order-2")
    capturing(ledger, other)
    observe(ledger, captured(other.order_number, AMOUNT))
    pending_payment(ledger, "order-3")
    assert ledger.list(Filter(status=Status.AUTHORIZED)).result() == (waiting,)
    assert ledger.list(Filter(status=Status.AUTHORIZED, open=True)).result() == (waiting,)
    assert ledger.list(Filter(status=Status.AUTHORIZED, account="other")).result() == ()
    assert next_due(ledger, [waiting.id]) is not None


def test_capture_leads_to_its_payment_by_its_own_number(ledger: SqlLedger) -> None:
    """A provider may mention a capture by the number we gave it; no other payment can have that number."""
    payment = capturing(ledger, authorized(ledger, "order-1"))
    capture = payment.operations[-1]
    assert (capture.kind, capture.state) == (OperationKind.CAPTURE, OperationState.SENT)
    (committed,) = observe(ledger, seen(capture.number, Status.PAID))
    assert (committed.payment.id, committed.events) == (payment.id, ()), (
        "it says nothing of the order's money"
    )
    assert all(verdict.difference is None for verdict in verify(ledger))


@pytest.mark.parametrize("life", [unresolvable, put_off_and_captured, voided])
def test_payment_that_waits_for_a_person_need_not_be_due(ledger: SqlLedger, life: object) -> None:
    """What no query can tell is not asked about, and `verify` misses no time there."""
    payment = life(ledger)  # type: ignore[operator]
    ledger.reschedule([Rescheduled(payment.id, payment.version, None)]).result()
    assert [verdict.difference for verdict in verify(ledger)] == [None]


def test_payment_that_goes_on_by_itself_must_be_due(database: Database) -> None:
    """Authorized, put off, or with a refund under way: `verify` tells of one that nobody would look after."""
    ledger = database.open()
    authorized(ledger, "order-1")
    put_off = paid_payment(ledger, "order-2")
    put_off = ledger.change(put_off.id, refunding("back-1"), Source.CALLER).result().payment
    ended(
        ledger, put_off, OperationKind.REFUND, NotNow(problem="a refund is in progress", retry_after_s=60.0)
    )
    assert [verdict.difference for verdict in verify(ledger)] == [None, None]
    database.run(f"UPDATE payments SET due_at = NULL WHERE account = '{ACCOUNT}'")
    where = [verdict.difference.where for verdict in verify(ledger) if verdict.difference]
    assert where == ["due_at", "due_at"]
