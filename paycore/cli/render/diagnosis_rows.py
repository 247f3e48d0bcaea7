"""The rows of `doctor`, printed one by one as the checks end, under what they are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from paycore.cli.render.text import Style, clean, count, fold

if TYPE_CHECKING:
    from paycore.cli.doctor.diagnosis import Diagnosis

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red", "not checked": "dim"}
_VERDICT_COLUMNS = len("not checked")
_CHECK_COLUMNS = len("notifications")
_WORDS_MIN = 40
"""Narrower than this, the words are on lines of their own."""


def diagnosis_rows(one: Diagnosis, style: Style, columns: int | None, *, is_first: bool) -> list[str]:
    """One line of verdict, and one of what to do; before the first about something, what they are about."""
    verdict = style(f"{one.verdict:{_VERDICT_COLUMNS}}", _COLOURS[one.verdict])
    head = f"  {verdict}  {one.check:{_CHECK_COLUMNS}}  "
    indent = " " * (2 + _VERDICT_COLUMNS + 2 + _CHECK_COLUMNS + 2)
    words = [one.found, *([f"to do: {one.advice}"] if one.advice else [])]
    room = None if columns is None else columns - len(indent)
    lines = [head.rstrip()]
    if room is not None and room < _WORDS_MIN:
        indent, room = " " * 4, max(_WORDS_MIN, (columns or 0) - 4)
    else:
        lines = []
    for said in words:
        for line in [clean(said)] if room is None else fold(clean(said), room):
            lines.append((indent if lines else head) + line)
    return [*([style(one.about, "bold")] if is_first else []), *lines]


def diagnosis_summary(found: Sequence[Diagnosis], seconds: float) -> str:
    """How many lines have each verdict, and where the problems are."""
    counts = Counter(one.verdict for one in found)
    problems = dict.fromkeys(f"{one.about}, {one.check}" for one in found if one.verdict == "problem")
    where = f"; look at: {'; '.join(problems)}" if problems else ""
    return (
        f"{counts['ok']} ok, {count(counts['warning'], 'warning')}, {count(counts['problem'], 'problem')},"
        f" {counts['not checked']} not checked, in {seconds:.1f} s{where}"
    )
