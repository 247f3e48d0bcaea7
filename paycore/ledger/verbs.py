"""
The verbs as plain SQL inside one transaction, the same on every database.

SQL here is what SQLite and PostgreSQL share; `?` marks a parameter. The two differ in `Transaction` only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from paycore.domain.codec import decode, encode
from paycore.domain.events import GENESIS, Change, Event, Observed, PaymentBegun, Source, chain_hash
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Observation, Payment, Status
from paycore.domain.schedule import due_at
from paycore.domain.wire import Notification
from paycore.errors import LedgerCorrupt, NotFound, ReferenceConflict
from paycore.ledger.api import Committed, Decide, Filter

Row = tuple[Any, ...]


class Transaction(Protocol):
    """One open transaction: its clock, its statements, and how its database locks and lists."""

    now: datetime
    for_update: str
    skip_locked: str

    def all(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run a statement and return all its rows."""
        ...

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement that writes; returns how many rows it touched."""
        ...

    def in_list(self, values: Collection[str]) -> tuple[str, object]:
        """SQL for `IN <values>` with one parameter, however many values there are."""
        ...


def to_ms(at: datetime) -> int:
    """UTC milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """Aware UTC from milliseconds since 1970."""
    return datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)


def changed_ids(result: object) -> Iterator[str]:
    """The ids of the payments that a verb with this result changed."""
    for committed in result if isinstance(result, tuple) else (result,):
        if isinstance(committed, Committed) and committed.changed:
            yield committed.payment.id


# --- writing -----------------------------------------------------------------------------------------


def begin(tx: Transaction, begun: Callable[[datetime], PaymentBegun]) -> Committed:
    """See `Ledger.begin`."""
    change = begun(tx.now)
    known = find(tx, change.account, change.order.reference)
    if known:
        return Committed(payment=known[0], events=(), now=tx.now)
    payment = evolve(None, change, tx.now)
    if not _insert_payment(tx, payment):
        return Committed(payment=find(tx, change.account, change.order.reference)[0], events=(), now=tx.now)
    _write_operations(tx, None, payment)
    event = _append(tx, payment, None, change, Source.CALLER, GENESIS)
    return Committed(payment=payment, events=(event,), now=tx.now)


def change(tx: Transaction, payment_id: str, decide: Decide, source: Source) -> Committed:
    """See `Ledger.change`."""
    payment = _load(tx, payment_id)
    return _record(tx, payment, decide(payment, tx.now), source)


def observe(
    tx: Transaction, account: str, observations: Sequence[Observation], source: Source
) -> tuple[Committed, ...]:
    """See `Ledger.observe`."""
    committed = []
    for payment_id, own in _by_payment(tx, account, observations).items():
        changes = [Observed(observation=observation) for observation in own]
        committed.append(_record(tx, _load(tx, payment_id), changes, source))
    return tuple(committed)


def record_notification(
    tx: Transaction,
    account: str,
    notification: Notification,
    observations: Sequence[Observation],
    *,
    is_evidence: bool,
) -> tuple[Committed, ...]:
    """See `Ledger.record_notification`."""
    owners = _by_payment(tx, account, observations)
    is_new = tx.run(
        "INSERT INTO inbox (account, digest, received_at, headers, body, verdict, payment_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            account,
            hashlib.sha256(notification.body).digest(),
            to_ms(notification.received_at),
            encode(dict(notification.headers)).decode(),
            notification.body,
            "evidence" if is_evidence else "hint",
            next(iter(owners), None),
        ),
    )
    if not is_new:
        return tuple(Committed(payment=_load(tx, owner), events=(), now=tx.now) for owner in owners)
    if is_evidence:
        return observe(tx, account, observations, Source.NOTIFICATION)
    for owner in owners:
        tx.run("UPDATE payments SET due_at = ? WHERE id = ?", (to_ms(tx.now), owner))
    return tuple(Committed(payment=_load(tx, owner), events=(), now=tx.now) for owner in owners)


def claim(
    tx: Transaction, *, limit: int, lease_s: float, ids: Collection[str] | None
) -> tuple[datetime, tuple[Payment, ...]]:
    """See `Ledger.claim`."""
    now_ms = to_ms(tx.now)
    among, parameters = ("", ()) if ids is None else _among(tx, ids)
    rows = tx.all(
        "UPDATE payments SET due_at = ? WHERE id IN ("  # noqa: S608 - fragments are ours, values are bound
        f"SELECT id FROM payments WHERE due_at <= ?{among} ORDER BY due_at LIMIT ?{tx.skip_locked}"
        ") RETURNING body",
        (now_ms + round(lease_s * 1000), now_ms, *parameters, limit),
    )
    return tx.now, tuple(decode(row[0], Payment) for row in rows)


