"""
Anchors: what a ledger held once, in a digest that is kept elsewhere.

Whoever may write the database can forge a whole history, hashes included, or take one away. A digest of all
events up to a position, kept where they can't write, shows it: any event that was lost, added, moved or
changed before it. An event's own hash covers what it says, and with its place what is digested here.
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
"""Notifications are anchored once they are so old: one that was received before another may be kept after it."""

SETTLE_MAX_S = 30.0
"""How long transactions under way are waited for."""

_SETTLE_PAUSE_S = 0.05


class Anchor(msgspec.Struct, frozen=True, kw_only=True, tag="ledger_anchor"):
    """
    What a ledger held at `made_at`, aware UTC.

    `digest` (SHA-256, hex) covers the `events` with positions up to `position`; `inbox_digest` the
    `notifications` that had been received before `inbox_before`. `schema` is the ledger's.
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
    """SHA-256 over lines, and how many there were."""

    def __init__(self) -> None:
        self.count = 0
        self._sha256 = hashlib.sha256()

    def take(self, *fields: str | int | None) -> None:
        """One line more: fields behind each other, a tab in between."""
        self._sha256.update(
            "\t".join("" if field is None else str(field) for field in fields).encode() + b"\n"
        )
        self.count += 1

    def take_event(self, event: Placed) -> None:
        """One event more: its position, payment, seq and hash."""
        self.take(event.position, event.payment_id, event.seq, event.hash.hex())

    @property
    def hex(self) -> str:
        """The digest of what was taken, in hex."""
        return self._sha256.hexdigest()


def make_anchor(ledger: Readable) -> Anchor:
    """
    The anchor of what the ledger holds now; reads all of it once.

    Raises `LedgerUnavailable` when a transaction on PostgreSQL has been open for half a minute.
    """
    position, made_at = settled_position(ledger), utc_now()
    events, newest_ms = Digest(), to_ms(made_at)
    for event in placed(ledger, position):
        events.take_event(event)
        newest_ms = event.at
    # By the ledger's time, where this machine's is ahead of it.
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
    """The anchor in a file; `InvalidField` when it is none."""
    try:
        return msgspec.json.decode(text, type=Anchor)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidField("anchor", f"is not what `paycore ledger anchor` writes: {error}") from error


def render_anchor(anchor: Anchor) -> str:
    """An anchor as one line of JSON."""
    return msgspec.json.encode(anchor).decode()


class AnchorCheck:
    """Compares a ledger with an anchor, while its events are gone through."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        self._events = Digest()

    def watch(self, events: Iterable[Placed]) -> Iterator[Placed]:
        """The same events, in the order of their positions, noted on their way."""
        for event in events:
            if event.position <= self._anchor.position:
                self._events.take_event(event)
            yield event

    def differences(self, ledger: Readable) -> Iterator[Verdict]:
        """What is not as the anchor says, once all events were gone through."""
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
    return int(ledger.read(lambda tx: tx.all("SELECT max(schema) FROM meta")).result()[0][0])


# --- up to where nothing is under way ----------------------------------------------------------------

_SNAPSHOT = (
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
    " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
)


def settled_position(ledger: Readable) -> int:
    """
    The greatest position, once no event with a smaller one can still be committed.

    On PostgreSQL a transaction takes its positions before it commits, and others may commit in between. It has
    its number by then: `writers` is written first. So what was under way when the position was read is waited for.
    """
    position = newest_position(ledger)
    if ledger.dialect != "postgres":
        return position
    _, under_way = ledger.read(lambda tx: tx.all(_SNAPSHOT)).result()[0]
    give_up_at = time.monotonic() + SETTLE_MAX_S
    while ledger.read(lambda tx: tx.all(_SNAPSHOT)).result()[0][0] < under_way:
        if time.monotonic() > give_up_at:
            raise LedgerUnavailable(
                f"a transaction of the database has been open for {SETTLE_MAX_S:.0f} s, so it is not known what was"
                " written before it; end it (`pg_stat_activity` shows it), then run this again"
            )
        time.sleep(_SETTLE_PAUSE_S)
    return position
