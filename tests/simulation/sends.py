"""Follows every operation: the event that starts it, its request sent, arrived and ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from paycore.domain.events import (
    Event,
    OperationBegun,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
)
from paycore.domain.payment import Operation, OperationKind, OperationState, Payment, Status
from paycore.domain.wire import Request

if TYPE_CHECKING:
    from tests.simulation.witness import Asked
    from tests.simulation.world import World

Broken = Iterator[tuple[str, str]]
MAKING = frozenset({"/orders", "/captures", "/refunds", "/link"})
ROUNDING_S = 0.01
NEVER_S = float("inf")


class Sends:
    """
    Reports what is sent, resent, taken for lost or ended against the rules.

    By the true time, not by the processes' clocks.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._senders: dict[str, tuple[str, int, str]] = {}
        self._until_s: dict[str, float] = {}
        """By operation: until when its last request may be under way."""
        self._first_s: dict[str, float] = {}
        """By operation: when its first request that may have arrived was recorded."""
        self._left: Counter[str] = Counter()
        """By number: its requests that have left and were not put off."""
        self._absent_s: dict[str, float] = {}

    # --- events --------------------------------------------------------------------------------------

    def recorded(self, asked: Asked, event: Event, before: Payment | None) -> None:
        """This program committed this event on this payment (None: it is its first)."""
        for rule, what in self._broken_by(asked, event, before):
            self._world.witness.violated(rule, f"{event.payment_id} #{event.seq}: {what}")

    def _broken_by(self, asked: Asked, event: Event, before: Payment | None) -> Broken:
        match event.change:
            case PaymentBegun(operation=operation) | OperationBegun(operation=operation):
                self._first_s[operation.id] = self._now_s()
                self._on_its_way(operation.id, asked, operation.in_flight_until - event.at)
            case OperationSent(operation_id=operation_id, in_flight_until=until) if before is not None:
                yield from self._sent_again(before.operation(operation_id), event)
                op = before.operation(operation_id)
                if op.state is OperationState.INTENT or op.proven_absent_at is not None:
                    self._first_s[operation_id] = self._now_s()
                self._on_its_way(operation_id, asked, until - event.at)
            case OperationEnded() as ended if before is not None:
                yield from self._ended(before.operation(ended.operation_id), ended, asked)
            case ProvenAbsent(number=number) if before is not None:
                self._absent_s[number] = self._now_s()
                if not self._world.plan.further.proves_absence:
                    yield "absence is proven by a lookup", f"nothing proves the absence of {number}"
                about = [op.id for op in before.operations if op.number == number and op.kind != "close"]
                until_s = max((self._until_s[operation_id] for operation_id in about), default=NEVER_S)
                if self._now_s() < until_s + self._world.plan.proof_s:
                    yield "absence is proven late enough", f"{number} may still arrive"

    def _on_its_way(self, operation_id: str, asked: Asked, at_most: timedelta) -> None:
        """A call that is made again has less time left than the first time."""
        self._senders[operation_id] = asked.key
        timeout_s = min(self._world.plan.timeout_s, at_most.total_seconds())
        self._until_s[operation_id] = self._now_s() + timeout_s

    def _sent_again(self, op: Operation, event: Event) -> Broken:
        """It must be unsent, or past its deadline and absent or sure to give the same order."""
        if op.not_before is not None and event.at < op.not_before:
            yield "not sent before the time asked for", f"{op.kind} {op.number} is put off to {op.not_before}"
        if op.state is OperationState.INTENT:
            return
        until_s = self._until_s[op.id]
        if self._now_s() < until_s:
            yield "not sent again while under way", f"{op.kind} {op.number} may be until {until_s:.3f}"
        if op.kind is OperationKind.CLOSE or op.proven_absent_at is not None:
            return
        gives_the_same = self._world.plan.declared == "same_result" and not op.is_duplicate
        is_found_by_resend = not self._world.plan.further.proves_absence
        if not gives_the_same or not (Status.PENDING in op.observed or is_found_by_resend):
            yield "sent again only when absent", f"{op.kind} {op.number} is {op.state}"
        window_s = self._world.plan.further.window_s
        if window_s is not None and self._now_s() >= self._first_s[op.id] + window_s:
            yield (
                "sent again inside the window",
                f"{op.kind} {op.number} was first sent at {self._first_s[op.id]:.3f}",
            )

    def _ended(self, op: Operation, ended: OperationEnded, asked: Asked) -> Broken:
        """Only the last sender may record a failure, unless the operation is given up as absent."""
        is_sender = self._senders[op.id] == asked.key
        if is_sender:
            self._until_s[op.id] = min(self._until_s[op.id], self._now_s())
        is_given_up = ended.state is OperationState.REJECTED and (
            op.proven_absent_at is not None or op.state is OperationState.INTENT
        )
        if ended.finding is not None:
            if self._now_s() < self._until_s[op.id] or not op.is_uncertain:
                yield "found by hand once it can't arrive", f"{op.kind} {op.number} is {op.state}"
            return
        if ended.state is not OperationState.DONE and not is_sender and not is_given_up:
            yield "a late answer undoes nothing", f"{asked.who} ends what others sent as {ended.state}"
        if ended.state is OperationState.INTENT and self._left[op.number] > 0 and op.kind != "close":
            yield "not sent has not left", f"{op.kind} {op.number} has"

    # --- requests ------------------------------------------------------------------------------------

    def sent(self, request: Request) -> None:
        """A request leaves its process: its operation must be recorded, and its deadline not passed."""
        number = _number(request)
        if number is None:
            return
        if request.path in MAKING:
            self._left[number] += 1
        until_s = self._request_until_s(request, number)
        if until_s is None:
            self._world.witness.violated("intent before request", f"{request.path} {number} is not recorded")
        elif self._now_s() > until_s:
            self._world.witness.violated("nothing is sent past its time", f"{request.path} {number}")

    def put_off(self, request: Request) -> None:
        """The gateway answers that nothing came of this request, and that it may be sent again later."""
        number = _number(request)
        if number is not None and request.path in MAKING:
            self._left[number] -= 1

    def arrived(self, request: Request, sent_s: float) -> None:
        """A request arrives that was sent then; no process may have taken it for lost."""
        number = _number(request)
        absent_s = self._absent_s.get(number or "")
        if request.path in MAKING and absent_s is not None and sent_s < absent_s:
            what = f"{request.path} {number} arrives, absent at {absent_s:.3f}"
            self._world.witness.violated("absent has not arrived", what)

    def waited_for(self, request: Request, lost_s: float) -> None:
        """Its sender has an answer or gave up; `lost_s` is the time lost by suspensions."""
        number = _number(request)
        until_s = None if number is None else self._request_until_s(request, number)
        if until_s is not None and self._now_s() > until_s + lost_s + ROUNDING_S:
            self._world.witness.violated("a request ends in time", f"{request.path} {number}")

    def _request_until_s(self, request: Request, number: str) -> float | None:
        """Until when, as recorded, this request may be under way; None if not recorded."""
        payment = self._world.witness.owner(number)
        operations = () if payment is None else payment.operations
        asking = [op.id for op in operations if op.number == number and _asks(op, request.path)]
        return max((self._until_s[operation_id] for operation_id in asking), default=None)

    def _now_s(self) -> float:
        return self._world.scheduler.monotonic()


def _number(request: Request) -> str | None:
    number: str | None = msgspec.json.decode(request.body).get("number")
    return number


def _asks(operation: Operation, path: str) -> bool:
    """Whether this operation sends requests to that path."""
    return (operation.kind is OperationKind.CLOSE) is (path == "/close")
