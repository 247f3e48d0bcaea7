"""On a terminal: a QR code to scan, a progress line, and a safe Ctrl-C."""

import codecs
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Self

import pytest

from paycore.cli.render.qr import draw, least_room
from paycore.cli.render.text import rows_of, shorten, width
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, order


class Terminal:
    """A command on a terminal of 120 columns and 60 lines, and everything it printed there."""

    def __init__(self, *words: str, **environment: str) -> None:
        self._main, side = pty.openpty()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = ""
        self.process = subprocess.Popen(
            [PAYCORE, *words],
            stdin=side,
            stdout=side,
            stderr=side,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "60", **environment},
            start_new_session=True,
        )
        os.close(side)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._main)

    def read_until(self, is_there: Callable[[str], object], timeout_s: float = 20) -> None:
        """Read until the text so far fulfils the condition, or the command is over."""
        give_up_at = time.monotonic() + timeout_s
        while not is_there(self.text) and time.monotonic() < give_up_at:
            if select.select([self._main], [], [], 0.1)[0]:
                try:
                    self.text += self._decoder.decode(os.read(self._main, 65536))
                except OSError:
                    break  # the other side is closed

    def end(self) -> int:
        """Read the rest; the exit code."""
        self.read_until(lambda _text: False)
        return self.process.wait(timeout=20)


def test_terminal_shows_a_qr_code(cli: Cli, shop: SandboxServer) -> None:
    """`create` draws the code on a terminal, in black on white; not with --quiet, not into a pipe."""
    with Terminal(*order()) as terminal:
        assert terminal.end() == 0
    assert re.search("\x1b\\[38;5;16;48;5;231m[ ▀▄█]{40,}", terminal.text)
    with Terminal(*order(), "--quiet") as quiet:
        assert (quiet.end(), "▀" in quiet.text) == (0, False)
    assert "▀" not in cli(*order()).out


def test_terminal_without_colours(shop: SandboxServer) -> None:
    """--no-color and NO_COLOR print no escape sequences, and the QR code in plain blocks."""
    with Terminal(*order(), "--no-color") as flagged, Terminal(*order(), NO_COLOR="1") as told:
        for terminal in (flagged, told):
            assert terminal.end() == 0
            assert "\x1b[" not in terminal.text
            assert "▀" in terminal.text


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (120, 40), (40, 20)])
def test_terminal_code_is_last_and_whole(shop: SandboxServer, columns: int, lines: int) -> None:
    """The code is printed last and fits the window with the blank line above it and two lines for a prompt."""
    words = [*order()[:-1], "qr", "--no-color"]
    with Terminal(*words, COLUMNS=str(columns), LINES=str(lines)) as terminal:
        assert terminal.end() == 0
    text, blank, code = terminal.text.rpartition("\r\n\r\n")
    drawn = code.removesuffix("\r\n").splitlines()
    assert blank
    assert all(set(line) <= set(" ▀▄█") for line in drawn)
    assert len(drawn) + 2 <= lines
    assert {width(line) for line in drawn} == {len(drawn[0])}
    assert len(drawn[0]) < columns
    assert "the payer must scan the link below as a QR code" in " ".join(text.split())
    assert re.search(r"^qr +http", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"COLUMNS": "79"}, "window is too small for the QR code: it takes 80 columns and 42 lines"),
        (
            {"LINES": "41", "COLUMNS": "80"},
            "window is too small for the QR code: it takes 80 columns and 42 lines",
        ),
        ({"PYTHONIOENCODING": "ascii"}, "lacks the characters"),
    ],
)
def test_terminal_without_room_for_the_code(
    shop: SandboxServer, environment: dict[str, str], words: str
) -> None:
    """A code that does not fit, or that the encoding can't draw, is left out."""
    with Terminal(*order(), **environment) as terminal:
        assert terminal.end() == 0
    assert words in terminal.text
    assert "▀" not in terminal.text
    assert "??" not in terminal.text


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_terminal_list_fits_the_window(cli: Cli, shop: SandboxServer, columns: int) -> None:
    """No line is longer than the window, and ids and states are whole; a pipe gets everything."""
    payment = cli.create("a-reference-of-32-characters-long")
    shop.gateway.controls.pay(payment["order_number"])
    cli("query", payment["id"])
    cli("refund", payment["id"], "--amount", "1.00", "--reference", "back-1")
    shop.gateway.faults.add("lose_reply")
    cli(*order("short"))
    with Terminal("list", COLUMNS=str(columns)) as terminal:
        assert terminal.end() == 0
    lines = terminal.text.splitlines()
    assert max(width(line) for line in lines) <= columns, terminal.text
    assert payment["id"] in lines[2]
    assert "paid" in lines[2]
    assert ("a-ref" in lines[2]) == (columns >= 80)
    piped = cli("list").out
    assert "a-reference-of-32-characters-lo…" in piped
    assert "shop" in piped


