"""
Durations as they are typed: `90`, `90s`, `5m`, `1h30m`, `2d`.

An option that takes one is declared as text with the metavar `METAVAR`, so that `--help` shows its default as it is
typed, and its command reads it with `seconds` or `whole_seconds`.
"""

from __future__ import annotations

from paycore.cli.endings import UsageProblem
from paycore.domain.duration_text import UNITS_S, seconds_typed

METAVAR = "DURATION"

MOST_S = 3650 * 86400
"""Ten years; what waits can't count much further."""


def seconds(option: str, text: str, *, least_s: float = 0, most_s: float = MOST_S) -> float:
    """
    Return the seconds that `text` says; a number without a unit is in seconds, and numbers may have decimals.

    Units go from large to small, each once. Raises `UsageProblem`, which names the option, for anything else and for
    less than `least_s` or more than `most_s`.
    """
    found = seconds_typed(text)
    if found is None:
        raise UsageProblem(f"{option}: {text!r} is not a duration such as 90, 90s, 5m, 1h30m or 2d")
    if found < least_s:
        raise UsageProblem(f"{option}: {text} is less than {typed(least_s)}, the least")
    if found > most_s:
        raise UsageProblem(f"{option}: {text} is more than {typed(most_s)}, the most")
    return found


def whole_seconds(option: str, text: str, *, least_s: int = 0, most_s: int = MOST_S) -> int:
    """As `seconds`, for what has no parts of a second."""
    found = seconds(option, text, least_s=least_s, most_s=most_s)
    if found != int(found):
        raise UsageProblem(f"{option}: {text} is not a whole number of seconds")
    return int(found)


def typed(duration_s: float) -> str:
    """Return a duration as one would type it: `90s` is `1m30s`, 0 is `0s`."""
    words, left = "", duration_s
    for unit in ("d", "h", "m"):
        whole, left = divmod(left, UNITS_S[unit])
        words += f"{whole:.0f}{unit}" if whole else ""
    return f"{words}{left:g}s" if left or not words else words
