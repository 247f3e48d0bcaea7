"""
Races: many processes on the same payments, and a database that crashes under load.

    python -m tests.ledger.races

runs them on both databases, as the tests do, and prints the results.
"""

import argparse
import contextlib
import itertools
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import psycopg

from paycore import Client, Money, Payment
from paycore.domain.events import Change, OperationSent, Source
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.postgres.ledger import PostgresLedger
from tests.ledger.workload import DEADLINE, begun
from tests.support.cable import Cable, cable
from tests.support.postgres import PostgresServer, embedded_postgres
from tests.support.toy_http import toy_config, toy_plugins, toy_process

PROCESSES = 8
REFERENCES = 200
CHANGES = 8000
CUT_EVERY_S = 0.03
ROOT = Path(__file__).parents[2]


# --- many processes, the same references -------------------------------------------------------------


class CreateRace(msgspec.Struct, frozen=True, kw_only=True):
    """The result of many processes creating the same references at once."""

    references: int
    provider_calls: int
    numbers: int
    payments: int
    answers: int
    answers_without_link: int
    taken_s: float

    @property
    def holds(self) -> bool:
        """One payment, one number and one provider call for each reference, and everybody got the link."""
        each_once = {self.provider_calls, self.numbers, self.payments} == {self.references}
        return each_once and self.answers == PROCESSES * self.references and self.answers_without_link == 0

    def __str__(self) -> str:
        return (
            f"{PROCESSES} processes, {self.references} references each: {self.payments} payments,"
            f" {self.numbers} numbers, {self.provider_calls} requests, {self.answers} answers,"
            f" {self.answers_without_link} without a link, {self.taken_s:.1f} s"
        )


def race_to_create(dsn: str, references: int = REFERENCES) -> CreateRace:
    """Let every process create each reference through its own client, at the same time, over real HTTP."""
    with toy_process(duplicates="charge_blindly") as gateway, contextlib.ExitStack() as stack:
        arguments = ["--child", gateway.url, dsn, "--references", str(references)]
        children = [stack.enter_context(_Child(arguments)) for _ in range(PROCESSES)]
        for child in children:
            child.read()  # it is ready
        started = time.monotonic()
        for child in children:
            child.write("go")
        answers = [answer for child in children for answer in child.read()]
        taken_s = time.monotonic() - started
        counts = gateway.counts()
    return CreateRace(
        references=references,
        provider_calls=counts.requests.get("/orders", 0),
        numbers=len(counts.orders),
        payments=len({payment_id for payment_id, _ in answers}),
        answers=len(answers),
        answers_without_link=sum(not has_link for _, has_link in answers),
        taken_s=taken_s,
    )


