"""
Kills readers of the change feed at every step, and judges what an application's own table says afterwards.

    python -m tests.kill.feed [--databases sqlite postgres]

runs every step and prints the results. A reader handles each change as an application does: the key and a parcel in one
transaction of a database of its own.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, NoReturn, Self
from uuid import uuid4

import msgspec
import pytest

from paycore import ChangeKind, Client, PaymentChange
from paycore.domain.changes import change_key
from paycore.engine import feed
from paycore.engine.effects import Program
from paycore.errors import ConsumerTaken
from paycore.ledger import feed as ledger_feed
from paycore.ledger import open_ledger
from paycore.ledger.api import FeedPlace
from paycore.ledger.base import SqlLedger
from tests.kill.dying import Death, lie_in_wait
from tests.ledger.workload import paid_payment
from tests.support.postgres import PostgresServer, embedded_postgres
from tests.support.toy_http import toy_config, toy_plugins

Database = Literal["sqlite", "postgres"]
DATABASES: tuple[Database, ...] = ("sqlite", "postgres")

LEASE_S = 0.3
CONSUMER = "parcels"
PAYMENTS = 2
CHANGES = 3 * PAYMENTS
WRITTEN = 60
"""Payments that each of two writers makes while readers are killed at random."""

ROOT = Path(__file__).parents[2]
AT_ONCE = 3

TABLES = """
CREATE TABLE handled (key TEXT PRIMARY KEY);
CREATE TABLE parcels (key TEXT NOT NULL);
CREATE TABLE handed_over (number INTEGER PRIMARY KEY, reader TEXT NOT NULL, key TEXT NOT NULL);
"""

WRITES = CHANGES + 2
EFFECTS = 3 * CHANGES + 8
STEPS: tuple[str, ...] = (
    *(f"write {number} {when}" for number in range(1, WRITES + 1) for when in ("before", "inside", "after")),
    *(f"effect {number} {when}" for number in range(1, EFFECTS + 1) for when in ("before", "after")),
    *(f"body {number} {when}" for number in range(1, CHANGES + 1) for when in ("before", "inside", "after")),
)
PIVOTAL: tuple[str, ...] = (
    "write 1 inside",
    "write 1 after",
    *(f"body {number} {when}" for number in (1, 4) for when in ("before", "inside", "after")),
    *(f"write {number} {when}" for number in (2, 5) for when in ("before", "inside", "after")),
)
"""Around the reader's own commit and that of each acknowledgement."""


# --- the process that is killed ----------------------------------------------------------------------


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """
    Read the feed of `ledger` into `shop`, and die at `place`; with `stops` it is stopped there instead.

    `reader` names the process, `mutant` the planted bug, if any. With `follow` it reads until it is killed.
    """

    ledger: str
    shop: str
    reader: str
    place: str = ""
    stops: bool = False
    mutant: str = ""
    follow: bool = False


class _Stop(Death):
    """Stops this process at `place`, until it is told to go on."""

    def __call__(self, place: str) -> None:
        if self.is_at(place):
            os.kill(os.getpid(), signal.SIGSTOP)


def read(job: Job) -> None:
    """Handle every change there is as an application does, each in one transaction of the shop's own database."""
    reach = (_Stop if job.stops else Death)(job.place)
    with (
        pytest.MonkeyPatch.context() as patch,
        closing(sqlite3.connect(job.shop, timeout=20, isolation_level=None)) as shop,
    ):
        patch.setattr(feed, "LEASE_S", LEASE_S)
        if job.stops:
            patch.setattr(feed, "RENEW_S", 3600.0)
        if job.mutant:
            MUTANTS[job.mutant].plant(patch)
        lie_in_wait(reach, patch)
        with Client(toy_config("http://127.0.0.1:1", job.ledger), plugins=toy_plugins()) as pay:
            for number, change in enumerate(pay.changes(CONSUMER, from_start=True, follow=job.follow), 1):
                reach(f"body {number} before")
                _handle(shop, change, job.reader, partial(reach, f"body {number} inside"))
                reach(f"body {number} after")


