"""Durations as they are typed: `90`, `90s`, `5m`, `1h30m`, `2d`."""

from __future__ import annotations

import re

LENGTH_MAX = 32

# `min` is how paycore prints minutes.
UNITS_S = {"d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PART = re.compile(rf"({_NUMBER})\s*(d|h|min|m|s)\s*")
_PLAIN = re.compile(_NUMBER)


def seconds_typed(text: str) -> float | None:
    """
    The seconds that `text` says; `None` where it says none.

    A number without a unit is in seconds, numbers may have decimals, and units go from large to small, each once.
    """
    text = text.strip().lower()
    if len(text) > LENGTH_MAX:
        return None
    if _PLAIN.fullmatch(text):
        return float(text)
    total, place, unit_before_s = 0.0, 0, float("inf")
    while place < len(text):
        part = _PART.match(text, place)
        if part is None or UNITS_S[part[2]] >= unit_before_s:
            return None
        unit_before_s = UNITS_S[part[2]]
        total += float(part[1]) * unit_before_s
        place = part.end()
    return total if text else None
