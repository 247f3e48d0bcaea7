"""Reconciles the refunds of a provider's list: those the ledger has, has lost, and never had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from paycore.domain import bringing_back
from paycore.domain.bringing_back import FoundRefund
from paycore.domain.events import Change, Observed, Source
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import (
    Operation,
    OperationKind,
    OperationState,
    Payment,
    Refund,
    RefundStatus,
    ReviewReason,
    Status,
    numbered,
)
from paycore.domain.provider import Listed
from paycore.domain.reconciliation import (
    DiscrepancyKind,
    has_id,
    is_promise,
    is_unreadable,
)
from paycore.engine.attempts import Attempts
from paycore.engine.checks import is_reference
from paycore.engine.effects import Program, in_ledger
from paycore.engine.orders import is_number, made_at
from paycore.engine.patience import patiently
from paycore.engine.reconciled import (
    DIFFER,
    NOT_TOLD,
    Books,
    discrepancy,
    is_of_another_account,
    matched,
    names_of,
)
from paycore.engine.recovery import Recovery
from paycore.errors import ReferenceConflict


class Refunds:
    """The refunds of one run, once its orders are done."""

    def __init__(self, attempts: Attempts, recovery: Recovery, books: Books) -> None:
        self._account = books.account
        self._attempts = attempts
        self._recovery = recovery
        self._books = books
        self._asked: set[str] = set()
        self._unnamed: dict[str, dict[str, int]] = {}

    def run(self) -> Program[None]:
        """Go through all of them."""
        for item in self._books.refunds:
            yield from self._refund(item)
        yield from self._count_unnamed()

    def _refund(self, item: Listed) -> Program[None]:
        seen = item.observation
        assert isinstance(seen, RefundObservation)
        names = names_of(self._account.name, [item])
        known = yield from in_ledger(lambda ledger: ledger.named(names))
        own = [payment for payment in known if payment.account == self._account.name]
        mine, owner = matched(own, item, self._account.name), _owner(own, item)
        if is_unreadable(seen):
            self._note(DiscrepancyKind.UNREADABLE, item, owner, is_settled=False, advice=NOT_TOLD)
        elif mine is not None:
            yield from self._compare(*mine, item)
        elif is_of_another_account(known, item, self._account.name):
            self._books.foreign += 1
        elif owner is not None:
            yield from self._missing_here(owner, item)
        elif is_number(seen.number):
            advice = "it is ours, of a payment that is not here: find out which by id, amount and time"
            self._note(DiscrepancyKind.MISSING_HERE, item, None, is_settled=False, advice=advice)
        else:
            self._books.foreign += 1

    # --- refunds that the ledger has -------------------------------------------------------------------------

    def _compare(self, payment: Payment, operation: Operation, item: Listed) -> Program[None]:
        seen = replace(item.observation, number=operation.number)
        assert isinstance(seen, RefundObservation)
        reference = operation.refund_reference or ""
        before = _of(payment, reference)
        is_unsent = operation.state is OperationState.INTENT
        there: RefundStatus = seen.status
        if is_unsent or before.status is not there or _differs(before, seen):
            told = None if is_promise(seen) else seen
            decide = partial(bringing_back.note_listed, number=operation.number, observation=told)
            payment = (yield from self._attempts.change(payment.id, decide, Source.LIST)).payment
            asking = partial(self._recovery.ask_and_tell, self._account, [payment], Source.QUERY)
            (payment,), found = yield from patiently(asking)
            statuses = [one.status for one in found.observations if one.number == operation.number]
            there = RefundStatus(statuses[-1]) if statuses else there
        now = _of(payment, reference)
        if _differs(before, seen):
            advice = "compare both amounts; then acknowledge it"
            is_settled = ReviewReason.REFUND_AMOUNT_DIFFERS not in payment.review_reasons
            self._note(
                DiscrepancyKind.AMOUNT_DIFFERS,
                item,
                payment,
                is_settled=is_settled,
                advice=advice,
                refund=before,
            )
        elif now.status is not there:
            advice = f"look it up in the provider's portal: {DIFFER}"
            self._note(
                DiscrepancyKind.STATE_DIFFERS, item, payment, is_settled=False, advice=advice, refund=before
            )
        elif now.status is not before.status or is_unsent:
            advice = f"done: the ledger has learned it, the refund is {now.status} now"
            is_settled = not payment.review
            self._note(
                DiscrepancyKind.STATE_DIFFERS,
                item,
                payment,
                is_settled=is_settled,
                advice=advice,
                refund=before,
            )

    # --- refunds that it has not ---------------------------------------------------------------------------

    def _missing_here(self, payment: Payment, item: Listed) -> Program[None]:
        """Bring it back where the provider tells enough of it; else count what it returned."""
        found = self._found(item) if self._books.brings_back_refunds else None
        committed = None
        if found is not None:
            decide = partial(bringing_back.bring_back_refund, found=found)
            # Another payment may have a refund with this reference.
            with suppress(ReferenceConflict):
                committed = yield from self._attempts.change(payment.id, decide, Source.LIST)
        now = payment if committed is None else committed.payment
        if found is None or committed is None or not committed.events:
            if matched([now], item, self._account.name) is not None:
                return  # another run was faster
            yield from self._refunded_elsewhere(payment, item)
            return
        payment = committed.payment
        seen = item.observation
        if is_promise(seen):
            asking = partial(self._recovery.ask, self._account, [payment], Source.QUERY)
            (payment,) = yield from patiently(asking)
        refund = _of(payment, found.reference)
        is_confirmed = refund.status is seen.status or refund.status is RefundStatus.SUCCEEDED
        self._note(
            DiscrepancyKind.MISSING_HERE,
            item,
            payment,
            is_settled=(is_confirmed or not is_promise(seen)) and not payment.review,
            advice=f"brought back: the refund is {refund.status}",
            refund=refund,
        )

    def _found(self, item: Listed) -> FoundRefund | None:
        """All that is told of it; None where that is too little for a refund."""
        seen, reference = item.observation, item.reference
        assert isinstance(seen, RefundObservation)
        if seen.amount is None or not is_number(seen.number):
            return None
        if reference is None or not is_reference(reference):
            return None
        return FoundRefund(
            operation_id=self._attempts.new_id(),
            reference=reference,
            amount=seen.amount,
            # That no money went back is not believed of a list alone.
            observation=replace(seen, status=RefundStatus.PENDING, failure=None)
            if is_promise(seen)
            else seen,
            made_at=item.made_at or made_at(seen.number),
        )

    def _refunded_elsewhere(self, payment: Payment, item: Listed) -> Program[None]:
        seen = item.observation
        if seen.status is RefundStatus.FAILED or seen.status is RefundStatus.REVERSED:
            return  # nothing was returned by it
        if payment.id not in self._asked:
            self._asked.add(payment.id)
            asking = partial(self._recovery.ask, self._account, [payment], Source.QUERY)
            (payment,) = yield from patiently(asking)
        amount = seen.amount if seen.status is RefundStatus.SUCCEEDED else None
        if amount is not None and amount.currency == payment.amount.currency:
            counted = self._unnamed.setdefault(payment.id, {})
            # A list may give it the number of its order, as it does others of that order.
            counted[seen.provider_id or seen.number] = amount.minor
        is_ours = is_number(seen.number) and numbered(payment, seen.number) is None
        advice = (
            "it was made here and its reference is lost: do not make it again before you know which one it was"
            if is_ours
            else "it was not made here: the ledger counts what it returned; find out who made it"
        )
        self._note(DiscrepancyKind.REFUNDED_ELSEWHERE, item, payment, is_settled=False, advice=advice)

    def _count_unnamed(self) -> Program[None]:
        """Have the ledger count what went back by refunds it can't name: so much less can be refunded."""
        for payment_id, amounts in self._unnamed.items():
            yield from self._attempts.change(payment_id, partial(_counted, amounts), Source.LIST)

    def _note(
        self,
        kind: DiscrepancyKind,
        item: Listed,
        payment: Payment | None,
        *,
        is_settled: bool,
        advice: str,
        refund: Refund | None = None,
    ) -> None:
        here = None if kind is DiscrepancyKind.MISSING_HERE else refund
        self._books.note(
            replace(
                discrepancy(kind, item, payment, is_settled=is_settled, advice=advice),
                is_refund=True,
                reference=None if payment is None else payment.reference,
                refund=item.reference if refund is None else refund.reference,
                amount_here=None if here is None else here.amount,
                status_here=None if here is None else str(here.status),
            )
        )


