"""Observes everything, and reports at once what must never happen."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from paycore.domain.action import Redirect
from paycore.domain.events import Event
from paycore.domain.observation import digest
from paycore.domain.payment import OperationKind, Payment, Status
from paycore.errors import LedgerError, ReferenceConflict
from paycore.ledger.api import Claimed, committed_in
from tests.simulation.rules import broken_rules, is_open
from tests.support.due import next_due

if TYPE_CHECKING:
    from paycore.testing.toy import ToyCapture
    from tests.simulation.applications import Caller
    from tests.simulation.gateway import SimOrder
    from tests.simulation.processes import Process
    from tests.simulation.world import World

EventKey = tuple[str, int]

DUE_WITHIN = timedelta(seconds=75)
"""The longest interval between two looks, with its jitter."""


class Asked(msgspec.Struct, frozen=True):
    """The program and process that asked for a transaction, and must tell observers of its events."""

    process: Any
    life: int
    who: str
    cuts: int
    """How often it had been cut off before."""

    @property
    def key(self) -> tuple[str, int, str]:
        """The program, in this life of its process."""
        return self.process.name, self.life, self.who


class Witness:
    """
    Collects violations during a run; `audit` checks the state at its end.

    It relies on the gateway and on commits only, never on the code under test.
    """

    def __init__(self, world: World) -> None:
        self.violations: list[str] = []
        self.forged: set[str] = set()
        self.acknowledgements: set[str] = set()
        self.heard_events: dict[EventKey, Event] = {}
        self.owed_events: dict[EventKey, Asked] = {}
        self._cuts: Counter[tuple[str, int, str]] = Counter()
        self.payments: dict[str, Payment] = {}
        self._world = world
        self._versions: dict[tuple[str, int], Payment] = {}
        self._recorded_events: set[EventKey] = set()
        self._owners: dict[str, str] = {}
        self._references: dict[str, str] = {}

    def violated(self, rule: str, what: str) -> None:
        """Record a violation, which ends the run."""
        self.violations.append(f"{rule}: {what}")
        self._world.scheduler.log("WITNESS", self.violations[-1])

    # --- the gateway ---------------------------------------------------------------------------------

    def made(self, order: SimOrder, payable: list[SimOrder]) -> None:
        """The gateway has made an order; `payable` other orders of the payment were open or paid."""
        if payable:
            known = ", ".join(f"{other.id} ({other.status})" for other in payable)
            self.violated("one payable order", f"{order.reference} got {order.id} beside {known}")
        payment = self.owner(order.number)
        if payment is not None and order.owner not in ("", self._world.key_of(payment.account)):
            self.violated("a token is its account's", f"{order.reference} was made for {order.owner}")
        self._judge_again(order)

    def captured(self, order: SimOrder, taken: list[ToyCapture]) -> None:
        """The gateway has taken money of an authorized order; `taken` is all it ever took of it."""
        if len(taken) > 1:
            known = ", ".join(capture.number for capture in taken)
            self.violated("captured once", f"{order.reference}: {order.id} was captured by {known}")
        self._judge_again(order)

    def refunded(self, refund: SimOrder, others: list[SimOrder]) -> None:
        """The gateway has begun a refund; `others` of the same reference are under way or done."""
        if others:
            known = ", ".join(f"{other.id} ({other.status})" for other in others)
            self.violated("refunded once", f"{refund.reference} got {refund.id} beside {known}")
        self._judge_again(refund)

    def _judge_again(self, order: SimOrder) -> None:
        """What the ledger takes as not sent, absent or ended must not arrive later."""
        payment = self.owner(order.number)
        if payment is not None:
            for rule, what in broken_rules(None, payment, self._world.gateway):
                self.violated(rule, f"{payment.id}: {what}")

    def numbers_of(self, account: str) -> list[str]:
        """The numbers of all orders and refunds of this account."""
        own = (payment for payment in self.payments.values() if payment.account == account)
        return [op.number for payment in own for op in payment.operations]

    def owner(self, number: str) -> Payment | None:
        """The payment that this number belongs to."""
        return self.payments.get(self._owners.get(number, ""))

    # --- the ledger ----------------------------------------------------------------------------------

    def ask(self, process: Process) -> Asked:
        """The running program asks for a transaction."""
        who = process.who()
        return Asked(process, process.life, who, self._cuts[process.name, process.life, who])

    def committed(self, asked: Asked, result: Any) -> None:
        """This process committed a transaction, and must tell its observers of the events."""
        if isinstance(result, Claimed):
            self._world.waits.claimed(asked, result)
        self._world.traffic.gave_turn(asked, result)
        for committed in committed_in(result):
            if committed.events:
                before = self.payments.get(committed.payment.id)
                self._world.deliveries.recorded(committed.events, before)
                for event in committed.events:
                    self._recorded(asked, event)
                self._changed(committed.payment)

    def _recorded(self, asked: Asked, event: Event) -> None:
        key = (event.payment_id, event.seq)
        if key in self._recorded_events:
            self.violated("one history", f"{key} was written twice")
        self._recorded_events.add(key)
        self._world.sends.recorded(asked, event, self.payments.get(event.payment_id))
        if asked.cuts == self._cuts[asked.key]:
            self.owed_events[key] = asked
        moved = f"{event.status_from} -> {event.status_to}"
        self._world.scheduler.log(asked.who, f"{event.payment_id} #{event.seq} {event.kind} {moved}")

    def _changed(self, payment: Payment) -> None:
        before = self.payments.get(payment.id)
        self.payments[payment.id] = self._versions[payment.id, payment.version] = payment
        self._world.waits.changed(payment)
        if self._references.setdefault(payment.reference, payment.id) != payment.id:
            self.violated("one reference, one payment", f"{payment.reference} names {payment.id} too")
        for operation in payment.operations:
            self._owners[operation.number] = payment.id
        for rule, what in broken_rules(before, payment, self._world.gateway):
            self.violated(rule, f"{payment.id}: {what}")
        is_due = next_due(self._world.ledger, [payment.id]) is not None
        if is_open(payment, self._world.gateway) and not is_due:
            self.violated(
                "what is open is due", f"{payment.id} is {payment.status} and never looked at again"
            )

    def heard(self, process: Process, event: Event) -> None:
        """An observer was told of an event."""
        key = (event.payment_id, event.seq)
        owed = self.owed_events.pop(key, None)
        if key in self.heard_events:
            self.violated("events are told once", f"{key} was told twice")
        elif owed is None or (owed.process, owed.life) != (process, process.life):
            self.violated("events are told once committed", f"{key} was told by {process.name} too early")
        self.heard_events[key] = event

    def never_learns(self, process: Process, who: str) -> None:
        """This program is cut off from its last transaction, so its observers are not told."""
        self._cuts[process.name, process.life, who] += 1
        self.owed_events = {
            key: asked
            for key, asked in self.owed_events.items()
            if (asked.process, asked.who) != (process, who)
        }

    def failed_in_ledger(self, who: str, error: BaseException) -> None:
        """A transaction raised; refusals are allowed, the ledger's own errors are not."""
        if isinstance(error, LedgerError):
            self.violated("the ledger holds together", f"{who}: {error!r}")

    # --- callers -------------------------------------------------------------------------------------

    def told(self, who: str, payment: Payment) -> None:
        """A caller got this payment from any verb."""
        if self._versions.get((payment.id, payment.version)) != payment:
            self.violated(
                "told is recorded", f"{who} got {payment.id} #{payment.version}, which is not there"
            )
        if isinstance(payment.action, Redirect):
            number = self._world.gateway.number_of(payment.action.url)
            if number != payment.order_number:
                self.violated("the payer's link is in force", f"{who} got the link of {number}")

    def created(self, caller: Caller, payment: Payment) -> None:
        """`create` returned this payment to this caller."""
        if payment.amount.minor != caller.plan.amount_minor or payment.reference != caller.purchase.reference:
            self.violated("same reference, same content", f"{caller.name} got a payment it did not ask for")
        creation = payment.creation
        lacks_action = creation.needs_action and payment.action is None
        is_closing = any(op.kind is OperationKind.CLOSE for op in payment.operations)
        if payment.status is Status.PENDING and lacks_action and not creation.is_uncertain and not is_closing:
            self.violated("the payer can go on", f"{caller.name} got {payment.id} pending and without a link")

    def conflicted(self, caller: Caller, conflict: ReferenceConflict) -> None:
        """`create` refused this caller because of other content."""
        known = self.payments[self._references[caller.purchase.reference]]
        if known.amount.minor == caller.plan.amount_minor:
            self.violated("only other content conflicts", f"{caller.name}: {conflict}")

    # --- notifications -------------------------------------------------------------------------------

    def acknowledged(self, letter_digest: str, body: bytes) -> None:
        """A notification was acknowledged; it and its observations must be durable."""
        self.acknowledgements.add(letter_digest)
        if letter_digest not in self.inbox():
            self.violated("acknowledged is durable", f"{body.decode()} was answered and is not in the inbox")
        for observation in self._world.said_by(body):
            payment = self.owner(observation.number)
            if payment is not None and digest(observation) not in payment.evidence:
                self.violated("acknowledged is durable", f"{body.decode()} was answered and changed nothing")

    def has_acknowledged(self, letter_digest: str) -> bool:
        """Whether the gateway has had its answer."""
        return letter_digest in self.acknowledgements

    def inbox(self) -> set[str]:
        """The notifications in the ledger."""
        rows = self._world.ledger.read(lambda tx: tx.execute("SELECT digest FROM inbox").fetchall()).result()
        return {digest for (digest,) in rows}
