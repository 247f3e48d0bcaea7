"""A notification may name a payment by what the provider calls it: that makes it due, and moves nothing."""

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta

import pytest
from msgspec.structs import replace

from paycore import Payment, Status
from paycore.domain.bounds import ID_MAX
from paycore.domain.events import Source
from paycore.domain.observation import RefundObservation
from paycore.domain.payment import RefundStatus
from paycore.domain.provider import Mention, Notice
from paycore.ledger.api import Recorded, Rescheduled
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.group import NAMED_MAX
from tests.ledger.conftest import Database
from tests.ledger.test_group_commit import one_group
from tests.ledger.workload import (
    ACCOUNT,
    begun,
    notice,
    observe,
    paid_payment,
    pending_payment,
    refunding,
    seen,
)
from tests.support.due import bring_forward, claim_due, claiming, due_soon, next_due


def mention(ledger: SqlLedger, *ids: str, account: str = ACCOUNT, body: bytes = b"id=tr_1") -> Recorded:
    """A notification that has nothing but ids."""
    told: list[Notice] = [Mention(id=one) for one in ids]
    return ledger.record_notification(account, notice(body, ledger.now()), told, is_evidence=True).result()


def with_ids(ledger: SqlLedger, payment: Payment, ids: Mapping[str, str]) -> Payment:
    """The payment once its provider has told further ids of its order."""
    told = replace(seen(payment.order_number), ids=ids)
    return observe(ledger, told, account=payment.account)[0].payment


def claimed(ledger: SqlLedger) -> list[str]:
    """The ids of what is due."""
    return [payment.id for payment in claim_due(ledger, limit=100, lease_s=3600)[1]]


def is_sound(ledger: SqlLedger) -> bool:
    """Whether every table agrees with the events."""
    return all(verdict.difference is None for verdict in verify(ledger))


@pytest.mark.parametrize("which", ["order", "intent", "charge", "refund", "balance"])
def test_any_id_of_a_payment_names_it(ledger: SqlLedger, which: str) -> None:
    """The order's own id and its further ones, those of its charges and of its refunds."""
    payment = paid_payment(ledger, "order-1")
    payment = with_ids(ledger, payment, {"intent": "pi_1"})
    refunded = ledger.change(payment.id, refunding("back-1"), Source.CALLER).result().payment
    told = RefundObservation(
        number=refunded.refunds[0].number,
        status=RefundStatus.PENDING,
        provider_id="re_1",
        ids={"balance": "bt_1"},
    )
    observe(ledger, replace(seen(payment.order_number, Status.PAID), provider_id="ch_1"), told)
    before = ledger.get(payment.id).result()
    ledger.reschedule([Rescheduled(before.id, before.version, None)]).result()
    named = {
        "order": f"C1-{payment.order_number}",
        "intent": "pi_1",
        "charge": "ch_1",
        "refund": "re_1",
        "balance": "bt_1",
    }[which]
    recorded = mention(ledger, named)
    assert (recorded.due, recorded.unknown) == ((payment.id,), {})
    assert [(committed.payment, committed.events) for committed in recorded.payments] == [(before, ())]
    assert ledger.get(payment.id).result() == before, "a mention moves nothing"
    assert claimed(ledger) == [payment.id]
    assert is_sound(ledger)


def test_id_that_nobody_has_is_kept_and_told(database: Database) -> None:
    """It is stored for a person, and named as unknown; once it is known, the same words find the payment."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    recorded = mention(ledger, "tr_1", "a\x00b", "tr_2")
    assert (recorded.payments, recorded.due, recorded.is_repeat) == ((), (), False)
    assert recorded.unknown == {"tr_1": (), "a\x00b": (), "tr_2": ()}
    kept = ledger.read(
        lambda tx: tx.execute("SELECT body, verdict, payment_id FROM inbox").fetchall()
    ).result()
    assert [(bytes(body), verdict, owner) for body, verdict, owner in kept] == [
        (b"id=tr_1", "evidence", None)
    ]
    with_ids(ledger, payment, {"transaction": "tr_1"})
    again = mention(database.open(), "tr_1")
    assert (again.due, again.unknown, again.is_repeat) == ((payment.id,), {}, True)


def test_id_of_another_account_is_named_with_it(ledger: SqlLedger) -> None:
    """One URL may serve several accounts: whose id it is, is told, and only its own account's payments are due."""
    here = with_ids(ledger, pending_payment(ledger, "order-1"), {"intent": "pi_1"})
    there = with_ids(ledger, pending_payment(ledger, "order-2", account="other"), {"intent": "pi_2"})
    both = mention(ledger, "pi_1", "pi_2", "pi_3")
    assert (both.due, both.unknown) == ((here.id,), {"pi_2": ("other",), "pi_3": ()})
    theirs = mention(ledger, "pi_1", "pi_2", "pi_3", account="other")
    assert (theirs.due, theirs.unknown) == ((there.id,), {"pi_1": (ACCOUNT,), "pi_3": ()})


