"""
PayPal's messages and checksums, as its documentation and public samples have them: SOURCES.md §17 names each source.

Ids, amounts and times are synthetic, the shapes are PayPal's. `vectors.txt` has them as they are sent, a line each,
under a line with their name.
"""

from pathlib import Path

_LINES = (Path(__file__).parent / "vectors.txt").read_text(encoding="utf-8").splitlines()

VECTORS = {name.split()[1]: text.encode() for name, text in zip(_LINES[::2], _LINES[1::2], strict=True)}
"""The vectors by name."""
