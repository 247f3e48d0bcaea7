"""Values of options that choose payments: words, numbers and moments, each refused with what it may be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import TypeVar

from paycore.cli.endings import UsageProblem
from paycore.domain.duration_text import seconds_typed

WHEN = "WHEN"
"""The metavar of an option that `moment` reads."""

LIMIT_MAX = 1000

WordT = TypeVar("WordT", bound=StrEnum)
TextT = TypeVar("TextT", bound=str)

_AGO = re.compile(r"[0-9].*[a-z]\s*", re.IGNORECASE | re.DOTALL)
"""A duration with a unit: a number alone is a date."""


def word_of(option: str, text: str, words: type[WordT]) -> WordT:
    """Return the member that `text` names."""
    return words(choice(option, text, [word.value for word in words]))


def choice(option: str, text: str, words: Sequence[TextT]) -> TextT:
    """Return the one of `words` that `text` is."""
    for word in words:
        if word == text:
            return word
    raise UsageProblem(f"{option}: {text!r} is not one of {', '.join(words)}")


def limit(text: str) -> int:
    """Return how many payments to list, 0 for all."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(LIMIT_MAX))
    if not is_number or int(text) > LIMIT_MAX:
        raise UsageProblem(f"--limit: {text!r} is not a number from 1 to {LIMIT_MAX}, or 0 for all")
    return int(text)


def moment(option: str, text: str, zone: tzinfo = UTC) -> datetime:
    """Return a moment: in ISO 8601, of `zone` where it names none, or as a duration how long ago it was."""
    try:
        if _AGO.fullmatch(text) and (ago_s := seconds_typed(text)) is not None:
            return datetime.now(UTC) - timedelta(seconds=ago_s)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageProblem(
            f"{option}: {text!r} is not a time such as 2025-01-31T12:00:00Z, nor how long ago, such as 90m or 2d"
        ) from None


def moments(
    since: str | None, until: str | None, zone: tzinfo = UTC
) -> tuple[datetime | None, datetime | None]:
    """Return the moments of `--since` and `--until`; None for one that was not given."""
    begin = None if since is None else moment("--since", since, zone)
    end = None if until is None else moment("--until", until, zone)
    if begin is not None and end is not None and begin >= end:
        raise UsageProblem("--until: must be later than --since, or nothing is between them")
    return begin, end
