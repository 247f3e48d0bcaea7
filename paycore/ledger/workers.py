"""The workers that run, in the tables: a row each, renewed while it runs and removed at a clean end."""

from __future__ import annotations

import json

from paycore.ledger.api import RunningWorker
from paycore.ledger.clock import from_ms, to_ms
from paycore.ledger.group import Group
from paycore.ledger.transaction import Transaction

STALE_S = 30.0
"""Seconds after which a worker that has not renewed its row counts as not running."""

MOVED_S = 3600.0
"""Seconds after which a worker that was killed counts as replaced by one of the same accounts on another host."""

FORGOTTEN_S = 7 * 24 * 3600.0
"""Seconds after which the row of a worker that was killed is removed by the next one that starts."""

_NOTE = (
    "INSERT INTO workers (id, host, pid, accounts, started_at, seen_at) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at RETURNING started_at, seen_at"
)
_REPLACED = "DELETE FROM workers WHERE id <> ? AND accounts = ? AND (seen_at < ? AND host = ? OR seen_at < ?)"
_FORGOTTEN = "DELETE FROM workers WHERE seen_at < ?"
_FORGET = "DELETE FROM workers WHERE id = ?"
_WORKERS = "SELECT id, host, pid, accounts, started_at, seen_at FROM workers ORDER BY host, pid, id"


def note_worker(group: Group, worker_id: str, *, host: str, pid: int, accounts: tuple[str, ...]) -> None:
    """See `Ledger.note_worker`."""
    tx, now_ms = group.direct(), to_ms(group.now)
    names = json.dumps(sorted(accounts))
    ((started_ms, seen_ms),) = tx.execute(_NOTE, (worker_id, host, pid, names, now_ms, now_ms)).fetchall()
    if started_ms == seen_ms:  # it starts: in place of one that was killed
        stale_ms, moved_ms = (now_ms - round(seconds * 1000) for seconds in (STALE_S, MOVED_S))
        tx.execute(_REPLACED, (worker_id, names, stale_ms, host, moved_ms))
        tx.execute(_FORGOTTEN, (now_ms - round(FORGOTTEN_S * 1000),))


def forget_worker(group: Group, worker_id: str) -> None:
    """See `Ledger.forget_worker`."""
    group.direct().execute(_FORGET, (worker_id,))


def workers(tx: Transaction) -> tuple[RunningWorker, ...]:
    """See `Ledger.workers`."""
    return tuple(
        RunningWorker(
            id=worker_id,
            host=host,
            pid=pid,
            accounts=tuple(json.loads(names)),
            started_at=from_ms(started_ms),
            seen_at=from_ms(seen_ms),
        )
        for worker_id, host, pid, names, started_ms, seen_ms in tx.execute(_WORKERS).fetchall()
    )