def reschedule(tx: Transaction, due: Sequence[tuple[str, int, datetime | None]]) -> None:
    """See `Ledger.reschedule`."""
    for payment_id, version, at in due:
        tx.run(
            "UPDATE payments SET due_at = ? WHERE id = ? AND version = ?",
            (None if at is None else to_ms(at), payment_id, version),
        )


def _record(tx: Transaction, payment: Payment, changes: Sequence[Change], source: Source) -> Committed:
    """Fold the changes into the payment; write row, operations and events together."""
    before, events, prev_hash = payment, [], None
    for item in changes:
        evolved = evolve(payment, item, tx.now)
        if evolved is payment:
            continue
        prev_hash = prev_hash or _last_hash(tx, payment)
        event = _append(tx, evolved, payment.status, item, source, prev_hash)
        events.append(event)
        payment, prev_hash = evolved, event.hash
    if events:
        _update_payment(tx, before, payment)
        _write_operations(tx, before, payment)
        _write_refunds(tx, before, payment)
    return Committed(payment=payment, events=tuple(events), now=tx.now)


def _append(
    tx: Transaction,
    payment: Payment,
    status_from: Status | None,
    item: Change,
    source: Source,
    prev_hash: bytes,
) -> Event:
    at_ms, body = to_ms(tx.now), encode(item)
    event = Event(
        payment_id=payment.id,
        seq=payment.version,
        at=tx.now,
        source=source,
        status_from=status_from,
        status_to=payment.status,
        change=item,
        prev_hash=prev_hash,
        hash=chain_hash(prev_hash, payment.id, payment.version, at_ms, source, body),
    )
    tx.run(
        "INSERT INTO events (payment_id, seq, at, source, kind, status_from, status_to, change, prev_hash, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            payment.id,
            payment.version,
            at_ms,
            source.value,
            event.kind,
            status_from and status_from.value,
            payment.status.value,
            body.decode(),
            prev_hash,
            event.hash,
        ),
    )
    return event


def _last_hash(tx: Transaction, payment: Payment) -> bytes:
    rows = tx.all("SELECT hash FROM events WHERE payment_id = ? AND seq = ?", (payment.id, payment.version))
    if not rows:
        raise LedgerCorrupt(f"payment {payment.id} lacks its event {payment.version}", payment_id=payment.id)
    return bytes(rows[0][0])


def _insert_payment(tx: Transaction, payment: Payment) -> bool:
    return bool(
        tx.run(
            "INSERT INTO payments (status, version, paid_minor, refunded_minor, uncertain, review, due_at,"
            " updated_at, body, id, account, provider, reference, amount_minor, currency, exponent, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *_moving(payment),
                payment.id,
                payment.account,
                payment.provider,
                payment.reference,
                payment.amount.minor,
                payment.amount.currency,
                payment.amount.exponent,
                to_ms(payment.created_at),
            ),
        )
    )


def _update_payment(tx: Transaction, before: Payment, payment: Payment) -> None:
    touched = tx.run(
        "UPDATE payments SET status = ?, version = ?, paid_minor = ?, refunded_minor = ?, uncertain = ?,"
        " review = ?, due_at = ?, updated_at = ?, body = ? WHERE id = ? AND version = ?",
        (*_moving(payment), payment.id, before.version),
    )
    if not touched:
        raise LedgerCorrupt(f"payment {payment.id} changed under its own lock", payment_id=payment.id)


def _moving(payment: Payment) -> Row:
    """The columns that change, in the order both statements name them."""
    due = due_at(payment, payment.updated_at)
    return (
        payment.status.value,
        payment.version,
        payment.paid_minor,
        payment.refunded_minor,
        int(payment.uncertain),
        int(payment.review),
        None if due is None else to_ms(due),
        to_ms(payment.updated_at),
        encode(payment).decode(),
    )


def _write_operations(tx: Transaction, before: Payment | None, payment: Payment) -> None:
    known = before.operations if before else ()
    for operation in payment.operations:
        if operation in known:
            continue
        tx.run(
            "INSERT INTO operations (id, payment_id, account, kind, number, state, sends, begun_at, sent_at,"
            " quiet_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " state = excluded.state, sends = excluded.sends, sent_at = excluded.sent_at,"
            " quiet_at = excluded.quiet_at",
            (
                operation.id,
                payment.id,
                payment.account,
                operation.kind.value,
                operation.number,
                operation.state.value,
                operation.sends,
                to_ms(operation.begun_at),
                to_ms(operation.sent_at),
                to_ms(operation.quiet_at),
            ),
        )


