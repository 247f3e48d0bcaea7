"""The global options, given before or after a command."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec


class GlobalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Values of `--config --account --json --quiet --verbose --no-color`; the defaults apply when not given."""

    config: str | None = None
    account: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False


NAMES: tuple[str, ...] = GlobalOptions.__struct_fields__
FLAGS = frozenset({"json", "quiet", "verbose", "no_color"})


def of_context(context: Any) -> GlobalOptions:
    """Return the global options that a typer context holds."""
    return context.obj if isinstance(context.obj, GlobalOptions) else GlobalOptions()


def guess(arguments: Sequence[str]) -> GlobalOptions:
    """Guess the global options of arguments that can't be parsed, to report the error in the format they ask for."""
    config = None
    for word, following in pairwise([*arguments, ""]):
        name, equals, value = word.partition("=")
        if name == "--config":
            config = value if equals else following
    return GlobalOptions(
        config=config or None,
        json="--json" in arguments,
        quiet="--quiet" in arguments,
        no_color="--no-color" in arguments,
    )


def to_type(options: GlobalOptions, *words: str) -> str:
    """Return a shell command to suggest, with the `--config` of this one."""
    import shlex

    config = () if options.config is None else ("--config", options.config)
    return shlex.join(["paycore", *words, *config])
