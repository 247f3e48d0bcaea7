"""Payments and their events by name: by id, reference, or what a provider knows them by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paycore.domain.payment import Payment, Status
from paycore.errors import LedgerCorrupt, NotFound
from paycore.ledger.clock import from_ms
from paycore.ledger.rows import check_storable, is_storable, read_payment
from paycore.ledger.transaction import Transaction

if TYPE_CHECKING:
    from paycore.domain.events import Event
    from paycore.ledger.api import Sought


def get(tx: Transaction, payment_id: str) -> Payment:
    """See `Ledger.get`."""
    check_storable(payment_id=payment_id)
    rows = tx.execute("SELECT id, body FROM payments WHERE id = ?", (payment_id,)).fetchall()
    if not rows:
        raise NotFound(f"no payment has the id {payment_id!r}")
    return read_payment(*rows[0])


def find(tx: Transaction, account: str | None, reference: str) -> tuple[Payment, ...]:
    """See `Ledger.find`."""
    check_storable(account=account, reference=reference)
    if account is None:
        rows = tx.execute(
            "SELECT id, body FROM payments WHERE reference = ? ORDER BY created_at, id", (reference,)
        ).fetchall()
    else:
        rows = tx.execute(
            "SELECT id, body FROM payments WHERE account = ? AND reference = ?", (account, reference)
        ).fetchall()
    return tuple(read_payment(*row) for row in rows)


def named(tx: Transaction, names: Sought) -> tuple[Payment, ...]:
    """See `Ledger.named`."""
    found: dict[str, tuple[int, str]] = {}
    for given, sql, parameters in (
        (names.numbers, _WITH_NUMBER, ()),
        (names.ids, _WITH_PROVIDER_ID, (names.account,)),
        (names.references, _WITH_REFERENCE, ()),
    ):
        texts = sorted({text for text in given if is_storable(text)})
        if texts:
            among, parameter = tx.in_list(texts)
            rows = tx.execute(sql.format(among=among), (*parameters, parameter)).fetchall()
            found |= {payment_id: (created_at, body) for payment_id, created_at, body in rows}
    ordered = sorted(found.items(), key=lambda pair: (pair[1][0], pair[0]))
    return tuple(read_payment(payment_id, body) for payment_id, (_, body) in ordered)


_OWNED = "SELECT id, created_at, body FROM payments WHERE id IN (SELECT payment_id FROM "
_WITH_NUMBER = f"{_OWNED}operations WHERE kind <> 'close' AND number {{among}})"
_WITH_PROVIDER_ID = f"{_OWNED}provider_ids WHERE account = ? AND provider_id {{among}})"
_WITH_REFERENCE = "SELECT id, created_at, body FROM payments WHERE reference {among}"


def events(tx: Transaction, payment_id: str) -> tuple[Event, ...]:
    """See `Ledger.events`."""
    check_storable(payment_id=payment_id)
    rows = tx.execute(
        "SELECT seq, at, source, status_from, status_to, change, prev_hash, hash FROM events"
        " WHERE payment_id = ? ORDER BY seq",
        (payment_id,),
    ).fetchall()
    return tuple(read_event(payment_id, *row) for row in rows)


def read_event(payment_id: str, seq: int, at: int, source: str, *rest: Any) -> Event:
    """The event in a row; `LedgerCorrupt` when it can't be decoded."""
    from paycore.domain.codec import decode
    from paycore.domain.events import Change, Event, Source

    status_from, status_to, body, prev_hash, own_hash = rest
    try:
        return Event(
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
    except (msgspec.MsgspecError, ValueError) as error:
        raise LedgerCorrupt(
            f"event {seq} of payment {payment_id} can't be read; restore a backup, then run `paycore ledger verify`",
            payment_id=payment_id,
        ) from error
