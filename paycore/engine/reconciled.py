"""What one run of reconciling has read and found so far."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from paycore.domain.observation import RefundObservation
from paycore.domain.provider import Listed
from paycore.domain.reconciliation import Discrepancy, Reconciliation
from paycore.engine.accounts import Account


class Books:
    """
    The entries of a list, and the differences found.

    `listed` has every number and id of the provider's in it, `refunds` its refunds, which come after the orders.
    """

    def __init__(self, account: Account, since: datetime, until: datetime) -> None:
        self.account = account
        self.since, self.until = since, until
        self.listed: set[str] = set()
        self.refunds: list[Listed] = []
        self.paid_twice: set[str] = set()
        self.foreign = 0
        self._orders = 0
        self._found: list[Discrepancy] = []
        self._noted: set[tuple[object, ...]] = set()

    def take(self, items: Sequence[Listed]) -> None:
        """Read on: the entries of a page."""
        for item in items:
            seen = item.observation
            self.listed |= {seen.number, seen.provider_id or "", *seen.ids.values()} - {""}
            if isinstance(seen, RefundObservation):
                self.refunds.append(item)
            else:
                self._orders += 1

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
