"""Whatever a flow is given and returns: compared by its content, and copied with all that is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from paycore.domain.secret import Secret


def pictured(value: Any) -> Any:
    """A value as plain ones that can be compared, secrets revealed and the types named."""
    if isinstance(value, Secret):
        return ("Secret", value.reveal())
    if isinstance(value, msgspec.Struct):
        fields = value.__struct_fields__
        return (type(value).__name__, tuple((name, pictured(getattr(value, name))) for name in fields))
    if isinstance(value, Mapping):
        return (
            "mapping",
            tuple(sorted(((str(key), pictured(item)) for key, item in value.items()), key=repr)),
        )
    if isinstance(value, frozenset | set):
        return ("set", tuple(sorted(map(repr, map(pictured, value)))))
    if isinstance(value, list | tuple):
        return ("items", tuple(map(pictured, value)))
    return value


def copied(value: Any) -> Any:
    """A value whose lists and mappings are its own, down to the innermost; secrets and times stay as they are."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, msgspec.Struct):
        changes = {name: copied(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **changes)
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    return type(value)(map(copied, value)) if type(value) in (list, tuple) else value
