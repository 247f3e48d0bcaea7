"""
A payer's scanned code: whoever has it can charge the wallet, so it becomes a `Secret` before arguments are parsed.

Other users can read a process's arguments, which `--auth-code -` and the environment variable avoid. Error reports may
hold `sys.argv` and local variables, so the code is removed from the arguments first.
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
"""Replaces the code in the arguments; has no meaning when typed."""

_taken: list[Secret] = []


def take_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the value of `--auth-code` replaced; `read` returns the value."""
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
    """Return the code given by the option or the environment variable; `-` reads it from stdin."""
    if given == STDIN:
        return _read_stdin()
    if given == _TAKEN and _taken:
        return _taken[-1]
    return Secret(given)


def _read_stdin() -> Secret:
    """Read one line, which is what a scanner types."""
    try:
        code = Secret("" if sys.stdin is None else sys.stdin.readline(LENGTH_MAX).strip())
    except (OSError, ValueError):
        code = Secret("")
    if not code.reveal():
        raise UsageProblem(f"{OPTION} -: there is no code on stdin; it is one line of text")
    return code
