"""The entry point of the command `paycore`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycore.cli.endings import CommandEnded
    from paycore.errors import PaycoreError

COLLECT_EVERY = 50_000
"""New objects until the garbage collector looks at them; by itself it does so every 700."""

COMPLETE = "__complete"
"""The word before what the script of a shell asks to have completed; see `paycore.cli.shells`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; None as `argv` means the arguments of this process."""
    if argv is None:
        sys.argv[1:] = arguments = _without_code(sys.argv[1:])
    else:
        argv = arguments = _without_code(argv)
    _fill_closed_streams()
    if arguments == ["--version"] and _prints_version():
        return 0
    # A command begins by making many objects that stay, which the collector would go through again and again.
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, *before[1:])
    try:
        return _reporting(arguments)
    finally:
        gc.set_threshold(*before)


def _without_code(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without a scanned code, so that no error report or traceback can show it."""
    if not any(word.startswith("--auth-code") for word in arguments):
        return list(arguments)
    from paycore.cli.auth_code import take_out

    return take_out(arguments)


def _fill_closed_streams() -> None:
    """Open /dev/null for closed standard streams: the next file opened would take the number and be printed into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - a descriptor that stays


def _prints_version() -> bool:
    """Print the version without importing more of paycore; False if stdout can't be written."""
    from paycore import __version__

    try:
        print(f"paycore {__version__}", flush=True)
    except OSError:
        return False
    return sys.stdout is not None


def _reporting(arguments: list[str]) -> int:
    from paycore.cli.endings import CommandEnded, Interrupted
    from paycore.errors import PaycoreError

    try:
        _check_stdout()
        _check_text(arguments)
        return _command(arguments)()
    except (PaycoreError, CommandEnded) as error:
        return _report(error, arguments)
    except KeyboardInterrupt:
        return _report(Interrupted("interrupted"), arguments)


def _report(error: PaycoreError | CommandEnded, arguments: list[str]) -> int:
    from paycore.cli.endings import report
    from paycore.cli.options import guess
    from paycore.cli.output import Output

    options = guess(arguments)
    return report(error, options, Output(options).fail)


def _check_stdout() -> None:
    """Refuse to start where the result could not be printed."""
    from paycore.cli.endings import Unwritable

    if sys.stdout is None:
        raise Unwritable("stdout can't be written: it is closed")


def _check_text(arguments: Sequence[str]) -> None:
    from paycore.cli.endings import UsageProblem

    for position, word in enumerate(arguments, start=1):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageProblem(
                f"argument {position} contains bytes that are not valid UTF-8: {word!a}"
            ) from None


def _command(arguments: list[str]) -> Callable[[], int]:
    from paycore.cli import quick

    command = quick.parse(arguments)
    if command is not None:
        return command
    if arguments[:1] == [COMPLETE]:
        from paycore.cli.shells.candidates import print_answer

        return lambda: print_answer(arguments[1:])
    from paycore.cli import app

    return lambda: app.run(arguments)
