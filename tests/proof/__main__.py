"""`python -m tests.proof`: print the table; exit code 1 if a row does not hold."""

import argparse
import logging
import sys
import time

from tests.proof.rows import CI, FULL, SCENARIOS, Row

COLUMNS = "{:<32} {:>7} {:>8} {:>6} {:>6} {:>11} {:>8} {:>7}"


def main() -> int:
    """Run everything; print one line for each scenario when it is done."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--full", action="store_true", help="ten rounds of kills and 10,000 seeds")
    parser.add_argument("--rounds", type=int, help="rounds of kills")
    parser.add_argument("--seeds", type=int, help="simulated seeds")
    options = parser.parse_args()
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of every connection that is cut
    size = FULL if options.full else CI
    size = type(size)(rounds=options.rounds or size.rounds, seeds=options.seeds or size.seeds)
    print(COLUMNS.format("scenario", "cases", "doubled", "lost", "stuck", "violations", "mutants", "seconds"))
    done: list[Row] = []
    begun = time.monotonic()
    for make in SCENARIOS:
        row = make(size)
        now = time.monotonic()
        print(_line(row, now - begun), flush=True)
        begun = now
        done.append(row)
    for row in done:
        for problem in row.problems:
            print(f"{row.scenario}: {problem}")
    holds = all(row.holds for row in done)
    print("everything holds" if holds else "something does not hold")
    return 0 if holds else 1


def _line(row: Row, seconds: float) -> str:
    counts = [row.cases, row.doubled, row.lost, row.stuck, row.violations]
    mutants = "-" if row.mutants is None else "{}/{}".format(*row.mutants)
    shown = ["-" if count is None else str(count) for count in counts]
    return COLUMNS.format(row.scenario, *shown, mutants, f"{seconds:.0f}")


if __name__ == "__main__":
    sys.exit(main())
