"""Planted bugs by the part of the code they are in; `mutants` collects them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

Patch = AbstractContextManager[Any]


def patched(owner: Any, name: str, make: Callable[[Any], Any]) -> Patch:
    """Replace `owner.name` by what `make` makes of the original."""
    return mock.patch.object(owner, name, make(getattr(owner, name)))
