"""Which settings of an account are secret, and others like them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from paycore.domain.provider import Secret
from paycore.testing.conformance.check import NotApplicable
from paycore.testing.conformance.rig import Rig

_CYCLES = ("0123456789", "abcdef", "ghijklmnopqrstuvwxyz", "ABCDEF", "GHIJKLMNOPQRSTUVWXYZ")
"""Each character is replaced by the next of its cycle, so that hexadecimal stays so."""

CHANGED = 4
"""So many characters at its end make another secret."""


def secret_names(rig: Rig, *, several: bool = False) -> list[str]:
    """The settings of this account that hold a secret; `several`: those that may hold more than one."""
    values = msgspec.structs.asdict(rig.read_settings())
    return [
        name
        for name, value in values.items()
        if (isinstance(value, Secret) and not several)
        or (isinstance(value, tuple | list) and value and all(isinstance(one, Secret) for one in value))
    ]


def other_secrets(rig: Rig) -> dict[str, Any]:
    """Every secret setting with another value of the same form; `NotApplicable` where there is none."""
    names = secret_names(rig)
    if not names:
        raise NotApplicable("no setting of the account is secret")
    values = msgspec.structs.asdict(rig.read_settings())
    return {name: _others(values[name]) for name in names}


def with_rotated(rig: Rig, name: str, *, is_new_first: bool) -> dict[str, Any]:
    """The setting of several secrets in the middle of a rotation: its own and a new one."""
    own = [one.reveal() for one in msgspec.structs.asdict(rig.read_settings())[name]]
    new = [another(own[0])]
    return {name: new + own if is_new_first else own + new}


def another(secret: str) -> str:
    """Another secret of the same form: its last characters are others, those of a prefix such as `sk_test_` stay."""
    prefix = max(secret.rfind(mark) for mark in "_-:.") + 1
    tail = secret[prefix:] if re.search(r"[0-9A-Za-z]", secret[prefix:]) else secret
    changed, left = [], CHANGED
    for char in reversed(tail):
        cycle = next((one for one in _CYCLES if char in one), "") if left else ""
        changed.append(cycle[(cycle.index(char) + 1) % len(cycle)] if cycle else char)
        left -= bool(cycle)
    return secret.removesuffix(tail) + "".join(reversed(changed))


def _others(value: Any) -> Any:
    return another(value.reveal()) if isinstance(value, Secret) else [another(one.reveal()) for one in value]