class _Child(contextlib.AbstractContextManager["_Child"]):
    """A process that runs this module, controlled by lines of JSON."""

    def __init__(self, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", "tests.ledger.races", *arguments]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def write(self, line: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def read(self) -> list[tuple[str, bool]]:
        """Its next line; a child that died fails the race."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a racer died with {self._process.wait(10)}")
        answers: list[tuple[str, bool]] = json.loads(line)
        return answers

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _race(url: str, dsn: str, references: int) -> None:
    """One racer: reports that it is ready, waits for the start, creates everything, and prints its results."""
    with Client(toy_config(url, dsn), plugins=toy_plugins()) as client:
        print("[]", flush=True)
        sys.stdin.readline()
        answers = []
        for n in range(references):
            payment = client.create(
                reference=f"order-{n}", amount=Money("88.00", "HKD"), method="toy", channel="web"
            )
            answers.append((payment.id, payment.action is not None))
        print(json.dumps(answers), flush=True)


# --- a database that dies under load -----------------------------------------------------------------


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """The result of changes made while connections were cut and the server crashed."""

    changes: int
    applied: int
    not_as_often_as_told: int
    errors: tuple[str, ...]
    connections_cut: int
    commits_unheard: int
    restarts: int
    differences: int
    taken_s: float

    @property
    def holds(self) -> bool:
        """Every change was applied exactly once, and every payment follows from its events."""
        return self.applied == self.changes and not (
            self.not_as_often_as_told or self.errors or self.differences
        )

    def __str__(self) -> str:
        return (
            f"{self.changes} changes, {self.applied} made, {self.connections_cut} connections cut,"
            f" {self.commits_unheard} commits unheard, {self.restarts} crash, {len(self.errors)} errors,"
            f" {self.differences} differences, {self.taken_s:.1f} s"
        )


def _send_once_more(payment: Payment, now: datetime) -> Sequence[Change]:
    """A change that shows if it was applied twice."""
    return [OperationSent(operation_id=payment.creation.id, sent_at=now, in_flight_until=now + DEADLINE)]


class _Listening(PostgresLedger):
    """Counts the commits that took place and whose answer was lost."""

    commits_unheard = 0

    def _was_committed(self, number: int) -> bool:
        was_committed = super()._was_committed(number)
        self.commits_unheard += was_committed
        return was_committed


class _Lightning:
    """
    Cuts the connections to a database every 30 ms, and once crashes the server.

    Alternately at the server, where uncommitted work is lost, and in the cable, where commits take place but
    their answers are lost.
    """

    def __init__(self, server: PostgresServer, line: Cable) -> None:
        self._server = server
        self._line = line
        self._over = threading.Event()
        self._crash = threading.Event()
        self.cut = 0
        self.restarts = 0
        self._thread = threading.Thread(target=self._strike, name="lightning")
        self._thread.start()

    def _strike(self) -> None:
        for turn in itertools.count():
            if self._over.wait(CUT_EVERY_S):
                return
            if turn % 2:
                self.cut += self._line.cut()
            else:
                with contextlib.suppress(psycopg.Error):
                    self.cut += self._server.terminate_backends(self._line.dsn)
            if self._crash.is_set() and not self.restarts:
                self._server.restart("immediate")
                self.restarts += 1

    def crash(self) -> None:
        """Crash the server at the next cut."""
        self._crash.set()

    def end(self) -> None:
        """Stop cutting connections."""
        self._over.set()
        self._thread.join()


def change_in_a_storm(
    server: PostgresServer, changes: int = CHANGES, *, callers: int = 8, payments: int = 50
) -> Storm:
    """Change payments from two ledgers while the server is cut off and crashes."""
    with cable(server.create_database()) as line:
        return _change_in_a_storm(server, line, changes, callers, payments)


def _change_in_a_storm(
    server: PostgresServer, line: Cable, changes: int, callers: int, payments: int
) -> Storm:
    ledgers = [_Listening(line.dsn), _Listening(line.dsn)]
    ids = [ledgers[0].begin(*begun(f"order-{n}")).result().payment.id for n in range(payments)]
    told: Counter[str] = Counter()
    errors: list[str] = []
    left = iter(range(changes))
    drawing = threading.Lock()
    lightning = _Lightning(server, line)

    def call(ledger: SqlLedger) -> None:
        while True:
            with drawing:
                turn = next(left, None)
            if turn is None:
                return
            if turn == changes // 2:
                lightning.crash()
            try:
                committed = ledger.change(ids[turn % payments], _send_once_more, Source.RECOVERY).result()
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
            else:
                with drawing:
                    told[committed.payment.id] += len(committed.events)

    started = time.monotonic()
    threads = [threading.Thread(target=call, args=(ledgers[n % 2],)) for n in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken_s = time.monotonic() - started
    lightning.end()
    found = {payment_id: ledgers[0].get(payment_id).result().creation.send_count - 1 for payment_id in ids}
    storm = Storm(
        changes=changes,
        applied=sum(found.values()),
        not_as_often_as_told=sum(found[payment_id] != told[payment_id] for payment_id in ids),
        errors=tuple(errors),
        connections_cut=lightning.cut,
        commits_unheard=sum(ledger.commits_unheard for ledger in ledgers),
        restarts=lightning.restarts,
        differences=sum(verdict.difference is not None for verdict in verify(ledgers[0])),
        taken_s=taken_s,
    )
    for ledger in ledgers:
        ledger.close()
    return storm


def main() -> int:
    """Run all races and print one line of JSON for each; return 1 if one does not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--references", type=int, default=REFERENCES)
    parser.add_argument("--changes", type=int, default=CHANGES)
    parser.add_argument("--child", nargs=2, metavar=("URL", "DSN"))
    options = parser.parse_args()
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of every connection that is cut
    if options.child:
        url, dsn = options.child
        _race(url, dsn, options.references)
        return 0
    results: list[CreateRace | Storm] = []
    with tempfile.TemporaryDirectory() as folder, embedded_postgres() as server:
        results.append(race_to_create(f"sqlite:///{folder}/ledger.db", options.references))
        results.append(race_to_create(server.create_database(), options.references))
        results.append(change_in_a_storm(server, options.changes))
    for result in results:
        print("holds:" if result.holds else "FAILS:", result)
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