def test_terminal_list_of_an_ordinary_payment_is_whole_in_80_columns(cli: Cli, shop: SandboxServer) -> None:
    """With a reference of ten characters all columns are whole."""
    cli.create("order-1001")
    with Terminal("list", "--no-color", COLUMNS="80") as terminal:
        assert terminal.end() == 0
    line = terminal.text.splitlines()[1]
    for words in ("order-1001", "shop", "88.00 HKD", "pending"):
        assert words in line
    assert re.search(r"\d\d-\d\d \d\d:\d\d$", line)


def test_terminal_accounts_fit_the_window(shop: SandboxServer) -> None:
    """The terms of a product are wrapped in their column."""
    with Terminal("accounts", "--no-color", COLUMNS="60") as terminal:
        assert terminal.end() == 0
    _, *lines = terminal.text.splitlines()
    assert max(map(width, lines)) <= 60, terminal.text
    (web,) = [place for place, line in enumerate(lines) if line.startswith("  alipay/web  ")]
    column = lines[web].index("takes")
    assert lines[web + 1][:column].isspace()
    assert lines[web + 1][column] != " "


def test_terminal_timeline_is_folded(cli: Cli, shop: SandboxServer) -> None:
    """Long lines are wrapped and indented in a narrow window; in a pipe each event is one line."""
    shop.gateway.faults.add("lose_reply")
    payment = cli(*order(), "--json").json
    words = "no definite answer to the order"
    (line,) = [line for line in cli("show", payment["id"]).out.splitlines() if words in line]
    with Terminal("show", payment["id"], "--no-color", COLUMNS="60") as terminal:
        assert terminal.end() == 0
    shown = terminal.text.splitlines()
    after = next(n for n, folded in enumerate(shown, start=1) if words in folded)
    assert shown[after].startswith(" " * line.index(words) + "account shop")


def test_terminal_narrow_waiting_stays_on_its_line(cli: Cli, shop: SandboxServer) -> None:
    """The progress line is cut before the window's last column."""
    payment = cli.create()
    with Terminal("await", payment["id"], "--timeout", "0.5", COLUMNS="40") as terminal:
        assert terminal.end() == 4
    moved = [part for part in re.split(r"\r\x1b\[K", terminal.text) if "of 0 s" in part]
    assert moved
    assert all(width(part) <= 39 for part in moved), moved


def test_refunds_stand_under_each_other(cli: Cli, shop: SandboxServer) -> None:
    """References, amounts and states of refunds are aligned columns."""
    payment = cli.create()
    shop.gateway.controls.pay(payment["order_number"])
    cli("query", payment["id"])
    for reference, amount in (("a", "5.00"), ("back-22", "20.00")):
        cli("refund", payment["id"], "--reference", reference, "--amount", amount)
    shown = cli("query", payment["id"]).out
    rows = [line for line in shown.splitlines() if line.startswith("refund")]
    assert len(rows) == 2
    assert len({row.index("HKD") for row in rows}) == 1, shown


