"""
What is stored of payments, as it stands: rows nobody has judged yet, read a page at a time.

One statement sees one state of the ledger, so a payment and its events belong together, whoever writes
meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import groupby
from typing import NamedTuple, Protocol, TypeVar

from paycore.ledger.session import COLUMNS, Row, Transaction

T = TypeVar("T")

PAGE = 200
"""Payments read at once: bounds the memory, not the result."""


class Readable(Protocol):
    """A ledger, or one that is only read."""

    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run a read on a connection that never writes."""
        ...


class StoredPayment(NamedTuple):
    """A payment's row: the body as text, the hash of its last event, and the columns that repeat the body."""

    payment_id: str
    body: str
    head: bytes
    columns: dict[str, object]


class StoredEvent(NamedTuple):
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


class History(NamedTuple):
    """A payment's row and its events, oldest first."""

    payment: StoredPayment
    events: list[StoredEvent]


class StoredNotification(NamedTuple):
    """A notification as it was kept: `headers` as JSON, `payment_id` where it is known."""

    account: str
    digest: str
    received_at: int
    headers: str
    query: str
    body: bytes
    verdict: str
    payment_id: str | None


class Orphan(NamedTuple):
    """What is there of a payment that has no row: its id, and the first table that names it."""

    payment_id: str
    table: str


def pages(ledger: Readable) -> Iterator[list[History]]:
    """Every payment with its events, in the order of their ids."""
    last = ""
    while rows := _rows(ledger, _PAGE.format(which=f"id > {_KEY} ORDER BY id LIMIT ?"), (last, PAGE)):
        yield _histories(rows)
        last = rows[-1][0]


def one(ledger: Readable, payment_id: str) -> list[History]:
    """A page of this payment alone; empty when it has no row."""
    return _histories(_rows(ledger, _PAGE.format(which="id = ?"), (payment_id,)))


def orphans(ledger: Readable, payment_id: str | None = None) -> Iterator[Orphan]:
    """What events, operations, refunds and notifications say of payments (of this one) that have no row."""
    last = ""
    which, wanted = (f"payment_id > {_KEY}", None) if payment_id is None else ("payment_id = ?", payment_id)
    while True:
        found = _rows(ledger, _ORPHANS.format(which=which), (last if wanted is None else wanted, PAGE))
        yield from (Orphan._make(_plain(row)) for row in found)
        if len(found) < PAGE:
            return
        last = found[-1][0]


def notifications(ledger: Readable) -> Iterator[StoredNotification]:
    """Every notification kept."""
    last = ("", "")
    while rows := _rows(ledger, _INBOX, (*last, PAGE)):
        kept = (StoredNotification._make(_plain(row)) for row in rows)
        yield from (notification._replace(body=bytes(notification.body)) for notification in kept)
        last = (rows[-1][0], rows[-1][1])


def accounts_of(ledger: Readable, reference: str, account: str | None) -> list[tuple[str, str]]:
    """Account and id of each payment with this reference (on this account), whatever else its row says."""
    sql = "SELECT account, id FROM payments WHERE reference = ?"
    if account is None:
        return [(row[0], row[1]) for row in _rows(ledger, f"{sql} ORDER BY account", (reference,))]
    return [(row[0], row[1]) for row in _rows(ledger, f"{sql} AND account = ?", (reference, account))]


# --- reading -----------------------------------------------------------------------------------------

# Pages go on after a key as it was read, also where that is no text: cast, SQLite compares its bytes.
_KEY = "CAST(? AS TEXT)"

_EVENT_COLUMNS = ", ".join(f"e.{name}" for name in StoredEvent._fields)
_PAGE = (
    f"SELECT p.id, p.body, p.head, {', '.join(f'p.{name}' for name in COLUMNS)}, {_EVENT_COLUMNS}"  # noqa: S608
    " FROM (SELECT * FROM payments WHERE {which}) p"
    " LEFT JOIN events e ON e.payment_id = p.id ORDER BY p.id, e.seq"
)
_INBOX = (
    f"SELECT {', '.join(StoredNotification._fields)} FROM inbox"  # noqa: S608
    f" WHERE (account, digest) > ({_KEY}, {_KEY}) ORDER BY account, digest LIMIT ?"
)
# `min` prefers events, which say most.
_ORPHANS = (
    "SELECT payment_id, min(place) FROM ("
    "SELECT payment_id, 'events' AS place FROM events"
    " UNION ALL SELECT payment_id, 'operations' FROM operations"
    " UNION ALL SELECT payment_id, 'refunds' FROM refunds"
    " UNION ALL SELECT payment_id, 'charges' FROM charges"
    " UNION ALL SELECT payment_id, 'inbox' FROM inbox WHERE payment_id IS NOT NULL) named"
    " WHERE {which} AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.id = named.payment_id)"
    " GROUP BY payment_id ORDER BY payment_id LIMIT ?"
)


def _rows(ledger: Readable, sql: str, parameters: Sequence[object]) -> list[Row]:
    return ledger.read(lambda tx: tx.all(sql, parameters)).result()


def _plain(row: Row) -> Row:
    """The row with nothing but text where a reader says that it is more: see `readingsqlite.Unreadable`."""
    return tuple(str(value) if isinstance(value, str) else value for value in row)


def _histories(rows: Sequence[Row]) -> list[History]:
    groups = (list(own) for _, own in groupby(map(_plain, rows), key=lambda row: row[0]))
    return [
        History(_stored(own[0]), [_stored_event(row) for row in own if row[-1] is not None]) for own in groups
    ]


def _stored(row: Row) -> StoredPayment:
    payment_id, body, head, *rest = row
    return StoredPayment(payment_id, body, bytes(head), dict(zip(COLUMNS, rest, strict=False)))


def _stored_event(row: Row) -> StoredEvent:
    event = StoredEvent._make(row[3 + len(COLUMNS) :])
    return event._replace(prev_hash=bytes(event.prev_hash), hash=bytes(event.hash))
