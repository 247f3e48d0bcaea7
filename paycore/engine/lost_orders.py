"""
Orders that a provider lists and the ledger does not have: brought back where enough is told, else noted for a person.

Of several orders with one reference the one that took money comes back, or else one that still can; never two.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from msgspec.structs import replace

from paycore.domain import bringing_back
from paycore.domain.bringing_back import FoundOrder
from paycore.domain.decisions import named
from paycore.domain.observation import PaymentObservation, told_ids
from paycore.domain.payment import Operation, OperationKind, Payment, Status
from paycore.domain.provider import Found, Listed, OrderRef, Product
from paycore.domain.reconciliation import UNMOVED, DiscrepancyKind, is_promise
from paycore.engine.attempts import Attempts
from paycore.engine.checks import is_reference
from paycore.engine.effects import Program, in_ledger
from paycore.engine.orders import is_number, made_at
from paycore.engine.patience import patiently
from paycore.engine.reconciled import Books, discrepancy, is_of_another_account, matched, names_of
from paycore.engine.recovery import Recovery
from paycore.engine.unlisted import MARGIN
from paycore.ledger.api import Filter, Sought
from paycore.ledger.lists import next_page

CLOCKS_APART = timedelta(minutes=2)
"""How far the clocks of hosts that share a ledger may be apart."""

ANOTHER_LEDGER = "another ledger that uses this merchant account may have made it"

AT_ONCE = 200
_FIRST = (Status.PAID, Status.AUTHORIZED, Status.PENDING, Status.FAILED, Status.CLOSED)


class LostOrders:
    """The lost orders of one run, once all pages are read."""

    def __init__(self, attempts: Attempts, recovery: Recovery, books: Books) -> None:
        self._account = books.account
        self._attempts = attempts
        self._recovery = recovery
        self._books = books
        self._doubt = ANOTHER_LEDGER

    def run(self) -> Program[None]:
        """Bring back what can be."""
        if self._books.brings_back is None:
            self._doubt = yield from self._why_not()
            self._books.brings_back = not self._doubt
        for item in sorted(self._books.lost, key=lambda item: _FIRST.index(Status(item.observation.status))):
            names = names_of(self._account.name, [item])
            # As it is by now: of two orders with one reference, the second finds what the first brought back.
            known = yield from in_ledger(lambda ledger, names=names: ledger.named(names))  # type: ignore[misc]
            is_here = matched(known, item, self._account.name) is not None
            if not is_here and not is_of_another_account(known, item, self._account.name):
                yield from self._missing(item, named(known, self._account.name, self._account.namespace))

    def _why_not(self) -> Program[str]:
        """
        Why they can't all have been lost with the end of this ledger, as after a restored backup; empty if they can.

        They can't where the ledger has a payment of its own from between them, nor where the list has none of what was
        paid before them. Nobody tells of which account they are where another one has references of its own.
        """
        if self._books.others:
            names = " or ".join(f"account {name}" for name in self._books.others)
            return f"{names}, which has references of its own, may have made it by the same merchant account"
        times = [
            made_at(item.observation.number)
            for item in self._books.lost
            if is_number(item.observation.number)
        ]
        if not times:
            return ""
        between = (min(times) + CLOCKS_APART, max(times) - CLOCKS_APART)
        if between[0] < between[1]:
            own = yield from self._own(Filter(since=between[0], until=between[1], limit=AT_ONCE))
            if own:
                return ANOTHER_LEDGER
        before = (self._books.since + MARGIN, min(times) - MARGIN)
        if before[0] < before[1]:
            paid = Filter(
                account=self._account.name, by="paid", since=before[0], until=before[1], limit=AT_ONCE
            )
            own = yield from self._own(paid)
            made = [payment for payment in own if payment.created_at >= before[0]]
            orders = [op for one in made for op in one.operations if op.kind is OperationKind.CREATE]
            if orders and not any(map(self._books.is_listed, orders)):
                return (
                    "the list has nothing that this account was paid before it: it may be another merchant's"
                )
        return ""

    def _own(self, which: Filter) -> Program[list[Payment]]:
        """The first of these payments that were made here, not brought back: a page of them."""
        more: Filter | None = which
        while more is not None:
            page = yield from in_ledger(lambda ledger, which=more: ledger.list(which))  # type: ignore[misc]
            own = [payment for payment in page if not payment.is_brought_back]
            if own:
                return own
            more = next_page(more, page)
        return []

    def _missing(self, item: Listed, other: Payment | None) -> Program[None]:
        if other is not None:
            yield from self._note_second(item, other)
            return
        found = None
        if self._books.brings_back:
            found = yield from self._found(item)
        if found is None:
            yield from self._note_lost(item)
            return
        seen = found.observation
        names = Sought(self._account.name, {seen.number}, told_ids(seen), {found.reference})
        bring = partial(bringing_back.bring_back, found=found)
        committed = yield from self._attempts.commit(lambda ledger: ledger.bring_back(names, bring))
        payment = committed.payment
        if not committed.events:
            # Somebody else was faster: with this order, or with another of this reference.
            if matched([payment], item, self._account.name) is None:
                yield from self._note_second(item, payment)
            return
        is_as_listed = item.observation.status is not Status.PAID or payment.status is Status.PAID
        advice = f"brought back: payment {payment.id} is {payment.status}"
        noted = discrepancy(
            DiscrepancyKind.MISSING_HERE,
            item,
            None,
            is_settled=is_as_listed and not payment.review,
            advice=advice
            if is_as_listed
            else f"{advice} by a query, and paid by the list: look it up in the portal",
        )
        self._books.note(replace(noted, payment_id=payment.id, status_there=str(seen.status)))

    def _found(self, item: Listed) -> Program[FoundOrder | None]:
        """All that is told of it; None where that is too little for a payment, or contradicts itself."""
        seen, reference = item.observation, item.reference
        assert isinstance(seen, PaymentObservation)
        if reference is None or not is_reference(reference) or not is_number(seen.number):
            return None
        if seen.amount is None or seen.amount.minor <= 0:
            return None
        looked = yield from self.look(item)
        if looked is None and is_promise(seen):
            return None  # that no money was taken is not believed of a list alone
        told = seen if looked is None else looked
        if told.is_signed_wrong or told.partial_amount is not None or told.amount != seen.amount:
            return None
        products = self._products(item)
        if told.status is Status.AUTHORIZED and all(product.capture == "none" for product in products):
            return None
        only = products[0] if len(products) == 1 else None
        return FoundOrder(
            payment_id=self._attempts.new_id(),
            operation_id=self._attempts.new_id(),
            capture_id=self._attempts.new_id(),
            capture_number=self._attempts.new_id(),
            account=self._account.name,
            provider=self._account.provider_name,
            namespace=self._account.namespace,
            reference=reference,
            amount=seen.amount,
            observation=told,
            made_at=item.made_at or made_at(seen.number),
            method=_told(item.method) or (only.method if only else None),
            channel=_told(item.channel) or (only.channel if only else None),
            capture=item.capture,
            expires_at=item.expires_at,
        )

    def _products(self, item: Listed) -> list[Product]:
        """Those that it may be of."""
        return [
            product
            for product in self._account.capabilities.products
            if item.method in (None, product.method) and item.channel in (None, product.channel)
        ]

    def look(
        self, item: Listed, payment: Payment | None = None, order: Operation | None = None
    ) -> Program[PaymentObservation | None]:
        """
        What a query says of a listed order, with what the list alone has; None where it says nothing definite.

        `payment` and `order` are those of an order that the ledger has, and could not ask about.
        """
        seen = item.observation
        assert isinstance(seen, PaymentObservation)
        amount = seen.amount if payment is None else payment.amount
        if amount is None:
            return None
        at = item.made_at or made_at(seen.number) if order is None else order.begun_at
        ref = OrderRef(
            kind="payment",
            number=seen.number,
            provider_id=seen.provider_id,
            ids=seen.ids,
            begun_at=at,
            attempt=self._account.attempt(self._attempts.now(), self._attempts.new_id()),
            amount=amount,
            method=(item.method if payment is None else payment.method) or "",
            channel=(item.channel if payment is None else payment.channel) or "",
        )
        found: Found = yield from patiently(partial(self._recovery.look, self._account, ref))
        told = [one for one in found.observations if isinstance(one, PaymentObservation)]
        if not told or seen.number in found.undecided:
            return None
        # A number may have several records: where one of them took money, that counts.
        looked = next((one for one in told if one.status is Status.PAID), told[-1])
        is_waiting = looked.status is Status.PENDING and looked.action is None
        is_without_amount = looked.amount is None and looked.partial_amount is None
        return replace(
            looked,
            provider_id=looked.provider_id or seen.provider_id,
            ids={**seen.ids, **looked.ids},
            amount=seen.amount if is_without_amount else looked.amount,
            action=seen.action if is_waiting else looked.action,
        )

    # --- for a person ---------------------------------------------------------------------------------------

    def _note_lost(self, item: Listed) -> Program[None]:
        looked = None
        if is_number(item.observation.number) and is_promise(item.observation):
            looked = yield from self.look(item)
        is_settled = looked is not None and looked.status in UNMOVED
        lacks = "your reference" if item.reference is None else "all that a payment needs"
        if is_settled:
            advice = "nothing to do: it took no money, and will take none"
        elif item.reference is not None and not self._books.brings_back:
            advice = f"{self._doubt}; if this account has lost it, run `paycore reconcile` with --bring-back"
        else:
            advice = (
                f"the list does not tell {lacks}: find out by number, amount and time what it was for, before you make"
                " that payment again"
            )
        self._books.note(
            discrepancy(DiscrepancyKind.MISSING_HERE, item, None, is_settled=is_settled, advice=advice)
        )

    def _note_second(self, item: Listed, other: Payment) -> Program[None]:
        """An order with the reference of another payment; it is not taken for that one's."""
        status, is_confirmed = Status(item.observation.status), True
        if is_promise(item.observation):
            looked = yield from self.look(item)
            status, is_confirmed = (status, False) if looked is None else (looked.status, True)
        both_took = status is Status.PAID and bool(other.charges)
        if both_took:
            advice = f"payment {other.id} has taken the money too: give one of the two back"
        elif not is_confirmed:
            advice = (
                f"look it up in the provider's portal: that it took no money is not confirmed, and payment {other.id}"
                " has its reference"
            )
        elif status in UNMOVED:
            advice = f"nothing to do: it took no money, and payment {other.id} has its reference"
        elif status is Status.PAID:
            advice = (
                f"it was paid: do not let payment {other.id}, which has its reference, be paid as well; give it back,"
                f" or have that count as paid by it with `paycore review record {other.id} --paid`"
            )
        else:
            advice = f"close it in the provider's portal: payment {other.id} has its reference"
        kind = DiscrepancyKind.PAID_TWICE if both_took else DiscrepancyKind.MISSING_HERE
        noted = discrepancy(kind, item, other, is_settled=status in UNMOVED and is_confirmed, advice=advice)
        self._books.note(replace(noted, status_there=str(status)))


def _told(word: str | None) -> str | None:
    """A method or channel as it is told; None for what can't be one."""
    return word if word is not None and is_reference(word) else None
