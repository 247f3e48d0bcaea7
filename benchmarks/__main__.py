"""`python -m benchmarks`: every figure beside its bar."""

from __future__ import annotations

from benchmarks import claims, creating, http, ledger, lists, receiving, waiting
from benchmarks.table import render


def main() -> None:
    """Measure and print; the verdict stands in the last column."""
    print(
        render(
            [
                *ledger.measure(),
                *claims.measure(),
                *lists.measure(),
                *creating.measure(),
                *http.measure(),
                *receiving.measure(),
                *waiting.measure(),
            ]
        )
    )


if __name__ == "__main__":
    main()
