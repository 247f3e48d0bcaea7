"""The entry point of the command `paycore`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` None takes the process's own arguments."""
    if argv is None:
        sys.argv[1:] = arguments = _without_code(sys.argv[1:])
    else:
        argv = arguments = _without_code(argv)
    _fill_closed_streams()
    if arguments == ["--version"] and _prints_version():
        return 0
    if arguments[:1] not in (["show"], ["list"]):
        return _reporting(arguments)
    # Loading modules and reading a few rows leaves little to collect: looking for it takes 5 of 100 ms.
    gc.disable()
    try:
        return _reporting(arguments)
    finally:
        gc.enable()


def _without_code(arguments: Sequence[str]) -> list[str]:
    """The arguments, a scanned code taken out of them before anything can fail and show it."""
    if not any(word.startswith("--auth-code") for word in arguments):
        return list(arguments)
    from paycore.cli.authcode import take_out

    return take_out(arguments)


def _fill_closed_streams() -> None:
    """A file that is opened takes the number of a closed stream, and whoever prints there would write into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - a descriptor that stays


def _prints_version() -> bool:
    """Print which paycore this is, without loading more of it; False where that can't be printed."""
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
        from paycore.cli.failures import report

        return report(error, arguments)
    except KeyboardInterrupt:
        from paycore.cli.failures import report

        return report(Interrupted("interrupted"), arguments)


def _check_stdout() -> None:
    """Refuse before anything is sent what can't be told afterwards."""
    from paycore.cli.endings import Unwritable

    if sys.stdout is None:
        raise Unwritable("stdout can't be written: it is closed")


def _check_text(arguments: Sequence[str]) -> None:
    from paycore.cli.endings import UsageProblem

    for position, word in enumerate(arguments, start=1):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageProblem(f"argument {position} is not valid text: {word!a}") from None


def _command(arguments: list[str]) -> Callable[[], int]:
    from paycore.cli import quick

    command = quick.parse(arguments)
    if command is not None:
        return command
    from paycore.cli import app

    return lambda: app.run(arguments)
