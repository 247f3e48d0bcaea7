"""`python -m tests.kill`: the whole matrix, for a number of rounds."""

import argparse
import sys
import time
from contextlib import ExitStack

from tests.kill.cases import all_cases
from tests.kill.matrix import AT_ONCE, Crew, tally
from tests.support.postgres import embedded_postgres


def main() -> int:
    """Run the matrix, print one line and the errors; return 1 if there were any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgres"], default=["sqlite"])
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    options = parser.parse_args()
    begun = time.monotonic()
    with ExitStack() as stack:
        crew = stack.enter_context(Crew(options.at_once))
        server = stack.enter_context(embedded_postgres()) if "postgres" in options.databases else None
        counted = tally(crew.run(all_cases(options.databases, options.rounds), server))
    print(
        f"{counted.cases} cases, {counted.died} killed, {counted.doubled} doubled, {counted.lost} lost,"
        f" {counted.stuck} stuck, {counted.violations} violations, {counted.not_reached} not reached,"
        f" {time.monotonic() - begun:.1f} s"
    )
    print("\n".join(counted.problems), end="")
    return 0 if counted.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
