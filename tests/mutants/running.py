"""Runs the narrow tests against mutants: collected once, each mutant in its own fork."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from types import CodeType, FrameType
from typing import Any, NoReturn

import msgspec
import pytest
from _pytest.runner import runtestprotocol

from tests.mutants.planting import function_of, plant
from tests.mutants.sources import Mutant

TESTS = (
    "tests/domain",
    "--ignore=tests/domain/test_errors.py",  # starts processes, and errors are not changed here
    *(
        f"tests/engine/test_{name}.py"
        for name in (
            "answers blame capture_by_hand clock_ahead clocks_apart found_by_id left_overs not_now recovery_by_hand"
            " stale_moves standing_still taking_turns told_of_orders"
        ).split()
    ),
    *(
        f"plugins/qfpay_alipay/tests/test_{name}.py"
        for name in (
            "pay_types observations respcodes query query_packing query_bounds listing create close refund"
            " notifications messages actions"
        ).split()
    ),
)
"""Tests without sockets, threads or sleeps: thousands of runs take minutes."""

CPU_MAX_S, WALL_MAX_S = 20, 120
"""A mutant that takes longer counts as endless; all the tests together take about ten seconds."""


class Fate(StrEnum):
    """The result of testing a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    TIMEOUT = "timeout"
    NOT_COVERED = "not covered"


class Result(msgspec.Struct, frozen=True):
    """A mutant's fate, and the processor seconds it took."""

    mutant: Mutant
    fate: Fate
    cpu_s: float


class Runner:
    """A pytest plugin that runs the tests once as they are, then against each mutant."""

    def __init__(self, mutants: Sequence[Mutant], *, jobs: int, tell: Callable[[Result], None]) -> None:
        self.failures: list[str] = []
        self._mutants = mutants
        self._jobs = jobs
        self._tell = tell
        self._reach: dict[CodeType, set[int]] = defaultdict(set)
        self._seconds: list[float] = []
        self._running: dict[int, tuple[Mutant, int]] = {}
        self._killers: dict[str, list[int]] = defaultdict(list)

    def pytest_sessionstart(self) -> None:
        """Remove the influence of chance, of the machine's load and of earlier runs."""
        import hypothesis  # pytest wants to be the first to import it

        hypothesis.settings.register_profile(
            "mutants",
            derandomize=True,
            max_examples=40,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )
        hypothesis.settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Replaces pytest's own loop."""
        items = session.items
        self._run_unchanged(items)
        if not self.failures:
            gc.freeze()  # what is there now is shared with every fork, as long as nobody walks over it
            for mutant in self._mutants:
                self._start(mutant, items)
            while self._running:
                self._reap()
        return True

    def _run_unchanged(self, items: Sequence[pytest.Item]) -> None:
        """Every test must pass; its functions and duration are recorded."""
        watched = {
            function_of(sys.modules[mutant.module], mutant.where).__code__
            for mutant in self._mutants
            if mutant.is_function
        }
        for number, item in enumerate(items):

            def note(frame: FrameType, event: str, _argument: Any, number: int = number) -> None:
                if event == "call" and frame.f_code in watched:
                    self._reach[frame.f_code].add(number)

            begun = time.process_time()
            sys.setprofile(note)
            try:
                if not _passes(item, items[number + 1] if number + 1 < len(items) else None):
                    self.failures.append(item.nodeid)
            finally:
                sys.setprofile(None)
            self._seconds.append(time.process_time() - begun)

    def _tests_of(self, mutant: Mutant) -> list[int]:
        """
        The tests that run the changed function; all of them for other changes.

        First those that killed the mutants before it, the latest first; then by duration.
        """
        reach = set(range(len(self._seconds)))
        if mutant.is_function:
            reach = self._reach[function_of(sys.modules[mutant.module], mutant.where).__code__]
        known = self._killers[mutant.module]
        return sorted(
            reach, key=lambda test: (-1 - known.index(test) if test in known else 0, self._seconds[test])
        )

    def _start(self, mutant: Mutant, items: Sequence[pytest.Item]) -> None:
        tests = self._tests_of(mutant)
        if not tests:
            self._tell(Result(mutant, Fate.NOT_COVERED, 0.0))
            return
        while len(self._running) >= self._jobs:
            self._reap()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _run_planted(mutant, [(number, items[number]) for number in tests], writing)
        os.close(writing)
        self._running[child] = mutant, reading

    def _reap(self) -> None:
        child, status, used = os.wait4(-1, 0)
        mutant, reading = self._running.pop(child)
        with os.fdopen(reading) as pipe:
            for killer in map(int, pipe.read().split()):
                known = self._killers[mutant.module]
                self._killers[mutant.module] = [*(test for test in known if test != killer), killer][-50:]
        fate = Fate.KILLED if status else Fate.SURVIVED
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL):
            fate = Fate.TIMEOUT
        self._tell(Result(mutant, fate, used.ru_utime + used.ru_stime))


def _run_planted(mutant: Mutant, tests: Sequence[tuple[int, pytest.Item]], told: int) -> NoReturn:
    """In the forked child: the exit code says whether a test failed, and `told` is written which."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_MAX_S, CPU_MAX_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(WALL_MAX_S)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    try:
        sys.modules["paycore.domain.codec"]._decoders.clear()  # else nobody would build one any more
        plant(mutant)
        followings = [*(item for _, item in tests[1:]), None]
        for (number, item), following in zip(tests, followings, strict=True):
            if not _passes(item, following):
                os.write(told, str(number).encode())
                break
        else:
            os._exit(0)
    finally:
        os._exit(1)


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def run(mutants: Sequence[Mutant], *, jobs: int, folder: str, tell: Callable[[Result], None]) -> list[str]:
    """Tell of each mutant's fate; the ids of tests that fail without any, in which case none was planted."""
    runner = Runner(mutants, jobs=jobs, tell=tell)
    options = ["-qq", "-s", "-n", "0", "-p", "no:cacheprovider", f"--basetemp={folder}"]
    code = pytest.main([*options, *TESTS], plugins=[runner])
    if not runner.failures and code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        runner.failures.append(f"pytest ended with {code!r}")
    return runner.failures
