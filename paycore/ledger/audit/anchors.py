"""
Anchors: digests of what a ledger contained, to be kept elsewhere.

Whoever can write the database can forge or remove a whole history, hashes included. A digest of all events up
to a position, kept out of their reach, shows any event before it that was removed, added, moved or changed.
What is digested is each event's position and hash; the hash covers its contents.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from paycore.errors import InvalidField, LedgerUnavailable
from paycore.ledger.audit.verdicts import Verdict, of_ledger
from paycore.ledger.clock import from_ms, to_ms, utc_now
from paycore.ledger.history import Placed, Readable, newest_position, notifications, placed

INBOX_AFTER = timedelta(days=1)
"""Notifications are anchored at this age: one may be stored later than another that was received after it."""

OPEN_MAX_S = 30.0
"""How long to wait for open transactions."""

_SETTLE_PAUSE_S = 0.05


class Anchor(msgspec.Struct, frozen=True, kw_only=True, tag="ledger_anchor"):
    """
    What a ledger contained at `made_at`, aware UTC.

    `digest` (SHA-256, hex) covers the `events` with positions up to `position`; `inbox_digest` the
    `notifications` received before `inbox_before`. `schema` is the ledger's.
    """

    schema: int
    made_at: datetime
    position: int
    events: int
    digest: str
    inbox_before: datetime
    notifications: int
    inbox_digest: str


class Digest:
    """SHA-256 over lines, and their number."""

    def __init__(self) -> None:
        self.count = 0
        self._sha256 = hashlib.sha256()

    def take(self, *fields: str | int | None) -> None:
        """Add a line: the fields, separated by tabs."""
        self._sha256.update(
            "\t".join("" if field is None else str(field) for field in fields).encode() + b"\n"
        )
        self.count += 1

    def take_event(self, event: Placed) -> None:
        """Add an event: its position, payment, seq and hash."""
        self.take(event.position, event.payment_id, event.seq, event.hash.hex())

    @property
    def hex(self) -> str:
        """The digest in hex."""
        return self._sha256.hexdigest()


def make_anchor(ledger: Readable) -> Anchor:
    """
    Make an anchor of what the ledger contains now; reads all of it once.

    Raises `LedgerUnavailable` when a PostgreSQL transaction has been open for half a minute.
    """
    position, made_at = stable_position(ledger), utc_now()
    events, newest_ms = Digest(), to_ms(made_at)
    for event in placed(ledger, position):
        events.take_event(event)
        newest_ms = event.at
    # By the ledger's time, which may be ahead of this machine's.
    inbox_before = min(made_at, from_ms(newest_ms)) - INBOX_AFTER
    inbox = _inbox_digest(ledger, inbox_before)
    return Anchor(
        schema=_schema(ledger),
        made_at=made_at,
        position=position,
        events=events.count,
        digest=events.hex,
        inbox_before=inbox_before,
        notifications=inbox.count,
        inbox_digest=inbox.hex,
    )


def read_anchor(text: bytes | str) -> Anchor:
    """Parse an anchor file; `InvalidField` when it is not one."""
    try:
        return msgspec.json.decode(text, type=Anchor)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidField("anchor", f"is not what `paycore ledger anchor` writes: {error}") from error


def render_anchor(anchor: Anchor) -> str:
    """An anchor as one line of JSON."""
    return msgspec.json.encode(anchor).decode()


class AnchorCheck:
    """Compares a ledger with an anchor while its events are iterated."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        self._events = Digest()

    def watch(self, events: Iterable[Placed]) -> Iterator[Placed]:
        """Pass on the events, which are ordered by position, and digest them."""
        for event in events:
            if event.position <= self._anchor.position:
                self._events.take_event(event)
            yield event

    def differences(self, ledger: Readable) -> Iterator[Verdict]:
        """The differences from the anchor, once all events were iterated."""
        anchor, events = self._anchor, self._events
        if (events.count, events.hex) != (anchor.events, anchor.digest):
            yield of_ledger(
                f"anchor, events up to position {anchor.position}",
                f"{events.count} events, digest {events.hex}",
                f"{anchor.events} events, digest {anchor.digest}",
            )
        inbox = _inbox_digest(ledger, anchor.inbox_before)
        if (inbox.count, inbox.hex) != (anchor.notifications, anchor.inbox_digest):
            yield of_ledger(
                "anchor, notifications",
                f"{inbox.count} notifications, digest {inbox.hex}",
                f"{anchor.notifications} notifications, digest {anchor.inbox_digest}",
            )


def _inbox_digest(ledger: Readable, before: datetime) -> Digest:
    digest, before_ms = Digest(), to_ms(before)
    for kept in notifications(ledger):
        if kept.received_at < before_ms:
            said = hashlib.sha256(kept.body).hexdigest()
            heads = hashlib.sha256(f"{kept.headers}\n{kept.query}".encode()).hexdigest()
            digest.take(
                kept.account, kept.digest, kept.received_at, heads, said, kept.verdict, kept.payment_id
            )
    return digest


def _schema(ledger: Readable) -> int:
    return int(ledger.read(lambda tx: tx.execute("SELECT max(schema) FROM meta").fetchall()).result()[0][0])


# --- up to where nothing is under way ----------------------------------------------------------------

_SNAPSHOT = (
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
    " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
)


def stable_position(ledger: Readable) -> int:
    """
    The newest position below which no event can be committed any more.

    On PostgreSQL a transaction takes its positions before it commits, and others may commit in between. It has
    a transaction number by then, because it writes `writers` first. So this waits for the transactions that
    were open when the position was read.
    """
    position = newest_position(ledger)
    if ledger.dialect != "postgres":
        return position
    _, under_way = ledger.read(lambda tx: tx.execute(_SNAPSHOT).fetchall()).result()[0]
    give_up_at = time.monotonic() + OPEN_MAX_S
    while ledger.read(lambda tx: tx.execute(_SNAPSHOT).fetchall()).result()[0][0] < under_way:
        if time.monotonic() > give_up_at:
            raise LedgerUnavailable(
                f"a transaction of the database has been open for {OPEN_MAX_S:.0f} s, so it is not known what was"
                " written before it; end it (`pg_stat_activity` shows it), then run this again"
            )
        time.sleep(_SETTLE_PAUSE_S)
    return position
