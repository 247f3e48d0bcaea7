"""
Reconciles the ledger with a provider's own list, and brings back what the ledger has lost.

The list says where to look. What it differs in is asked about by a query, and the answer is merged as ever; only a
payment or a refund that the ledger does not have at all is recorded anew, with all that is told of it. Nothing is sent
but questions, and each thing found is one transaction: killed anywhere, it can be run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from paycore.domain import bringing_back
from paycore.domain.decisions import can_be_found
from paycore.domain.events import Source
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Operation, OperationState, Payment, ReviewReason, Status
from paycore.domain.provider import Listed
from paycore.domain.reconciliation import (
    DiscrepancyKind,
    Reconciliation,
    differs_in_amount,
    is_promise,
    is_same_status,
    is_unreadable,
    status_of_order,
)
from paycore.engine.attempts import Attempts
from paycore.engine.effects import Program, in_ledger
from paycore.engine.lost_orders import LostOrders
from paycore.engine.orders import is_number
from paycore.engine.patience import patiently
from paycore.engine.provider_list import Listing
from paycore.engine.reconciled import (
    DIFFER,
    IN_THE_PORTAL,
    NOT_TOLD,
    Books,
    discrepancy,
    is_of_another_account,
    matched,
    names_of,
)
from paycore.engine.reconciling_refunds import Refunds
from paycore.engine.recovery import Recovery
from paycore.engine.unlisted import find_unlisted


class Reconciling:
    """One run over the list of an account; its steps are programs."""

    def __init__(self, attempts: Attempts, recovery: Recovery, books: Books) -> None:
        self._account = books.account
        self._attempts = attempts
        self._recovery = recovery
        self._listing = Listing(books.account, attempts, books.since, books.until)
        self._books = books
        self._lost = LostOrders(attempts, recovery, books)

    def run(self) -> Program[Reconciliation]:
        """
        The whole of it: the list's orders, those that are lost, its refunds, and what it lacks.

        Raises `NotSent` or `MaybeSent` when no answer came, `AccountRefused`, `LedgerError`s; no money moves, and what
        was found until then is recorded.
        """
        while not self._listing.is_over:
            items = yield from patiently(self._listing.next_page)
            yield from self._page(items)
        yield from self._lost.run()
        yield from Refunds(self._attempts, self._recovery, self._books).run()
        yield from find_unlisted(self._recovery, self._books)
        return self._books.result()

    def _page(self, items: Sequence[Listed]) -> Program[None]:
        orders = [item for item in items if isinstance(item.observation, PaymentObservation)]
        self._books.take(items)
        names = names_of(self._account.name, orders)
        known = yield from in_ledger(lambda ledger: ledger.named(names))
        for item in orders:
            yield from self._order(item, known)

    def _order(self, item: Listed, known: Sequence[Payment]) -> Program[None]:
        """One order of the list."""
        own = matched(known, item, self._account.name)
        if is_unreadable(item.observation):
            payment = None if own is None else own[0]
            self._books.note(
                discrepancy(DiscrepancyKind.UNREADABLE, item, payment, is_settled=False, advice=NOT_TOLD)
            )
        elif own is not None:
            yield from self._compare(*own, item)
        elif is_of_another_account(known, item, self._account.name) or not _is_ours(item):
            self._books.foreign += 1
        else:
            self._books.lost.append(item)

    # --- orders that the ledger has -------------------------------------------------------------------------

    def _compare(self, payment: Payment, order: Operation, item: Listed) -> Program[None]:
        """Have the ledger learn what the list shows and it does not know; note what differs after that."""
        seen = replace(item.observation, number=order.number)
        assert isinstance(seen, PaymentObservation)
        before, was, there = payment, status_of_order(payment, order), Status(seen.status)
        is_unsent = order.state is OperationState.INTENT
        is_as_listed = is_same_status(was, there) and not differs_in_amount(payment, order, seen)
        if is_unsent or not is_as_listed:
            payment, there = yield from self._learn(payment, order, item, seen)
            order = payment.operation(order.id)
        now = status_of_order(payment, order)
        is_paid_there_only = seen.status is Status.PAID and now is not Status.PAID
        if differs_in_amount(payment, order, seen):
            self._note_amount(item, before, payment)
        elif not is_same_status(now, there) or now is not was or is_unsent or is_paid_there_only:
            is_learned = is_same_status(now, there) and not is_paid_there_only
            self._note_state(item, before, payment, was=was, is_learned=is_learned)
        if ReviewReason.PAID_TWICE in payment.review_reasons:
            advice = "it was paid more than once: give back what is too much, then acknowledge it"
            twice = discrepancy(DiscrepancyKind.PAID_TWICE, item, payment, is_settled=False, advice=advice)
            self._books.note(twice)

    def _learn(
        self, payment: Payment, order: Operation, item: Listed, seen: PaymentObservation
    ) -> Program[tuple[Payment, Status]]:
        """The payment once its provider was asked, and what that says of the order by now."""
        is_findable = can_be_found(order, self._account.capabilities.lookup)
        if order.state is OperationState.INTENT or not is_findable:
            told = yield from self._lost.look(replace(item, observation=seen), payment, order)
            if told is None and not is_promise(seen):
                told = seen
            decide = partial(bringing_back.note_listed, number=order.number, observation=told)
            payment = (yield from self._attempts.change(payment.id, decide, Source.LIST)).payment
        asking = partial(self._recovery.ask_and_tell, self._account, [payment], Source.QUERY)
        (payment,), found = yield from patiently(asking)
        statuses = [one.status for one in found.observations if one.number == order.number]
        # A number may have several records: where one of them took money, that counts.
        told_there = Status.PAID if Status.PAID in statuses else statuses[-1] if statuses else seen.status
        return payment, Status(told_there)

    def _note_amount(self, item: Listed, before: Payment, payment: Payment) -> None:
        reason = ReviewReason.AMOUNT_DIFFERS
        is_acknowledged = any(one.reason is reason for one in payment.acknowledged)
        advice = "compare both amounts with what was sold; give back what is too much, then acknowledge it"
        self._books.note(
            discrepancy(
                DiscrepancyKind.AMOUNT_DIFFERS,
                item,
                before,
                is_settled=is_acknowledged and reason not in payment.review_reasons,
                advice=advice,
            )
        )

    def _note_state(
        self, item: Listed, before: Payment, payment: Payment, *, was: Status, is_learned: bool
    ) -> None:
        if payment.review:
            advice = f"it needs review: `paycore show {payment.id}`"
        elif is_learned:
            advice = f"done: the ledger has learned it, the payment is {payment.status}"
        else:
            advice = f"{IN_THE_PORTAL}: {DIFFER}"
        noted = discrepancy(
            DiscrepancyKind.STATE_DIFFERS,
            item,
            before,
            is_settled=is_learned and not payment.review,
            advice=advice,
        )
        self._books.note(replace(noted, status_here=str(was)))


def _is_ours(item: Listed) -> bool:
    """Whether paycore has made it, by the form of its number, or by a reference, which only paycore writes there."""
    return is_number(item.observation.number) or item.reference is not None
