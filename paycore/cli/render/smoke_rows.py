"""The table of steps that ends a smoke run, and what is told of each step as it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paycore.cli.render.hanging import beside, told_under
from paycore.cli.render.text import Style, clean

if TYPE_CHECKING:
    from paycore.cli.smoke.step_results import StepResult

_COLOURS = {"passed": "green", "failed": "red", "not applicable": "dim", "not run": "yellow"}
_STEP_COLUMNS = len("refund rest")
_VERDICT_COLUMNS = len("not applicable")
_SECONDS_COLUMNS = len("SECONDS")


def smoke_rows(results: Sequence[StepResult], style: Style, columns: int | None) -> list[str]:
    """The steps of one account under its name; under a failed one what to do."""
    account = style(clean(results[0].account), "bold")
    # In a narrow window what happened is under its step.
    header = style(beside(_head("STEP", "VERDICT", "SECONDS"), "WHAT", columns)[0], "dim")
    return [account, header, *(line for result in results for line in _rows(result, style, columns))]


def step_line(result: StepResult) -> str:
    """One step, as it ends, on one line."""
    took = f" in {result.seconds:.2f} s" if result.seconds else ""
    advice = f"; to do: {result.advice}" if result.advice else ""
    return clean(f"{result.account}: {result.step} {result.verdict}{took}: {result.what}{advice}")


def smoke_summary(results: Sequence[StepResult]) -> str:
    """How many steps have each verdict."""
    counts = {verdict: sum(result.verdict == verdict for result in results) for verdict in _COLOURS}
    words = ", ".join(
        f"{number} {verdict}"
        for verdict, number in counts.items()
        if number or verdict in ("passed", "failed")
    )
    return f"{words}, in {sum(result.seconds for result in results):.1f} s"


def _rows(result: StepResult, style: Style, columns: int | None) -> list[str]:
    seconds = f"{result.seconds:.2f}" if result.verdict != "not run" else ""
    # Colours are put in afterwards: they have no width.
    verdict = f"{result.verdict:{_VERDICT_COLUMNS}}"
    head = _head(result.step, result.verdict, seconds).replace(
        verdict, style(verdict, _COLOURS[result.verdict]), 1
    )
    rows = beside(head, result.what, columns)
    return rows + (told_under("to do", result.advice, columns) if result.advice else [])


def _head(step: str, verdict: str, seconds: str) -> str:
    return f"{step:{_STEP_COLUMNS}}  {verdict:{_VERDICT_COLUMNS}}  {seconds:>{_SECONDS_COLUMNS}}"
