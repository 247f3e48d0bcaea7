"""On a terminal: a QR code to scan, a line that moves, and Ctrl-C that harms nothing."""

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

from paycore.cli.qr import draw
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, order


class Terminal:
    """A command on a terminal of 120 columns, and everything it printed there."""

    def __init__(self, *words: str, **environment: str) -> None:
        self._main, side = pty.openpty()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = ""
        self.process = subprocess.Popen(
            [PAYCORE, *words],
            stdin=side,
            stdout=side,
            stderr=side,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **environment},
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


def test_terminal_too_narrow_for_the_code(shop: SandboxServer) -> None:
    """A code that does not fit is not drawn."""
    with Terminal(*order(), COLUMNS="40") as terminal:
        assert terminal.end() == 0
    assert "too narrow" in terminal.text


def test_terminal_waiting_moves_a_line(cli: Cli, shop: SandboxServer) -> None:
    """`await` shows the time and the state on one line, and takes it away when the payment is paid."""
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
    """Ctrl-C while waiting: exit 130, the payment untouched, the command to resume printed."""
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
    """The drawn modules are those of the code, light ones round it."""
    lines = draw("https://shop.example", colours=False, columns=80)
    assert lines is not None
    assert set("".join(lines)) <= set(" ▀▄█")
    assert set(lines[0]) == {"█"}  # without colours light modules are drawn: the quiet zone is full
    assert draw("x" * 2000, colours=False, columns=80) is None
