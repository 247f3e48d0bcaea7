"""
Reads what is stored, unchecked, in pages.

One statement sees one state of the ledger, and events are only ever added. So a payment's row and its last
events are read by one statement, and earlier events may be read by others while somebody writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import groupby
from typing import NamedTuple, Protocol, TypeVar

from paycore.ledger.rows import COLUMNS
from paycore.ledger.transaction import Row, Transaction

T = TypeVar("T")

PAGE = 200
"""Payments, or rows of another table, read at once; limits memory, not the result."""

EVENTS = 1000
"""Events read at once."""

NOTIFICATIONS = 16
"""Notifications read at once: each may be as long as 1 MiB."""

EVENT_LENGTH = 1000
"""This many characters of a payment's row count as one event."""


class Readable(Protocol):
    """A ledger, or a `ReadOnlyLedger`."""

    @property
    def dialect(self) -> str:
        """The SQL dialect: `sqlite` or `postgres`."""
        ...

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
    """An event's row, not decoded."""

    position: int
    seq: int
    at: int
    source: str
    kind: str
    status_from: str | None
    status_to: str
    change: str
    prev_hash: bytes
    hash: bytes


class History:
    """
    A payment's row and its events, oldest first; the events can be iterated once.

    `payment` is the row as of the last event that was read.
    """

    def __init__(self, payment: StoredPayment, events: Iterator[StoredEvent] | None = None) -> None:
        self.payment = payment
        self.events = iter(()) if events is None else events


class StoredNotification(NamedTuple):
    """A notification as stored: `headers` as JSON, `payment_id` if known."""

    account: str
    digest: str
    received_at: int
    headers: str
    query: str
    body: bytes
    verdict: str
    payment_id: str | None


class Orphan(NamedTuple):
    """A payment id that has no row, and the first table that refers to it."""

    payment_id: str
    table: str


def pages(ledger: Readable) -> Iterator[list[History]]:
    """Every payment with its events, by id, in pages. Finish one page before you take the next."""
    last = ""
    while sizes := _rows(ledger, _SIZES, (last, PAGE)):
        for first, up_to, is_long in _spans(last, sizes):
            yield list(_long(ledger, up_to)) if is_long else _short(ledger, first, up_to)
        last = sizes[-1][0]


def one(ledger: Readable, payment_id: str) -> list[History]:
    """A page with this payment alone; empty when it has no row."""
    return list(_long(ledger, payment_id))


def orphans(ledger: Readable, payment_id: str | None = None) -> Iterator[Orphan]:
    """The payment ids without a row (or this one) that events, operations, refunds or notifications refer to."""
    last = ""
    which, wanted = (f"payment_id > {_KEY}", None) if payment_id is None else ("payment_id = ?", payment_id)
    while True:
        found = _rows(ledger, _ORPHANS.format(which=which), (last if wanted is None else wanted, PAGE))
        yield from (Orphan._make(_plain(row)) for row in found)
        if len(found) < PAGE:
            return
        last = found[-1][0]


def notifications(ledger: Readable) -> Iterator[StoredNotification]:
    """Every stored notification."""
    last = ("", "")
    while rows := _rows(ledger, _INBOX, (*last, NOTIFICATIONS)):
        kept = (StoredNotification._make(_plain(row)) for row in rows)
        yield from (notification._replace(body=bytes(notification.body)) for notification in kept)
        last = (rows[-1][0], rows[-1][1])


def name_rows(
    ledger: Readable, table: str, columns: Sequence[str], key: Sequence[str]
) -> Iterator[list[Row]]:
    """These columns of a table's rows, in pages, ordered by its key, whose columns are text."""
    places = [columns.index(name) for name in key]
    sql = (
        f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608
        f" WHERE ({', '.join(key)}) > ({', '.join([_KEY] * len(key))}) ORDER BY {', '.join(key)} LIMIT ?"
    )
    last: Sequence[object] = [""] * len(key)
    while rows := _rows(ledger, sql, (*last, PAGE)):
        yield [_plain(row) for row in rows]
        last = [rows[-1][place] for place in places]


class Placed(NamedTuple):
    """An event by its position in the ledger."""

    position: int
    at: int
    payment_id: str
    seq: int
    hash: bytes


def placed(ledger: Readable, up_to: int) -> Iterator[Placed]:
    """All events up to a position, in order."""
    last = _SEQ_MIN
    while rows := _rows(ledger, _PLACED, (last, up_to, EVENTS)):
        for row in rows:
            event = Placed._make(_plain(row))
            yield event._replace(hash=bytes(event.hash))
        last = rows[-1][0]


def newest_position(ledger: Readable) -> int:
    """The position of the newest event; 0 when there is none."""
    return int(_rows(ledger, "SELECT coalesce(max(position), 0) FROM events", ())[0][0])


def accounts_of(ledger: Readable, reference: str, account: str | None) -> list[tuple[str, str]]:
    """Account and id of each payment with this reference (of this account), without decoding its row."""
    sql = "SELECT account, id FROM payments WHERE reference = ?"
    if account is None:
        return [(row[0], row[1]) for row in _rows(ledger, f"{sql} ORDER BY account", (reference,))]
    return [(row[0], row[1]) for row in _rows(ledger, f"{sql} AND account = ?", (reference, account))]


def name_of(ledger: Readable, payment_id: str) -> tuple[str, str] | None:
    """Account and reference of the payment with this id, without decoding its row; None where there is no row."""
    rows = _rows(ledger, "SELECT account, reference FROM payments WHERE id = ?", (payment_id,))
    return (rows[0][0], rows[0][1]) if rows else None


# --- reading -----------------------------------------------------------------------------------------

