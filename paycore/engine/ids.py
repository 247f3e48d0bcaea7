"""Ids: UUIDv7 (RFC 9562) as 26 characters of Crockford base32, ordered by the time they were made."""

from __future__ import annotations

import os
import time

from paycore.domain.provider import NumberFormat

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
ID_LENGTH = 26
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62


def new_id() -> str:
    """
    A new id: 26 upper-case letters and digits.

    48 bits of milliseconds, 12 of the fraction of one (RFC 9562, section 6.2, method 3), so that a process's
    ids are in the order they were made, and 62 random ones. It keeps no state that a forked child would share.
    """
    ms, rest_ns = divmod(time.time_ns(), 1_000_000)
    fraction = (rest_ns << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    value = ms << 80 | _VERSION_7 | fraction << 64 | _VARIANT | random
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def number_problem(number_format: NumberFormat) -> str | None:
    """Why our numbers do not fit what the provider takes, None when they do."""
    if number_format.length_max < ID_LENGTH or not set(_ALPHABET) <= set(number_format.characters):
        return f"numbers of {ID_LENGTH} digits and capital letters ({_ALPHABET}) do not fit"
    return None
