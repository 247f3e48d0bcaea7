"""
How long a page of a list takes in a big ledger: `python -m benchmarks.lists --payments 1000000`.

The slowest of all lists counts, each at its start and far into it. A ledger a tenth as big is measured beside it: what
is read by an index takes as long there. And how long totals of all payments take, beside one sum over the same table.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from msgspec.structs import replace

from benchmarks.table import Row, render
from paycore import ReviewReason, Status
from paycore.ledger import open_ledger
from paycore.ledger.api import Filter, Summed
from paycore.ledger.base import SqlLedger
from tests.ledger.many import EVERY, STARTED, fill
from tests.support.postgres import embedded_postgres

PAYMENTS = 100_000
"""As many as `make bench` has time for."""

BAR_MS = 5.0
TURNS = 25

LISTS = {
    "all": Filter(),
    "review": Filter(review=True),
    "review of an account": Filter(review=True, account="sg"),
    "review by paid": Filter(review=True, by="paid"),
    "review reason": Filter(review_reason=ReviewReason.PAID_TWICE),
    "uncertain": Filter(uncertain=True),
    "open": Filter(open=True),
    "open refunds": Filter(refunding=True),
    "open, oldest first": Filter(open=True, sort="oldest"),
    **{f"status {status}": Filter(status=status) for status in Status},
    "rare account": Filter(account="rare"),
    "account and status": Filter(account="sg", status=Status.CLOSED),
    "status that an account never has": Filter(account="nobody", status=Status.CLOSED),
    "pending of an account": Filter(account="nobody", status=Status.PENDING),
    "by updated": Filter(by="updated"),
    "paid on a day": Filter(by="paid", since=STARTED + EVERY * 9000, until=STARTED + EVERY * 18000),
    "reference prefix": Filter(reference_prefix="order-0000"),
    "unknown account": Filter(account="nobody"),
}


def slowest(ledger: SqlLedger) -> tuple[float, str]:
    """The milliseconds of the slowest list, and which one that is."""
    return max((_best_ms(ledger, which), name) for name, which in LISTS.items())


def _best_ms(ledger: SqlLedger, which: Filter) -> float:
    """The slower of the first page and one far into the list, each the best of its turns: others only slow it down."""
    return max(min(_times(ledger, page)) for page in _places(ledger, which))


def _places(ledger: SqlLedger, which: Filter) -> Iterator[Filter]:
    yield which
    page = ledger.list(replace(which, limit=1000)).result()
    if page:
        yield replace(which, after=page[-1].id)


def _times(ledger: SqlLedger, which: Filter) -> Iterator[float]:
    for _ in range(TURNS):
        started = time.perf_counter()
        ledger.list(which).result()
        yield (time.perf_counter() - started) * 1000


def _totals_row(name: str, ledger: SqlLedger, payments: int) -> Row:
    def seconds(read: Callable[[], object]) -> float:
        started = time.perf_counter()
        read()
        return time.perf_counter() - started

    def one_sum() -> None:
        ledger.read(lambda tx: tx.execute("SELECT sum(amount_minor) FROM payments").fetchall()).result()

    by_day = Summed(by=("day", "account", "status"))
    totals_s, bare_s = (
        min(seconds(read) for _ in range(3)) for read in (lambda: ledger.totals(by_day).result(), one_sum)
    )
    return Row(
        what=f"totals of {payments:,} payments by day, account and status, {name}",
        figure=f"{totals_s:.2f} s",
        baseline=f"{bare_s:.2f} s for one sum",
        ratio=f"{totals_s / bare_s:.1f}x",
        bar="",
        holds=None,
    )


def _rows(name: str, new_dsn: Callable[[], str], payments: int) -> Iterator[Row]:
    figures = []
    for count in (payments, payments // 10):
        dsn = new_dsn()
        with closing(open_ledger(dsn)) as ledger:
            fill(dsn, count)
            figures.append(slowest(ledger))
            if count == payments:
                yield _totals_row(name, ledger, payments)
    (ms, which), (before_ms, _) = figures
    yield Row(
        what=f"page of 50 at {payments:,} payments, {name}, slowest of {len(LISTS)} lists: {which}",
        figure=f"{ms:.1f} ms",
        baseline=f"{before_ms:.1f} ms at {payments // 10:,}",
        ratio=f"{ms / before_ms:.1f}x",
        bar=f"<= {BAR_MS:g} ms",
        holds=ms <= BAR_MS,
    )


def measure(payments: int = PAYMENTS) -> list[Row]:
    """SQLite, then PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        names = iter(range(10))
        rows = list(_rows("SQLite", lambda: f"sqlite:///{folder}/{next(names)}.db", payments))
    with embedded_postgres() as server:
        return [*rows, *_rows("PostgreSQL", server.create_database, payments)]


def main() -> None:
    """Measure with any number of payments, and print each list's figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    print(render(measure(parser.parse_args().payments)))


if __name__ == "__main__":
    main()
