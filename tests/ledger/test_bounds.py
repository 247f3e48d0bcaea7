"""The cost of an event, and the wait of other writers, do not depend on how much is reported of a payment."""

import time
from collections.abc import Callable

import pytest

from paycore import Money, Payment, Status
from paycore.domain import bounds
from paycore.domain.bounds import CHARGES_MAX, FACTS_MAX, REFUNDS_MAX
from paycore.domain.events import Source
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import ReviewReason
from paycore.errors import TooMany
from paycore.ledger import groupcommit
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.parts import PART_MAX
from tests.ledger.conftest import Database
from tests.ledger.workload import begun, notice, observe, paid_payment, pending_payment, refunding, seen

CENT = Money("0.01", "HKD")


def _charges(payment: Payment, count: int) -> list[PaymentObservation]:
    return [seen(payment.order_number, Status.PAID, charge=f"C{n:05}") for n in range(count)]


def _took_s(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of the fastest of some runs."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def test_answer_with_thousands_of_charges_is_bounded_and_verifies(ledger: SqlLedger) -> None:
    """3,000 paid records of one number in one answer: a bounded payment, paid, under review, refundable."""
    payment = pending_payment(ledger, "order-1")
    other = pending_payment(ledger, "order-2")
    answer = [*_charges(payment, 3000), seen(other.order_number, Status.PAID)]
    told = {committed.payment.id: committed for committed in observe(ledger, *answer)}
    assert set(told) == {payment.id, other.id}
    assert told[other.id].payment.status is Status.PAID
    crowded = told[payment.id].payment
    assert (crowded.status, len(crowded.charges)) == (Status.PAID, CHARGES_MAX)
    assert crowded.review_reasons == (ReviewReason.PAID_TWICE, ReviewReason.TOO_MANY_FACTS)
    assert [event.seq for event in told[payment.id].events] == list(range(3, CHARGES_MAX + 4))
    assert crowded == ledger.get(payment.id).result()
    assert ledger.change(payment.id, refunding("back", CENT), Source.CALLER).result().events
    assert not observe(ledger, *answer)[0].events
    assert all(verdict.difference is None for verdict in verify(ledger))


def test_history_of_any_length_costs_no_more(ledger: SqlLedger) -> None:
    """The thousandth distinct observation is recorded about as fast as the tenth."""
    payment = pending_payment(ledger, "order-1")
    names = iter(f"P{n}" for n in range(10 * FACTS_MAX))

    def ten_more() -> None:
        for _ in range(10):
            assert observe(ledger, seen(payment.order_number, charge=next(names)))[0].events

    early_s = _took_s(ten_more)
    observe(ledger, *(seen(payment.order_number, charge=next(names)) for _ in range(FACTS_MAX - 150)))
    late_s = _took_s(ten_more)
    assert late_s < 3 * early_s + 0.01


def test_other_accounts_go_on_meanwhile(ledger: SqlLedger) -> None:
    """A writer waits for a part of a huge answer, not for all of it."""
    crowded = pending_payment(ledger, "order-1")
    whole = ledger.observe("hk", _charges(crowded, 3000), Source.POLL)
    others = 0
    while not whole.done():
        assert ledger.begin(*begun(f"till-{others}", account="till")).result().events
        others += 1
    assert others > 3000 / PART_MAX / 4
    assert whole.result()[0].payment.status is Status.PAID


def test_group_is_bounded_by_what_its_units_do(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units with many observations share a commit with fewer others."""
    groups: list[int] = []
    run = groupcommit.GroupCommit._run_group

    def counted(self: groupcommit.GroupCommit, units: list[groupcommit.Unit]) -> None:
        groups.append(sum(unit.weight for unit in units))
        run(self, units)

    monkeypatch.setattr(groupcommit.GroupCommit, "_run_group", counted)
    payments = [pending_payment(ledger, f"order-{n}") for n in range(20)]
    futures = [ledger.observe("hk", _charges(payment, PART_MAX), Source.POLL) for payment in payments]
    assert all(future.result() for future in futures)
    assert max(groups) < groupcommit.GROUP_MAX + PART_MAX


def test_close_ends_an_answer_in_parts_with_an_error(database: Database) -> None:
    """Closing the ledger in between is an error; what was merged stays."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    whole = ledger.observe("hk", _charges(payment, 10_000), Source.POLL)
    ledger.close()
    error = whole.exception(timeout=10)
    assert error is None or "closed" in str(error)


def test_notification_with_many_observations_is_kept_once(ledger: SqlLedger) -> None:
    """A notification is recorded in one transaction, and bounded like an answer."""
    payment = pending_payment(ledger, "order-1")
    arrived = notice(b"many", ledger.now())
    (committed,) = (
        ledger.record_notification("hk", arrived, _charges(payment, 300), is_evidence=True).result().payments
    )
    assert len(committed.payment.charges) == CHARGES_MAX
    again = ledger.record_notification("hk", arrived, _charges(payment, 300), is_evidence=True).result()
    assert again.is_repeat


def test_refunds_beyond_the_bound_are_refused_and_what_is_left_goes_back_in_one(ledger: SqlLedger) -> None:
    """Refunds beyond the bound are refused with advice; the rest is refunded in one."""
    payment = paid_payment(ledger, "order-1")
    for n in range(REFUNDS_MAX):
        ledger.change(payment.id, refunding(f"back-{n}", CENT), Source.CALLER).result()
    with pytest.raises(TooMany):
        ledger.change(payment.id, refunding("one more", CENT), Source.CALLER).result()
    rest = ledger.change(payment.id, refunding("the rest"), Source.CALLER).result().payment
    assert rest.refundable_minor == 0
    assert all(verdict.difference is None for verdict in verify(ledger))


def test_ledger_from_before_the_bounds_opens_verifies_and_refunds(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payments recorded without bounds are read, verified and refunded."""
    ledger = database.open()
    with monkeypatch.context() as unbounded:
        for name in ("CHARGES_MAX", "FACTS_MAX", "REFUNDS_MAX"):
            unbounded.setattr(bounds, name, 10**9)
        payment = pending_payment(ledger, "order-1")
        observe(ledger, *_charges(payment, CHARGES_MAX * 3))
        observe(ledger, *(seen(payment.order_number, charge=f"P{n}") for n in range(FACTS_MAX)))
        for n in range(REFUNDS_MAX + 5):
            ledger.change(payment.id, refunding(f"back-{n}", CENT), Source.CALLER).result()
    ledger.close()
    ledger = database.open()
    known = ledger.get(payment.id).result()
    assert (len(known.charges), len(known.refunds)) == (CHARGES_MAX * 3, REFUNDS_MAX + 5)
    assert ReviewReason.TOO_MANY_FACTS not in known.review_reasons
    assert ledger.change(payment.id, refunding("the rest"), Source.CALLER).result().events
    observe(ledger, seen(payment.order_number, Status.PAID, charge="one more"))
    assert len(ledger.get(payment.id).result().charges) == CHARGES_MAX * 3
    assert all(verdict.difference is None for verdict in verify(ledger))
