"""Draws a QR code with block characters, two rows of modules to a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segno import QRCode

BORDERS = (4, 2, 1)
"""Modules of border, the widest that fits. The standard asks for 4; wallets accept less, and terminals are narrow."""

# Black on white whatever the terminal's own colours are.
_COLOURS = "\x1b[38;5;16;48;5;231m"
_RESET = "\x1b[0m"
BLOCKS = "▀▄█"
_DARK_CELLS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
# Without colours the light modules are drawn, for a dark terminal; most scanners read inverted codes too.
_LIGHT_CELLS = {(top, bottom): _DARK_CELLS[not top, not bottom] for top, bottom in _DARK_CELLS}


def draw(content: str, *, colours: bool, columns: int, lines: int, above: int = 0) -> list[str] | None:
    """
    Return the lines of a QR code of `content`, None when it does not fit in `columns` and `lines`.

    Where a narrower border leaves `above` of these lines to the text before it, the border is narrower.
    """
    code = _code(content)
    if code is None:
        return None
    for room in (lines - above, lines):
        for border in BORDERS:
            width, height = _size(code, border)
            if width <= columns and height <= room:
                return _lines(code, border, colours=colours)
    return None


def least_room(content: str) -> tuple[int, int] | None:
    """Return the columns and lines that the smallest drawing of it takes; None where no QR code holds so much."""
    code = _code(content)
    return None if code is None else _size(code, BORDERS[-1])


def _code(content: str) -> QRCode | None:
    import segno

    try:
        return segno.make(content, error="l", boost_error=False, micro=False)
    except segno.DataOverflowError:
        return None


def _size(code: QRCode, border: int) -> tuple[int, int]:
    modules = int(code.symbol_size(border=border)[0])
    return modules, (modules + 1) // 2


def _lines(code: QRCode, border: int, *, colours: bool) -> list[str]:
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=border)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    cells = _DARK_CELLS if colours else _LIGHT_CELLS
    drawn = [
        "".join(cells[pair] for pair in zip(top, bottom, strict=True))
        for top, bottom in zip(rows[::2], rows[1::2], strict=True)
    ]
    return [f"{_COLOURS}{line}{_RESET}" for line in drawn] if colours else drawn
