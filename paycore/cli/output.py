"""
Everything the command line prints, in one place: data on stdout, words on stderr.

With `--json` stdout carries JSON alone and stderr at most one object, an error. `--quiet` keeps to the data.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

from paycore.cli.endings import Unwritable
from paycore.cli.options import GlobalOptions
from paycore.cli.render.text import Style, clean, shorten

if TYPE_CHECKING:
    from paycore.domain.events import Event
    from paycore.domain.payment import Payment
    from paycore.ledger.audit import Verdict

LINES_AT_ONCE = 256
LINES_UNKNOWN = 1000
"""Of a window that does not tell its height."""


class Output:
    """Where a command prints, as its global options want it."""

    def __init__(self, options: GlobalOptions) -> None:
        self.options = options
        _prepare(sys.stdout, is_json=options.json)
        may_colour = not (options.no_color or os.environ.get("NO_COLOR"))
        self.style = Style(enabled=may_colour and _is_terminal(sys.stdout))
        self.words_style = Style(enabled=may_colour and _is_terminal(sys.stderr))
        self.has_words = not (options.quiet or options.json)
        self.has_live_line = self.has_words and _is_terminal(sys.stderr)
        self._live = ""

    # --- data ----------------------------------------------------------------------------------------

    def payment(self, payment: Payment, *, with_qr: bool = False) -> None:
        """One payment; `with_qr` draws the code its payer is to scan, on a terminal."""
        if self.options.json:
            from paycore.cli.render.documents import payment_document

            self.json(payment_document(payment))
            return
        from paycore.cli.render.blocks import payment_block

        # The code first: whatever scrolls away is not the id, the status and the link.
        if with_qr:
            self._qr(payment)
        self.data(*payment_block(payment, self.style))

    def payment_with_events(self, payment: Payment, events: Sequence[Event]) -> None:
        """One payment and its timeline."""
        from paycore.cli.render.timeline import tell

        entries = tell(events)
        if self.options.json:
            from paycore.cli.render.documents import timeline_document

            self.json(timeline_document(payment, entries))
            return
        from paycore.cli.render.blocks import payment_block, timeline_block

        timeline = timeline_block(entries, self.style, self._columns())
        self.data(*payment_block(payment, self.style), "", *timeline)

    def payments(self, payments: Sequence[Payment]) -> None:
        """Many payments."""
        if self.options.json:
            from paycore.cli.render.documents import payment_document

            self.json(*(payment_document(payment) for payment in payments))
        elif payments:
            from paycore.cli.render.tables import payment_table

            self.data(*payment_table(payments, self.style, self._columns()))
        else:
            self.say("no payments")

    def rows(self, header: Sequence[str], rows: Sequence[Sequence[str]], documents: Sequence[Any]) -> None:
        """A table, or the same as JSON Lines."""
        from paycore.cli.render.tables import table

        if self.options.json:
            self.json(*documents)
        elif rows:
            self.data(*table(header, rows, self.style, self._columns()))

    def difference(self, verdict: Verdict) -> None:
        """Where one payment is not as its history says."""
        if self.options.json:
            from paycore.cli.render.documents import difference_document

            self.json(difference_document(verdict))
            return
        from paycore.cli.render.blocks import difference_block

        self.data(*difference_block(verdict, self.style), "")

    def json(self, *documents: Any) -> None:
        """JSON, one object a line."""
        from paycore.cli.render.documents import encode

        self.data(*(encode(document).decode() for document in documents))

    def data(self, *lines: str) -> None:
        """Lines on stdout, at once."""
        self._erase()
        if lines:
            _print("\n".join(lines) + "\n")

    def stream(self, lines: Iterable[str]) -> None:
        """Any number of lines on stdout, as UTF-8, until they end or whoever reads them leaves."""
        _prepare(sys.stdout, is_json=True)
        rest = iter(lines)
        while (some := list(islice(rest, LINES_AT_ONCE))) and _print("\n".join(some) + "\n"):
            pass

    def _qr(self, payment: Payment) -> None:
        from paycore.domain.action import QRCode, Redirect

        action = payment.action
        if self.options.quiet or not _is_terminal(sys.stdout) or not isinstance(action, QRCode | Redirect):
            return
        from paycore.cli.render.qr import BLOCKS, draw

        if not _has(sys.stdout, BLOCKS):
            self.say("this terminal lacks the characters to draw the QR code with")
            return
        content = action.content if isinstance(action, QRCode) else action.url
        window = _window(sys.stdout)
        lines = draw(content, colours=self.style.enabled, columns=window.columns, lines=window.lines)
        if lines is None:
            self.say("this window is too small for the QR code")
        else:
            self.data("", *lines, "")

    def _columns(self) -> int | None:
        """What fits on a line of stdout; None where it is no window."""
        return _window(sys.stdout).columns if _is_terminal(sys.stdout) else None

    def show_log(self) -> None:
        """Print what paycore logs from now on, as words; an earlier Output no longer does."""
        logger = logging.getLogger("paycore")
        for handler in [handler for handler in logger.handlers if isinstance(handler, _LogLines)]:
            logger.removeHandler(handler)
        lines = _LogLines(self)
        logger.addHandler(lines)
        logger.setLevel(lines.level if self.options.verbose else logging.NOTSET)

    # --- words ---------------------------------------------------------------------------------------

    def say(self, words: str) -> None:
        """A line for the person at the terminal."""
        if self.has_words:
            self._erase()
            _tell(words + "\n")

    def warn(self, words: str) -> None:
        """Something that went wrong on the way, though the command goes on."""
        self.say(f"{self.words_style('warning:', 'yellow')} {clean(words)}")

    def fail(self, words: str, document: Any) -> None:
        """Why the command ends: one line, or one JSON object; not even `--quiet` keeps it back."""
        self._erase()
        if self.options.json:
            from paycore.cli.render.documents import encode

            _tell(encode({"error": document}).decode() + "\n")
        else:
            _tell(f"{self.words_style('error:', 'red', 'bold')} {clean(words)}\n")

    def live(self, line: str) -> None:
        """Replace the line that moves; empty takes it away. Only where there is a terminal to move it on."""
        if not self.has_live_line:
            return
        # One column less than there are: in the last one some terminals begin a new line.
        line = shorten(line, _window(sys.stderr).columns - 1)
        if line != self._live:
            self._erase()
            self._live = line  # before it is there: Ctrl-C may come in between
            _tell(line)

    def clear_line(self) -> None:
        """Take away the line that another process moved here."""
        if self.has_live_line:
            _tell("\r\x1b[K")

    def _erase(self) -> None:
        if self._live:
            _tell("\r\x1b[K")
            self._live = ""


class _LogLines(logging.Handler):
    """Prints warnings, with --verbose everything logged; a line equal to the one before is left out."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.INFO if output.options.verbose else logging.WARNING)
        self._output = output
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            words += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        if words != self._last:
            self._last = words
            if record.levelno < logging.WARNING:
                self._output.say(clean(words))
            else:
                self._output.warn(words)


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at it; None is a stream that was closed from the start."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _window(stream: TextIO) -> os.terminal_size:
    """Its columns and lines."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except OSError:
        columns, lines = 0, 0
    return shutil.get_terminal_size((columns or 80, lines or LINES_UNKNOWN))


def _has(stream: TextIO, characters: str) -> bool:
    """Whether these can be written to it as they are."""
    try:
        characters.encode(stream.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _prepare(stream: TextIO, *, is_json: bool) -> None:
    """JSON is UTF-8 whatever the terminal takes; words do not fail for a character that it lacks."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8" if is_json else None, errors="replace")


def _print(text: str) -> bool:
    """
    Print data, and tell whether anybody reads it; `Unwritable` when there is no place for it.

    Whoever closed the other end of the pipe wants no more, and changes nothing about the exit code.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go(sys.stdout)
        return False
    except OSError as error:
        _let_go(sys.stdout)
        raise Unwritable(f"stdout can't be written: {error.strerror}") from error
    return True


def _tell(text: str) -> None:
    """Print words; where they can't be written nobody misses them."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _let_go(sys.stderr)


def _let_go(stream: TextIO) -> None:
    """What is printed from now on, and what could not be, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
