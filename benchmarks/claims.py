"""
How fast workers claim what is due and say when it is due next: `python -m benchmarks.claims --payments 1000000`.

All payments of the ledger are due. Each worker is a process of its own; each claims a hundred at a time by one
question, without a budget, and says that they were asked about.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing

from benchmarks.table import Row, render
from paycore.domain.asking import Due, Question
from paycore.domain.capabilities import RequestBudget
from paycore.ledger import open_ledger
from paycore.ledger.api import Claiming, Report, Rescheduled
from tests.ledger.many import fill
from tests.support.postgres import embedded_postgres

PAYMENTS = 100_000
"""As many as `make bench` has time for."""

AT_ONCE = 100
LASTS_S = 3.0
PLENTY = RequestBudget(per_second=10**9, per_minute=10**9)

BARS = {("SQLite", 1): 10_000, ("PostgreSQL", 1): 5_000, ("PostgreSQL", 4): 15_000}


def _first(due: Sequence[Due], _: int) -> Question:
    return Question(tuple(one.id for one in due[:AT_ONCE]))


def work(dsn: str, account: str) -> float:
    """Claim and reschedule for a while; payments a second."""
    claiming = Claiming(account=account, choose=_first, budget=PLENTY, lease_s=3600, weighed=AT_ONCE)
    done = 0
    with closing(open_ledger(dsn)) as ledger:
        started = time.perf_counter()
        while time.perf_counter() - started < LASTS_S:
            claimed = ledger.claim(claiming).result()
            next_at = claimed.now.replace(year=claimed.now.year + 1)
            due = [Rescheduled(one.id, one.version, next_at) for one in claimed.payments]
            ledger.reschedule(due, Report(account, is_answered=True)).result()
            done += len(due)
        return done / (time.perf_counter() - started)


def _all_due(dsn: str) -> None:
    """Make every payment due."""
    with closing(open_ledger(dsn)) as ledger:
        ledger._submit(
            lambda group: group.direct().execute("UPDATE payments SET due_at = 1, hinted = 0")
        ).result()


def _together(dsn: str, accounts: Sequence[str]) -> float:
    """What these workers do in all, each in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.claims", "--work"]
    workers = [
        subprocess.Popen([*command, dsn, account], stdout=subprocess.PIPE, text=True) for account in accounts
    ]
    return sum(float(worker.communicate()[0]) for worker in workers)


def _row(name: str, dsn: str, payments: int, workers: int) -> Row:
    _all_due(dsn)
    figure = _together(dsn, ["hk"] * workers)
    bar = BARS[name, workers]
    return Row(
        what=f"claim and reschedule at {payments:,} due payments, {name}, {workers} worker{'s' if workers > 1 else ''}",
        figure=f"{figure:,.0f}/s",
        baseline="-",
        ratio="-",
        bar=f">= {bar:,}/s",
        holds=figure >= bar,
    )


def measure(payments: int = PAYMENTS) -> list[Row]:
    """SQLite with one worker, PostgreSQL with one and with four."""
    with tempfile.TemporaryDirectory() as folder:
        dsn = f"sqlite:///{folder}/paycore.db"
        open_ledger(dsn).close()
        fill(dsn, payments)
        rows = [_row("SQLite", dsn, payments, 1)]
    with embedded_postgres() as server:
        dsn = server.create_database()
        open_ledger(dsn).close()
        fill(dsn, payments)
        return [*rows, *(_row("PostgreSQL", dsn, payments, workers) for workers in (1, 4))]


def main() -> None:
    """Measure with any number of payments; or be one of the workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument("--work", nargs=2, metavar=("DSN", "ACCOUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(work(*options.work))
    else:
        print(render(measure(options.payments)))


if __name__ == "__main__":
    main()
