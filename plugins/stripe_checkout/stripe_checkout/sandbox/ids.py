"""Ids as Stripe's look; they say nothing, and no client should read more than the whole of one."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """Such as `pi_3` and 23 characters; a session's is longer."""
    length = 56 if prefix == "cs_test_a1" else 23
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))