def _handle(shop: sqlite3.Connection, change: PaymentChange, reader: str, inside: Callable[[], None]) -> None:
    shop.execute("INSERT INTO handed_over (reader, key) VALUES (?, ?)", (reader, change.key))
    shop.execute("BEGIN IMMEDIATE")
    if shop.execute("INSERT INTO handled VALUES (?) ON CONFLICT DO NOTHING", (change.key,)).rowcount:
        shop.execute("INSERT INTO parcels VALUES (?)", (change.key,))
    inside()
    shop.execute("COMMIT")


def _run_and_exit(job: Job) -> NoReturn:
    try:
        read(job)
    except ConsumerTaken:
        os._exit(8)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def fork_for_each_line() -> None:
    """A process for each job that comes in as a line of JSON; prints its pid, and how it ended once it has."""
    for line in sys.stdin.buffer:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            _run_and_exit(msgspec.json.decode(line, type=Job))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


class Readers:
    """Makes processes that do one job each, one after the other."""

    def __init__(self) -> None:
        self._forker = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.feed", "--forker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._jobs, self._answers = self._forker.stdin, self._forker.stdout

    def begin(self, job: Job) -> int:
        """Begin a process, and return its pid."""
        self._jobs.write(msgspec.json.encode(job) + b"\n")
        self._jobs.flush()
        return int(self._answers.readline())

    def ended(self) -> int:
        """How it ended: 0, 8 for a lease that was lost, -9 when it was killed."""
        code = int(self._answers.readline())
        if code not in (0, 8, -signal.SIGKILL):
            raise RuntimeError(f"the reader ended with {code}")
        return code

    def close(self) -> None:
        """Begin no more."""
        self._forker.communicate()


# --- planted bugs ------------------------------------------------------------------------------------


def _acknowledged_before_the_body(patch: pytest.MonkeyPatch) -> None:
    """A change counts as handled as soon as it is handed over."""
    next_, acknowledge = feed.Feed.next, feed.Feed.acknowledge

    def hasty(self: feed.Feed) -> Program[PaymentChange | None]:
        change = yield from next_(self)
        if change is not None:
            yield from acknowledge(self)
        return change

    def nothing(self: feed.Feed) -> Program[None]:
        yield from ()

    patch.setattr(feed.Feed, "next", hasty)
    patch.setattr(feed.Feed, "acknowledge", nothing)


def _lease_not_checked(patch: pytest.MonkeyPatch) -> None:
    """Whoever held the lease once may acknowledge."""
    unchecked = ledger_feed._ACKNOWLEDGE.replace("holder = ?", "coalesce(?, name) IS NOT NULL")
    patch.setattr(ledger_feed, "_ACKNOWLEDGE", unchecked)


def _next_is_acknowledged_too(patch: pytest.MonkeyPatch) -> None:
    """An acknowledgement reaches one event too far."""
    acknowledge = SqlLedger.acknowledge

    def generous(
        self: SqlLedger, name: str, *, holder: str, place: FeedPlace, lease_s: float
    ) -> Future[datetime | None]:
        further = FeedPlace(place.position + 1, place.taken)
        return acknowledge(self, name, holder=holder, place=further, lease_s=lease_s)

    patch.setattr(SqlLedger, "acknowledge", generous)


class Mutant(msgspec.Struct, frozen=True):
    """How a bug is planted, and where it shows: at a reader that is killed there, or stopped."""

    plant: Callable[[pytest.MonkeyPatch], None]
    place: str
    shows: Literal["lost", "repeated"]
    stops: bool = False


MUTANTS: Mapping[str, Mutant] = {
    "acknowledged before the body": Mutant(_acknowledged_before_the_body, "body 3 before", "lost"),
    "next is acknowledged too": Mutant(_next_is_acknowledged_too, "write 3 after", "lost"),
    "lease not checked": Mutant(_lease_not_checked, "body 2 after", "repeated", stops=True),
}


