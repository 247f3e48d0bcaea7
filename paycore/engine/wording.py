"""How errors of the configuration say what is there and what is wanted, in the words of a TOML file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from paycore.domain.safe_text import printable

SHOWN_MAX = 24
"""Characters of a text an error repeats; keys and tokens are longer."""

_QUOTED = re.compile(r"'([^']*)'")

_KINDS: Mapping[Any, str] = {
    str: "text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    Mapping: "a table",
    list: "a list",
    tuple: "a list",
}


def shown(text: str) -> str:
    """`text` in quotes, or only how long it is where that is more than `SHOWN_MAX`."""
    return repr(text) if len(text) <= SHOWN_MAX else f"(a text of {len(text)} characters)"


def one_line(text: str, length_max: int) -> str:
    """`text` as one line of at most so many characters: what would move a cursor or hide, is a space."""
    shown = printable(text[: length_max + 1]).strip()
    return shown if len(shown) <= length_max else f"{shown[: length_max - 3]}..."


def said(error: BaseException) -> str:
    """An error's message; where it has none to show, how that is."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever a stranger's error does when it is looked at
        return "(what it says can't be shown)"


def one_of(words: Iterable[str]) -> str:
    """The words there are to choose from."""
    return ", ".join(sorted(words)) or "none"


def suggest(word: str, known: Iterable[str]) -> str:
    """The end of an error about a word that is not known: the nearest one, or all there are."""
    import difflib

    close = difflib.get_close_matches(word, words := list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {one_of(words)}"


def wrong_kind(kind: Any, value: object) -> str:
    """What must stand there in place of `value`, which is of another kind."""
    return f"must be {_KINDS[kind]}, not {_KINDS.get(type(value), type(value).__name__)}"


def misfit(value: object, hint: Any, where: str) -> str | None:
    """
    Why `value` does not fit the type `hint`, after its place in the file; None when it fits.

    Of a table that does not fit the first entry that is to blame is named.
    """
    try:
        msgspec.convert(value, hint, dec_hook=keep)
    except msgspec.ValidationError as error:
        words = readable(error)
    else:
        return None
    hint = _without_none(hint)
    kind = get_origin(hint) or hint
    if isinstance(value, dict) and kind in (dict, Mapping):
        entries = (misfit(entry, get_args(hint)[1], f"{where}.{shown(key)}") for key, entry in value.items())
        return next((problem for problem in entries if problem is not None), f"{where}: {words}")
    choices = _choices(hint)
    if choices and isinstance(value, str):
        return f"{where}: {shown(value)} is not one of {one_of(choices)}"
    if choices:
        return f"{where}: {wrong_kind(str, value)}: one of {one_of(choices)}"
    return f"{where}: {wrong_kind(kind, value) if kind in _KINDS else words}"


def readable(error: msgspec.ValidationError) -> str:
    """Msgspec's words with the key first, and without long texts: `udid: Expected ...`."""
    text = _QUOTED.sub(lambda match: shown(match[1]), str(error))
    problem, _, place = text.partition(" - at `$")
    key = place.strip("`.")
    return f"{key}: {problem}" if key else problem


def keep(kind: type, value: object) -> object:
    """A decoding hook that takes a value which is of its type already, such as a `Secret`."""
    if isinstance(value, kind):
        return value
    raise TypeError(f"a {kind.__name__} can't be made of {type(value).__name__}")


def _without_none(hint: Any) -> Any:
    """The type itself, where None stands beside it only because it may be left out."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 else hint


def _choices(hint: Any) -> list[str]:
    """The words a setting is one of; none where it is no such setting."""
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    is_enum = isinstance(hint, type) and issubclass(hint, Enum)
    return [str(choice.value) for choice in hint] if is_enum else []
