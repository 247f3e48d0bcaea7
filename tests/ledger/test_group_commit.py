"""Callers share a commit and nothing else: each gets its own result or error."""

import fcntl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Payment, Status
from paycore.domain.events import Change, Observed, Source
from paycore.domain.wire import NOTIFICATION_MAX
from paycore.errors import LedgerCorrupt, LedgerTooNew, LedgerUnavailable, NotFound, RefundTooLarge
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import to_ms
from paycore.ledger.group import Group
from paycore.ledger.sqlite import ledger as sqlite_ledger
from paycore.ledger.sqlite.ledger import SqliteLedger
from tests.ledger.conftest import Database
from tests.ledger.workload import ACCOUNT, begun, notice, paid_payment, pending_payment, refunding, seen
from tests.support.due import claiming, next_due


@contextmanager
def one_group(ledger: SqlLedger) -> Iterator[None]:
    """What is submitted inside is committed as one group: the writer is kept busy until the block ends."""
    waiting, go_on = threading.Event(), threading.Event()

    def hold(payment: Payment, now: datetime) -> Sequence[Change]:
        waiting.set()
        go_on.wait(30)
        return []

    payment = ledger.begin(*begun(f"held-{id(go_on)}")).result().payment
    held = ledger.change(payment.id, hold, Source.CALLER)
    waiting.wait(30)
    try:
        yield
    finally:
        go_on.set()
        held.result()


def _positions(ledger: SqlLedger, payment_ids: Sequence[str]) -> int:
    """In how many different milliseconds these payments began; those of one group share theirs."""
    return len({ledger.get(payment_id).result().created_at for payment_id in payment_ids})


def test_group_of_many_is_one_transaction(ledger: SqlLedger) -> None:
    """Units that wait together are committed together, at one time."""
    with one_group(ledger):
        futures = [ledger.begin(*begun(f"order-{n}")) for n in range(50)]
    assert _positions(ledger, [future.result().payment.id for future in futures]) == 1


def test_units_of_a_group_see_what_those_before_them_did(ledger: SqlLedger) -> None:
    """One group begins, answers, pays and refunds a payment; its units see each other's writes."""
    reference, begin = begun("order-1", payment_id="P1")
    number = begin(ledger.now()).operation.number
    with one_group(ledger):
        first, again = ledger.begin(reference, begin), ledger.begin(*begun("order-1"))
        observed = ledger.observe(ACCOUNT, [seen(number, Status.PAID)], Source.POLL)
        refunds = [ledger.change("P1", refunding(reference), Source.CALLER) for reference in ("r1", "r2")]
    assert (bool(first.result().events), bool(again.result().events)) == (True, False)
    assert observed.result()[0].payment.status == "paid"
    assert refunds[0].result().events
    assert isinstance(refunds[1].exception(), RefundTooLarge)
    assert [event.seq for event in ledger.events("P1").result()] == [1, 2, 3]


def test_failing_unit_does_not_harm_its_neighbours(ledger: SqlLedger) -> None:
    """A refusal, a bug and a missing payment: each caller gets its own error, the rest is committed."""
    paid = paid_payment(ledger, "order-0")

    def bug(payment: Payment, now: datetime) -> Sequence[Change]:
        raise ZeroDivisionError

    with one_group(ledger):
        good = [ledger.begin(*begun(f"order-{n}")) for n in range(1, 10)]
        broken = ledger.change(paid.id, bug, Source.CALLER)
        missing = ledger.change("nobody", bug, Source.CALLER)
        refund = ledger.change(paid.id, refunding("r1"), Source.CALLER)
        too_much = ledger.change(paid.id, refunding("r2"), Source.CALLER)
        more = [ledger.begin(*begun(f"order-{n}")) for n in range(10, 20)]
    assert isinstance(broken.exception(), ZeroDivisionError)
    assert isinstance(missing.exception(), NotFound)
    assert isinstance(too_much.exception(), RefundTooLarge)
    assert refund.result().events
    assert _positions(ledger, [future.result().payment.id for future in good + more]) == 1


def test_unit_that_the_database_refuses_is_alone_with_it(ledger: SqlLedger) -> None:
    """A number that is taken fails the group; its other units are committed one by one."""
    reference, taken = begun("order-0", payment_id="P0")
    ledger.begin(reference, taken).result()

    def same_operation(now: datetime) -> object:
        return replace(begun("order-2", payment_id="P2")[1](now), operation=taken(now).operation)

    with one_group(ledger):
        one = ledger.begin(*begun("order-1"))
        bad: Future[object] = ledger.begin("order-2", same_operation)  # type: ignore[arg-type, assignment]
        two = ledger.begin(*begun("order-3"))
    assert isinstance(bad.exception(), LedgerCorrupt)
    assert one.result().events
    assert two.result().events
    assert ledger.find(None, "order-2").result() == ()


def test_damaged_row_affects_only_its_payment(database: Database) -> None:
    """Only the payment with the unreadable row fails, with its id."""
    ledger = database.open()
    bad, good = pending_payment(ledger, "order-1"), pending_payment(ledger, "order-2")
    database.run(f"UPDATE payments SET body = '{{}}' WHERE id = '{bad.id}'")
    with one_group(ledger):
        futures = [
            ledger.observe(ACCOUNT, [seen(p.order_number, Status.PAID)], Source.POLL) for p in (bad, good)
        ]
    with pytest.raises(LedgerCorrupt) as caught:
        futures[0].result()
    assert caught.value.payment_id == bad.id
    assert futures[1].result()[0].events


