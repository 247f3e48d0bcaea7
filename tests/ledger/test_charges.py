"""A provider's charge id belongs to one payment: reported for another one it does not pay that one."""

import threading
from collections.abc import Callable

import pytest

from paycore import Payment, ReviewReason, Status
from paycore.domain.events import Observed, Source
from paycore.domain.provider import Created, Done
from paycore.errors import NotFound
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from tests.ledger.conftest import Database
from tests.ledger.workload import ACCOUNT, answered, begun, notice, observe, pending_payment, seen

CHARGE = "20260101000300020012345678"


def says_paid(payment: Payment, charge: str = CHARGE) -> Callable[[SqlLedger], Payment]:
    """The provider reports this payment's order as paid, under this charge id."""
    return lambda ledger: observe(ledger, seen(payment.order_number, Status.PAID, charge=charge))[0].payment


def holds(ledger: SqlLedger) -> bool:
    """Whether every payment follows from its events."""
    return all(verdict.difference is None for verdict in verify(ledger))


def check_one_is_paid(ledger: SqlLedger, *payments: Payment) -> None:
    """One of them is paid, the others need review, and the events give the same."""
    known = [ledger.get(payment.id).result() for payment in payments]
    (paid,) = [payment for payment in known if payment.status is Status.PAID]
    others = [payment for payment in known if payment is not paid]
    assert not paid.review
    assert {payment.status for payment in others} == {Status.PENDING}
    assert {payment.review_reasons for payment in others} == {(ReviewReason.CHARGE_OF_ANOTHER,)}
    assert sum(payment.paid_minor for payment in known) == paid.amount.minor
    for payment in others:
        change = ledger.events(payment.id).result()[-1].change
        assert isinstance(change, Observed)
        assert change.charge_of == paid.id
    assert holds(ledger)


def test_charge_of_another_payment_is_review_and_not_paid(ledger: SqlLedger) -> None:
    """The second payment is not paid; its event names the charge's payment."""
    one, other = pending_payment(ledger, "order-1"), pending_payment(ledger, "order-2")
    assert says_paid(one)(ledger).status is Status.PAID
    says_paid(other)(ledger)
    check_one_is_paid(ledger, one, other)


def test_payments_of_one_answer_do_not_share_a_charge(ledger: SqlLedger) -> None:
    """Six payments reported in one answer with one id: one is paid."""
    payments = [pending_payment(ledger, f"order-{n}") for n in range(6)]
    observe(ledger, *[seen(payment.order_number, Status.PAID, charge=CHARGE) for payment in payments])
    check_one_is_paid(ledger, *payments)


def test_payments_of_one_group_commit_do_not_share_a_charge(ledger: SqlLedger) -> None:
    """Units of one transaction see each other's charges."""
    payments = [pending_payment(ledger, f"order-{n}") for n in range(6)]
    hold = threading.Event()
    ledger.change(
        payments[0].id, lambda *_: (hold.wait(10), ())[1], Source.POLL
    )  # what follows waits together
    told = [seen(payment.order_number, Status.PAID, charge=CHARGE) for payment in payments]
    futures = [ledger.observe(ACCOUNT, [one], Source.POLL) for one in told]
    hold.set()
    for future in futures:
        future.result()
    check_one_is_paid(ledger, *payments)


def test_payments_of_several_processes_do_not_share_a_charge(database: Database) -> None:
    """The first to record the charge has it, with any number of processes."""
    ledgers = [database.open() for _ in range(4)]
    for times in range(5):
        payments = [pending_payment(ledgers[0], f"order-{times}-{n}") for n in range(8)]
        futures = [
            ledgers[n % 4].observe(
                ACCOUNT, [seen(payment.order_number, Status.PAID, charge=f"{CHARGE}-{times}")], Source.POLL
            )
            for n, payment in enumerate(payments)
        ]
        for future in futures:
            future.result()
        check_one_is_paid(ledgers[1], *payments)


def test_reply_with_the_charge_of_another_is_not_paid(ledger: SqlLedger) -> None:
    """The same for the reply to a scanned code."""
    says_paid(pending_payment(ledger, "order-1"))(ledger)
    other = ledger.begin(*begun("order-2")).result().payment
    outcome = Done(Created(observation=seen(other.order_number, Status.PAID, charge=CHARGE)))
    after = ledger.change(other.id, answered(outcome), Source.REPLY).result().payment
    assert (after.status, after.review_reasons) == (Status.PENDING, (ReviewReason.CHARGE_OF_ANOTHER,))
    assert holds(ledger)


