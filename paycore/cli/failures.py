"""How a command fails: a typed error is one line (or one JSON object) and an exit code, never a traceback."""

from __future__ import annotations

from collections.abc import Sequence

from paycore.cli import exits
from paycore.cli.exits import Exit
from paycore.cli.options import Interrupted, Unwritable, UsageProblem, guess
from paycore.cli.output import Output
from paycore.errors import Actor, IncompleteReply, MoneyMoved, NotSent, PaycoreError, ProviderError


def report(error: PaycoreError | UsageProblem | Interrupted, arguments: Sequence[str]) -> Exit:
    """Say what happened and what to do about it, as these arguments want it said; the exit code."""
    output = Output(guess(arguments))
    match error:
        case PaycoreError():
            words = error.message + _advice(error)
            kind = type(error).__name__
            output.fail(words, _document(kind, words, error.who_acts, error.money_moved, error.payment_id))
            return exits.of_error(error)
        case Unwritable(payment_id=str(payment_id)):
            # Not 2, after which nothing was sent.
            output.fail(
                str(error), _document("Usage", str(error), money_moved="maybe", payment_id=payment_id)
            )
            return Exit.UNKNOWN
        case UsageProblem():
            output.fail(str(error), _document("Usage", str(error)))
            return Exit.USAGE
        case Interrupted():
            money_moved: MoneyMoved = "maybe" if error.is_under_way else "no"
            output.fail(
                str(error),
                _document("Interrupted", str(error), money_moved=money_moved, payment_id=error.payment_id),
            )
            return Exit.INTERRUPTED


def _advice(error: PaycoreError) -> str:
    if error.payment_id is None:
        return ""
    if isinstance(error, NotSent):
        return f"; nothing was sent for payment {error.payment_id}: run the same command again"
    if isinstance(error, IncompleteReply):
        return f"; payment {error.payment_id} is known: run the same command again to recover it"
    if isinstance(error, ProviderError):
        return f"; `paycore query {error.payment_id}` settles it"
    return ""


def _document(
    kind: str,
    message: str,
    who_acts: Actor = "caller",
    money_moved: MoneyMoved = "no",
    payment_id: str | None = None,
) -> dict[str, str | None]:
    return {
        "kind": kind,
        "message": message,
        "who_acts": who_acts,
        "money_moved": money_moved,
        "payment_id": payment_id,
    }
