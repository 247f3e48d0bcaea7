"""What one run of reconciling has read and found so far, and how an entry of a list is matched with a payment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from paycore.domain.observation import PaymentObservation, RefundObservation, told_ids
from paycore.domain.payment import Operation, OperationKind, Payment
from paycore.domain.provider import Listed
from paycore.domain.reconciliation import Discrepancy, DiscrepancyKind, Reconciliation, operation_with_id
from paycore.engine.accounts import Account
from paycore.engine.orders import is_number, made_at
from paycore.ledger.api import Sought


class Books:
    """
    The entries of a list, and the differences found.

    `listed` has every number and id of the provider's in it. Its orders that the ledger does not have are in `lost`,
    and its refunds in `refunds`: they come after the orders. `brings_back`: whether lost orders may be
    recorded anew, None until that was found out; `brings_back_refunds`: whether those of payments that are here may.
    `others`: the accounts of another namespace that may be at the same merchant's, by name.
    """

    def __init__(
        self,
        account: Account,
        since: datetime,
        until: datetime,
        *,
        brings_back: bool | None,
        others: Sequence[str] = (),
    ) -> None:
        self.account = account
        self.since, self.until = since, until
        self.brings_back = brings_back
        self.others = others
        self.brings_back_refunds = brings_back is not False
        self.listed: set[str] = set()
        self.lost: list[Listed] = []
        self.refunds: list[Listed] = []
        self.foreign = 0
        self._orders = 0
        self._found: list[Discrepancy] = []
        self._noted: set[tuple[object, ...]] = set()

    def take(self, items: Sequence[Listed]) -> None:
        """Read on: the entries of a page."""
        for item in items:
            seen = item.observation
            self.listed |= ({seen.number} - {""}) | told_ids(seen)
            if isinstance(seen, RefundObservation):
                self.refunds.append(item)
            else:
                self._orders += 1

    def is_listed(self, operation: Operation) -> bool:
        """Whether the list names this order or refund, by its number or an id."""
        return not self.listed.isdisjoint({operation.number} | operation.provider_ids)

    def note(self, found: Discrepancy) -> None:
        """Keep what was found; what is listed twice, since orders are made while the list is read, counts once."""
        key = (
            found.kind,
            found.is_refund,
            found.number,
            found.provider_id,
            found.payment_id,
            found.status_there,
        )
        if key not in self._noted:
            self._noted.add(key)
            self._found.append(found)

    def result(self) -> Reconciliation:
        """All that came of it."""
        return Reconciliation(
            account=self.account.name,
            since=self.since,
            until=self.until,
            orders=self._orders,
            refunds=len(self.refunds),
            foreign=self.foreign,
            discrepancies=tuple(self._found),
        )


def names_of(account: str, items: Iterable[Listed]) -> Sought:
    """All names in these entries by which a payment may be found."""
    numbers, ids, references = set[str](), set[str](), set[str]()
    for item in items:
        seen = item.observation
        numbers |= {seen.number, item.payment_number or ""}
        ids |= told_ids(seen) | {item.payment_id or ""}
        if isinstance(seen, PaymentObservation):
            references.add(item.reference or "")
    return Sought(account, numbers - {""}, ids - {""}, references - {""})


def matched(known: Sequence[Payment], item: Listed, account: str) -> tuple[Payment, Operation] | None:
    """
    The payment of the account, and its order or refund, that an entry is about; None where there is none.

    By our number; where it has none of ours, by an id. A refund is looked for by its id in any case: some lists give it
    the number of its order.
    """
    seen = item.observation
    kind = OperationKind.CREATE if isinstance(seen, PaymentObservation) else OperationKind.REFUND
    own = [payment for payment in known if payment.account == account]
    for payment in own:
        for operation in payment.operations:
            if operation.kind is kind and operation.number == seen.number:
                return payment, operation
    if is_number(seen.number) and kind is OperationKind.CREATE:
        return None
    found = ((payment, operation_with_id(payment, kind, seen)) for payment in own)
    return next(((payment, operation) for payment, operation in found if operation is not None), None)


def is_of_another_account(known: Sequence[Payment], item: Listed, account: str) -> bool:
    """Whether another account of the configuration, at the same merchant's, has made it."""
    number = item.observation.number
    others = (payment for payment in known if payment.account != account)
    return bool(number) and any(op.number == number for payment in others for op in payment.operations)


IN_THE_PORTAL = "look it up in the provider's portal by its number or id"
NOT_TOLD = f"{IN_THE_PORTAL}: the list does not tell what it is"
DIFFER = "its list, its answer to a query and the ledger differ"


def discrepancy(
    kind: DiscrepancyKind, item: Listed, payment: Payment | None, *, is_settled: bool, advice: str
) -> Discrepancy:
    """A difference of an order: what the list has of it, and what the ledger had."""
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
        at=time_of(item),
    )


def time_of(item: Listed) -> datetime | None:
    """When an entry of a list was made, as far as anybody tells."""
    number = item.observation.number
    return item.made_at or item.observation.occurred_at or (made_at(number) if is_number(number) else None)
