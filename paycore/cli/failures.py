"""How a command fails: a typed error is one line (or one JSON object) and an exit code, never a traceback."""

from __future__ import annotations

from collections.abc import Sequence

from paycore.cli import exits
from paycore.cli.endings import CommandEnded
from paycore.cli.exits import Exit
from paycore.cli.options import GlobalOptions, guess, to_type
from paycore.cli.output import Output
from paycore.errors import IncompleteReply, NotSent, PaycoreError, PluginError, ProviderError


def report(error: PaycoreError | CommandEnded, arguments: Sequence[str]) -> Exit:
    """Say what happened and what to do about it, as these arguments want it said; the exit code."""
    options = guess(arguments)
    if isinstance(error, PaycoreError):
        words = error.message + _advice(error, options)
        kind, code = type(error).__name__, exits.of_error(error)
    else:
        kind, words, code = error.kind, str(error), error.exit
    document = {
        "kind": kind,
        "message": words,
        "who_acts": error.who_acts,
        "money_moved": error.money_moved,
        "payment_id": error.payment_id,
    }
    Output(options).fail(words, document)
    return code


def _advice(error: PaycoreError, options: GlobalOptions) -> str:
    if error.payment_id is None:
        return ""
    if isinstance(error, NotSent) or (isinstance(error, PluginError) and error.money_moved == "no"):
        return f"; nothing was sent for payment {error.payment_id}: run the same command again"
    if isinstance(error, IncompleteReply):
        return f"; payment {error.payment_id} is known: run the same command again to recover it"
    if isinstance(error, ProviderError | PluginError):
        return f"; `{to_type(options, 'query', error.payment_id)}` settles it"
    return ""
