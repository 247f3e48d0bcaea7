"""
Everything the command line prints goes through `Output`: data to stdout, messages to stderr.

With `--json` stdout holds only JSON and stderr at most one object, an error. `--quiet` leaves out messages.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from paycore.cli.endings import UsageProblem
from paycore.cli.options import GlobalOptions, to_type
from paycore.cli.render.text import Style, clean, rows_of, shorten
from paycore.cli.streams import has_characters, has_colours, is_terminal, prepare, print_text, tell, window_of

if TYPE_CHECKING:
    from paycore.cli.render.csv_lines import Cell
    from paycore.domain.events import Event
    from paycore.domain.payment import Payment
    from paycore.engine.offers import AccountInfo
    from paycore.ledger.api import ListedBy
    from paycore.ledger.audit import Verdict

LINES_AT_ONCE = 256
LINES_BELOW = 2
"""Lines of the window left below a QR code, for the prompt of the shell or a progress line."""


class Output:
    """Prints in the format and colours that the global options ask for."""

    def __init__(self, options: GlobalOptions) -> None:
        self.options = options
        prepare(sys.stdout, is_json=options.json)
        self.style = Style(enabled=has_colours(options, sys.stdout))
        self.words_style = Style(enabled=has_colours(options, sys.stderr))
        self.has_words = not (options.quiet or options.json)
        self.has_live_line = self.has_words and is_terminal(sys.stderr)
        self._live = ""

    # --- data ----------------------------------------------------------------------------------------

    def payment(self, payment: Payment, *, with_qr: bool = False) -> None:
        """Print a payment; `with_qr` draws its QR code last, where stdout is a terminal."""
        if self.options.json:
            from paycore.cli.render.documents import payment_document

            self.json(payment_document(payment))
            return
        lines = self._block(payment)
        self.data(*lines)
        if with_qr:
            self._qr(payment, lines)

    def payment_with_events(self, payment: Payment, events: Sequence[Event]) -> None:
        """Print a payment and its timeline."""
        from paycore.cli.render.timeline import tell

        entries = tell(events)
        if self.options.json:
            from paycore.cli.render.documents import timeline_document

            self.json(timeline_document(payment, entries))
            return
        from paycore.cli.render.blocks import timeline_block

        timeline = timeline_block(entries, self.style, self.columns)
        self.data(*self._block(payment), "", *timeline)

    def _block(self, payment: Payment) -> list[str]:
        from paycore.cli.render.blocks import payment_block

        return payment_block(payment, self.style, self.columns, to_type=partial(to_type, self.options))

    def payments(
        self, pages: Iterable[Sequence[Payment]], *, by: ListedBy = "created", with_reasons: bool = False
    ) -> Sequence[Payment]:
        """
        Print payments page by page, as a table or JSON Lines; return the last page that had any.

        The table has their time `by`; `with_reasons` names the reasons for review. Stops once the reader has closed the
        pipe.
        """
        last: Sequence[Payment] = ()
        for page in filter(None, pages):
            is_first, last = not last, page
            if not self._page(page, by=by, is_first=is_first, with_reasons=with_reasons):
                break
        if not last and not self.options.json:
            self.say("no payments")
        return last

    def _page(self, page: Sequence[Payment], *, by: ListedBy, is_first: bool, with_reasons: bool) -> bool:
        if self.options.json:
            from paycore.cli.render.documents import encode, payment_document

            return self.data(*(encode(payment_document(payment)).decode() for payment in page))
        from paycore.cli.render.tables import payment_table

        lines = payment_table(page, self.style, self.columns, by=by, with_reasons=with_reasons)
        return self.data(*lines[not is_first :])

    def payments_csv(self, pages: Iterable[Sequence[Payment]]) -> Sequence[Payment]:
        """Print payments as CSV; return the last page that had any."""
        from paycore.cli.render.csv_rows import PAYMENT_COLUMNS, payment_cells

        last: Sequence[Payment] = ()

        def rows() -> Iterator[Sequence[Cell]]:
            nonlocal last
            for page in filter(None, pages):
                last = page
                yield from map(payment_cells, page)

        self.csv(PAYMENT_COLUMNS, rows())
        if not last:
            self.say("no payments")
        return last

    def accounts(self, accounts: Sequence[AccountInfo]) -> None:
        """Print accounts with their products, or JSON Lines."""
        from paycore.cli.render.terms import account_block, account_document

        if self.options.json:
            self.json(*(account_document(account) for account in accounts))
            return
        blocks = [account_block(account, self.style, self.columns) for account in accounts]
        self.data(*(line for block in blocks for line in block))

    def rows(self, header: Sequence[str], rows: Sequence[Sequence[str]], documents: Sequence[Any]) -> None:
        """Print a table, or `documents` as JSON Lines."""
        from paycore.cli.render.tables import table

        if self.options.json:
            self.json(*documents)
        elif rows:
            self.data(*table(header, rows, self.style, self.columns))

    def csv(self, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Print CSV with a header line, as UTF-8 wherever it goes; see `render.csv_lines`. Rows are read in batches."""
        from paycore.cli.render.csv_lines import csv_lines

        self._erase()
        self.stream(csv_lines(header, rows))

    def difference(self, verdict: Verdict) -> None:
        """Print a difference that verification found."""
        if self.options.json:
            from paycore.cli.render.documents import difference_document

            self.json(difference_document(verdict))
            return
        from paycore.cli.render.blocks import difference_block

        self.data(*difference_block(verdict, self.style), "")

    def json(self, *documents: Any) -> bool:
        """Print JSON, one object a line; return False once the reader has closed the pipe."""
        from paycore.cli.render.documents import encode

        return self.data(*(encode(document).decode() for document in documents))

    def data(self, *lines: str) -> bool:
        """Print lines on stdout in one write; return False once the reader has closed the pipe."""
        self._erase()
        return not lines or print_text("\n".join(lines) + "\n")

    def stream(self, lines: Iterable[str]) -> None:
        """Print any number of lines on stdout as UTF-8, in batches, until they end or the reader closes the pipe."""
        prepare(sys.stdout, is_json=True)
        rest = iter(lines)
        while (some := list(islice(rest, LINES_AT_ONCE))) and print_text("\n".join(some) + "\n"):
            pass

    def _qr(self, payment: Payment, above: Sequence[str]) -> None:
        """Draw the code the payer scans, whole in the window together with what comes below it."""
        from paycore.domain.action import QRCode, Redirect

        action = payment.action
        if self.options.quiet or not is_terminal(sys.stdout) or not isinstance(action, QRCode | Redirect):
            return
        from paycore.cli.render.qr import BLOCKS, draw, least_room

        if not has_characters(sys.stdout, BLOCKS):
            self.say("this terminal lacks the characters to draw the QR code with")
            return
        content = action.content if isinstance(action, QRCode) else action.url
        window = window_of(sys.stdout)
        lines = draw(
            content,
            colours=self.style.enabled,
            columns=window.columns - 1,  # some terminals wrap after writing to the last column
            lines=window.lines - LINES_BELOW,
            above=rows_of(above, window.columns) + 1,
        )
        if lines is not None:
            self.data("", *lines)
        elif (room := least_room(content)) is not None:
            columns, height = room
            self.say(
                f"this window is too small for the QR code: it takes {columns + 1} columns"
                f" and {height + LINES_BELOW} lines"
            )

    @property
    def columns(self) -> int | None:
        """Return the width of the terminal in columns; None where stdout is no terminal."""
        return window_of(sys.stdout).columns if is_terminal(sys.stdout) else None

    def show_log(self) -> None:
        """Print what paycore logs as messages, in place of an earlier `Output`."""
        logger = logging.getLogger("paycore")
        for handler in [handler for handler in logger.handlers if isinstance(handler, _LogLines)]:
            logger.removeHandler(handler)
        lines = _LogLines(self)
        logger.addHandler(lines)
        logger.setLevel(lines.level if self.options.verbose else logging.NOTSET)

    # --- messages ---------------------------------------------------------------------------------------

    def say(self, words: str) -> None:
        """Print a line on stderr for a person; nothing where it is empty."""
        if words and self.has_words:
            self._erase()
            tell(words + "\n")

    def warn(self, words: str) -> None:
        """Print a warning."""
        self.say(f"{self.words_style('warning:', 'yellow')} {clean(words)}")

    def fail(self, words: str, document: Any) -> None:
        """Print an error as one line or one JSON object, also with `--quiet`."""
        self._erase()
        if self.options.json:
            from paycore.cli.render.documents import encode

            tell(encode({"error": document}).decode() + "\n")
        else:
            tell(f"{self.words_style('error:', 'red', 'bold')} {clean(words)}\n")

    def live(self, line: str) -> None:
        """Replace the progress line, empty to remove it; does nothing where stderr is no terminal."""
        if not self.has_live_line:
            return
        # Some terminals wrap after writing to the last column.
        line = shorten(line, window_of(sys.stderr).columns - 1)
        if line != self._live:
            self._erase()
            self._live = line  # set first: Ctrl-C may come before the line is written
            tell(line)

    def clear_line(self) -> None:
        """Remove a progress line that a subprocess left."""
        if self.has_live_line:
            tell("\r\x1b[K")

    def _erase(self) -> None:
        if self._live:
            tell("\r\x1b[K")
            self._live = ""


def check_format(options: GlobalOptions, *, csv: bool) -> None:
    """Refuse to print in two formats at once."""
    if csv and options.json:
        raise UsageProblem("--csv and --json are two formats: give one of them")


class _LogLines(logging.Handler):
    """Prints warnings, or with `--verbose` everything from INFO up; leaves out consecutive duplicates."""

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
