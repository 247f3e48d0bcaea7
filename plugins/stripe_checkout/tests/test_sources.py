"""Every fact about Stripe has a source: what code and pages cite is in SOURCES.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1]
SOURCES = (PLUGIN / "SOURCES.md").read_text()
CITING = sorted(
    path for path in PLUGIN.rglob("*") if path.suffix in {".py", ".md"} and path.name != "SOURCES.md"
)
CITED = re.compile(r"SOURCES\.md §(\d+)((?:(?:, | to | and )§\d+)*)")
SECTIONS = set(re.findall(r"^## (\d+)\.", SOURCES, re.MULTILINE))


def missing(text: str) -> set[str]:
    """The sections that a text cites and SOURCES.md lacks."""
    return {number for found in CITED.finditer(text) for number in re.findall(r"\d+", found[0])} - SECTIONS


@pytest.mark.parametrize("path", CITING, ids=lambda path: str(path.relative_to(PLUGIN)))
def test_each_citation_exists(path: Path) -> None:
    """Every section that is cited is there."""
    if path != Path(__file__):
        assert missing(path.read_text()) == set()


def test_a_citation_that_is_not_there_is_found() -> None:
    """The check above finds a section that SOURCES.md lacks, also the second of two."""
    assert missing("SOURCES.md §99") == {"99"}
    assert missing("SOURCES.md §4, §98") == {"98"}
    assert {"0", "1", "12", "16"} <= SECTIONS


def test_tags_are_listed() -> None:
    """Every tag in a column of sources is one of the first section's."""
    listed, _, rest = SOURCES.partition("## 1.")
    tags = set(re.findall(r"^\| ([A-Z]+) \|", listed, re.MULTILINE))
    used = set(re.findall(r"\b(?:LIB|LIBREPO|SPEC|CHG|DOC|ISS|REC)\b", rest))
    assert used == tags
