"""Programs that use paycore: callers with their retries, the worker's loop, the notification receiver."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from paycore.domain.money import Money
from paycore.domain.payment import Payment, Redirect, RefundStatus
from paycore.domain.wire import Notification, Reply
from paycore.engine.effects import InLedger
from paycore.engine.requests import CreateRequest
from paycore.errors import (
    AccountRefused,
    LedgerError,
    NotificationError,
    PaycoreError,
    ProviderError,
    ReferenceConflict,
    RequestError,
    WrongState,
)
from tests.simulation.plan import CallerPlan, Purchase, RefundPlan, Step
from tests.simulation.processes import Process, Sleep

if TYPE_CHECKING:
    from tests.simulation.world import World

TRIES_MAX = 6
NAP_S = 4.0
LONG_NAP_S = 3600.0
WORTH_RETRYING = (ProviderError, LedgerError, AccountRefused)

Script = Generator[Any, Any, Any]


def receive(process: Process, notification: Notification) -> Generator[Any, Any, Reply | None]:
    """Take a notification as a web receiver does; None when it is refused, or can't be kept now."""
    try:
        reply: Reply = yield from process.commands.receive("main", notification)
    except (NotificationError, LedgerError):
        return None
    return reply


def tend(process: Process) -> Script:
    """A worker process: looks after whatever is due, for ever."""
    while True:
        nap_s = NAP_S if process.world.is_busy else LONG_NAP_S
        try:
            while (yield from process.worker.look_once()):
                pass
            due = yield InLedger(lambda ledger: ledger.next_due())
        except PaycoreError as error:
            process.world.scheduler.log(process.name, f"goes on later: {error}")
        else:
            if due is not None:
                nap_s = min(nap_s, max(0.1, (due - process.world.scheduler.now()).total_seconds()))
        yield Sleep(nap_s)


class Caller:
    """One who asks for a payment, and does not give up at the first error, nor when its process is killed."""

    def __init__(self, world: World, purchase: Purchase, plan: CallerPlan, name: str) -> None:
        self.name = name
        self.is_finished = False
        self.purchase = purchase
        self.plan = plan
        self._world = world
        self._rng = world.rng(f"caller {name}")

    def script(self, process: Process) -> Script:
        """Create, then one step after the other; from the beginning again after every restart."""
        if process.life == 1:
            yield Sleep(self.plan.starts_in_s)
        payment = yield from self._create(process)
        if payment is not None:
            for step in self.plan.steps:
                payment = yield from self._take(process, step, payment)
        self.is_finished = True
        self._world.scheduler.log(self.name, "is finished")

    def _take(self, process: Process, step: Step, payment: Payment) -> Generator[Any, Any, Payment]:
        match step:
            case "create":
                return (yield from self._create(process)) or payment
            case "wait":
                yield from self._wait(process, payment)
            case "query":
                yield from self._patiently(lambda: process.commands.query(payment.id))
            case "close":
                yield Sleep(self._rng.uniform(0, 60))
                yield from self._patiently(lambda: process.commands.close(payment.id))
            case "refund":
                for refund in self.plan.refunds:
                    yield from self._refund(process, payment, refund)
        return payment

    # --- the verbs -----------------------------------------------------------------------------------

    def _create(self, process: Process) -> Generator[Any, Any, Payment | None]:
        request = CreateRequest(
            reference=self.purchase.reference,
            amount=Money.from_minor(self.plan.amount_minor, "HKD"),
            method="toy",
            channel=self.purchase.channel,
            expires_in_s=self.purchase.expires_in_s,
        )
        try:
            payment: Payment | None = yield from self._patiently(lambda: process.commands.create(request))
        except ReferenceConflict as conflict:
            self._world.witness.conflicted(self, conflict)
            return None
        if payment is not None:
            self._world.witness.returned(self, payment)
            self._show(payment)
        return payment

    def _wait(self, process: Process, payment: Payment) -> Script:
        timeout_s = self._rng.uniform(10, 200)
        with process.wanted.holding(payment.id):
            now = yield from self._patiently(lambda: process.commands.wait(payment.id, timeout_s))
        if now is not None:
            self._show(now)

    def _show(self, payment: Payment) -> None:
        if isinstance(payment.action, Redirect):
            self._world.outside.show(payment.action.url, self.purchase.payer_pays_in_s)

    def _refund(self, process: Process, payment: Payment, refund: RefundPlan) -> Script:
        """Ask by the same reference until the refund's end is known; a caller has patience, not for ever."""
        minor = refund.amount_minor
        amount = None if minor is None else Money.from_minor(minor, "HKD")
        for _ in range(TRIES_MAX):
            now = yield from self._patiently(
                lambda: process.commands.refund(
                    payment.id, reference=refund.reference, amount=amount, reason=refund.reference
                )
            )
            found = None if now is None else now.refund(refund.reference)
            if found is None or found.status in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
                return
            yield Sleep(self._rng.uniform(0.1, 30))

    def _patiently(self, ask: Any) -> Script:
        """What the command returns, tried again while that makes sense; None when it refuses or never works."""
        for _ in range(TRIES_MAX):
            try:
                return (yield from ask())
            except ReferenceConflict:
                raise
            except WrongState as error:
                self._world.scheduler.log(self.name, f"wrong state: {error}")
            except RequestError as error:
                self._world.scheduler.log(self.name, f"refused: {error}")
                return None
            except WORTH_RETRYING as error:
                self._world.scheduler.log(self.name, f"{type(error).__name__}: {error}")
            yield Sleep(self._rng.uniform(0.1, 20))
        return None
