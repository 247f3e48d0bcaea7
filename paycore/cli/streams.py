"""Stdout and stderr: whether they are terminals, how large, which colours and characters they take; and writing."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from paycore.cli.endings import Unwritable
from paycore.cli.options import GlobalOptions

LINES_UNKNOWN = 1000
"""Height assumed for a terminal of unknown size."""


def has_colours(options: GlobalOptions, stream: TextIO | None) -> bool:
    """Return whether to print colours; FORCE_COLOR asks for them also where the stream is no terminal."""
    if options.no_color or os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether it is a terminal with cursor control; None is a stream closed at the start."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def window_of(stream: TextIO) -> os.terminal_size:
    """Return the size of its terminal, of which COLUMNS and LINES take precedence."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except OSError:
        columns, lines = 0, 0
    given = (os.environ.get(name, "") for name in ("COLUMNS", "LINES"))
    wide, high = (int(size) if size.isascii() and size.isdigit() else 0 for size in given)
    return os.terminal_size((wide or columns or 80, high or lines or LINES_UNKNOWN))


def has_characters(stream: TextIO, characters: str) -> bool:
    """Return whether its encoding has these characters."""
    try:
        characters.encode(stream.encoding)
    except UnicodeEncodeError:
        return False
    return True


def prepare(stream: TextIO, *, is_json: bool) -> None:
    """Encode JSON as UTF-8 whatever the locale, and replace characters that the encoding lacks."""
    if not isinstance(stream, io.TextIOWrapper):
        return
    with _writing(stream):  # what it still buffers
        stream.reconfigure(encoding="utf-8" if is_json else None, errors="replace")


def print_text(text: str) -> bool:
    """
    Write to stdout; return False once the reader has closed the pipe, which does not change the exit code.

    Raises `Unwritable` on any other error.
    """
    is_written = False
    with _writing(sys.stdout):
        sys.stdout.write(text)
        sys.stdout.flush()
        is_written = True
    return is_written


@contextmanager
def _writing(stream: TextIO) -> Iterator[None]:
    """Let go of a stream that can't be written; raise `Unwritable` unless its reader has closed the pipe."""
    try:
        yield
    except BrokenPipeError:
        _let_go(stream)
    except OSError as error:
        _let_go(stream)
        raise Unwritable(f"stdout can't be written: {error.strerror}") from error


def tell(text: str) -> None:
    """Write to stderr, ignoring errors."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _let_go(sys.stderr)


def _let_go(stream: TextIO) -> None:
    """Redirect the stream to /dev/null, with what it still buffers."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
