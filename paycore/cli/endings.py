"""How a command ends before it is done, for reasons of the command line's own; typed errors are the other ones."""

from __future__ import annotations

from typing import ClassVar

from paycore.cli.exits import Exit
from paycore.errors import Actor, MoneyMoved


class CommandEnded(Exception):
    """The command ends here; the message is one line that says why, and where it matters how to go on."""

    kind: ClassVar[str]
    who_acts: ClassVar[Actor] = "caller"
    exit: Exit

    def __init__(
        self, message: str, *, money_moved: MoneyMoved = "no", payment_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.money_moved: MoneyMoved = money_moved
        self.payment_id = payment_id


class UsageProblem(CommandEnded):
    """What was asked on the command line makes no sense."""

    kind = "Usage"
    exit = Exit.USAGE


class Unwritable(CommandEnded):
    """stdout can't be written; `payment_id` is the payment that was to be printed, once its provider was asked."""

    kind = "Unwritable"
    exit = Exit.USAGE

    def __init__(self, message: str, *, payment_id: str | None = None) -> None:
        super().__init__(message, money_moved="no" if payment_id is None else "maybe", payment_id=payment_id)
        if payment_id is not None:
            self.exit = Exit.UNKNOWN  # after 2 nothing was sent


class Interrupted(CommandEnded):
    """Ctrl-C; `money_moved` is "maybe" where the provider may have been asked for something."""

    kind = "Interrupted"
    exit = Exit.INTERRUPTED