def _write_refunds(tx: Transaction, before: Payment, payment: Payment) -> None:
    for refund in payment.refunds:
        if refund in before.refunds:
            continue
        touched = tx.run(
            "INSERT INTO refunds (account, reference, payment_id, status, amount_minor) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (account, reference) DO UPDATE SET status = excluded.status"
            " WHERE refunds.payment_id = excluded.payment_id",
            (payment.account, refund.reference, payment.id, refund.status.value, refund.amount.minor),
        )
        if not touched:
            raise ReferenceConflict(refund.reference, "payment", payment_id=payment.id)


# --- reading -----------------------------------------------------------------------------------------


def _load(tx: Transaction, payment_id: str) -> Payment:
    """The payment, locked against every other writer until this transaction ends."""
    rows = tx.all(f"SELECT body FROM payments WHERE id = ?{tx.for_update}", (payment_id,))  # noqa: S608
    if not rows:
        raise NotFound(f"no payment has the id {payment_id!r}")
    return decode(rows[0][0], Payment)


def get(tx: Transaction, payment_id: str) -> Payment:
    """See `Ledger.get`."""
    rows = tx.all("SELECT body FROM payments WHERE id = ?", (payment_id,))
    if not rows:
        raise NotFound(f"no payment has the id {payment_id!r}")
    return decode(rows[0][0], Payment)


def find(tx: Transaction, account: str | None, reference: str) -> tuple[Payment, ...]:
    """See `Ledger.find`."""
    if account is None:
        rows = tx.all("SELECT body FROM payments WHERE reference = ? ORDER BY created_at", (reference,))
    else:
        rows = tx.all("SELECT body FROM payments WHERE account = ? AND reference = ?", (account, reference))
    return tuple(decode(row[0], Payment) for row in rows)


def list_payments(tx: Transaction, which: Filter) -> tuple[Payment, ...]:
    """See `Ledger.list`."""
    conditions = {
        "account = ?": which.account,
        "status = ?": which.status and which.status.value,
        "review = ?": None if which.review is None else int(which.review),
        "uncertain = ?": None if which.uncertain is None else int(which.uncertain),
        "created_at < ?": which.created_before and to_ms(which.created_before),
    }
    given = {sql: value for sql, value in conditions.items() if value is not None}
    where = f" WHERE {' AND '.join(given)}" if given else ""
    rows = tx.all(
        f"SELECT body FROM payments{where} ORDER BY created_at DESC, id DESC LIMIT ?",  # noqa: S608
        (*given.values(), which.limit),
    )
    return tuple(decode(row[0], Payment) for row in rows)


def events(tx: Transaction, payment_id: str) -> tuple[Event, ...]:
    """See `Ledger.events`."""
    rows = tx.all(
        "SELECT seq, at, source, status_from, status_to, change, prev_hash, hash FROM events"
        " WHERE payment_id = ? ORDER BY seq",
        (payment_id,),
    )
    return tuple(
        Event(
            payment_id=payment_id,
            seq=seq,
            at=from_ms(at),
            source=Source(source),
            status_from=Status(status_from) if status_from else None,
            status_to=Status(status_to),
            change=decode(body, Change),  # type: ignore[arg-type]
            prev_hash=bytes(prev_hash),
            hash=bytes(own_hash),
        )
        for seq, at, source, status_from, status_to, body, prev_hash, own_hash in rows
    )


def next_due(tx: Transaction, ids: Collection[str] | None) -> datetime | None:
    """See `Ledger.next_due`."""
    among, parameters = ("", ()) if ids is None else _among(tx, ids)
    rows = tx.all(f"SELECT min(due_at) FROM payments WHERE due_at IS NOT NULL{among}", parameters)  # noqa: S608
    return None if rows[0][0] is None else from_ms(rows[0][0])


def _among(tx: Transaction, ids: Collection[str]) -> tuple[str, Row]:
    sql, parameter = tx.in_list(ids)
    return f" AND id {sql}", (parameter,)


def _by_payment(
    tx: Transaction, account: str, observations: Sequence[Observation]
) -> dict[str, list[Observation]]:
    """Observations by the payment their number belongs to, in a fixed order so that locks never cross."""
    numbers = {observation.number for observation in observations}
    sql, parameter = tx.in_list(numbers)
    rows = tx.all(
        f"SELECT number, payment_id FROM operations WHERE account = ? AND kind <> 'close' AND number {sql}",  # noqa: S608
        (account, parameter),
    )
    owner: dict[str, str] = dict(rows)
    grouped: dict[str, list[Observation]] = {}
    for observation in observations:
        if observation.number in owner:
            grouped.setdefault(owner[observation.number], []).append(observation)
    return dict(sorted(grouped.items()))
