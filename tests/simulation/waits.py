"""Checks that waiters are woken in time, and that what they wait for is polled."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from paycore.domain.payment import Payment, Status
from paycore.domain.schedule import interval_s, is_awaited
from paycore.engine.worker import PAUSE_MAX_S
from paycore.ledger.api import Claimed, Claiming
from paycore.ledger.clock import to_ms
from tests.simulation.scheduler import START

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.witness import Asked
    from tests.simulation.world import World

WORKER = "paycore-worker"
"""What the lanes of an application's embedded worker are called, the later ones with a number."""

WOKEN_MAX_S = 0.3
"""The time to learn of a change and read the payment again, without suspensions."""

LOOKED_MAX_S = 75.0
"""Allowed between two queries beyond the interval: twice the lease of a dead worker, and the work before it."""

ASKED_APART_S = 2.0
"""No payment is asked about more often than that, unless something happened to it."""


PASSED_OVER_FOR = timedelta(seconds=20)
"""What was not asked about for so long may be passed over in some questions: those of one round over all there are."""

CROWDED_S = 60.0
"""How much longer a question may take where commands, which come first, leave little of the budget."""


class Asking(msgspec.Struct, frozen=True):
    """
    A question about a payment that was claimed: when, at which version, and whether by a page of the list.

    `expires_at`: when its time will be over, None if it is over or never will be.
    """

    at_s: float
    version: int
    is_by_list: bool
    expires_at: datetime | None


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """One caller's `wait`, at its start."""

    who: str
    timeout_s: float
    began_s: float
    lost_before_s: float
    worker_lost_before_s: float


