"""The options every command takes, before or after its word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec


class GlobalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `--config --account --json --quiet --verbose --no-color` said; the defaults are those of silence."""

    config: str | None = None
    account: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False


NAMES: tuple[str, ...] = GlobalOptions.__struct_fields__
FLAGS = frozenset({"json", "quiet", "verbose", "no_color"})


def guess(arguments: Sequence[str]) -> GlobalOptions:
    """How to report an error in arguments that could not be read: as they seem to ask for it."""
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
    """The command of these words, with the --config this one was given."""
    import shlex

    config = () if options.config is None else ("--config", options.config)
    return shlex.join(["paycore", *words, *config])
