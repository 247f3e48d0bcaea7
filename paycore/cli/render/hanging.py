"""Words beside or under the head of a row, wrapped with the lines that follow indented."""

from __future__ import annotations

from paycore.cli.render.text import clean, fold, width

WORDS_COLUMNS_MIN = 40
"""Narrower than this, words are on lines of their own."""

INDENT = 4


def beside(head: str, words: str, columns: int | None) -> list[str]:
    """The words beside the head of their row; in a narrow window under it."""
    if not words:
        return [head.rstrip()]
    room = None if columns is None else columns - width(head) - 2
    if room is None:
        return [f"{head}  {clean(words)}"]
    if room < WORDS_COLUMNS_MIN:
        return [head.rstrip(), *folded(words, " " * INDENT, " " * INDENT, columns)]
    return folded(words, f"{head}  ", " " * (width(head) + 2), columns)


def told_under(name: str, words: str, columns: int | None) -> list[str]:
    """A line of its own, under the row it belongs to, after its name."""
    label = f"{' ' * INDENT}{name + ':':10}"
    return folded(words, label, " " * len(label), columns)


def folded(words: str, head: str, indent: str, columns: int | None) -> list[str]:
    """The words after `head`, further lines after `indent`."""
    room = None if columns is None else max(WORDS_COLUMNS_MIN, columns - len(indent))
    first, *more = [clean(words)] if room is None else fold(clean(words), room)
    return [head + first, *(indent + line for line in more)]
