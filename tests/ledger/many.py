"""
Fills a ledger with any number of payments as an old shop has them, for its tests and benchmarks.

Most are paid, some closed or failed; few of all are pending, unknown, under review or being refunded, and one account
is hardly used. They are rows of `payments` alone, without events, so a ledger filled so does not pass `verify`.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
from msgspec.structs import replace

from paycore import Payment, Status
from paycore.domain.codec import encode
from paycore.domain.decisions import end_attempt, end_unsent
from paycore.domain.events import Change, Observed
from paycore.domain.lifecycle import evolve
from paycore.domain.provider import Unknown
from paycore.ledger.rows import COLUMNS, columns
from tests.ledger.workload import accepted, begun, refunding, seen

STARTED = datetime(2024, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=10)
HEAD = b"\0" * 32

Make = Callable[[Payment], Payment]


def _changed(payment: Payment, *changes: Change) -> Payment:
    for change in changes:
        payment = evolve(payment, change, STARTED)
    return payment


def _pending(payment: Payment) -> Payment:
    outcome = accepted(payment.order_number)
    return _changed(payment, *end_attempt(payment, STARTED, sent=payment.creation, outcome=outcome))


def _became(statuses: Sequence[Status], payment: Payment) -> Payment:
    payment = _pending(payment)
    for n, status in enumerate(statuses):
        payment = _changed(payment, Observed(observation=seen(payment.order_number, status, charge=f"C{n}")))
    return payment


def _unknown(payment: Payment) -> Payment:
    outcome = Unknown(problem="silence")
    return _changed(payment, *end_attempt(payment, STARTED, sent=payment.creation, outcome=outcome))


def _unsent(payment: Payment) -> Payment:
    return _changed(payment, *end_unsent(payment, STARTED, sent=payment.creation, problem="no route"))


def _refunding(payment: Payment) -> Payment:
    payment = _became((Status.PAID,), payment)
    return _changed(payment, *refunding("back")(payment, STARTED))


KINDS: dict[str, Make] = {
    "paid": partial(_became, (Status.PAID,)),
    "closed": partial(_became, (Status.CLOSED,)),
    "failed": partial(_became, (Status.FAILED,)),
    "pending": _pending,
    "created": _unsent,
    "unknown": _unknown,
    "authorized": partial(_became, (Status.AUTHORIZED,)),
    "review": partial(_became, (Status.PAID, Status.PAID)),
    "refunding": _refunding,
}
RARE = tuple(KINDS)[4:]


def _kind(n: int, count: int) -> str:
    """About 100 of each rare kind, evenly over all; the newest 2,000 are pending, or a fifth of them."""
    each = max(count // 100, len(RARE) * 2)
    if n % each < len(RARE):
        return RARE[n % each]
    if n >= count - min(2000, count // 5):
        return "pending"
    return "paid" if n % 7 < 5 else "closed" if n % 14 < 13 else "failed"


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    """Rows of `COLUMNS`, `head`, `body` and `id`."""
    begin = begun("order", payment_id="P")[1](STARTED)
    made = {name: make(evolve(None, begin, STARTED)) for name, make in KINDS.items()}
    for n in range(count):
        account = "rare" if n % max(count // 100, 50) == 49 else "sg" if n // 10 % 10 == 3 else "hk"
        payment = _dated(made[_kind(n, count)], STARTED + EVERY * n)
        order = replace(payment.order, reference=f"order-{n:09}")
        yield row(replace(payment, id=f"P{n:025}", account=account, order=order))


def row(payment: Payment) -> tuple[Any, ...]:
    """`COLUMNS`, `head`, `body` and `id` of a payment."""
    return (*columns(payment), HEAD, encode(payment).decode(), payment.id)


def _dated(payment: Payment, at: datetime) -> Payment:
    """Made at this time, and changed a minute later."""
    later = at + timedelta(minutes=1)
    times = ("authorized_at", "paid_at", "closed_at")
    became = {name: later for name in times if getattr(payment, name) is not None}
    return replace(payment, created_at=at, updated_at=later, **became)


def fill(dsn: str, count: int) -> None:
    """Add so many payments to the empty ledger at `dsn`, in one transaction."""
    store(dsn, rows(count))


def store(dsn: str, made: Iterable[tuple[Any, ...]]) -> None:
    """Add these rows to the ledger at `dsn`, in one transaction."""
    names = (*COLUMNS, "head", "body", "id")
    if dsn.startswith("sqlite:///"):
        with closing(sqlite3.connect(dsn.removeprefix("sqlite:///"))) as file, file:
            marks = ", ".join("?" * len(names))
            file.executemany(f"INSERT INTO payments ({', '.join(names)}) VALUES ({marks})", made)
        return
    with psycopg.connect(dsn) as session, session.cursor() as cursor:
        with cursor.copy(f"COPY payments ({', '.join(names)}) FROM STDIN".encode()) as copy:
            for one in made:
                copy.write_row(one)
        session.commit()
        session.autocommit = True
        session.execute("VACUUM ANALYZE payments")
