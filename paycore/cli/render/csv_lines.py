"""
CSV for spreadsheets and for tools that read lines: RFC 4180, each record on one line that ends in a line feed.

Texts come from payers and providers. A spreadsheet takes a cell that starts with `=`, `+`, `-` or `@` for a formula,
which can send the other cells elsewhere. Source: OWASP ASVS 5.0, requirement 1.2.10 (read 2026-11-29).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum

from paycore.cli.render.text import render_time
from paycore.domain.safe_text import printable

Cell = str | int | bool | datetime | None
"""Numbers are written plainly, times in ISO 8601 UTC, None as nothing, and every text so that it stays a text."""

_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class _Line:
    """What `csv.writer` writes a line to."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """
    Render the header and each row as a line, without its end.

    A text that a spreadsheet would take for a formula begins with `'`. Control and formatting characters become spaces.
    Rows are read as they are asked for.
    """
    line = _Line()
    writer = csv.writer(line, lineterminator="")
    writer.writerow(header)
    yield line.text
    for row in rows:
        writer.writerow([_written(cell) for cell in row])
        yield line.text


def _written(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case int():
            return str(cell)
        case datetime():
            return render_time(cell)
        case StrEnum():
            return cell.value
        case _:
            return _as_text(cell)


def _as_text(text: str) -> str:
    """Keep a text from being a formula; an amount such as `-5.00` is a number to everybody."""
    shown = printable(text)
    is_formula = _FORMULA.match(shown) is not None and _NUMBER.fullmatch(shown) is None
    return f"'{shown}" if is_formula else shown
