"""
The change feed in the tables: what happened after a place, and each consumer's place and lease.

On SQLite writers take turns, so positions are committed in their order. On PostgreSQL they are not: a transaction
takes its positions when it inserts its events, another one takes later positions and commits first. A reader that
acknowledged those would skip the first transaction's events for ever. So a missing position is waited for until it is
certain that nobody will commit it:

- Whoever inserts into `events` holds PostgreSQL's own lock on that table (ROW EXCLUSIVE, which conflicts with no other
  writer) from before it takes a position until its commit is visible. `pg_locks` shows who does.
- A reader that finds a position missing asks who holds that lock, *after* the statement that did not show it. Whoever
  had taken the position is among them, or has ended. Once each of them has ended, and was seen to in a statement
  before the next read, what is still missing was rolled back.

Nothing is written for it, nobody waits for a reader, and only a gap costs a question. The alternatives: reading below
`pg_snapshot_xmin` waits for the longest transaction of any database of the server, delivers nothing for years after
a dump is restored into a younger server, and needs another order than that of the positions, since a transaction
takes its number before it waits for a payment's lock. An advisory lock that writers hold until they commit makes their
commits wait for each other. A transaction that is stuck with its events holds back the feed in every way; PostgreSQL
ends one of paycore's after 5 s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from paycore.domain.changes import Happened, changes_of
from paycore.domain.events import Event
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Payment
from paycore.errors import ConsumerTaken, NotFound
from paycore.ledger.api import Consumer, FeedEntry, FeedPage, FeedPlace, Lease, Unsettled
from paycore.ledger.clock import from_ms, to_ms
from paycore.ledger.group import Group
from paycore.ledger.lookups import read_event
from paycore.ledger.rows import check_storable
from paycore.ledger.transaction import Cursor, Row, Transaction

PAGE = 25
"""Events in a page; their payments' histories are read with them, on SQLite in the caller's thread."""

_AFTER = "SELECT position, payment_id, seq FROM events WHERE position > ? ORDER BY position LIMIT ?"
_NEWEST = "SELECT coalesce(max(position), 0) FROM events"
_HISTORIES = (
    "SELECT payment_id, seq, at, source, status_from, status_to, change, prev_hash, hash FROM events"
    " WHERE payment_id {} ORDER BY payment_id, seq"
)

# --- reading -----------------------------------------------------------------------------------------


def read_feed(tx: Transaction, after: FeedPlace, unsettled: Unsettled | None) -> FeedPage:
    """See `Ledger.read_feed`."""
    rows = tx.execute(_AFTER, (after.position, PAGE)).fetchall()
    settled: Sequence[Row] = rows
    if tx.writing_events:
        settled, unsettled = _settled(tx, after, rows, unsettled)
    end = FeedPlace(settled[-1][0], 0) if settled else after
    return FeedPage(
        entries=tuple(_entries(tx, after, settled)),
        end=end,
        is_last=unsettled is None and len(settled) == len(rows) < PAGE,
        unsettled=unsettled,
    )


def _settled(
    tx: Transaction, after: FeedPlace, rows: Sequence[Row], unsettled: Unsettled | None
) -> tuple[Sequence[Row], Unsettled | None]:
    """The rows before the first position that may still be committed, and what is known of those who may."""
    known = _before_gap(rows, after.position)
    if known or not rows:
        return known, None
    writers = _writers(tx)
    if unsettled is None or unsettled.until <= after.position:
        unsettled = Unsettled(rows[-1][0], writers)
    left = unsettled.writers & writers
    if left:
        return (), Unsettled(unsettled.until, left)
    rows = tx.execute(_AFTER, (after.position, PAGE)).fetchall()
    sure = [row for row in rows if row[0] <= unsettled.until]
    return [*sure, *_before_gap(rows[len(sure) :], unsettled.until)], None


def _before_gap(rows: Sequence[Row], position: int) -> Sequence[Row]:
    """The rows that follow on `position` without a gap."""
    return [row for number, row in enumerate(rows, position + 1) if row[0] == number]


def _writers(tx: Transaction) -> frozenset[str]:
    """The transactions that may have taken positions and are not visible yet."""
    return frozenset(writer for (writer,) in tx.execute(tx.writing_events).fetchall())


def feed_end(tx: Transaction, unsettled: Unsettled | None) -> Unsettled:
    """See `Ledger.feed_end`."""
    if unsettled is None:
        ((newest,),) = tx.execute(_NEWEST).fetchall()
        unsettled = Unsettled(newest, _writers(tx) if tx.writing_events else frozenset())
    elif tx.writing_events:
        unsettled = Unsettled(unsettled.until, unsettled.writers & _writers(tx))
    return unsettled


def _entries(tx: Transaction, after: FeedPlace, rows: Sequence[Row]) -> list[FeedEntry]:
    """The changes of these events, without those of the first that were taken before."""
    if not rows:
        return []
    made = _changes(tx, {payment_id for _, payment_id, _ in rows})
    entries: list[FeedEntry] = []
    before = after.position
    for position, payment_id, seq in rows:
        event, happened = made[payment_id, seq]
        for number, item in enumerate(happened, 1):
            is_last = number == len(happened)
            place = FeedPlace(position, 0) if is_last else FeedPlace(before, number)
            entry = FeedEntry(
                place=place,
                position=position,
                payment_id=payment_id,
                seq=seq,
                at=event.at,
                kind=item.kind,
                refund=item.refund,
            )
            if position == rows[0][0] and number <= after.taken:
                continue
            entries.append(entry)
        before = position
    return entries


def _changes(
    tx: Transaction, payment_ids: Collection[str]
) -> dict[tuple[str, int], tuple[Event, tuple[Happened, ...]]]:
    """What every event of these payments changed, by payment and number: their histories are replayed."""
    sql, parameter = tx.in_list(sorted(payment_ids))
    rows = tx.execute(_HISTORIES.format(sql), (parameter,)).fetchall()
    made: dict[tuple[str, int], tuple[Event, tuple[Happened, ...]]] = {}
    for payment_id, events in groupby((read_event(*row) for row in rows), attrgetter("payment_id")):
        payment: Payment | None = None
        for event in events:
            before, payment = payment, evolve(payment, event.change, event.at)
            made[payment_id, event.seq] = event, changes_of(event, before, payment)
    return made


# --- consumers ---------------------------------------------------------------------------------------

_CONSUMERS = "SELECT name, position, taken, holder, leased_until, created_at, acknowledged_at FROM consumers"
_MAKE = "INSERT INTO consumers (name, position, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_TAKE = (
    "UPDATE consumers SET holder = ?, leased_until = ?"
    " WHERE name = ? AND (holder IS NULL OR holder = ? OR leased_until <= ?) RETURNING position, taken"
)
_RENEW = "UPDATE consumers SET leased_until = ? WHERE name = ? AND holder = ? RETURNING position, taken"
_ACKNOWLEDGE = (
    "UPDATE consumers SET position = ?, taken = ?, leased_until = ?, acknowledged_at = ?"
    " WHERE name = ? AND holder = ?"
)
_RELEASE = "UPDATE consumers SET holder = NULL, leased_until = NULL WHERE name = ? AND holder = ?"
_FORGET = "DELETE FROM consumers WHERE name = ? AND (holder IS NULL OR leased_until <= ?)"
_OLDEST = "SELECT position, at FROM events WHERE position > ? ORDER BY position LIMIT 1"


def hold_consumer(group: Group, name: str, *, holder: str, lease_s: float, start: int | None) -> Lease | None:
    """See `Ledger.hold_consumer`."""
    check_storable(consumer=name)
    tx, now_ms = group.direct(), to_ms(group.now)
    if start is not None:
        tx.execute(_MAKE, (name, start, now_ms))
    until_ms = now_ms + round(lease_s * 1000)
    return _lease(tx.execute(_TAKE, (holder, until_ms, name, holder, now_ms)), until_ms)


def renew_consumer(group: Group, name: str, *, holder: str, lease_s: float) -> Lease | None:
    """See `Ledger.renew_consumer`."""
    until_ms = to_ms(group.now) + round(lease_s * 1000)
    return _lease(group.direct().execute(_RENEW, (until_ms, name, holder)), until_ms)


def _lease(held: Cursor, until_ms: int) -> Lease | None:
    rows = held.fetchall()
    return Lease(place=FeedPlace(*rows[0]), until=from_ms(until_ms)) if rows else None


def acknowledge(group: Group, name: str, *, holder: str, place: FeedPlace, lease_s: float) -> datetime | None:
    """See `Ledger.acknowledge`."""
    until = group.now + timedelta(seconds=lease_s)
    row = (place.position, place.taken, to_ms(until), to_ms(group.now), name, holder)
    return until if group.direct().execute(_ACKNOWLEDGE, row).rowcount else None


def release_consumer(group: Group, name: str, holder: str) -> None:
    """See `Ledger.release_consumer`."""
    group.direct().execute(_RELEASE, (name, holder))


def forget_consumer(group: Group, name: str) -> None:
    """See `Ledger.forget_consumer`."""
    check_storable(consumer=name)
    tx = group.direct()
    if not tx.execute(_FORGET, (name, to_ms(group.now))).rowcount:
        if consumers(tx, name):
            raise ConsumerTaken(name)
        raise NotFound(f"no consumer is called {name!r}")


def consumers(tx: Transaction, name: str | None) -> tuple[Consumer, ...]:
    """See `Ledger.consumers`."""
    check_storable(consumer=name)
    where, parameters = ("", ()) if name is None else (" WHERE name = ?", (name,))
    rows = tx.execute(f"{_CONSUMERS}{where} ORDER BY name", parameters).fetchall()
    ((newest,),) = tx.execute(_NEWEST).fetchall()
    return tuple(_read_consumer(tx, newest, row) for row in rows)


def _read_consumer(tx: Transaction, newest: int, row: Row) -> Consumer:
    name, position, taken, holder, *times = row
    leased_until, created_at, acknowledged_at = (None if ms is None else from_ms(ms) for ms in times)
    oldest = tx.execute(_OLDEST, (position,)).fetchall()
    return Consumer(
        name=name,
        place=FeedPlace(position, taken),
        holder=holder,
        leased_until=leased_until,
        created_at=created_at or from_ms(0),
        acknowledged_at=acknowledged_at,
        behind=max(0, newest - position) if oldest else 0,
        oldest_at=from_ms(oldest[0][1]) if oldest else None,
    )
