"""The entry point of the command `paycore`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` None takes the process's own arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        return print_version()
    if arguments[:1] not in (["show"], ["list"]):
        return _reporting(arguments)
    # Loading modules and reading a few rows leaves little to collect: looking for it takes 5 of 100 ms.
    gc.disable()
    try:
        return _reporting(arguments)
    finally:
        gc.enable()


def print_version() -> int:
    """Print which paycore this is."""
    from paycore import __version__

    print(f"paycore {__version__}")
    return 0


def _reporting(arguments: list[str]) -> int:
    from paycore.cli.options import Interrupted, UsageProblem
    from paycore.errors import PaycoreError

    try:
        _check_text(arguments)
        return _command(arguments)()
    except (PaycoreError, UsageProblem, Interrupted) as error:
        from paycore.cli.failures import report

        return report(error, arguments)
    except KeyboardInterrupt:
        from paycore.cli.failures import report

        return report(Interrupted("interrupted"), arguments)


def _check_text(arguments: Sequence[str]) -> None:
    from paycore.cli.options import UsageProblem

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
