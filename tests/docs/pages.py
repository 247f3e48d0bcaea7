"""The documentation's pages, and the blocks and headings in them."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_BLOCK = re.compile(r"^```([a-z]+)(?: title=\"[^\"]*\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    """The page's name in a test id."""
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """The page's blocks in one language, each with the number of its first line."""
    text = path.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(2)) + 1, found[2])
        for found in _BLOCK.finditer(text)
        if found[1] == language
    ]


def with_blocks(language: str) -> list[Path]:
    """The pages that have a block in this language."""
    return [path for path in PAGES if blocks(path, language)]


def compiled(path: Path, language: str = "python") -> Iterator[tuple[str, object]]:
    """Each block and its code, whose tracebacks show the page and the line."""
    for line, source in blocks(path, language):
        yield source, compile("\n" * (line - 1) + source, str(path), "exec")
