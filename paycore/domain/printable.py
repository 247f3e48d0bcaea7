"""
What may stand in one line of a log or a terminal, and what may name something.

Control characters move a cursor or begin a new line, formatting ones turn the reading direction or are not seen at
all: two texts that look the same would be two things, and a text could pretend to be a line of its own.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that take no room or show nothing, and that Python counts as printable."""


def printable(text: str) -> str:
    """`text` on one line and as long as it was: what would move a cursor, turn or hide is a space."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def name_problem(text: str) -> str | None:
    """
    Why `text` can't be an id, a number or a reference, None when it can.

    It is printable and begins and ends with no space; of spaces it has the plain one only.
    """
    if not text.isprintable() or _UNSEEN.search(text):
        return "has characters that are not seen: control, zero-width or text direction characters, or odd spaces"
    if text != text.strip():
        return "begins or ends with a space"
    return None
