"""
Re-deriving every payment from its history, and handing the whole ledger out as text.

`verify` trusts nothing but the events, and of those only what their hashes vouch for: it folds them again
by the rules the ledger used, and compares what comes out with what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby
from typing import Any, NamedTuple

import msgspec

from paycore.domain.codec import decode, encode
from paycore.domain.events import GENESIS, Change, chain_hash
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Payment
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import from_ms
from paycore.ledger.session import COLUMNS, Row, Transaction, columns

PAGE = 200
"""Payments read at once: bounds the memory, not the result."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """
    The first thing about a payment that is not as its history says.

    `where` is `event 3` or a column of the payment's row; `stored` and `derived` are what stands there and
    what should.
    """

    where: str
    stored: str
    derived: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One payment, how many events it has, and what is wrong with it; None when everything holds."""

    payment_id: str
    events: int
    difference: Difference | None


class _Stored(NamedTuple):
    """A payment's row: the body as text, the columns that repeat it, and the hash of its last event."""

    payment_id: str
    body: str
    head: bytes
    columns: dict[str, object]


class _StoredEvent(NamedTuple):
    """An event's row, unread."""

    seq: int
    at: int
    source: str
    kind: str
    status_from: str | None
    status_to: str
    change: str
    prev_hash: bytes
    hash: bytes


def verify(ledger: SqlLedger) -> Iterator[Verdict]:
    """
    Re-derive every payment from its events; yields one verdict for each, in the order of their ids.

    Reads only, a page at a time; other processes may go on writing. Raises `LedgerError`s when the ledger
    can't be read at all.
    """
    for page in _pages(ledger):
        found = _names(ledger, [stored for stored, _ in page])
        for stored, events in page:
            difference = _first_difference(stored, events) or _missing_name(stored, found)
            yield Verdict(payment_id=stored.payment_id, events=len(events), difference=difference)
    for (payment_id,) in ledger.read(lambda tx: tx.all(_ORPHANS)).result():
        gone = Difference(where="payments", stored="no row", derived="a row, for there are events")
        yield Verdict(payment_id=payment_id, events=0, difference=gone)


def export(ledger: SqlLedger) -> Iterator[str]:
    """
    The whole ledger as JSON Lines, without line ends: each payment, then its events, oldest first.

    `{"type": "payment", ...}` holds the payment as it is stored, `{"type": "event", ...}` one event with its
    hashes in hex and times in UTC milliseconds. Holds personal data where the ledger does.
    """
    for stored, events in chain.from_iterable(_pages(ledger)):
        yield _line(
            {"type": "payment", "id": stored.payment_id, "payment": msgspec.Raw(stored.body.encode())}
        )
        for event in events:
            fields = event._asdict()
            fields["change"] = msgspec.Raw(event.change.encode())
            fields["prev_hash"], fields["hash"] = event.prev_hash.hex(), event.hash.hex()
            yield _line({"type": "event", "payment_id": stored.payment_id, **fields})


