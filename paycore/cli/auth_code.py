"""
The scanned code on the command line: it opens a wallet, so it is a `Secret` before anything else reads the arguments.

Others on the machine see a process's arguments, and a report of an error may hold `sys.argv` or a frame's
variables. `-` and the environment keep it out of the first; taking it out at once keeps it out of the others.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from paycore.cli.endings import UsageProblem
from paycore.domain.provider import Secret

OPTION = "--auth-code"
VARIABLE = "PAYCORE_AUTH_CODE"
STDIN = "-"
LENGTH_MAX = 128

_TAKEN = "(taken out)"
"""Stands where the code was; typing it means nothing."""

_taken: list[Secret] = []


def take_out(arguments: Sequence[str]) -> list[str]:
    """The arguments without what `--auth-code` was given; `read` has it."""
    _taken.clear()
    left: list[str] = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if left and left[-1] == OPTION:
            left.append(_take(word))
        elif name == OPTION and equals:
            left += [f"{OPTION}={_take(value)}"]
        else:
            left.append(word)
    return left


def _take(code: str) -> str:
    if code == STDIN:
        return code
    _taken.append(Secret(code))
    return _TAKEN


def read(given: str) -> Secret:
    """The code that the option, or the environment, gives; from stdin where it is `-`."""
    if given == STDIN:
        return _read_stdin()
    if given == _TAKEN and _taken:
        return _taken[-1]
    return Secret(given)


def _read_stdin() -> Secret:
    """One line of it: what a scanner types."""
    try:
        code = Secret("" if sys.stdin is None else sys.stdin.readline(LENGTH_MAX).strip())
    except (OSError, ValueError):
        code = Secret("")
    if not code.reveal():
        raise UsageProblem(f"{OPTION} -: there is no code on stdin; it is one line of text")
    return code
