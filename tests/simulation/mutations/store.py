"""Bugs in the use of the ledger: what is decided, written and told in which transaction."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest import mock

from msgspec.structs import replace

from paycore.domain.events import Source
from paycore.domain.payment import Payment
from paycore.engine.attempts import Attempts
from paycore.engine.effects import InLedger, Program
from paycore.ledger import group, verbs
from paycore.ledger import rows as rows_of_payments
from paycore.ledger.api import Committed, Decide, Spending, to_send
from paycore.ledger.group import Group, Wants
from tests.simulation.mutations import Patch, patched


def decided_outside_transaction() -> Patch:
    """A change is decided on what was read before the transaction."""

    def change(
        self: Attempts, payment_id: str, decide: Decide, source: Source, spending: Spending | None = None
    ) -> Program[Committed]:
        seen = yield InLedger(lambda ledger: ledger.get(payment_id))
        committed: Committed = yield from self.commit(
            lambda ledger: ledger.change(payment_id, lambda _, now: decide(seen, now), source, spending)
        )
        return committed

    return mock.patch.object(Attempts, "change", change)


def no_compare_and_set() -> Patch:
    """What was read before the transaction overwrites the present state."""

    def change(
        self: Attempts, payment_id: str, decide: Decide, source: Source, spending: Spending | None = None
    ) -> Program[Committed]:
        seen = yield InLedger(lambda ledger: ledger.get(payment_id))
        committed: Committed = yield from self.commit(
            lambda ledger: _overwrite(ledger, seen, decide, source, spending)
        )
        return committed

    def _overwrite(
        door: Any, seen: Payment, decide: Decide, source: Source, spending: Spending | None
    ) -> Any:
        def work(unit: Group) -> Committed:
            known = unit.known(seen.id)._replace(payment=seen)
            folded = verbs._fold(unit, known, decide(seen, unit.now), source, {})
            is_sent = spending is not None and to_send(folded.events) is not None
            send_at = verbs.spend(unit, spending).send_at if spending is not None and is_sent else None
            return replace(verbs._keep(unit, [folded])[0], send_at=send_at)

        wants = Wants(payments=(seen.id,), budgets=() if spending is None else (spending.account,))
        return door.submit(lambda ledger: ledger._commits.submit(work, wants))

    stack = ExitStack()
    stack.enter_context(mock.patch.object(Attempts, "change", change))
    replaces = rows_of_payments.INSERT_EVENT.replace("INSERT", "INSERT OR REPLACE")
    stack.enter_context(mock.patch.object(group, "INSERT_EVENT", replaces))
    return stack


def event_outside_transaction() -> Patch:
    """The payment is written in one transaction, its events in the next."""
    rows: list[Any] = []

    def keep(self: Group, before: Any, payment: Payment, head: bytes, events: Any) -> None:
        rows.extend(events)
        original_keep(self, before, payment, head, ())

    def make(commit: Any) -> Any:
        def commit_twice(self: Attempts, effect: InLedger) -> Program[Any]:
            result = yield from commit(self, effect)
            own = tuple(rows)
            rows.clear()
            if own:
                yield InLedger(lambda door: append(door, own))
            return result

        return commit_twice

    def append(door: Any, own: tuple[Any, ...]) -> Any:
        work = lambda unit: unit._stage.events.extend(own)  # noqa: E731
        return door.submit(lambda ledger: ledger._commits.submit(work, Wants()))

    original_keep = Group.keep
    stack = ExitStack()
    stack.enter_context(mock.patch.object(Group, "keep", keep))
    stack.enter_context(patched(Attempts, "commit", make))
    return stack


def hint_is_overwritten() -> Patch:
    """A payment that became due during its query is rescheduled all the same."""
    postpone = rows_of_payments.POSTPONE.replace("due_at > ?", "? > 0").replace("hinted <> 1", "hinted >= 0")
    return mock.patch.object(group, "POSTPONE", postpone)


def no_lease() -> Patch:
    """A claimed payment stays due, so that every worker queries it."""

    def make(claim: Any) -> Any:
        return lambda unit, claiming: claim(unit, replace(claiming, lease_s=0.0))

    return patched(verbs, "claim", make)


def lease_is_for_ever() -> Patch:
    """A claimed payment never becomes due again by itself."""

    def make(claim: Any) -> Any:
        return lambda unit, claiming: claim(unit, replace(claiming, lease_s=1e8))

    return patched(verbs, "claim", make)


def notification_is_kept_and_not_merged() -> Patch:
    """A trusted notification is recorded, but its observations are not merged."""

    def make(fold: Any) -> Any:
        def nothing(unit: Any, account: str, observations: Any, source: Source) -> Any:
            return [] if source is Source.NOTIFICATION else fold(unit, account, observations, source)

        return nothing

    return patched(verbs, "_fold_observations", make)


MUTANTS = {
    mutant.__name__: mutant
    for mutant in (
        decided_outside_transaction,
        no_compare_and_set,
        event_outside_transaction,
        hint_is_overwritten,
        no_lease,
        lease_is_for_ever,
        notification_is_kept_and_not_merged,
    )
}
