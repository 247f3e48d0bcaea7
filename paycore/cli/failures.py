"""How a command fails: a typed error is one line (or one JSON object) and an exit code, never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paycore.cli import exits
from paycore.cli.exits import Exit
from paycore.cli.options import Interrupted, UsageProblem
from paycore.errors import NotSent, PaycoreError, ProviderError

if TYPE_CHECKING:
    from paycore.cli.output import Output


def report(error: PaycoreError, output: Output) -> Exit:
    """Say what happened and what to do about it; the exit code."""
    words = error.message + _advice(error)
    output.fail(words, _document(type(error).__name__, words, error))
    return exits.of_error(error)


def report_usage(problem: UsageProblem, output: Output) -> Exit:
    """What was asked on the command line makes no sense."""
    output.fail(str(problem), _document("Usage", str(problem)))
    return Exit.USAGE


def report_interrupted(interrupted: Interrupted, output: Output) -> Exit:
    """Ctrl-C."""
    output.fail(str(interrupted), _document("Interrupted", str(interrupted)))
    return Exit.INTERRUPTED


def _advice(error: PaycoreError) -> str:
    if error.payment_id is None:
        return ""
    if isinstance(error, NotSent):
        return f"; nothing was sent for payment {error.payment_id}: run the same command again"
    if isinstance(error, ProviderError):
        return f"; `paycore query {error.payment_id}` settles it"
    return ""


def _document(kind: str, message: str, error: PaycoreError | None = None) -> dict[str, str | None]:
    return {
        "kind": kind,
        "message": message,
        "who_acts": "caller" if error is None else error.who_acts,
        "money_moved": "no" if error is None else error.money_moved,
        "payment_id": None if error is None else error.payment_id,
    }
