"""
`show` and `list` without typer, whose import takes longer than reading the ledger.

Only what is plainly right is taken; anything else (help, a typing error, an abbreviation) goes to typer, which
knows the same options and calls the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from paycore.cli import records
from paycore.cli.options import FLAGS, NAMES, GlobalOptions

_GLOBAL_VALUES = frozenset(NAMES) - FLAGS


class _Quick(msgspec.Struct, frozen=True):
    run: Callable[..., int]
    has_id: bool
    values: frozenset[str]
    flags: frozenset[str]


COMMANDS = {
    "show": _Quick(records.show, has_id=True, values=frozenset({"reference"}), flags=frozenset()),
    "list": _Quick(
        records.list_payments,
        has_id=False,
        values=frozenset({"status", "created_before", "after", "limit"}),
        flags=frozenset({"review", "uncertain", "open"}),
    ),
}


def parse(arguments: Sequence[str]) -> Callable[[], int] | None:
    """The command to run, or None when typer must look at these arguments."""
    if not arguments or arguments[0] not in COMMANDS:
        return None
    command = COMMANDS[arguments[0]]
    given: dict[str, Any] = {}
    rest = iter(arguments[1:])
    for word in rest:
        name = word[2:].replace("-", "_") if word.startswith("--") else ""
        value: Any
        if not word.startswith("-") and command.has_id:
            name, value = "payment_id", word
        elif name in FLAGS | command.flags:
            value = True
        elif name in _GLOBAL_VALUES | command.values:
            value = next(rest, "-")
        else:
            return None
        is_odd = isinstance(value, str) and (not value or value.startswith("-"))
        if is_odd or name in given:
            return None
        given[name] = value
    options = GlobalOptions(**{name: given.pop(name) for name in NAMES if name in given})
    if options.verbose:
        return None
    return lambda: command.run(options, **given)