def test_numbers_and_ids_stand_side_by_side(ledger: SqlLedger) -> None:
    """A batch of events tells of many payments, each in its own way; one that is named twice is due once."""
    first = with_ids(ledger, pending_payment(ledger, "order-1"), {"intent": "pi_1"})
    second, third = pending_payment(ledger, "order-2"), pending_payment(ledger, "order-3")
    told: list[Notice] = [
        Mention(id="pi_1"),
        Mention(number=first.order_number),
        Mention(number=second.order_number),
        seen(third.order_number, Status.PAID),
        Mention(id="pi_9"),
        Mention(number="NOBODYS"),
    ]
    recorded = ledger.record_notification(
        ACCOUNT, notice(b"x", ledger.now()), told, is_evidence=True
    ).result()
    assert recorded.due == tuple(sorted((first.id, second.id)))
    assert [committed.payment.id for committed in recorded.payments] == sorted(
        (first.id, second.id, third.id)
    )
    assert ledger.get(third.id).result().status is Status.PAID
    assert recorded.unknown == {"pi_9": (), "NOBODYS": ()}


def test_mention_with_the_same_words_makes_it_due_each_time(ledger: SqlLedger) -> None:
    """Some providers send nothing but the id, whatever happened: the second time it was charged back."""
    payment = with_ids(ledger, paid_payment(ledger, "order-1"), {"transaction": "tr_1"})
    ledger.reschedule([Rescheduled(payment.id, payment.version, None)]).result()
    for is_repeat in (False, True, True):
        assert mention(ledger, "tr_1").is_repeat is is_repeat
        assert due_soon(ledger) == [payment.id]
        bring_forward(ledger)
        assert claimed(ledger) == [payment.id]
        ledger.reschedule([Rescheduled(payment.id, payment.version, None)]).result()
    assert len(ledger.read(lambda tx: tx.execute("SELECT 1 FROM inbox").fetchall()).result()) == 1


def test_id_that_many_payments_have_makes_only_the_newest_due(ledger: SqlLedger) -> None:
    """What a provider reports of many orders, such as the payer's own id, is no order's id; it costs little."""
    payments = [pending_payment(ledger, f"order-{n}") for n in range(NAMED_MAX + 2)]
    for payment in payments:
        with_ids(ledger, payment, {"customer": "cus_1"})
    newest = sorted(payment.id for payment in payments)[2:]
    assert list(mention(ledger, "cus_1").due) == newest
    assert sorted(claimed(ledger)) == newest
    assert is_sound(ledger)


def test_id_in_the_group_that_brings_it_is_found(ledger: SqlLedger) -> None:
    """What is not written yet counts, also when another unit of the group has had everything written since."""
    payment = pending_payment(ledger, "order-1")
    now = ledger.now()
    told = replace(seen(payment.order_number), ids={"transaction": "tr_1"})
    with one_group(ledger):
        unknown = ledger.record_notification(
            ACCOUNT, notice(b"0", now), [Mention(id="tr_1")], is_evidence=True
        )
        observed = ledger.observe(ACCOUNT, [told], Source.REPLY)
        found = ledger.record_notification(ACCOUNT, notice(b"1", now), [Mention(id="tr_1")], is_evidence=True)
        taken = ledger.claim(claiming(ACCOUNT, limit=1, lease_s=3600))
        again = ledger.record_notification(ACCOUNT, notice(b"2", now), [Mention(id="tr_1")], is_evidence=True)
    assert unknown.result().unknown == {"tr_1": ()}
    assert observed.result()[0].events
    assert found.result().due == again.result().due == (payment.id,)
    assert taken.result().payments != ()
    assert is_sound(ledger)


def test_number_in_the_group_that_begins_it_is_found(ledger: SqlLedger) -> None:
    """The same for our own numbers."""
    reference, at = begun("order-1")
    number = at(ledger.now()).operation.number
    with one_group(ledger):
        early = ledger.observe(ACCOUNT, [seen(number)], Source.POLL)
        begin = ledger.begin(reference, at)
        ledger.claim(claiming(ACCOUNT, limit=1, lease_s=3600))
        late = ledger.observe(ACCOUNT, [seen(number)], Source.POLL)
    assert early.result() == ()
    assert [committed.payment.id for committed in late.result()] == [begin.result().payment.id]


def test_id_that_another_one_replaced_still_names_it(ledger: SqlLedger) -> None:
    """Of two ids of one order the lesser counts; the provider may go on to mention the other."""
    payment = ledger.begin(*begun("order-1")).result().payment
    observe(ledger, seen(payment.order_number, charge="B"))
    observe(ledger, seen(payment.order_number, charge="A"))
    assert ledger.get(payment.id).result().provider_id == "A"
    assert mention(ledger, "A").due == mention(ledger, "B").due == (payment.id,)
    assert is_sound(ledger)


