"""Values of options that choose payments: words and numbers, each refused with what it may be."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from paycore.cli.endings import UsageProblem

LIMIT_MAX = 1000

WordT = TypeVar("WordT", bound=StrEnum)
TextT = TypeVar("TextT", bound=str)


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
