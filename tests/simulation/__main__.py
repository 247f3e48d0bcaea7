"""Replays one seed with its log, or runs many and prints one line."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.simulation.mutants import MUTANTS, SEEDS_MAX, catch, planted
from tests.simulation.world import run_seed


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when there were violations."""
    options = _parse(arguments)
    if options.mutants:
        return _run_mutants()
    with planted(options.mutant):
        if options.seed is not None:
            return _replay(options.seed)
        first, _, last = options.seeds.partition("-")
        return _run_many(range(int(first), int(last)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay one seed and print its log")
    parser.add_argument("--seeds", default="0-300", help="run seeds from A up to, not including, B: A-B")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="with this planted bug")
    parser.add_argument("--mutants", action="store_true", help="every planted bug, and what caught it")
    return parser.parse_args(arguments)


def _replay(seed: int) -> int:
    run = run_seed(seed)
    print(*run.lines, sep="\n")
    print(f"seed {seed}: {len(run.violations)} violations, log {run.digest}")
    return 1 if run.violations else 0


def _run_many(seeds: range) -> int:
    began, events, elapsed_s, failed = time.monotonic(), 0, 0.0, 0
    for seed in seeds:
        run = run_seed(seed)
        events, elapsed_s, failed = (
            events + run.events,
            elapsed_s + run.elapsed_s,
            failed + bool(run.violations),
        )
        for violation in run.violations:
            print(f"seed {seed}: {violation}", file=sys.stderr)
    print(
        f"{len(seeds)} seeds, {events} events, {elapsed_s / 3600:.0f} simulated hours,"
        f" {failed} with violations, {time.monotonic() - began:.1f} s"
    )
    return 1 if failed else 0


def _run_mutants() -> int:
    missed = 0
    for name in MUTANTS:
        caught = catch(name)
        missed += caught is None
        what = (
            f"not in {SEEDS_MAX} seeds" if caught is None else f"seed {caught.seed}: {caught.violations[0]}"
        )
        print(f"{name:32} {what}")
    print(f"{len(MUTANTS) - missed} of {len(MUTANTS)} mutants caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