def test_group_of_the_longest_notifications_is_a_few_of_them(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first does not wait until hundreds of MiB are written; short ones share a commit as all do."""
    groups: list[int] = []
    monkeypatch.setattr(ledger._commits, "committed", lambda units: groups.append(len(units)))
    for size, most in ((NOTIFICATION_MAX, 3), (100, 20)):
        groups.clear()
        now = ledger.now()
        with one_group(ledger):
            recorded = [
                ledger.record_notification(
                    ACCOUNT, notice(f"{n:02}".encode() * (size // 2), now), [], is_evidence=False
                )
                for n in range(20)
            ]
        assert not any(future.result().is_repeat for future in recorded)
        ledger.begin(*begun(f"after-{size}")).result()  # by then the groups before it are counted
        assert most - 1 <= max(groups) <= most


def test_claim_within_a_group_sees_what_was_done_before(ledger: SqlLedger) -> None:
    """A claim takes payments that became due in its own group."""
    payment = pending_payment(ledger, "order-1")
    with one_group(ledger):
        ledger.record_notification(
            ACCOUNT,
            notice(b"hint", ledger.now()),
            [seen(payment.order_number, Status.PAID)],
            is_evidence=False,
        )
        claim = ledger.claim(claiming(ACCOUNT, limit=10, lease_s=30, ids=[payment.id]))
    now, claimed = claim.result().now, claim.result().payments
    assert claimed == (payment,)
    assert to_ms(next_due(ledger, [payment.id]) or now) == to_ms(now) + 30_000


def test_error_of_a_whole_group_is_one_of_its_own_for_each_caller(ledger: SqlLedger) -> None:
    """Each caller gets a separate error object."""

    def fail(_meanwhile: Callable[[], None]) -> AbstractContextManager[Group]:
        raise LedgerTooNew("upgrade")

    with one_group(ledger):
        futures = [ledger.begin(*begun(f"order-{n}")) for n in range(3)]
        ledger._commits._transaction = fail
    errors = [future.exception() for future in futures]
    assert [type(error) for error in errors] == [LedgerTooNew] * 3
    assert len({id(error) for error in errors}) == 3


class _Taken:
    """`fcntl`, where another process holds every lock while `is_taken`."""

    LOCK_EX, LOCK_NB, LOCK_UN = fcntl.LOCK_EX, fcntl.LOCK_NB, fcntl.LOCK_UN
    is_taken = False

    def flock(self, descriptor: int, operation: int) -> None:
        if self.is_taken and operation != self.LOCK_UN:
            raise BlockingIOError
        fcntl.flock(descriptor, operation)


def test_callers_do_not_wait_for_the_next_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are returned before the next group waits for another process."""
    taken = _Taken()
    monkeypatch.setattr(sqlite_ledger, "fcntl", taken)
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        payment = pending_payment(ledger, "order-1")
        is_inside, is_followed = threading.Event(), threading.Event()

        def go_on_once_followed(_payment: Payment, _now: datetime) -> Sequence[Change]:
            is_inside.set()
            is_followed.wait(10)
            taken.is_taken = True
            return []

        first = ledger.change(payment.id, go_on_once_followed, Source.CALLER)
        is_inside.wait(10)
        second = ledger.begin(*begun("order-2"))
        is_followed.set()
        try:
            assert first.result(5).payment == payment
            assert not second.done()
        finally:
            taken.is_taken = False
        assert second.result(5).events


def test_callers_are_answered_after_their_commit_and_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers continue while the next commit waits for the disk; watchers are called outside transactions."""
    order: list[str] = []
    # What the writer's thread tells, and not the one that looks for other processes' commits.
    monkeypatch.setattr(SqliteLedger, "_start_watching", lambda _: None)
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        payment = pending_payment(ledger, "order-1")
        is_inside, is_followed = threading.Event(), threading.Event()

        def go_on_once_followed(paid: Payment, _now: datetime) -> Sequence[Change]:
            is_inside.set()
            is_followed.wait(10)
            return [Observed(observation=seen(paid.order_number, Status.PAID))]

        def note(words: str) -> None:
            if words in ("BEGIN IMMEDIATE", "COMMIT"):
                order.append(words.split(maxsplit=1)[0])

        with ledger._writer.lock:
            ledger._writer.sqlite.set_trace_callback(note)
        stop = ledger.watch(lambda ids: order.append("watcher") if payment.id in ids else None)
        first = ledger.change(payment.id, go_on_once_followed, Source.POLL)
        first.add_done_callback(lambda _: order.append("first"))
        is_inside.wait(10)
        second = ledger.begin(*begun("order-2"))
        second.add_done_callback(lambda _: order.append("second"))
        is_followed.set()
        second.result(10)
        stop()
        assert order[:5] == ["BEGIN", "COMMIT", "BEGIN", "first", "COMMIT"]
        told = order.index("watcher")
        assert order[:told].count("BEGIN") == order[:told].count("COMMIT")


class _ClosedMeanwhile:
    """The writer's queue, whose ledger is closed just before a unit is put into it."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._queue = ledger._commits._queue
        self.closing = threading.Thread(target=ledger.close)

    def put(self, unit: object) -> None:
        if unit is not None:
            self.closing.start()
            self.closing.join(0.3)
        self._queue.put(unit)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


def test_call_while_the_ledger_closes_gets_an_answer(ledger: SqlLedger) -> None:
    """No unit is queued after the end, where it would wait for ever."""
    ledger.begin(*begun("order-1")).result()
    ledger._commits._queue = queue = _ClosedMeanwhile(ledger)  # type: ignore[assignment]
    assert ledger.begin(*begun("order-2")).result(10).events
    queue.closing.join(10)
    assert isinstance(ledger.begin(*begun("order-3")).exception(10), LedgerUnavailable)
