"""Planted bugs by the room of the house they are in; `mutants` gathers them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

Patch = AbstractContextManager[Any]


def patched(owner: Any, name: str, make: Callable[[Any], Any]) -> Patch:
    """`owner.name` replaced by what `make` makes of the original."""
    return mock.patch.object(owner, name, make(getattr(owner, name)))
