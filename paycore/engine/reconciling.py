"""
Reconciles the ledger with a provider's own list, and brings back what the ledger has lost.

The list says where to look. What it differs in is asked about by a query, and the answer is merged as ever; only a
payment or a refund that the ledger does not have at all is recorded anew, with all that is told of it. Nothing is sent
but safe requests, and each thing found is one transaction: killed anywhere, it can be run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from paycore.domain import bringing_back
from paycore.domain.bringing_back import FoundOrder
from paycore.domain.decisions import can_be_found, named
from paycore.domain.events import Source
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Operation, OperationKind, OperationState, Payment, ReviewReason, Status
from paycore.domain.provider import Found, Listed, OrderRef
from paycore.domain.reconciliation import (
    Discrepancy,
    DiscrepancyKind,
    Reconciliation,
    differs_in_amount,
    is_promise,
    is_same_status,
    is_unreadable,
    order_with_id,
    status_of_order,
)
from paycore.engine.accounts import Account
from paycore.engine.attempts import Attempts
from paycore.engine.checks import is_reference
from paycore.engine.effects import Program, in_ledger
from paycore.engine.orders import is_number
from paycore.engine.patience import patiently
from paycore.engine.provider_list import Listing
from paycore.engine.reconciled import Books
from paycore.engine.reconciling_refunds import Refunds
from paycore.engine.recovery import Recovery
from paycore.engine.unlisted import find_unlisted
from paycore.ledger.api import Sought


class Reconciling:
    """One run over the list of an account; its steps are programs."""

    def __init__(
        self, account: Account, attempts: Attempts, recovery: Recovery, since: datetime, until: datetime
    ) -> None:
        self._account = account
        self._attempts = attempts
        self._recovery = recovery
        self._listing = Listing(account, attempts, since, until)
        self._books = Books(account, since, until)

    def run(self) -> Program[Reconciliation]:
        """
        The whole of it: the list's orders, then its refunds, then what it lacks.

        Raises `NotSent` or `MaybeSent` when no answer came, `AccountRefused`, `LedgerError`s; no money moves, and what
        was found until then is recorded.
        """
        while not self._listing.is_over:
            items = yield from patiently(self._listing.next_page)
            yield from self._page(items)
        yield from Refunds(self._account, self._attempts, self._recovery, self._books).run()
        yield from find_unlisted(self._account, self._recovery, self._books)
        return self._books.result()

    def _page(self, items: Sequence[Listed]) -> Program[None]:
        orders = [item for item in items if isinstance(item.observation, PaymentObservation)]
        self._books.take(items)
        names = _names(self._account.name, orders)
        known = yield from in_ledger(lambda ledger: ledger.named(names))
        for item in orders:
            # Of two entries of a page with one reference the second finds what the first brought back.
            fresh = yield from self._again(known, item)
            yield from self._order(item, fresh)

    def _again(self, known: Sequence[Payment], item: Listed) -> Program[Sequence[Payment]]:
        """The payments that this entry may be of, as they are by now."""
        own = [payment for payment in known if _is_named_by(payment, item, self._account.name)]
        if own or item.reference is None:
            return own
        reference = item.reference
        return (yield from in_ledger(lambda ledger: ledger.find(None, reference)))

    def _order(self, item: Listed, known: Sequence[Payment]) -> Program[None]:
        """One order of the list."""
        seen = item.observation
        assert isinstance(seen, PaymentObservation)
        matched = _matched(known, seen, self._account.name)
        if is_unreadable(seen):
            self._books.note(self._unreadable(item, matched))
        elif matched is not None:
            yield from self._compare(*matched, item)
        elif not is_number(seen.number) and item.reference is None:
            self._books.foreign += 1
        else:
            other = named(known, self._account.name, self._account.namespace)
            yield from self._missing_here(item, other)

    def _unreadable(self, item: Listed, matched: tuple[Payment, Operation] | None) -> Discrepancy:
        payment = None if matched is None else matched[0]
        return _discrepancy(
            DiscrepancyKind.UNREADABLE,
            item,
            payment,
            is_settled=False,
            advice="look it up in the provider's portal by its number or id: the list does not tell what it is",
        )

    # --- orders that the ledger has -------------------------------------------------------------------------

    def _compare(self, payment: Payment, order: Operation, item: Listed) -> Program[None]:
        """Have the ledger learn what the list shows and it does not know; note what differs after that."""
        seen = replace(item.observation, number=order.number)
        assert isinstance(seen, PaymentObservation)
        before = payment
        was = status_of_order(payment, order)
        is_unsent = order.state is OperationState.INTENT
        is_as_listed = is_same_status(was, seen.status) and not differs_in_amount(payment, order, seen)
        there = seen.status
        if is_unsent or not is_as_listed:
            payment, there = yield from self._learn(payment, order, seen)
            order = payment.operation(order.id)
        now = status_of_order(payment, order)
        if differs_in_amount(payment, order, seen):
            self._note_amount(item, before, payment)
        elif not is_same_status(now, there) or now is not was or is_unsent:
            self._note_state(item, before, payment, was=was, is_settled=is_same_status(now, there))
        if ReviewReason.PAID_TWICE in payment.review_reasons and payment.id not in self._books.paid_twice:
            self._note_charges(item, payment)

    def _learn(
        self, payment: Payment, order: Operation, seen: PaymentObservation
    ) -> Program[tuple[Payment, Status]]:
        """The payment once its provider was asked, and what that says of the order by now."""
        is_findable = can_be_found(order, self._account.capabilities.lookup)
        is_unsent = order.state is OperationState.INTENT
        if is_unsent or not is_findable:
            told = yield from self._looked(seen, payment)
            if told is None and not is_promise(seen):
                told = seen
            if told is not None:
                decide = partial(bringing_back.note_listed, observation=told)
                committed = yield from self._attempts.change(payment.id, decide, Source.LIST)
                payment = committed.payment
        asking = partial(self._recovery.ask_and_tell, self._account, [payment], Source.QUERY)
        (payment,), found = yield from patiently(asking)
        statuses = [one.status for one in found.observations if one.number == order.number]
        return payment, Status(statuses[-1]) if statuses else seen.status

    def _note_amount(self, item: Listed, before: Payment, payment: Payment) -> None:
        is_looked_at = ReviewReason.AMOUNT_DIFFERS not in payment.review_reasons and any(
            one.reason is ReviewReason.AMOUNT_DIFFERS for one in payment.acknowledged
        )
        advice = "compare both amounts with what was sold, then give back or ask for the rest"
        self._books.note(
            _discrepancy(DiscrepancyKind.AMOUNT_DIFFERS, item, before, is_settled=is_looked_at, advice=advice)
        )

    def _note_state(
        self, item: Listed, before: Payment, payment: Payment, *, was: Status, is_settled: bool
    ) -> None:
        advice = (
            f"done: the ledger has learned it, the payment is {payment.status} now"
            if is_settled
            else "look it up in the provider's portal: its list, its answer to a query and the ledger differ"
        )
        if payment.review:
            is_settled = False
            advice = f"look at it: `paycore review show {payment.id}`"
        noted = _discrepancy(
            DiscrepancyKind.STATE_DIFFERS, item, before, is_settled=is_settled, advice=advice
        )
        self._books.note(replace(noted, status_here=str(was)))

    def _note_charges(self, item: Listed, payment: Payment) -> None:
        self._books.paid_twice.add(payment.id)
        advice = "it was paid more than once: give back what is too much, then acknowledge it"
        self._books.note(
            _discrepancy(DiscrepancyKind.PAID_TWICE, item, payment, is_settled=False, advice=advice)
        )

    # --- orders that it has not -----------------------------------------------------------------------------

    def _missing_here(self, item: Listed, other: Payment | None) -> Program[None]:
        """Bring it back where the provider tells enough of it; else note it for a person."""
        if other is not None:
            self._note_second(item, other)
            return
        found = yield from self._found(item)
        if found is None:
            self._note_lost(item)
            return
        seen = found.observation
        ids = {seen.provider_id or "", *seen.ids.values()} - {""}
        names = Sought(
            self._account.name, numbers=(seen.number,), ids=tuple(ids), references=(found.reference,)
        )
        bring = partial(bringing_back.bring_back, found=found)
        committed = yield from self._attempts.commit(lambda ledger: ledger.bring_back(names, bring))
        payment = committed.payment
        if committed.events:
            self._books.note(_brought_back(item, payment, seen))
        elif payment.account == self._account.name and _has_order(payment, seen.number):
            return  # somebody else has brought it back meanwhile
        else:
            self._note_second(item, payment)

    def _found(self, item: Listed) -> Program[FoundOrder | None]:
        """All that is told of it; None where that is too little for a payment, or contradicts itself."""
        seen = item.observation
        assert isinstance(seen, PaymentObservation)
        reference, amount = item.reference, seen.amount
        if reference is None or amount is None or not is_number(seen.number) or not is_reference(reference):
            return None
        at = item.made_at or seen.occurred_at
        if at is None or amount.minor <= 0:
            return None
        looked = yield from self._looked(seen, None, item)
        if looked is None and is_promise(seen):
            return None
        told = seen if looked is None else looked
        if told.is_signed_wrong or told.partial_amount is not None or told.amount not in (None, amount):
            return None
        if told.status is Status.AUTHORIZED and not self._can_capture(item):
            return None
        account, method, channel = self._account, item.method, item.channel
        products = account.capabilities.products
        if len(products) == 1:
            method, channel = method or products[0].method, channel or products[0].channel
        return FoundOrder(
            payment_id=self._attempts.new_id(),
            operation_id=self._attempts.new_id(),
            capture_id=self._attempts.new_id(),
            capture_number=self._attempts.new_id(),
            account=account.name,
            provider=account.provider_name,
            namespace=account.namespace,
            reference=reference,
            amount=amount,
            observation=told,
            made_at=at,
            method=method,
            channel=channel,
            capture=item.capture,
            expires_at=item.expires_at,
        )

    def _can_capture(self, item: Listed) -> bool:
        """Whether its product, or any where that is not told, takes a capture."""
        products = self._account.capabilities.products
        own = [
            one
            for one in products
            if item.method in (None, one.method) and item.channel in (None, one.channel)
        ]
        return any(product.capture != "none" for product in own)

    def _looked(
        self, seen: PaymentObservation, payment: Payment | None, item: Listed | None = None
    ) -> Program[PaymentObservation | None]:
        """What a query says of a listed order, with what the list alone has; None where it says nothing definite."""
        amount = payment.amount if payment is not None else seen.amount
        at = (item.made_at if item else None) or seen.occurred_at
        if payment is not None:
            at = next(op.begun_at for op in payment.operations if op.number == seen.number)
        if amount is None or at is None:
            return None
        ref = OrderRef(
            kind="payment",
            number=seen.number,
            provider_id=seen.provider_id,
            ids=seen.ids,
            begun_at=at,
            attempt=self._account.attempt(self._attempts.now(), self._attempts.new_id()),
            amount=amount,
            method=(payment.method if payment else item.method if item else None) or "",
            channel=(payment.channel if payment else item.channel if item else None) or "",
        )
        found: Found = yield from patiently(partial(self._recovery.look, self._account, ref))
        told = [one for one in found.observations if isinstance(one, PaymentObservation)]
        if not told or seen.number in found.undecided:
            return None
        # Several of one number say different things: what moved money counts.
        looked = next((one for one in told if one.status is Status.PAID), told[-1])
        action = seen.action if looked.status is Status.PENDING and looked.action is None else looked.action
        return replace(
            looked,
            provider_id=looked.provider_id or seen.provider_id,
            ids={**seen.ids, **looked.ids},
            amount=looked.amount if looked.partial_amount else looked.amount or seen.amount,
            action=action,
        )

    def _note_lost(self, item: Listed) -> None:
        lacks = "your reference" if item.reference is None else "all that a payment needs"
        advice = (
            f"the list does not tell {lacks}: find out by number, amount and time what it was for, before you make"
            " that payment again"
        )
        self._books.note(
            _discrepancy(DiscrepancyKind.MISSING_HERE, item, None, is_settled=False, advice=advice)
        )

    def _note_second(self, item: Listed, other: Payment) -> None:
        """An order with the reference of another payment; it is not taken for that one's."""
        seen = item.observation
        both_took = seen.status is Status.PAID and bool(other.charges)
        kind = DiscrepancyKind.PAID_TWICE if both_took else DiscrepancyKind.MISSING_HERE
        is_settled = seen.status in (Status.FAILED, Status.CLOSED)
        if both_took:
            advice = f"payment {other.id} has taken the money too: give one of the two back"
        elif is_settled:
            advice = f"nothing to do: it took no money, and payment {other.id} has its reference"
        elif seen.status is Status.PAID:
            advice = f"it was paid: do not let payment {other.id}, which has its reference, be paid as well"
        else:
            advice = f"close it in the provider's portal: payment {other.id} has its reference"
        self._books.note(_discrepancy(kind, item, other, is_settled=is_settled, advice=advice))