class Waits:
    """Knows when each payment was settled, and when its provider was queried."""

    def __init__(self, world: World) -> None:
        self._world = world
        # A worker that does not know yet that the clock was set back sleeps for its longest pause.
        self._set_back_s = PAUSE_MAX_S if world.plan.clock_set_back else 0.0
        plan = world.plan
        self._passed_over_max = 10 + len(plan.purchases) / plan.shared.batch
        self._crowded_s = CROWDED_S if world.plan.shared.is_crowded else 0.0
        self._settled_s: dict[str, float] = {}
        self._asked_s: dict[str, list[float]] = defaultdict(list)
        self._passed_over: Counter[str] = Counter()
        self._asking: dict[str, Asking] = {}

    def changed(self, payment: Payment) -> None:
        """A change of this payment was committed."""
        if _is_settled(payment):
            self._settled_s.setdefault(payment.id, self._now_s())
        else:
            self._settled_s.pop(payment.id, None)

    def claimed(self, asked: Asked, claimed: Claimed) -> None:
        """A worker has claimed a question, to ask it at once."""
        if claimed.question is not None:
            of = "by the list" if claimed.question.range_ms else "by number"
            ids = " ".join(payment.id for payment in claimed.payments)
            self._world.scheduler.log(asked.who, f"asks {of} about {ids}")
        is_by_list = claimed.question is not None and claimed.question.range_ms is not None
        # A page of the list shows what comes due soon along with what it was read for.
        soon = {due.id for due in claimed.due if due.due_ms > claimed.now.timestamp() * 1000}
        mentioned = {due.id for due in claimed.due if due.is_mentioned}
        for payment in claimed.payments:
            last = self._asking.get(payment.id)
            expires_at = payment.expires_at
            is_to_expire = expires_at is not None and claimed.now < expires_at
            self._asking[payment.id] = Asking(
                self._now_s(), payment.version, is_by_list, expires_at if is_to_expire else None
            )
            if last is None or payment.version != last.version or payment.id in soon:
                continue
            if last.is_by_list and payment.id in mentioned:  # the list did not show it
                continue
            if last.expires_at is not None and claimed.now >= last.expires_at:
                continue  # its time is over: it is to be closed
            apart_s = self._now_s() - last.at_s
            if apart_s < ASKED_APART_S:
                what = f"{payment.id} is asked about again after {apart_s:.3f} s"
                self._world.witness.violated("asked about every two seconds at most", what)

    def passed_over(self, claiming: Claiming, claimed: Claimed) -> None:
        """Of what this claim was to choose among, nothing may be passed over for ever."""
        rows = self._world.ledger.read(
            lambda tx: tx.execute(
                "SELECT id FROM payments WHERE account = ? AND due_at <= ? AND coalesce(asked_at, 0) < ?",
                (claiming.account, to_ms(claimed.now), to_ms(claimed.now - PASSED_OVER_FOR)),
            ).fetchall()
        ).result()
        for payment in claimed.payments:
            self._passed_over.pop(payment.id, None)
        for (payment_id,) in rows:
            if claiming.ids is not None and payment_id not in claiming.ids:
                continue
            self._passed_over[payment_id] += 1
            if self._passed_over[payment_id] > self._passed_over_max:
                what = f"{payment_id} was passed over {self._passed_over[payment_id]} times"
                self._world.witness.violated("who waits longest is asked about", what)

    def asked(self, numbers: list[str]) -> None:
        """A process queries its provider about these numbers."""
        for number in numbers:
            self._asked_s[number].append(self._now_s())

    @contextmanager
    def in_time(self, process: Process, most_s: float) -> Iterator[None]:
        """A call must return within `most_s`, with any result, unless it is cancelled."""
        who = process.who()
        began_s, lost_before_s = self._now_s(), process.lost_s(who)
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception:
            self._judge(process, who, began_s, most_s - lost_before_s)
            raise
        else:
            self._judge(process, who, began_s, most_s - lost_before_s)

    def _judge(self, process: Process, who: str, began_s: float, most_s: float) -> None:
        took_s = self._now_s() - began_s
        if took_s > most_s + process.lost_s(who):
            self._world.witness.violated("a call ends in time", f"{who} was kept for {took_s:.3f} s")

    def begin(self, process: Process, timeout_s: float) -> Wait:
        """A caller begins to wait."""
        who = process.who()
        return Wait(
            who=who,
            timeout_s=timeout_s,
            began_s=self._now_s(),
            lost_before_s=process.lost_s(who),
            worker_lost_before_s=_worker_lost_s(process),
        )

    def end(self, wait: Wait, process: Process, payment: Payment) -> None:
        """The wait has ended with this payment."""
        lost_s = process.lost_s(wait.who) - wait.lost_before_s
        worker_lost_s = _worker_lost_s(process) - wait.worker_lost_before_s
        took_s = self._now_s() - wait.began_s
        broken = [*self._broken(wait, payment, took_s, lost_s), *self._unseen(wait, payment, worker_lost_s)]
        for rule, what in broken:
            self._world.witness.violated(rule, f"{wait.who} waited {took_s:.3f} s for {payment.id}: {what}")

    def _broken(
        self, wait: Wait, payment: Payment, took_s: float, lost_s: float
    ) -> Iterator[tuple[str, str]]:
        settled_s = self._until_s(wait, payment)
        if not _is_settled(payment) and took_s < wait.timeout_s:
            yield "who waits gets an answer", f"it is {payment.status} before the time is over"
        if took_s > wait.timeout_s + lost_s + WOKEN_MAX_S:
            yield "a wait ends in time", f"at most {wait.timeout_s:.3f} s were asked for"
        if self._now_s() > settled_s + lost_s + WOKEN_MAX_S:
            yield "who waits is woken", f"it was settled at {settled_s:.3f}"

    def _unseen(self, wait: Wait, payment: Payment, lost_s: float) -> Iterator[tuple[str, str]]:
        for gap_s, most_s in self._gaps(wait, payment, self._until_s(wait, payment)):
            if payment.status is not Status.CREATED and gap_s > most_s + lost_s:
                what = f"nobody asked about it for {gap_s:.0f} s; at most {most_s:.0f}"
                yield "who is waited for is looked after", what

    def _until_s(self, wait: Wait, payment: Payment) -> float:
        """When it was settled; now if it is not, or only became so."""
        return max(self._settled_s.get(payment.id, self._now_s()), wait.began_s)

    def _gaps(self, wait: Wait, payment: Payment, until_s: float) -> Iterator[tuple[float, float]]:
        """The intervals without a query of the payment, each with its allowed length, which grows with age."""
        asked_s = sorted(at for op in payment.operations for at in self._asked_s[op.number])
        moments = [wait.began_s, *(at for at in asked_s if wait.began_s < at < until_s), until_s]
        for earlier, later in pairwise(moments):
            age_s = earlier - (payment.created_at - START).total_seconds()
            yield later - earlier, 1.2 * interval_s(age_s) + LOOKED_MAX_S + self._set_back_s + self._crowded_s

    def _now_s(self) -> float:
        return self._world.scheduler.monotonic()


def _worker_lost_s(process: Process) -> float:
    """The time that the lanes of the process's embedded worker lost, one after another."""
    return process.lost_s(*(who for who in process.slow_s if who.startswith(f"{process.name}/{WORKER}")))


def _is_settled(payment: Payment) -> bool:
    """Waiting has no use, also where only the caller can send it."""
    return not is_awaited(payment)
