"""The rows of `plugins check`, printed one by one as the checks end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paycore.cli.render.hanging import INDENT, beside, folded, told_under
from paycore.cli.render.text import Style

if TYPE_CHECKING:
    from paycore.testing.conformance.check import Check
    from paycore.testing.conformance.report import CheckReport, CheckResult

VERDICT_COLOURS = {"passed": "green", "failed": "red", "not applicable": "dim"}
VERDICT_COLUMNS = len("not applicable")


def check_header(names_columns: int, style: Style) -> str:
    """The head of the table; `names_columns` is the width of the longest name in it."""
    return style(f"{'CHECK':{names_columns}}  {'VERDICT':{VERDICT_COLUMNS}}  WHY", "dim")


def check_rows(result: CheckResult, names_columns: int, style: Style, columns: int | None) -> list[str]:
    """One result; of a failed check also what it requires, what to change and what to read."""
    verdict = style(f"{result.verdict:{VERDICT_COLUMNS}}", VERDICT_COLOURS[result.verdict])
    head = f"{result.check:{names_columns}}  {verdict}"
    if result.verdict != "failed":
        return beside(head, result.why, columns)
    told = [
        ("required", result.requirement),
        ("seen", result.why),
        ("change", result.advice),
        ("read", result.read),
    ]
    return [
        head.rstrip(),
        *(line for name, words in told if words for line in told_under(name, words, columns)),
    ]


def listed_rows(check: Check, columns: int | None) -> list[str]:
    """A check that was not run: its name, and what it requires."""
    return [check.name, *folded(check.requirement, " " * INDENT, " " * INDENT, columns)]


def check_summary(report: CheckReport, seconds: float) -> str:
    """How many checks have each verdict."""
    return (
        f"{report.provider}: {report.count('passed')} passed, {report.count('failed')} failed,"
        f" {report.count('not applicable')} not applicable, in {seconds:.1f} s"
    )
