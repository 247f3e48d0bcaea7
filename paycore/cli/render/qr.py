"""Draws a QR code with block characters, two rows of modules to a line."""

from __future__ import annotations

BORDERS = (2, 1)
"""Modules of border, the widest that fits. The standard asks for 4; wallets accept less, and terminals are narrow."""

# Black on white whatever the terminal's own colours are.
_COLOURS = "\x1b[38;5;16;48;5;231m"
_RESET = "\x1b[0m"
BLOCKS = "▀▄█"
_DARK_CELLS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
# Without colours the light modules are drawn, for a dark terminal; most scanners read inverted codes too.
_LIGHT_CELLS = {(top, bottom): _DARK_CELLS[not top, not bottom] for top, bottom in _DARK_CELLS}


def draw(content: str, *, colours: bool, columns: int, lines: int) -> list[str] | None:
    """Return the lines of a QR code of `content`, None when it does not fit in `columns` and `lines`."""
    import segno

    code = segno.make(content, error="l", boost_error=False, micro=False)
    largest = min(columns, 2 * lines)
    border = next((border for border in BORDERS if code.symbol_size(border=border)[0] <= largest), None)
    if border is None:
        return None
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=border)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    cells = _DARK_CELLS if colours else _LIGHT_CELLS
    drawn = [
        "".join(cells[pair] for pair in zip(top, bottom, strict=True))
        for top, bottom in zip(rows[::2], rows[1::2], strict=True)
    ]
    return [f"{_COLOURS}{line}{_RESET}" for line in drawn] if colours else drawn
