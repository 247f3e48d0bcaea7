"""Runs the cases: prepare, kill, wait until proof is possible, one recovery pass, the caller again; judge twice."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Self
from uuid import uuid4

import msgspec
import pytest

from paycore.domain.schedule import resend_pause_s
from paycore.ledger import open_ledger
from paycore.ledger.api import Filter, Rescheduled
from paycore.testing.toy import ToyGateway
from tests.kill.cases import NASTY, PROOF_S, Case, Database, Operation
from tests.kill.judge import Verdict, judge
from tests.kill.mutants import MUTANTS
from tests.kill.victim import AMOUNT, REFERENCE, Job, do, look_after, survivor
from tests.support.postgres import PostgresServer
from tests.support.toy_http import KEY, ToyServer, toy_server

AT_ONCE = 6
"""Cases at the same time: most of each is waiting for deadlines to pass."""

ATTEMPTS_MAX = 5
"""How often a case is repeated whose process missed its deadline before the place."""

ROOT = Path(__file__).parents[2]


class Result(msgspec.Struct, frozen=True):
    """
    The result of one case.

    `recovered` is the verdict after the recovery pass, `repeated` after the caller has repeated the command.
    `died`: the process was killed.
    """

    case: Case
    died: bool
    recovered: Verdict
    repeated: Verdict

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return self.recovered.is_clean and self.repeated.is_clean

    @property
    def was_reached(self) -> bool:
        """Whether the process reached the place; a recovery may end before it."""
        return self.died or not self.case.place or self.case.operation in ("recovery", "capture once seen")


class Processes:
    """Makes processes that do one job each, and reports how they ended; see `victim.main`."""

    def __init__(self) -> None:
        self._forker = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.victim"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, job: Job) -> bool:
        """Whether the process that did `job` was killed; RuntimeError when it failed otherwise."""
        if self._forker.stdin is None or self._forker.stdout is None:
            raise RuntimeError("the forker has no pipes")
        self._forker.stdin.write(msgspec.json.encode(job) + b"\n")
        self._forker.stdin.flush()
        code = int(self._forker.stdout.readline() or 1)
        if code not in (0, -signal.SIGKILL):
            raise RuntimeError(f"the process ended with {code}: {job}")
        return code != 0

    def close(self) -> None:
        """Start no more jobs."""
        self._forker.communicate()


def run_case(case: Case, dsn: str, processes: Processes) -> Result:
    """Run one case from an empty ledger and an empty gateway to the verdict."""
    with toy_server(ToyGateway(duplicates=case.manner.duplicates, key=KEY)) as server:
        job = _prepare(
            Job(
                operation=case.operation,
                place=case.place,
                url=server.url,
                ledger=dsn,
                declares=case.manner.declares,
                mutant=case.mutant,
            ),
            server,
        )
        died = processes.run(job)
        _wait_for_proof(job)
        recovered = _recover(job, server, died=died)
        return Result(case, died, recovered, _repeat(job, server))


def _prepare(job: Job, server: ToyServer) -> Job:
    """Bring ledger and gateway to the state where the operation starts."""
    if job.operation in ("create by link", "create at once"):
        return job
    with survivor(job) as client:
        if job.operation == "recovery":
            server.set_faults(lose_reply=1)
        payment = client.create(
            reference=REFERENCE,
            amount=AMOUNT,
            method="toy",
            channel=CHANNELS.get(job.operation, "web"),
            capture="manual" if job.operation in ("capture", "void") else "automatic",
        )
        if job.operation == "capture once seen":
            server.pay(payment.order_number)
        if job.operation == "recovery":
            make_due(job)
        if job.operation == "notification":
            server.pay(payment.order_number)
            body, headers = server.notification(payment.order_number)
            return msgspec.structs.replace(job, body=body, headers=headers)
    return job


CHANNELS: dict[Operation, str] = {
    "refund": "card",
    "capture": "tab",
    "void": "tab",
    "capture once seen": "hold",
}
"""Where an operation starts with another order than one with a link."""


def _wait_for_proof(job: Job) -> None:
    """Wait until no request of the killed process can be under way and "not found" is proof."""
    ledger = open_ledger(job.ledger)
    try:
        ready = [
            max(
                operation.in_flight_until + timedelta(seconds=PROOF_S),
                operation.sent_at + timedelta(seconds=resend_pause_s(operation.send_count - 1)),
            )
            for payment in ledger.list(Filter()).result()
            for operation in payment.operations
            if operation.is_uncertain
        ]
        if ready:
            time.sleep(max(0.0, (max(ready) - ledger.now()).total_seconds() + 0.01))
    finally:
        ledger.close()


def make_due(job: Job) -> None:
    """Make every payment due now, so that no case waits for a planned poll."""
    ledger = open_ledger(job.ledger)
    payments = ledger.list(Filter()).result()
    now = ledger.now()
    ledger.reschedule([Rescheduled(payment.id, payment.version, now) for payment in payments]).result()
    ledger.close()


def _recover(job: Job, server: ToyServer, *, died: bool) -> Verdict:
    """One pass of a worker in another process; an unacknowledged notification is sent again."""
    with survivor(job) as client:
        if job.operation == "notification" and died:
            do(client, job)
        make_due(job)
        look_after(client)
        return judge(server.gateway, client._core.ledger)


def _repeat(job: Job, server: ToyServer) -> Verdict:
    """The caller repeats the command: it must find what was done and do nothing twice."""
    with survivor(job) as client:
        do(client, job)
        return judge(server.gateway, client._core.ledger, is_repeated=True)


# --- many cases --------------------------------------------------------------------------------------


class Crew:
    """Runs many cases, several at the same time, each on a database of its own. Used in a `with` block."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._stack = ExitStack()
        self._idle: SimpleQueue[Processes] = SimpleQueue()

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="paycore-kill-")))
        for _ in range(self._at_once):
            self._idle.put(self._stack.enter_context(closing(Processes())))
        self._pool = self._stack.enter_context(ThreadPoolExecutor(self._at_once))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, cases: Iterable[Case], server: PostgresServer | None = None) -> Iterator[Result]:
        """Run these; `server` has the databases of those that are on PostgreSQL."""
        return self._pool.map(lambda case: self._run_one(case, server), cases)

    def _run_one(self, case: Case, server: PostgresServer | None) -> Result:
        """The first try that reached the place or failed, else the last one."""
        processes = self._idle.get()
        try:
            for _ in range(ATTEMPTS_MAX - 1):
                result = self._try(case, server, processes)
                if result.was_reached or not result.is_clean:
                    return result
            return self._try(case, server, processes)
        finally:
            self._idle.put(processes)

    def _try(self, case: Case, server: PostgresServer | None, processes: Processes) -> Result:
        with _database(case.database, self._folder / f"{uuid4()}.db", server) as dsn:
            return run_case(case, dsn, processes)