def finds(crew: Crew, database: Database, name: str) -> bool:
    """Whether a planted bug shows."""
    mutant = MUTANTS[name]
    if mutant.stops:
        verdict = crew.stop_at(database, mutant.place, name)
    else:
        (verdict,) = crew.kill_at(database, [mutant.place], name)
    return bool(getattr(verdict, mutant.shows) > 0)


# --- what came of it ---------------------------------------------------------------------------------


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the shop's table says. `repeated`: changes handed over again beyond the one that each killed reader had.

    `disordered`: readers that were handed changes in another order than the ledger's, or with a gap.
    """

    place: str
    died: bool
    lost: int = 0
    doubled: int = 0
    repeated: int = 0
    disordered: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether every change was handled once, in order."""
        return not (self.lost or self.doubled or self.repeated or self.disordered)


def judge(job: Job, *, died: bool, interrupted: int) -> Verdict:
    """Compare the shop's tables with the ledger's events; so many readers were interrupted."""
    with closing(sqlite3.connect(job.shop)) as shop:
        parcels = Counter(key for (key,) in shop.execute("SELECT key FROM parcels"))
        handed = shop.execute("SELECT reader, key FROM handed_over ORDER BY number").fetchall()
    expected = expected_keys(job.ledger)
    place = {key: number for number, key in enumerate(expected)}
    by_reader: dict[str, list[int]] = {}
    for reader, key in handed:
        by_reader.setdefault(reader, []).append(place[key])
    return Verdict(
        place=job.place,
        died=died,
        lost=len(set(expected) - set(parcels)),
        doubled=sum(count - 1 for count in parcels.values()),
        repeated=max(0, len(handed) - len(set(handed_keys(handed))) - interrupted),
        disordered=sum(
            numbers != list(range(numbers[0], numbers[0] + len(numbers))) for numbers in by_reader.values()
        ),
    )


