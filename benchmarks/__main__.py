"""`python -m benchmarks`: every figure beside its bar."""

from __future__ import annotations

from benchmarks import (
    awaiting,
    claims,
    command_line,
    creating,
    http,
    ledger,
    lists,
    outage,
    receiving,
    steps,
    waiting,
)
from benchmarks.table import render


def main() -> None:
    """Measure and print; the verdict stands in the last column."""
    parts = (ledger, claims, lists, creating, http, awaiting, receiving, waiting, outage, steps, command_line)
    print(render([row for part in parts for row in part.measure()]))


if __name__ == "__main__":
    main()