# --- inside ------------------------------------------------------------------------------------------


def _owner(known: Sequence[Payment], item: Listed) -> Payment | None:
    """The payment a refund goes back from, as far as the list tells; None where it may be of several."""
    orders = [
        payment
        for payment in known
        if any(
            op.kind is OperationKind.CREATE and op.number == item.payment_number for op in payment.operations
        )
        or (item.payment_id is not None and has_id(payment, item.payment_id))
    ]
    return orders[0] if len(orders) == 1 else None


def _counted(amounts: Mapping[str, int], payment: Payment, _: datetime) -> list[Change]:
    """What is to be observed of a payment from which so much went back, by the id or number of each refund."""
    own = [op for op in payment.operations if op.kind is OperationKind.REFUND]
    named = {name for op in own for name in (op.number, op.provider_id)}
    ours = sum(one.amount.minor for one in payment.refunds if one.status is RefundStatus.SUCCEEDED)
    elsewhere = sum(minor for name, minor in amounts.items() if name not in named)
    total = min(ours + elsewhere, payment.paid_minor)
    if len(payment.charges) != 1 or total <= payment.refunded_minor:
        return []
    # What providers report as returned has what came back later in it.
    total += sum(one.amount.minor for one in payment.refunds if one.status is RefundStatus.REVERSED)
    charge = payment.charges[0]
    counted = PaymentObservation(
        number=charge.number, status=Status.PAID, provider_id=charge.provider_id, refunded_minor=total
    )
    return [Observed(observation=counted)]


def _of(payment: Payment, reference: str) -> Refund:
    refund = payment.refund(reference)
    if refund is None:
        raise LookupError(f"payment {payment.id} has no refund {reference!r}")
    return refund


def _differs(refund: Refund, seen: RefundObservation) -> bool:
    is_partly = seen.partial_amount is not None and seen.partial_amount.contradicts(refund.amount)
    return is_partly or seen.amount not in (None, refund.amount)