# A page starts after the last key as it was read, even if that is not text: with CAST, SQLite compares the bytes.
_KEY = "CAST(? AS TEXT)"

_SIZES = (
    "SELECT p.id, (SELECT count(*) FROM events e WHERE e.payment_id = p.id), length(p.body) FROM payments p"  # noqa: S608
    f" WHERE p.id > {_KEY} ORDER BY p.id LIMIT ?"
)
# A payment's row before its events, each with NULL in the columns of the other.
_PAYMENT = ("body", "head", *COLUMNS)
_EVENT = StoredEvent._fields
_ROWS = (
    f"SELECT id, 0 AS is_event, {', '.join(_PAYMENT)}, {', '.join(f'NULL AS {name}' for name in _EVENT)}"  # noqa: S608
    " FROM payments WHERE {payments}"
    f" UNION ALL SELECT payment_id, 1, {', '.join(['NULL'] * len(_PAYMENT))}, {', '.join(_EVENT)}"
    f" FROM (SELECT payment_id, {', '.join(_EVENT)} FROM events"
    " WHERE {events}) own"
    " ORDER BY 1, 2, seq"
)
# The range is repeated: given once, PostgreSQL may scan a whole table for each span.
_ID_IN = f"id > {_KEY} AND id <= {_KEY}"
_OWNER_IN = f"payment_id > {_KEY} AND payment_id <= {_KEY}"
_SHORT = _ROWS.format(
    payments=_ID_IN,
    events=f"{_OWNER_IN} AND payment_id IN (SELECT id FROM payments WHERE {_ID_IN})",  # noqa: S608
)
_LONG = _ROWS.format(
    payments=f"id = {_KEY}", events=f"payment_id = {_KEY} AND seq > ? ORDER BY payment_id, seq LIMIT ?"
)
_SEQ_MIN = -(2**62)
_PLACED = (
    f"SELECT {', '.join(Placed._fields)} FROM events"  # noqa: S608
    " WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
)
_INBOX = (
    f"SELECT {', '.join(StoredNotification._fields)} FROM inbox"  # noqa: S608
    f" WHERE (account, digest) > ({_KEY}, {_KEY}) ORDER BY account, digest LIMIT ?"
)
# `min` prefers `events`, which tell most.
_ORPHANS = (
    "SELECT payment_id, min(place) FROM ("
    "SELECT payment_id, 'events' AS place FROM events"
    " UNION ALL SELECT payment_id, 'operations' FROM operations"
    " UNION ALL SELECT payment_id, 'refunds' FROM refunds"
    " UNION ALL SELECT payment_id, 'charges' FROM charges"
    " UNION ALL SELECT payment_id, 'provider_ids' FROM provider_ids"
    " UNION ALL SELECT payment_id, 'inbox' FROM inbox WHERE payment_id IS NOT NULL) named"
    " WHERE {which} AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.id = named.payment_id)"
    " GROUP BY payment_id ORDER BY payment_id LIMIT ?"
)


def _rows(ledger: Readable, sql: str, parameters: Sequence[object]) -> list[Row]:
    return ledger.read(lambda tx: tx.execute(sql, parameters).fetchall()).result()


def _plain(row: Row) -> Row:
    """The row with plain strings instead of `sqlite.reader.Unreadable` ones."""
    return tuple(str(value) if isinstance(value, str) else value for value in row)


def _spans(last: str, sizes: Sequence[Row]) -> Iterator[tuple[str, str, bool]]:
    """
    Split a page of (id, number of events, length) into spans.

    A span is: after this id, up to this id, whether it is one long history.
    """
    after, before, some = last, last, 0
    for payment_id, events, length in sizes:
        size = max(1, events, length // EVENT_LENGTH)
        if some and some + size > EVENTS:
            yield after, before, False
            after, some = before, 0
        if events > EVENTS:
            yield after, payment_id, True
            after = payment_id
        else:
            some += size
        before = payment_id
    if some:
        yield after, before, False


def _short(ledger: Readable, after: str, up_to: str) -> list[History]:
    """The payments of a span of ids with all their events, by one statement."""
    groups = groupby(_rows(ledger, _SHORT, (after, up_to) * 3), key=lambda row: row[0])
    return [_whole(*own) for _, own in groups]


def _whole(first: Row, *events: Row) -> History:
    return History(_stored(first), map(_stored_event, events))


def _long(ledger: Readable, payment_id: str) -> Iterator[History]:
    """A payment whose events are read in pages as they are iterated; none when it has no row."""
    rows = _rows(ledger, _LONG, (payment_id, payment_id, _SEQ_MIN, EVENTS))
    if not rows or rows[0][1]:
        return
    history = History(_stored(rows[0]))
    history.events = _one_after_the_other(ledger, payment_id, history, rows)
    yield history


def _one_after_the_other(
    ledger: Readable, payment_id: str, history: History, rows: Sequence[Row]
) -> Iterator[StoredEvent]:
    while True:
        events = [_stored_event(row) for row in rows if row[1]]
        yield from events
        if len(events) < EVENTS:
            return
        rows = _rows(ledger, _LONG, (payment_id, payment_id, events[-1].seq, EVENTS))
        if rows and not rows[0][1]:
            history.payment = _stored(rows[0])


def _stored(row: Row) -> StoredPayment:
    payment_id, _, body, head, *rest = _plain(row)
    return StoredPayment(payment_id, body, bytes(head), dict(zip(COLUMNS, rest, strict=False)))


def _stored_event(row: Row) -> StoredEvent:
    event = StoredEvent._make(_plain(row)[2 + len(_PAYMENT) :])
    return event._replace(prev_hash=bytes(event.prev_hash), hash=bytes(event.hash))