# --- inside ------------------------------------------------------------------------------------------


def _names(account: str, items: Iterable[Listed]) -> Sought:
    numbers, ids, references = set[str](), set[str](), set[str]()
    for item in items:
        seen = item.observation
        numbers.add(seen.number)
        ids |= {seen.provider_id or "", *seen.ids.values()}
        references.add(item.reference or "")
    return Sought(account, numbers - {""}, ids - {""}, references - {""})


def _is_named_by(payment: Payment, item: Listed, account: str) -> bool:
    seen = item.observation
    if payment.reference == item.reference:
        return True
    return payment.account == account and _matched([payment], seen, account) is not None


def _matched(
    known: Sequence[Payment], seen: PaymentObservation | RefundObservation, account: str
) -> tuple[Payment, Operation] | None:
    """The payment and its order that an entry is about: by our number, else by an id where it has no number."""
    own = [payment for payment in known if payment.account == account]
    for payment in own:
        for operation in payment.operations:
            if operation.kind is OperationKind.CREATE and operation.number == seen.number:
                return payment, operation
    if is_number(seen.number):
        return None
    found = ((payment, order_with_id(payment, seen)) for payment in own)
    return next(((payment, order) for payment, order in found if order is not None), None)


def _has_order(payment: Payment, number: str) -> bool:
    return any(op.kind is OperationKind.CREATE and op.number == number for op in payment.operations)


def _discrepancy(
    kind: DiscrepancyKind, item: Listed, payment: Payment | None, *, is_settled: bool, advice: str
) -> Discrepancy:
    seen = item.observation
    return Discrepancy(
        kind=kind,
        is_settled=is_settled,
        advice=advice,
        payment_id=None if payment is None else payment.id,
        number=seen.number or None,
        provider_id=seen.provider_id,
        ids=seen.ids,
        reference=item.reference if payment is None else payment.reference,
        amount_here=None if payment is None else payment.amount,
        amount_there=seen.amount,
        status_here=None if payment is None else str(payment.status),
        status_there=str(seen.status),
        at=item.made_at or seen.occurred_at,
    )


def _brought_back(item: Listed, payment: Payment, seen: PaymentObservation) -> Discrepancy:
    noted = _discrepancy(
        DiscrepancyKind.MISSING_HERE,
        item,
        None,
        is_settled=not payment.review,
        advice=f"brought back: payment {payment.id} is {payment.status}",
    )
    return replace(noted, payment_id=payment.id, status_there=str(seen.status))