def test_notification_with_the_charge_of_another_is_not_paid(ledger: SqlLedger) -> None:
    """The same for a trusted notification."""
    says_paid(pending_payment(ledger, "order-1"))(ledger)
    other = pending_payment(ledger, "order-2")
    told = [seen(other.order_number, Status.PAID, charge=CHARGE)]
    ledger.record_notification(ACCOUNT, notice(b"paid", ledger.now()), told, is_evidence=True).result()
    assert ledger.get(other.id).result().review_reasons == (ReviewReason.CHARGE_OF_ANOTHER,)
    assert holds(ledger)


def test_repeating_whose_charge_it_is_changes_nothing(ledger: SqlLedger) -> None:
    """Repeated polls record it once."""
    says_paid(pending_payment(ledger, "order-1"))(ledger)
    other = pending_payment(ledger, "order-2")
    versions = {says_paid(other)(ledger).version for _ in range(3)}
    assert len(versions) == 1


def test_payment_is_paid_by_a_charge_of_its_own_afterwards(ledger: SqlLedger) -> None:
    """A later correct answer pays; the review stays."""
    says_paid(pending_payment(ledger, "order-1"))(ledger)
    other = pending_payment(ledger, "order-2")
    says_paid(other)(ledger)
    after = says_paid(other, "another")(ledger)
    assert (after.status, after.review_reasons) == (Status.PAID, (ReviewReason.CHARGE_OF_ANOTHER,))


def test_accounts_have_ids_of_their_own(ledger: SqlLedger) -> None:
    """Two accounts may have the same charge id."""
    one, other = pending_payment(ledger, "order-1"), pending_payment(ledger, "order-2", account="eu")
    says_paid(one)(ledger)
    told = seen(other.order_number, Status.PAID, charge=CHARGE)
    assert observe(ledger, told, account="eu")[0].payment.status is Status.PAID


def test_order_paid_once_under_two_answers_stays_one_charge(ledger: SqlLedger) -> None:
    """A payment's own charge reported again in other words keeps it paid."""
    payment = pending_payment(ledger, "order-1")
    says_paid(payment)(ledger)
    told = seen(payment.order_number, Status.PAID, charge=CHARGE)
    after = observe(ledger, type(told)(number=told.number, status=told.status, provider_id=CHARGE))
    assert (after[0].payment.status, after[0].payment.review) == (Status.PAID, False)


def test_lost_row_of_a_charge_is_found(database: Database) -> None:
    """A missing row of a charge is a difference."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    says_paid(payment)(ledger)
    database.run("DELETE FROM charges")
    (verdict,) = verify(ledger)
    assert verdict.difference is not None
    assert (verdict.difference.where, verdict.difference.derived) == ("charges", f"provider id {CHARGE}")


def test_unknown_number_takes_no_charge(ledger: SqlLedger) -> None:
    """An observation of an unknown number records no charge."""
    assert observe(ledger, seen("NOBODY", Status.PAID, charge=CHARGE)) == ()
    with pytest.raises(NotFound):
        ledger.get("NOBODY").result()
    assert says_paid(pending_payment(ledger, "order-1"))(ledger).status is Status.PAID


def test_migration_gives_an_id_counted_twice_to_the_first_and_leaves_what_can_not_be_read(
    database: Database,
) -> None:
    """An old ledger with doubled ids and damaged rows is migrated."""
    ledger = database.open()
    first, second, broken = (pending_payment(ledger, f"order-{n}") for n in range(3))
    for payment, charge in ((first, "A"), (second, "B"), (broken, "C")):
        says_paid(payment, charge)(ledger)
    ledger.close()
    database.run(
        f"""UPDATE payments SET body = replace(body, '"B"', '"A"') WHERE id = '{second.id}'""",
        f"UPDATE payments SET body = 'nonsense' WHERE id = '{broken.id}'",
        "DROP TABLE charges",
        "DELETE FROM meta WHERE schema = 5",
    )
    sql = "SELECT provider_id, payment_id FROM charges"
    rows = database.open().read(lambda tx: tx.execute(sql).fetchall()).result()
    assert rows == [("A", first.id)]