@contextmanager
def _database(kind: Database, path: Path, server: PostgresServer | None) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{path}"
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
    elif server is not None:
        dsn = server.create_database()
        yield dsn
        server.drop_database(dsn)


class Tally(msgspec.Struct):
    """What many cases found: how many there were, how many processes died, and what was wrong with how many."""

    cases: int = 0
    died: int = 0
    not_reached: int = 0
    doubled: int = 0
    lost: int = 0
    stuck: int = 0
    violations: int = 0
    problems: list[str] = msgspec.field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every process came to its place, and nothing is wrong."""
        return not (self.problems or self.not_reached)

    def add(self, result: Result) -> None:
        """Count one more result."""
        self.cases += 1
        self.died += result.died
        self.not_reached += not result.was_reached
        for kind in ("doubled", "lost", "stuck", "violations"):
            found = {*getattr(result.recovered, kind), *getattr(result.repeated, kind)}
            setattr(self, kind, getattr(self, kind) + bool(found))
            self.problems += [f"{result.case}: {kind}: {problem}" for problem in sorted(found)]


def tally(results: Iterable[Result]) -> Tally:
    """Count all results."""
    counted = Tally()
    for result in results:
        counted.add(result)
    return counted


def run_mutant(crew: Crew, name: str) -> Tally:
    """Run the cases in which a planted bug shows."""
    mutant = MUTANTS[name]
    cases = [Case(mutant.operation, step, NASTY, "sqlite", mutant=name) for step in mutant.steps]
    with pytest.MonkeyPatch.context() as patch:
        mutant.plant(patch)
        return tally(crew.run(cases))
