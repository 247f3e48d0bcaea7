"""Progress lines, redrawn on a terminal and removed at the end; elsewhere `await` prints a plain line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from paycore.cli.output import Output
from paycore.cli.render.text import duration
from paycore.domain.schedule import is_awaited

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client

FRAME_S = 0.1
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Progress:
    """
    `with Progress(output) as progress: ... progress.show(lambda: "12 payments")`, as often as progress is made.

    The text is only computed when the line is redrawn, every `FRAME_S` seconds.
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
        """Redraw the line unless that was done less than `FRAME_S` ago."""
        if not self._output.has_live_line or time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + FRAME_S
        self._frame += 1
        self._output.live(f"{spinner(self._output, self._frame)} {words()}")


def spinner(output: Output, frame: int) -> str:
    """Return a frame of the spinner."""
    return output.words_style(FRAMES[frame % len(FRAMES)], "cyan")


# --- await -------------------------------------------------------------------------------------------

LOOK_EVERY_S = 1.0
PLAIN_LINE_EVERY_S = 30.0


def wait(pay: Client, payment: Payment, timeout_s: float, output: Output) -> Payment:
    """Call `pay.wait` and show elapsed time and status; `timeout_s` in seconds."""
    if not is_awaited(payment):
        return payment
    with _Watcher(pay, payment, timeout_s, output):
        return pay.wait(payment.id, timeout_s=timeout_s)


class _Watcher:
    """Prints elapsed time and the status in the ledger, from its own thread."""

    def __init__(self, pay: Client, payment: Payment, timeout_s: float, output: Output) -> None:
        self._pay = pay
        self._payment = payment
        self._timeout_s = timeout_s
        self._output = output
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="paycore-watch-line", daemon=True)

    def __enter__(self) -> None:
        if self._output.has_words:
            self._thread.start()

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._output.live("")

    def _run(self) -> None:
        started = looked = time.monotonic()
        told_at, told = -PLAIN_LINE_EVERY_S, ""
        frame = 0
        while not self._done.wait(FRAME_S if frame else 0):
            now = time.monotonic()
            if now - looked >= LOOK_EVERY_S:
                looked, self._payment = now, self._pay.get(self._payment.id)
            elapsed_s, status = now - started, self._payment.status
            if self._output.has_live_line:
                self._output.live(self._line(frame, elapsed_s))
            elif status != told or elapsed_s - told_at >= PLAIN_LINE_EVERY_S:
                told_at, told = elapsed_s, status
                self._output.say(f"waiting, {duration(elapsed_s)} of {duration(self._timeout_s)}: {status}")
            frame += 1

    def _line(self, frame: int, elapsed_s: float) -> str:
        style, turning = self._output.words_style, spinner(self._output, frame)
        clock = f"{int(elapsed_s) // 60}:{int(elapsed_s) % 60:02d}"
        status, hint = style.status(self._payment.status), style("Ctrl-C leaves it as it is", "dim")
        return f"{turning} {clock} of {duration(self._timeout_s)}  {status}  {hint}"
