"""`python -m tests.mutants`: print the figure; exit code 1 if a survivor is not listed as equivalent."""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from tests.mutants.equivalent import Judge
from tests.mutants.running import Fate, Result, run
from tests.mutants.sources import MODULES, mutants_of


def main() -> int:
    """Test every mutant; print each unlisted survivor, and one line per module."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", default=["*"], help="modules to change: `paycore.domain.money`")
    parser.add_argument("--where", default="*", help="functions to change: `Money.*`")
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants run at once (default: 2)")
    options = parser.parse_args()
    begun = time.monotonic()
    modules = [name for name in MODULES if any(fnmatch(name, pattern) for pattern in options.only)]
    mutants = [each for name in modules for each in mutants_of(name) if fnmatch(each.where, options.where)]
    judge, results, problems = Judge(), list[Result](), list[str]()

    def tell(result: Result) -> None:
        results.append(result)
        if (problem := judge.problem_of(result)) is not None:
            problems.append(problem)
            print(problem, flush=True)
        if sys.stderr.isatty():
            print(f"{len(results)} of {len(mutants)}", end="\r", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        failures = run(mutants, jobs=options.jobs, folder=str(Path(folder) / "tests"), tell=tell)
    if failures:
        print("these tests fail without any mutant:", *failures, sep="\n  ")
        return 1
    print(*judge.stale(), sep="\n")
    print(f"{'module':<28}" + "".join(f"{fate:>13}" for fate in Fate))
    for name in modules:
        _print_row(name, [result for result in results if result.mutant.module == name])
    _print_row("all", results)
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_s = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    print(f"{judge.known} of those that are not killed are listed as equivalent, {len(problems)} are not")
    print(f"{cpu_s:.0f} s of processor time, {time.monotonic() - begun:.0f} s with {options.jobs} at once")
    return 1 if problems or judge.stale() else 0


def _print_row(name: str, results: list[Result]) -> None:
    counts = Counter(result.fate for result in results)
    print(f"{name:<28}" + "".join(f"{counts[fate]:>13}" for fate in Fate))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # pytest's plugins are of no use any more
