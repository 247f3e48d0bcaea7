"""Bugs in what performs effects: runner, waiter, sender, hooks, the worker's wake-up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx2

from paycore.domain.events import Event, Source
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Payment
from paycore.domain.schedule import is_awaited
from paycore.engine import transport
from paycore.engine.attempts import Attempts
from paycore.engine.commands import Commands
from paycore.engine.effects import InLedger, OnWire, Program, UntilChanged
from paycore.engine.runner import AsyncRunner
from paycore.engine.timing import Deadline
from paycore.engine.transport import AsyncSender
from paycore.engine.waiter import AsyncWaiter, Hub
from paycore.engine.worker import Scope, Worker
from paycore.errors import MaybeSent, NotSent
from paycore.ledger.api import Committed, Decide, Spending
from tests.simulation.mutations import Patch, patched

# --- waiting -----------------------------------------------------------------------------------------


ELSEWHERE_S = 1.0


def reads_before_it_subscribes() -> Patch:
    """A waiter reads the payment before it subscribes: a change in between does not wake it."""

    async def until_changed(self: AsyncWaiter, wanted: UntilChanged) -> None:
        await self.watch(Deadline(wanted.timeout_s))
        payment = await self._bridge.result(self._ledger.get(wanted.payment_id))
        await asyncio.sleep(min(ELSEWHERE_S, wanted.timeout_s))
        woken = asyncio.get_running_loop().create_future()
        if payment.version == wanted.version:
            self.hub.subscribe(wanted.payment_id, woken)
            try:
                await asyncio.wait((woken,), timeout=max(0.0, wanted.timeout_s - ELSEWHERE_S))
            finally:
                self.hub.unsubscribe(wanted.payment_id, woken)

    return mock.patch.object(AsyncWaiter, "until_changed", until_changed)


def watches_nothing() -> Patch:
    """Waiters are never told of changes."""
    return mock.patch.object(Hub, "wake")


def one_waiter_for_each_payment() -> Patch:
    """A second waiter for a payment replaces the first."""

    def subscribe(self: Hub[Any], payment_id: str, waiter: Any) -> None:
        self._calls[payment_id] = waiter

    def unsubscribe(self: Hub[Any], payment_id: str, _waiter: Any) -> None:
        self._calls.pop(payment_id, None)

    return mock.patch.multiple(Hub, subscribe=subscribe, unsubscribe=unsubscribe)


def wait_ends_with_any_change() -> Patch:
    """A wait ends with any change, settled or not."""

    def wait(self: Commands, payment_id: str, timeout_s: float) -> Program[Payment]:
        payment: Payment = yield InLedger(lambda ledger: ledger.get(payment_id))
        if not is_awaited(payment):
            return payment
        return (yield from self._attempts.after_change(payment, timeout_s))

    return mock.patch.object(Commands, "wait", wait)


def wait_begins_anew_with_each_change() -> Patch:
    """A wait's timeout begins again with each change."""

    def wait(self: Commands, payment_id: str, timeout_s: float) -> Program[Payment]:
        deadline = Deadline(timeout_s)
        payment: Payment = yield InLedger(lambda ledger: ledger.get(payment_id))
        while is_awaited(payment) and deadline.left_s > 0:
            version = payment.version
            payment = yield from self._attempts.after_change(payment, deadline.left_s)
            if payment.version != version:
                deadline = Deadline(timeout_s)
        return payment

    return mock.patch.object(Commands, "wait", wait)


def worker_dies_of_an_error() -> Patch:
    """A short outage of the ledger ends the embedded worker."""

    def fail(self: Worker, scope: Scope, error: Exception) -> None:
        raise error

    return mock.patch.object(Worker, "_tell_of_failure", fail)


# --- performing --------------------------------------------------------------------------------------


Perform = Callable[[OnWire], Awaitable[Any]]


def _sending(send: Callable[[Perform, OnWire], Awaitable[Any]]) -> Patch:
    """The runner with this function for sending; it gets the original."""

    def make(perform: Callable[..., Any]) -> Any:
        async def performed(self: AsyncRunner, effect: Any) -> Any:
            if isinstance(effect, OnWire):
                return await send(partial(perform, self), effect)
            return await perform(self, effect)

        return performed

    return patched(AsyncRunner, "_perform", make)


def failed_request_is_sent_again_at_once() -> Patch:
    """The runner repeats an unanswered request, as some HTTP clients do."""

    async def send(perform: Perform, effect: OnWire) -> Any:
        try:
            return await perform(effect)
        except MaybeSent:
            return await perform(effect)

    return _sending(send)


