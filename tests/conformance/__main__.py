"""
`python -m tests.conformance`: the kit under its planted bugs, in one table; exit code 1 if a check misses one.

    python -m tests.conformance --jobs 2
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from paycore.testing.conformance.check import all_checks
from paycore.testing.conformance.running import chosen, run_check
from tests.conformance.good import GOOD
from tests.conformance.planting import planted

COLUMNS = "{:<52} {:<8} {}"


class Row(NamedTuple):
    """One planted bug, or all the good providers, under one check; `holds` is whether the kit is right about it."""

    check: str
    bug: str
    holds: bool
    why: str


def rows(jobs: int) -> Iterator[Row]:
    """Every check under the good providers, and under each bug that is planted for it."""
    with ProcessPoolExecutor(jobs) as pool:
        names = [check.name for check in all_checks()]
        yield from pool.map(under_the_good, names)
        yield from pool.map(under_a_bug, range(len(list(planted()))))


def under_the_good(name: str) -> Row:
    """Whether the check fails no good provider."""
    (check,) = chosen([name])
    results = [run_check(subject, check) for subject in GOOD.values()]
    failed = [result.why for result in results if result.verdict == "failed"]
    return Row(name, "", not failed, "; ".join(failed))


def under_a_bug(place: int) -> Row:
    """Whether the check fails the bug."""
    bug = list(planted())[place]
    (check,) = chosen([bug.check])
    result = run_check(bug.subject, check)
    return Row(bug.check, bug.bug, result.verdict == "failed", f"{result.verdict} {result.why}")


def main() -> int:
    """Print one line for each bug, and what is wrong with the kit."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    began, done = time.monotonic(), []
    print(COLUMNS.format("check", "caught", "planted bug"))
    for row in rows(parser.parse_args().jobs):
        done.append(row)
        if row.bug:
            print(COLUMNS.format(row.check, "yes" if row.holds else "NO", row.bug), flush=True)
    wrong = [row for row in done if not row.holds]
    for row in wrong:
        print(f"{row.check}: {row.bug or 'a good provider'}: {row.why}")
    bugs = [row for row in done if row.bug]
    caught = sum(row.holds for row in bugs)
    print(
        f"{len({row.check for row in done})} checks, {caught} of {len(bugs)} planted bugs caught,"
        f" {len(GOOD)} good providers passed, {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