def test_ids_that_change_while_they_are_verified_are_no_difference(database: Database) -> None:
    """The tables are read one after the other, and somebody writes meanwhile."""
    ledger, other = database.open(), database.open()
    payment = ledger.begin(*begun("order-1")).result().payment
    done = threading.Event()

    def write() -> None:
        for n in range(120, 0, -1):
            observe(other, seen(payment.order_number, charge=f"P{n:03}"))
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    looks = 0
    while not done.is_set() or not looks:
        assert is_sound(ledger)
        looks += 1
    thread.join()
    assert is_sound(ledger)
    assert len(ledger.read(lambda tx: tx.execute("SELECT 1 FROM provider_ids").fetchall()).result()) == 120


def test_contradicting_ids_of_one_name_both_name_it(ledger: SqlLedger) -> None:
    """The payment needs review then, and is asked about by whichever the provider mentions."""
    payment = pending_payment(ledger, "order-1")
    with_ids(ledger, payment, {"transaction": "tr_1"})
    with_ids(ledger, payment, {"transaction": "tr_2"})
    assert mention(ledger, "tr_1").due == mention(ledger, "tr_2").due == (payment.id,)
    assert is_sound(ledger)


@pytest.mark.parametrize("odd", ["x" * (ID_MAX + 1), "x" * 10_000, "a\x00b", ""])
def test_id_that_no_index_takes_is_recorded_and_names_nothing(ledger: SqlLedger, odd: str) -> None:
    """What a provider says is never lost because of an id in it, on either database."""
    payment = with_ids(ledger, pending_payment(ledger, "order-1"), {"odd": odd, "usual": "x" * ID_MAX})
    assert dict(payment.ids)["odd"] == odd
    assert mention(ledger, odd).unknown == {odd: ()}
    assert mention(ledger, "x" * ID_MAX).due == (payment.id,)
    assert is_sound(ledger)


def test_mention_of_a_final_payment_makes_it_due(ledger: SqlLedger) -> None:
    """Nothing else would ask about it again: a charge back comes months later."""
    payment = paid_payment(ledger, "order-1")
    ledger.reschedule([Rescheduled(payment.id, payment.version, None)]).result()
    assert next_due(ledger, [payment.id]) is None
    mention(ledger, f"C1-{payment.order_number}")
    due = next_due(ledger, [payment.id])
    assert due is not None
    assert timedelta() <= ledger.now() - due < timedelta(seconds=30)


def test_missing_row_is_a_difference(ledger: SqlLedger, database: Database) -> None:
    """A payment that an id of its own does not lead to."""
    payment = with_ids(ledger, pending_payment(ledger, "order-1"), {"intent": "pi_1"})
    database.run("DELETE FROM provider_ids WHERE provider_id = 'pi_1'")
    (verdict,) = (verdict for verdict in verify(ledger) if verdict.difference is not None)
    assert verdict.payment_id == payment.id
    assert verdict.difference is not None
    assert (verdict.difference.where, verdict.difference.derived) == ("provider_ids", "provider id pi_1")


@pytest.mark.parametrize("is_one_group", [False, True])
def test_answer_to_an_older_question_leaves_it_due(ledger: SqlLedger, *, is_one_group: bool) -> None:
    """A query is under way when the mention comes: what it answers was said before, and may lack what changed."""
    payment = pending_payment(ledger, "order-1")
    ledger.reschedule([Rescheduled(payment.id, payment.version, ledger.now())]).result()
    assert claimed(ledger) == [payment.id]
    told = [Mention(number=payment.order_number)]
    answer = [seen(payment.order_number, Status.PAID)]
    with one_group(ledger) if is_one_group else nullcontext():
        hint = ledger.record_notification(ACCOUNT, notice(b"x", ledger.now()), told, is_evidence=True)
        if not is_one_group:
            hint.result()
        observed = ledger.observe(ACCOUNT, answer, Source.POLL)
    paid = observed.result()[0].payment
    assert paid.status is Status.PAID
    ledger.reschedule([Rescheduled(paid.id, paid.version, None)]).result()
    assert due_soon(ledger) == [payment.id], "somebody asks once more"
    bring_forward(ledger)
    assert claimed(ledger) == [payment.id]
    observe(ledger, replace(answer[0], ids={"charge": "ch_1"}))
    known = ledger.get(payment.id).result()
    ledger.reschedule([Rescheduled(known.id, known.version, None)]).result()
    assert next_due(ledger, [payment.id]) is None
    assert is_sound(ledger)


def test_mention_whose_question_got_no_answer_is_not_forgotten(ledger: SqlLedger) -> None:
    """Whatever else is recorded meanwhile, somebody asks again once the lease has ended."""
    payment = paid_payment(ledger, "order-1")
    ledger.reschedule([Rescheduled(payment.id, payment.version, None)]).result()
    mention(ledger, f"C1-{payment.order_number}")
    bring_forward(ledger)
    assert claimed(ledger) == [payment.id]
    observe(ledger, replace(seen(payment.order_number, Status.PAID), ids={"charge": "ch_1"}))
    assert next_due(ledger, [payment.id]) is not None