def no_answer_counts_as_not_sent() -> Patch:
    """The runner treats an unanswered request as not sent."""

    async def send(perform: Perform, effect: OnWire) -> Any:
        try:
            return await perform(effect)
        except MaybeSent as error:
            raise NotSent(error.message) from None

    return _sending(send)


def cancelled_counts_as_not_sent() -> Patch:
    """A cancelled caller's request is recorded as not sent."""

    async def send(perform: Perform, effect: OnWire) -> Any:
        try:
            return await perform(effect)
        except asyncio.CancelledError:
            raise NotSent("given up") from None

    return _sending(send)


def observers_hear_before_the_commit() -> Patch:
    """Observers are told of events before they are committed."""

    def make(change: Callable[..., Program[Committed]]) -> Any:
        def told(
            self: Attempts, payment_id: str, decide: Decide, source: Source, spending: Spending | None = None
        ) -> Program[Committed]:
            payment = yield InLedger(lambda ledger: ledger.get(payment_id))
            for item in decide(payment, self.now()):
                evolved = evolve(payment, item, self.now())
                for observe in self._observers:
                    observe(_event(payment, evolved, item, source))
            return (yield from change(self, payment_id, decide, source, spending))

        return told

    return patched(Attempts, "change", make)


def _event(before: Payment, payment: Payment, item: Any, source: Source) -> Event:
    return Event(
        payment_id=payment.id,
        seq=payment.version,
        at=payment.updated_at,
        source=source,
        status_from=before.status,
        status_to=payment.status,
        change=item,
        prev_hash=b"",
        hash=b"",
    )


# --- sending -----------------------------------------------------------------------------------------


def broken_connection_counts_as_not_sent() -> Patch:
    """A connection that broke while the answer was read counts as not sent."""
    wrong = {**transport.CERTAINLY_NOT_SENT, httpx2.ReadError: True}
    return mock.patch.object(transport, "CERTAINLY_NOT_SENT", wrong)


def no_total_deadline() -> Patch:
    """A call lasts as long as its provider is silent."""
    endless = SimpleNamespace(timeout=lambda _seconds: asyncio.timeout(None))
    return mock.patch.object(transport, "asyncio", endless)


def sent_past_its_time() -> Patch:
    """A suspended process sends past the recorded deadline."""
    return mock.patch.object(transport, "_time_left", lambda deadline: max(deadline.left_s, 0.001))


def each_request_has_its_own_deadline() -> Patch:
    """The second request of a conversation has the full time again."""

    def make(send: Callable[..., Any]) -> Any:
        async def sent(self: AsyncSender, request: Any, deadline: Deadline) -> Any:
            if request.path == "/link":
                deadline = Deadline(15.0)
            return await send(self, request, deadline)

        return sent

    return patched(AsyncSender, "send", make)


MUTANTS = {
    mutant.__name__: mutant
    for mutant in (
        reads_before_it_subscribes,
        watches_nothing,
        one_waiter_for_each_payment,
        wait_ends_with_any_change,
        wait_begins_anew_with_each_change,
        worker_dies_of_an_error,
        failed_request_is_sent_again_at_once,
        no_answer_counts_as_not_sent,
        cancelled_counts_as_not_sent,
        observers_hear_before_the_commit,
        broken_connection_counts_as_not_sent,
        no_total_deadline,
        sent_past_its_time,
        each_request_has_its_own_deadline,
    )
}


# --- harmless ----------------------------------------------------------------------------------------


def not_sent_counts_as_no_answer() -> Patch:
    """What was certainly not sent is queried as if it might have arrived: slower, but safe."""

    async def send(perform: Perform, effect: OnWire) -> Any:
        try:
            return await perform(effect)
        except NotSent as error:
            raise MaybeSent(error.message) from None

    return _sending(send)


def reads_once_more_before_a_change() -> Patch:
    """A pause between reading and changing; the change is decided on the newer state: harmless."""

    def make(change: Callable[..., Program[Committed]]) -> Any:
        def read_first(self: Attempts, payment_id: str, *arguments: Any) -> Program[Committed]:
            yield InLedger(lambda ledger: ledger.get(payment_id))
            return (yield from change(self, payment_id, *arguments))

        return read_first

    return patched(Attempts, "change", make)


CONTROLS = {
    control.__name__: control for control in (not_sent_counts_as_no_answer, reads_once_more_before_a_change)
}
"""Harmless changes, which must not be reported as bugs."""
