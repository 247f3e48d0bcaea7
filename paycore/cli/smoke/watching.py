"""Shows a smoke run while it goes on: a live line on a terminal, elsewhere a line for each step that ended."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from paycore.cli.output import Output
from paycore.cli.progress import FRAME_S, spinner
from paycore.cli.render.smoke_rows import step_line
from paycore.cli.render.text import duration

if TYPE_CHECKING:
    from paycore.cli.smoke.step_results import StepResult
    from paycore.domain.payment import Payment


class SmokeWatch:
    """Prints through `output`; with `--json` each step as an object on stdout, when it ends."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._step: tuple[str, str] = ("", "")
        self._limit = ""
        self._began = 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, account: str, step: str) -> None:
        """A step begins."""
        self._step, self._began = (account, step), time.monotonic()
        self._go_on()

    def end(self, result: StepResult) -> None:
        """A step has ended."""
        self._stop()
        if result.step == "await":
            self._limit = ""
        if self._output.options.json:
            self._output.json(result.document)
        elif not self._output.has_live_line:
            self._output.say(step_line(result))

    def ask(self, payment: Payment, wait_s: float) -> None:
        """A person has to pay: show how, and that they are waited for."""
        self._stop()
        self._limit = f" of {duration(wait_s)}"
        if self._output.options.json:
            from paycore.cli.render.documents import payment_document

            document = {"type": "payer", "account": payment.account, "payment": payment_document(payment)}
            self._output.json({**document, "waits_s": wait_s})
        else:
            self._output.say(f"pay it now; it is waited for, {duration(wait_s)} at most")
            self._output.payment(payment, with_qr=True)
        self._go_on()

    def _go_on(self) -> None:
        if self._output.has_live_line:
            self._ended = threading.Event()
            self._thread = threading.Thread(target=self._turn, args=(self._ended,), daemon=True)
            self._thread.start()

    def _stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._output.live("")

    def _turn(self, ended: threading.Event) -> None:
        account, step = self._step
        frame = 0
        while not ended.wait(FRAME_S if frame else 0):
            elapsed_s = int(time.monotonic() - self._began)
            clock = f"{elapsed_s // 60}:{elapsed_s % 60:02d}{self._limit}"
            hint = self._output.words_style("Ctrl-C closes what was made", "dim")
            self._output.live(f"{spinner(self._output, frame)} {clock}  {account}: {step}  {hint}")
            frame += 1
