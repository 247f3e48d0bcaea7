"""`bring_back` records what a provider lists and the ledger has lost, and never touches what there is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from paycore import Money, Status
from paycore.domain import bringing_back, decisions, refunding
from paycore.domain.bringing_back import BroughtBack, FoundOrder, FoundRefund
from paycore.domain.changes import ChangeKind
from paycore.domain.events import PaymentBegun, Source
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import OperationKind, OperationState, Order, RefundStatus
from paycore.domain.provider import Product
from paycore.domain.schedule import due_at
from paycore.engine.orders import new_id
from paycore.errors import ReferenceConflict
from paycore.ledger.api import Committed, FeedPlace, Sought
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from tests.ledger.conftest import Database

AMOUNT = Money("88.00", "HKD")
MADE_AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def found(reference: str = "order-1", **changes: object) -> FoundOrder:
    """An order that was paid, as its provider lists it."""
    number = new_id()
    seen = PaymentObservation(
        number=number,
        status=Status.PAID,
        provider_id=f"P-{number}",
        amount=AMOUNT,
        ids={"charge": f"C-{number}"},
    )
    whole = FoundOrder(
        payment_id=new_id(),
        operation_id=new_id(),
        capture_id=new_id(),
        capture_number=new_id(),
        account="shop",
        provider="toy",
        namespace="",
        reference=reference,
        amount=AMOUNT,
        observation=seen,
        made_at=MADE_AT,
        method="card",
        channel="web",
    )
    return replace(whole, **changes)


def brought(ledger: SqlLedger, order: FoundOrder) -> Committed:
    """The order, brought back as reconciling does it."""
    seen = order.observation
    ids = (seen.provider_id or "", *seen.ids.values())
    names = Sought(order.account, (seen.number,), ids, (order.reference,))

    def bring(now: datetime) -> BroughtBack:
        return bringing_back.bring_back(now, found=order)

    return ledger.bring_back(names, bring).result()


def begun(ledger: SqlLedger, reference: str, account: str = "shop", number: str | None = None) -> Committed:
    """A payment that its caller makes."""

    def begin(now: datetime) -> PaymentBegun:
        return decisions.begin_payment(
            now,
            payment_id=new_id(),
            account=account,
            provider="toy",
            namespace="" if account == "shop" else account,
            order=Order(reference=reference, amount=AMOUNT, method="card", channel="web"),
            numbering=decisions.Numbering(operation_id=new_id(), number=number or new_id()),
            deadline=timedelta(seconds=5),
            needs_action=False,
        )

    return ledger.begin(reference, begin).result()


def test_what_is_told_is_recorded_in_one_transaction(database: Database) -> None:
    """Number, ids, status and time, found again by each of them; nothing of it is ever due to be sent."""
    ledger = database.open()
    order = found()
    committed = brought(ledger, order)
    payment, number = committed.payment, order.observation.number
    assert [event.kind for event in committed.events] == ["payment_begun", "observed"]
    assert {event.source for event in committed.events} == {Source.LIST}
    assert (payment.status, payment.paid_minor, payment.created_at) == (Status.PAID, AMOUNT.minor, MADE_AT)
    assert payment.creation.state is OperationState.DONE
    assert (payment.order.capture, "capture" in payment.untold, "method" in payment.untold) == (
        "manual",
        True,
        False,
    )
    for names in (
        Sought("shop", numbers=[number]),
        Sought("shop", ids=[f"C-{number}"]),
        Sought("shop", references=["order-1", "nobody's"]),
        Sought("other", numbers=[number]),
    ):
        assert ledger.named(names).result() == (payment,)
    for names in (Sought("other", ids=[f"C-{number}"]), Sought("shop"), Sought("shop", numbers=["bad\0"])):
        assert ledger.named(names).result() == ()
    assert due_at(payment, payment.updated_at) is None
    assert [verdict for verdict in verify(ledger) if verdict.difference] == []


def test_feed_hands_over_what_was_brought_back(database: Database) -> None:
    """As a payment that was made and paid."""
    ledger = database.open()
    brought(ledger, found())
    entries = ledger.read_feed(FeedPlace(0)).result().entries
    assert [entry.kind for entry in entries] == [ChangeKind.CREATED, ChangeKind.PAID]


@pytest.mark.parametrize("named_by", ["reference", "number", "id", "number of another account"])
def test_what_there_is_stays_as_it_is(database: Database, named_by: str) -> None:
    """A payment that has its reference, its number or an id of it comes back unchanged, and nothing is recorded."""
    ledger = database.open()
    order = found("order-1" if named_by == "reference" else "order-2")
    seen = order.observation
    own = seen.number if named_by.startswith("number") else None
    other = begun(ledger, "order-1", "elsewhere" if "account" in named_by else "shop", own).payment
    if named_by == "id":
        same = PaymentObservation(
            number=other.order_number, status=Status.PAID, provider_id=seen.provider_id, amount=AMOUNT
        )
        (committed,) = ledger.observe("shop", [same], Source.QUERY).result()
        other = committed.payment
    committed = brought(ledger, order)
    assert (committed.payment, committed.events) == (other, ())
    assert ledger.get(other.id).result() == other


def test_of_many_at_once_one_is_recorded(database: Database) -> None:
    """Of callers who make the payment and runs that bring it back, in several processes, one is first."""
    ledgers = [database.open(), database.open()]
    order = found()

    def race(turn: int) -> str:
        ledger = ledgers[turn % 2]
        came = (
            begun(ledger, "order-1")
            if turn % 3 == 0
            else brought(ledger, replace(order, payment_id=new_id()))
        )
        return came.payment.id

    with ThreadPoolExecutor(12) as pool:
        ids = set(pool.map(race, range(24)))
    assert len(ids) == 1
    assert [one.id for one in ledgers[0].find(None, "order-1").result()] == [*ids]
    assert [verdict for verdict in verify(ledgers[0]) if verdict.difference] == []


def test_a_part_that_was_captured_is_paid_by_that(database: Database) -> None:
    """What is told of the money counts; more than the whole is no capture, and needs review."""
    ledger = database.open()
    for reference, paid_minor, status in (("part", 3000, Status.PAID), ("more", 9000, Status.PENDING)):
        order = found(reference)
        told = replace(order, observation=replace(order.observation, paid_minor=paid_minor))
        payment = brought(ledger, told).payment
        assert (payment.status, payment.review) == (status, reference == "more")
        assert payment.paid_minor == (3000 if reference == "part" else 0)
    assert [verdict for verdict in verify(ledger) if verdict.difference] == []


def refund_of(amount: Money, reference: str = "back-1") -> FoundRefund:
    """A refund that succeeded, as its provider lists it."""
    number = new_id()
    seen = RefundObservation(
        number=number, status=RefundStatus.SUCCEEDED, provider_id=f"R-{number}", amount=amount
    )
    return FoundRefund(
        operation_id=new_id(), reference=reference, amount=amount, observation=seen, made_at=MADE_AT
    )


def test_a_refund_comes_back_once_under_its_reference(database: Database) -> None:
    """The caller's repeated refund is the same one, whatever the reason; another payment's reference is refused."""
    ledger = database.open()
    payment = brought(ledger, found()).payment
    other = brought(ledger, found("order-2")).payment
    refund = refund_of(Money("20.00", "HKD"))

    def bring(payment_id: str, which: FoundRefund) -> Committed:
        return ledger.change(
            payment_id,
            lambda known, now: bringing_back.bring_back_refund(known, now, found=which),
            Source.LIST,
        ).result()

    back = bring(payment.id, refund).payment
    assert (back.refunded_minor, back.refunds[0].status) == (2000, RefundStatus.SUCCEEDED)
    assert bring(payment.id, refund).events == ()
    assert bring(payment.id, replace(refund_of(refund.amount), reference="back-1")).events == ()
    with pytest.raises(ReferenceConflict):
        bring(other.id, refund_of(refund.amount))
    operation = next(op for op in back.operations if op.kind is OperationKind.REFUND)
    assert operation.state is OperationState.DONE
    repeated = refunding.begin_refund(
        back,
        back.updated_at,
        reference="back-1",
        amount=refund.amount,
        reason="asked again",
        product=Product(method="card", channel="web", currencies={}),
        numbering=decisions.Numbering(operation_id=new_id(), number=new_id()),
        deadline=timedelta(seconds=5),
    )
    assert repeated == []
    assert [verdict for verdict in verify(ledger) if verdict.difference] == []
