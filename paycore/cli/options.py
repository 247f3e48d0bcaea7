"""The options every command takes, before or after its word, and the exception for what is asked wrongly."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class GlobalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `--config --account --json --quiet --no-color` said; the defaults are those of silence."""

    config: str | None = None
    account: str | None = None
    json: bool = False
    quiet: bool = False
    no_color: bool = False


NAMES: tuple[str, ...] = GlobalOptions.__struct_fields__
FLAGS = frozenset({"json", "quiet", "no_color"})


def guess(arguments: Sequence[str]) -> GlobalOptions:
    """How to report an error in arguments that could not be read: as they seem to ask for it."""
    return GlobalOptions(
        json="--json" in arguments, quiet="--quiet" in arguments, no_color="--no-color" in arguments
    )


class UsageProblem(Exception):
    """What was asked on the command line makes no sense; the message is one line that says why."""


class Unwritable(UsageProblem):
    """stdout can't be written; `payment_id` is the payment that was to be printed, once its provider was asked."""

    def __init__(self, message: str, *, payment_id: str | None = None) -> None:
        super().__init__(message)
        self.payment_id = payment_id


class Interrupted(Exception):
    """
    Ctrl-C; the message says how to go on.

    `payment_id` is the payment the command was about, where that is known. `is_under_way`: the provider may have
    been asked for something, so money may have moved.
    """

    def __init__(self, message: str, *, payment_id: str | None = None, is_under_way: bool = False) -> None:
        super().__init__(message)
        self.payment_id = payment_id
        self.is_under_way = is_under_way


def to_type(options: GlobalOptions, *words: str) -> str:
    """The command of these words as it can be typed anywhere below this folder's configuration."""
    import shlex

    config = () if options.config is None else ("--config", options.config)
    return shlex.join(["paycore", *words, *config])
