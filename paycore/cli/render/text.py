"""Text for a terminal: colours, widths, alignment, and untrusted text without control characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paycore.domain.money import Money

if TYPE_CHECKING:
    from paycore.domain.payment import Payment

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_COLOUR_OR_CHARACTER = re.compile(rf"{_COLOUR.pattern}|.", re.DOTALL)

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}

STATUS_COLOURS = {
    "created": "yellow",
    "unknown": "magenta",
    "pending": "yellow",
    "authorized": "cyan",
    "paid": "green",
    "succeeded": "green",
    "failed": "red",
    "closed": "dim",
    "reversed": "red",
}


class Style:
    """Applies terminal colours, or none."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled

    def __call__(self, text: str, *names: str) -> str:
        if not self.enabled or not text:
            return text
        codes = ";".join(_CODES[name] for name in names)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def status(self, status: str) -> str:
        """Colour a status."""
        return self(status, STATUS_COLOURS[status])


def clean(text: str) -> str:
    """Put text on one line and replace control and bidirectional characters."""
    return _UNSAFE.sub("\ufffd", " ".join(text.split()))


def width(text: str) -> int:
    """Return the width of `text` in terminal columns, without colours."""
    plain = _COLOUR.sub("", text)
    return len(plain) if plain.isascii() else sum(map(_columns, plain))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """Cut `text` to `columns` with an ellipsis, keeping its colours."""
    if width(text) <= columns:
        return text
    kept, used = "", 0
    for piece in _COLOUR_OR_CHARACTER.findall(text):
        used += width(piece)
        if used > columns - 1:
            break
        kept += piece
    return kept + ("…\x1b[0m" if "\x1b" in kept else "…")


def rows_of(lines: Sequence[str], columns: int) -> int:
    """Return the rows that these lines take in a window, which wraps the longer ones."""
    return sum(max(1, -(-width(line) // columns)) for line in lines)


def fold(words: str, columns: int) -> list[str]:
    """Wrap at spaces into lines of at most `columns`; a longer word is not broken."""
    lines = [""]
    for word in words.split(" "):
        if lines[-1] and width(lines[-1]) + 1 + width(word) > columns:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def align(
    rows: Sequence[Sequence[str]], *, gap: str = "  ", right: frozenset[int] = frozenset()
) -> list[str]:
    """Pad cells so that columns line up; `right` holds the indices of right-aligned columns."""
    widths = [max(width(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for index, cell in enumerate(row):
            filler = " " * (widths[index] - width(cell))
            cells.append(filler + cell if index in right else cell + filler)
        lines.append(gap.join(cells).rstrip())
    return lines


def moment(at: datetime) -> str:
    """Render a time in UTC: `2025-01-31 12:00:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def render_time(at: datetime) -> str:
    """Render ISO 8601 in UTC with milliseconds, so that strings sort as times do: `2025-01-31T12:00:00.000Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime) -> str:
    """Render the time of day in UTC: `12:00:05 UTC`."""
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"


def major(payment: Payment, minor: int) -> str:
    """Render minor units as an amount in the payment's currency: `20.00 HKD`."""
    amount = payment.amount
    return str(Money.from_minor(minor, amount.currency, exponent=amount.exponent))


def count(number: int, thing: str) -> str:
    """Render a count: `1 payment`, `12 payments`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Render a rounded duration: `45 s`, `12 min`, `3 h`, `2 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and unit == "min"):
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