def _line(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


# --- reading -----------------------------------------------------------------------------------------

_EVENT_COLUMNS = ", ".join(f"e.{name}" for name in _StoredEvent._fields)
# One statement sees one state of the ledger, so that a payment and its events belong together.
_PAGE = (
    f"SELECT p.id, p.body, p.head, {', '.join(f'p.{name}' for name in COLUMNS)}, {_EVENT_COLUMNS}"  # noqa: S608
    " FROM (SELECT * FROM payments WHERE id > ? ORDER BY id LIMIT ?) p"
    " LEFT JOIN events e ON e.payment_id = p.id ORDER BY p.id, e.seq"
)
_ORPHANS = (
    "SELECT DISTINCT payment_id FROM events e"
    " WHERE NOT EXISTS (SELECT 1 FROM payments p WHERE p.id = e.payment_id)"
)


def _pages(ledger: SqlLedger) -> Iterator[list[tuple[_Stored, list[_StoredEvent]]]]:
    last = ""
    while True:
        rows = ledger.read(lambda tx, last=last: tx.all(_PAGE, (last, PAGE))).result()  # type: ignore[misc]
        if not rows:
            return
        last = rows[-1][0]
        groups = (list(own) for _, own in groupby(rows, key=lambda row: row[0]))
        yield [
            (_stored(own[0]), [_stored_event(row) for row in own if row[-1] is not None]) for own in groups
        ]


def _stored(row: Row) -> _Stored:
    payment_id, body, head, *rest = row
    return _Stored(payment_id, body, bytes(head), dict(zip(COLUMNS, rest, strict=False)))


def _stored_event(row: Row) -> _StoredEvent:
    event = _StoredEvent._make(row[3 + len(COLUMNS) :])
    return event._replace(prev_hash=bytes(event.prev_hash), hash=bytes(event.hash))


# --- comparing ---------------------------------------------------------------------------------------


def _first_difference(stored: _Stored, events: list[_StoredEvent]) -> Difference | None:
    """What of the events, then of the row, is not as it should be."""
    payment: Payment | None = None
    head = GENESIS
    for number, event in enumerate(events, start=1):
        difference = _chain_difference(stored.payment_id, number, event, head)
        if difference is not None:
            return difference
        before, payment = payment, _fold(payment, event)
        if payment is None:
            return Difference(where=f"event {number}", stored=event.kind, derived="a change that fits here")
        difference = _event_difference(number, event, before, payment)
        if difference is not None:
            return difference
        head = event.hash
    if payment is None:
        return Difference(where="events", stored="none", derived="at least the payment's beginning")
    return _row_difference(stored, payment, head)


def _fold(payment: Payment | None, event: _StoredEvent) -> Payment | None:
    """The payment after this event; None when it can't have happened."""
    try:
        return evolve(payment, decode(event.change, Change), from_ms(event.at))  # type: ignore[arg-type]
    except (msgspec.MsgspecError, ValueError, KeyError, StopIteration):
        return None


def _chain_difference(payment_id: str, number: int, event: _StoredEvent, head: bytes) -> Difference | None:
    where = f"event {number}"
    if event.seq != number:
        return Difference(where=where, stored=f"seq {event.seq}", derived=f"seq {number}")
    if event.prev_hash != head:
        return Difference(where=f"{where} prev_hash", stored=event.prev_hash.hex(), derived=head.hex())
    own = chain_hash(head, payment_id, event.seq, event.at, event.source, event.change.encode())
    if event.hash != own:
        return Difference(where=f"{where} hash", stored=event.hash.hex(), derived=own.hex())
    return None


def _event_difference(
    number: int, event: _StoredEvent, before: Payment | None, payment: Payment
) -> Difference | None:
    derived = {
        "seq": payment.version,
        "status_from": before and before.status.value,
        "status_to": payment.status.value,
    }
    for name, value in derived.items():
        if getattr(event, name) != value:
            return Difference(
                where=f"event {number} {name}", stored=str(getattr(event, name)), derived=str(value)
            )
    return None


def _row_difference(stored: _Stored, payment: Payment, head: bytes) -> Difference | None:
    if stored.head != head:
        return Difference(where="head", stored=stored.head.hex(), derived=head.hex())
    derived = columns(payment)
    for name, value in stored.columns.items():
        # When to look next moves with every lease and look; no fact follows from it.
        if name != "due_at" and value != derived[name]:
            return Difference(where=name, stored=str(value), derived=str(derived[name]))
    if stored.body != encode(payment).decode():
        return _body_difference(stored, payment)
    return None


def _body_difference(stored: _Stored, payment: Payment) -> Difference:
    known = _readable(stored)
    if known is None:
        return Difference(where="body", stored="unreadable", derived="the payment")
    for name in payment.__struct_fields__:
        was, now = getattr(known, name), getattr(payment, name)
        if was != now:
            return Difference(where=f"body {name}", stored=encode(was).decode(), derived=encode(now).decode())
    return Difference(where="body", stored="the same payment in other words", derived="as paycore writes it")


# --- the names a payment is found by -----------------------------------------------------------------


class _Names(NamedTuple):
    """Operation ids with their numbers, and refund references, with the payments they lead to."""

    numbers: set[Row]
    references: set[Row]


def _names(ledger: SqlLedger, page: list[_Stored]) -> _Names:
    """What leads to the payments of a page. Read after them, so that nothing of theirs can be missing yet."""
    payments = [payment for payment in map(_readable, page) if payment is not None]
    operations = [operation.id for payment in payments for operation in payment.operations]
    references = [refund.reference for payment in payments for refund in payment.refunds]

    def rows(tx: Transaction) -> _Names:
        by_id, ids = tx.in_list(operations)
        by_reference, given = tx.in_list(references)
        numbers = f"SELECT payment_id, id, number FROM operations WHERE id {by_id}"  # noqa: S608
        names = f"SELECT payment_id, reference FROM refunds WHERE reference {by_reference}"  # noqa: S608
        return _Names(set(tx.all(numbers, (ids,))), set(tx.all(names, (given,))))

    return ledger.read(rows).result()


def _missing_name(stored: _Stored, found: _Names) -> Difference | None:
    """A number or reference of this payment that does not lead to it: what is said of it would go unheard."""
    payment = _readable(stored)
    for operation in payment.operations if payment else ():
        if (stored.payment_id, operation.id, operation.number) not in found.numbers:
            return Difference(where="operations", stored="no row", derived=f"number {operation.number}")
    for refund in payment.refunds if payment else ():
        if (stored.payment_id, refund.reference) not in found.references:
            return Difference(where="refunds", stored="no row", derived=f"reference {refund.reference}")
    return None


def _readable(stored: _Stored) -> Payment | None:
    try:
        return decode(stored.body, Payment)
    except (msgspec.MsgspecError, ValueError):
        return None