def test_shorten_keeps_colours() -> None:
    """Colour codes have no width, and end where the text is cut."""
    coloured = "\x1b[32mpaid\x1b[0m"
    assert shorten(coloured, 4) == coloured
    assert shorten(coloured, 3) == "\x1b[32mpa…\x1b[0m"


def test_terminal_waiting_moves_a_line(cli: Cli, shop: SandboxServer) -> None:
    """`await` shows the time and the state on one line, and removes it when the payment is paid."""
    payment = cli.create()
    with Terminal("await", payment["id"], "--timeout", "30") as terminal:
        terminal.read_until(lambda text: "0:01" in text)
        shop.gateway.controls.pay(payment["order_number"])
        assert terminal.end() == 0
    assert "\r\x1b[K" in terminal.text
    assert "Ctrl-C leaves it as it is" in terminal.text
    last = terminal.text.rsplit("\r\x1b[K", 1)[1]
    assert "paid" in last
    assert "Ctrl-C" not in last


def test_ctrl_c_while_waiting_130(cli: Cli, shop: SandboxServer) -> None:
    """Ctrl-C while waiting: exit 130, the payment unchanged, the command to resume printed."""
    payment = cli.create()
    before = cli("show", payment["id"], "--json").out
    waiting = subprocess.Popen(
        [PAYCORE, "await", payment["id"], "--config", "paycore.toml"], stderr=subprocess.PIPE, text=True
    )
    assert waiting.stderr is not None
    assert "waiting" in waiting.stderr.readline()
    time.sleep(0.3)
    waiting.send_signal(signal.SIGINT)
    words = waiting.stderr.read()
    waiting.stderr.close()
    assert waiting.wait(timeout=20) == 130
    assert f"paycore await {payment['id']} --config paycore.toml" in words
    assert "Traceback" not in words
    assert cli("show", payment["id"], "--json").out == before


def test_qr_code_holds_its_content() -> None:
    """The drawn modules are those of the code, with its light border."""
    lines = draw("https://shop.example", colours=False, columns=80, lines=40)
    assert lines is not None
    assert set("".join(lines)) <= set(" ▀▄█")
    assert set(lines[0]) == {"█"}  # without colours light modules are drawn: the quiet zone is full
    assert draw("x" * 2000, colours=False, columns=80, lines=1000) is None
    assert set(lines[1]) == {"█"}  # four modules wide where there is room, one where there is not
    narrow = draw("https://shop.example", colours=False, columns=80, lines=len(lines) - 1)
    least = least_room("https://shop.example")
    assert narrow is not None
    assert least is not None
    assert set(narrow[1]) != {"█"}
    assert draw("https://shop.example", colours=False, columns=80, lines=40, above=40 - least[1]) is not None
    assert draw("https://shop.example", colours=False, columns=80, lines=least[1] - 1) is None
    assert draw("https://shop.example", colours=False, columns=least[0] - 1, lines=40) is None


def test_qr_code_leaves_room_for_the_text_above() -> None:
    """The border is narrower where all of the text then stays in the window, and wide where it does not in any case."""

    def height(above: int) -> int:
        lines = draw("https://shop.example", colours=False, columns=80, lines=20, above=above)
        assert lines is not None
        return len(lines)

    assert [height(above) for above in (0, 3, 4, 5, 6, 7)] == [17, 17, 15, 15, 14, 17]


def test_more_than_a_qr_code_holds() -> None:
    """A link that no QR code holds has none."""
    assert draw("x" * 3000, colours=False, columns=999, lines=999) is None
    assert least_room("x" * 3000) is None


def test_rows_of_text_in_a_window() -> None:
    """A line takes as many rows as the window wraps it into; an empty one takes one."""
    assert rows_of(["", "x" * 40, "x" * 41, "\x1b[32m" + "x" * 40 + "\x1b[0m"], 40) == 5