def handed_keys(handed: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The keys of what was handed over."""
    return (key for _, key in handed)


def expected_keys(dsn: str) -> list[str]:
    """The keys of all changes in the ledger's order, from its rows alone: each payment was made, accepted and paid."""
    kinds = {1: ChangeKind.CREATED, 2: ChangeKind.PENDING, 3: ChangeKind.PAID}
    with closing(open_ledger(dsn)) as ledger:
        rows = ledger.read(
            lambda tx: tx.execute("SELECT payment_id, seq FROM events ORDER BY position").fetchall()
        ).result()
    return [change_key(payment_id, seq, kinds[seq], None) for payment_id, seq in rows]


# --- cases -------------------------------------------------------------------------------------------


class Crew:
    """Runs cases, several at the same time, each on a ledger and a shop of its own. Used in a `with` block."""

    def __init__(self, server: PostgresServer | None = None) -> None:
        self._server = server
        self._stack = ExitStack()
        self._idle: SimpleQueue[Readers] = SimpleQueue()

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="paycore-feed-")))
        for _ in range(AT_ONCE):
            self._idle.put(self._stack.enter_context(closing(Readers())))
        self._pool = self._stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kill_at(self, database: Database, places: Iterable[str], mutant: str = "") -> list[Verdict]:
        """One verdict for each place at which a reader is killed."""
        return list(self._pool.map(lambda place: self._killed(database, place, mutant), places))

    def stop_at(self, database: Database, place: str, mutant: str = "") -> Verdict:
        """A reader is stopped there for longer than its lease, and goes on when another one has handled the rest."""
        job = self._job(database, place, mutant, stops=True)
        readers = self._idle.get()
        try:
            pid = readers.begin(job)
            try:
                _until_stopped(pid)
                time.sleep(LEASE_S)
                read(msgspec.structs.replace(job, reader="other", place="", stops=False, mutant=""))
            finally:
                os.kill(pid, signal.SIGCONT)
                code = readers.ended()
        finally:
            self._idle.put(readers)
        read(msgspec.structs.replace(job, reader="last", place="", stops=False, mutant=""))
        return judge(job, died=code == 8, interrupted=1)

    def kill_at_random(self, database: Database, kills: int, rng: random.Random) -> Verdict:
        """Two readers at once and two writers; now and then a reader is killed, and another one begun."""
        job = self._job(database, "at random", "")
        with ThreadPoolExecutor(2) as pool:
            writing = [pool.submit(_write, job.ledger, writer) for writer in range(2)]
            self._kill(job, kills, rng)
            for written in writing:
                written.result()
        read(msgspec.structs.replace(job, reader="last", place=""))
        return judge(job, died=True, interrupted=kills)

    def _kill(self, job: Job, kills: int, rng: random.Random) -> None:
        """Keep two readers at it until so many were killed; the last two are killed, too."""
        names = (f"reader {number}" for number in itertools.count())
        pair = [self._idle.get(), self._idle.get()]
        try:
            pids = [readers.begin(_following(job, next(names))) for readers in pair]
            for kill in range(kills):
                is_ending = kill >= kills - 2
                number = kill % 2 if is_ending else rng.randrange(2)
                time.sleep(rng.uniform(0.0, 2 * LEASE_S))
                os.kill(pids[number], signal.SIGKILL)
                pair[number].ended()
                if not is_ending:
                    pids[number] = pair[number].begin(_following(job, next(names)))
        finally:
            for readers in pair:
                self._idle.put(readers)

    def _killed(self, database: Database, place: str, mutant: str) -> Verdict:
        job = self._job(database, place, mutant)
        readers = self._idle.get()
        try:
            readers.begin(job)
            died = readers.ended() != 0
            readers.begin(msgspec.structs.replace(job, reader="other", place=""))
            readers.ended()
        finally:
            self._idle.put(readers)
        return judge(job, died=died, interrupted=int(died))

    def _job(self, database: Database, place: str, mutant: str, *, stops: bool = False) -> Job:
        """A ledger with payments that are paid, and an empty shop."""
        name = uuid4().hex
        if database == "postgres":
            assert self._server is not None
            dsn = self._server.create_database()
        else:
            dsn = f"sqlite:///{self._folder}/{name}.db"
        shop = self._folder / f"{name}-shop.db"
        with closing(sqlite3.connect(shop)) as made:
            made.execute("PRAGMA journal_mode = WAL")
            made.executescript(TABLES)
        with closing(open_ledger(dsn)) as ledger:
            for number in range(PAYMENTS):
                paid_payment(ledger, f"order-{number}")
        return Job(ledger=dsn, shop=str(shop), reader="first", place=place, stops=stops, mutant=mutant)


def _following(job: Job, name: str) -> Job:
    return msgspec.structs.replace(job, reader=name, place="", follow=True)


def _write(dsn: str, writer: int) -> None:
    with closing(open_ledger(dsn)) as ledger:
        for number in range(WRITTEN):
            paid_payment(ledger, f"order-{writer}-{number}")
            time.sleep(0.01)


def _until_stopped(pid: int) -> None:
    """Until the process is stopped, as Linux says."""
    give_up_at = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "T":
        if time.monotonic() > give_up_at:
            raise TimeoutError("the reader did not reach its place")
        time.sleep(0.01)


def main() -> int:
    """Run every step on the databases; print one line for each, and what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=["sqlite"])
    parser.add_argument("--forker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.forker:
        fork_for_each_line()
        return 0
    problems = 0
    with ExitStack() as stack:
        server = stack.enter_context(embedded_postgres()) if "postgres" in options.databases else None
        crew = stack.enter_context(Crew(server))
        for database in options.databases:
            begun = time.monotonic()
            verdicts = crew.kill_at(database, STEPS)
            wrong = [verdict for verdict in verdicts if not verdict.is_clean]
            died = sum(verdict.died for verdict in verdicts)
            taken_s = time.monotonic() - begun
            print(f"{database}: {len(verdicts)} cases, {died} killed, {len(wrong)} wrong, {taken_s:.1f} s")
            print("\n".join(map(str, wrong)), end="")
            problems += len(wrong)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
