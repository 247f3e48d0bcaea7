"""Sees everything that happens, and says at once when something happens that never may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paycore.domain.events import Event
from paycore.domain.payment import OperationKind, Payment, Status
from paycore.errors import LedgerError, ReferenceConflict
from paycore.ledger.api import Committed

if TYPE_CHECKING:
    from tests.simulation.applications import Caller
    from tests.simulation.gateway import SimOrder
    from tests.simulation.processes import Process
    from tests.simulation.world import World

EventKey = tuple[str, int]


class Witness:
    """
    Collects violations while a run goes on; `audit` looks at what is left at its end.

    Only the gateway and what was committed are believed, never what the code under test thinks.
    """

    def __init__(self, world: World) -> None:
        self.violations: list[str] = []
        self.forged: set[str] = set()
        self.acknowledgements: set[str] = set()
        self.heard_events: dict[EventKey, Event] = {}
        self.owed_events: dict[EventKey, tuple[Process, int]] = {}
        self._world = world

    def violated(self, rule: str, what: str) -> None:
        """Note a violation; the run ends with it."""
        self.violations.append(f"{rule}: {what}")
        self._world.scheduler.log("WITNESS", self.violations[-1])

    # --- the gateway ---------------------------------------------------------------------------------

    def made(self, order: SimOrder, payable: list[SimOrder]) -> None:
        """The gateway has made an order; `payable` were open or paid already for the same payment."""
        if payable:
            known = ", ".join(f"{other.id} ({other.status})" for other in payable)
            self.violated("one payable order", f"{order.reference} got {order.id} beside {known}")

    # --- the ledger ----------------------------------------------------------------------------------

    def committed(self, process: Process, who: str, result: Any) -> None:
        """A transaction was committed by this process, which owes its observers the events."""
        for committed in result if isinstance(result, tuple) else (result,):
            if isinstance(committed, Committed):
                for event in committed.events:
                    self.owed_events[event.payment_id, event.seq] = (process, process.life)
                    moved = f"{event.status_from} -> {event.status_to}"
                    self._world.scheduler.log(who, f"{event.payment_id} #{event.seq} {event.kind} {moved}")

    def heard(self, process: Process, event: Event) -> None:
        """An observer was told of an event."""
        key = (event.payment_id, event.seq)
        if key in self.heard_events:
            self.violated("events are told once", f"{key} was told twice")
        if self.owed_events.pop(key, None) != (process, process.life):
            self.violated("events are told once committed", f"{key} was told by {process.name} too early")
        self.heard_events[key] = event

    def failed_in_ledger(self, who: str, error: BaseException) -> None:
        """A transaction raised; refusals are fine, the ledger's own errors are not."""
        if isinstance(error, LedgerError):
            self.violated("the ledger holds together", f"{who}: {error!r}")

    # --- callers -------------------------------------------------------------------------------------

    def returned(self, caller: Caller, payment: Payment) -> None:
        """`create` returned this payment to this caller."""
        if payment.amount.minor != caller.plan.amount_minor or payment.reference != caller.purchase.reference:
            self.violated("same reference, same content", f"{caller.name} got a payment it did not ask for")
        creation = payment.creation
        lacks_action = creation.needs_action and payment.action is None
        is_closing = any(op.kind is OperationKind.CLOSE for op in payment.operations)
        if payment.status is Status.PENDING and lacks_action and not creation.is_uncertain and not is_closing:
            self.violated("the payer can go on", f"{caller.name} got {payment.id} pending and without a link")

    def conflicted(self, caller: Caller, conflict: ReferenceConflict) -> None:
        """`create` refused this caller because the reference names other content."""
        (known,) = self._world.ledger.find(None, caller.purchase.reference).result()
        if known.amount.minor == caller.plan.amount_minor:
            self.violated("only other content conflicts", f"{caller.name}: {conflict}")

    # --- notifications -------------------------------------------------------------------------------

    def acknowledged(self, digest: str) -> None:
        """A notification was answered; it must be durable by now."""
        self.acknowledgements.add(digest)
        if digest not in self.inbox():
            self.violated("acknowledged is durable", f"{digest[:12]} was answered and is not in the inbox")

    def has_acknowledged(self, digest: str) -> bool:
        """Whether the gateway has had its answer."""
        return digest in self.acknowledgements

    def inbox(self) -> set[str]:
        """The notifications that are in the ledger."""
        rows = self._world.ledger._reader.execute("SELECT digest FROM inbox").fetchall()
        return {digest for (digest,) in rows}
