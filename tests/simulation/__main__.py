"""Replays one seed with its log, or runs many and prints one line."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeVar

from tests.simulation.mutants import CONTROLS, MUTANTS, SEEDS_MAX, catch, planted
from tests.simulation.world import Run, run_briefly, run_seed

T = TypeVar("T")
R = TypeVar("R")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 if there were violations, or a planted bug was missed."""
    options = _parse(arguments)
    if options.mutants:
        return _run_mutants(options.jobs)
    if options.seed is not None:
        return _replay(options.seed, options.mutant, sets_clock_back=options.set_clock_back)
    first, _, last = options.seeds.partition("-")
    run = partial(_run_with, options.mutant, options.set_clock_back)
    return _run_many(run, range(int(first), int(last)), options.jobs)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay one seed and print its log")
    parser.add_argument("--seeds", default="0-300", help="run seeds from A up to, not including, B: A-B")
    parser.add_argument("--jobs", type=int, default=1, help="in so many processes at once")
    parser.add_argument("--set-clock-back", action="store_true", help="and the machine's clock, now and then")
    parser.add_argument("--mutant", choices=sorted({**MUTANTS, **CONTROLS}), help="with this planted bug")
    parser.add_argument("--mutants", action="store_true", help="every planted bug, and what caught it")
    return parser.parse_args(arguments)


def _replay(seed: int, mutant: str | None, *, sets_clock_back: bool) -> int:
    with planted(mutant):
        run = run_seed(seed, sets_clock_back=sets_clock_back)
    print(*run.lines, sep="\n")
    print(f"seed {seed}: {len(run.violations)} violations, log {run.digest}")
    return 1 if run.violations else 0


def _run_many(run_one: Callable[[int], Run], seeds: range, jobs: int) -> int:
    began, events, elapsed_s, failed = time.monotonic(), 0, 0.0, 0
    for run in _each(run_one, seeds, jobs):
        events, elapsed_s, failed = (
            events + run.events,
            elapsed_s + run.elapsed_s,
            failed + bool(run.violations),
        )
        for violation in run.violations:
            print(f"seed {run.seed}: {violation}", file=sys.stderr, flush=True)
    print(
        f"{len(seeds)} seeds, {events} events, {elapsed_s / 3600:.0f} simulated hours,"
        f" {failed} with violations, {time.monotonic() - began:.1f} s"
    )
    return 1 if failed else 0


def _run_with(mutant: str | None, sets_clock_back: bool, seed: int) -> Run:
    with planted(mutant):
        return run_briefly(seed, sets_clock_back=sets_clock_back)


def _run_mutants(jobs: int) -> int:
    missed = 0
    for name, caught in zip(MUTANTS, _each(catch, list(MUTANTS), jobs), strict=True):
        missed += caught is None
        what = (
            f"not in {SEEDS_MAX} seeds" if caught is None else f"seed {caught.seed}: {caught.violations[0]}"
        )
        print(f"{name:32} {what}", flush=True)
    print(f"{len(MUTANTS) - missed} of {len(MUTANTS)} mutants caught")
    return 1 if missed else 0


def _each(make: Callable[[T], R], values: Sequence[T], jobs: int) -> Iterator[R]:
    """The result of each value, in their order."""
    if jobs == 1:
        yield from map(make, values)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(make, values, chunksize=1 if len(values) < 100 else 10)


if __name__ == "__main__":
    sys.exit(main())
