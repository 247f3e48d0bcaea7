"""A line that moves while something takes long; only on a terminal, and gone when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from paycore.cli.output import Output

FRAME_S = 0.1
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Progress:
    """
    `with Progress(output) as progress: ... progress.show(lambda: "12 of many")`, as often as you like.

    The words are asked for when the line is drawn, which is not each time.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._frame = 0
        self._due_at = time.monotonic() + FRAME_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._output.live("")

    def show(self, words: Callable[[], str]) -> None:
        """Draw the line anew when its time has come."""
        if not self._output.has_live_line or time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + FRAME_S
        self._frame += 1
        self._output.live(f"{spinner(self._output, self._frame)} {words()}")


def spinner(output: Output, frame: int) -> str:
    """What turns."""
    return output.words_style(FRAMES[frame % len(FRAMES)], "cyan")
