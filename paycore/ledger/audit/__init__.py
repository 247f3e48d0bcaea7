"""
Verifies, anchors and exports a ledger.

Only reads, in pages, so that memory does not grow with the ledger or with a payment's history. Other processes
may write meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

from paycore.errors import NotFound
from paycore.ledger.audit.anchors import Anchor, AnchorCheck, make_anchor, read_anchor, render_anchor
from paycore.ledger.audit.exporting import export, records, render_record
from paycore.ledger.audit.inbox import inbox_differences
from paycore.ledger.audit.names import names_of, surplus, wrong_name
from paycore.ledger.audit.order import order_differences
from paycore.ledger.audit.payments import Judged
from paycore.ledger.audit.schema import schema_differences
from paycore.ledger.audit.verdicts import Difference, Verdict
from paycore.ledger.history import History, Orphan, Readable, newest_position, one, orphans, pages, placed

__all__ = [
    "Anchor",
    "Difference",
    "Verdict",
    "export",
    "make_anchor",
    "read_anchor",
    "records",
    "render_anchor",
    "render_record",
    "verify",
    "verify_payment",
]


def verify(ledger: Readable, anchor: Anchor | None = None) -> Iterator[Verdict]:
    """
    Recompute everything that follows from the events, and compare it with what is stored.

    Yields one verdict for each payment, ordered by id, and one for each payment id without a row that something
    refers to. Then one for each difference of the ledger as a whole: surplus rows, notifications, order, clock,
    schema, and what differs from `anchor`. Raises `LedgerError`s when the ledger can't be read.
    """
    for page in pages(ledger):
        yield from _verdicts(ledger, page)
    for orphan in orphans(ledger):
        yield _without_row(orphan)
    yield from surplus(ledger)
    yield from inbox_differences(ledger)
    yield from schema_differences(ledger)
    events = placed(ledger, newest_position(ledger))
    if anchor is None:
        yield from order_differences(ledger, events)
    else:
        check = AnchorCheck(anchor)
        yield from order_differences(ledger, check.watch(events))
        yield from check.differences(ledger)


def verify_payment(ledger: Readable, payment_id: str) -> Verdict:
    """The verdict on one payment; `NotFound` when nothing in the ledger refers to it."""
    for verdict in _verdicts(ledger, one(ledger, payment_id)):
        return verdict
    for orphan in orphans(ledger, payment_id):
        return _without_row(orphan)
    raise NotFound(f"no payment has the id {payment_id!r}")


def _verdicts(ledger: Readable, page: list[History]) -> Iterator[Verdict]:
    judged = [Judged(history) for history in page]
    found = names_of(ledger, [each.payment for each in judged if each.payment is not None])
    for each in judged:
        difference = each.difference
        if difference is None and each.payment is not None:
            difference = wrong_name(each.payment, found)
        yield Verdict(payment_id=each.payment_id, events=each.events, difference=difference)


def _without_row(orphan: Orphan) -> Verdict:
    gone = Difference(where="payments", stored="no row", derived=f"a row, for `{orphan.table}` names it")
    return Verdict(payment_id=orphan.payment_id, events=0, difference=gone)
