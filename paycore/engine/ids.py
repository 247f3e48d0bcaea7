"""Ids: UUIDv7 (RFC 9562) as 26 characters of Crockford base32, ordered by the time they were made."""

from __future__ import annotations

import os
import time

from paycore.domain.provider import NumberFormat
from paycore.errors import PluginError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
ID_LENGTH = 26


def new_id() -> str:
    """A new id: 26 upper-case letters and digits, 48 bits of milliseconds and 74 random ones."""
    value = int.from_bytes(os.urandom(10), "big") & ((1 << 76) - 1)
    value |= (time.time_ns() // 1_000_000) << 80
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def check_number_format(number_format: NumberFormat, plugin: str) -> None:
    """Our numbers must fit what the provider takes; `PluginError` when they don't."""
    if number_format.length_max < ID_LENGTH or not set(_ALPHABET) <= set(number_format.characters):
        raise PluginError(
            f"order numbers of {ID_LENGTH} capital letters and digits do not fit",
            plugin=plugin,
            stage="numbers",
        )
