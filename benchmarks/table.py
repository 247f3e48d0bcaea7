"""One row a figure: what was measured, its baseline in the same run, their ratio and the bar."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`holds` is the verdict; None where the design sets no bar."""

    what: str
    figure: str
    baseline: str
    ratio: str
    bar: str
    holds: bool | None


def render(rows: Sequence[Row]) -> str:
    """The rows, aligned, under a heading."""
    verdicts = {True: "holds", False: "MISSED", None: ""}
    cells = [("what", "measured", "baseline", "ratio", "bar", "")]
    cells += [(r.what, r.figure, r.baseline, r.ratio, r.bar, verdicts[r.holds]) for r in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(6)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
