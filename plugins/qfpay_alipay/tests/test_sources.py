"""Every fact about QFPay has a source: what code, tests and README cite is in SOURCES.md."""

import re
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1]
SOURCES = (PLUGIN / "SOURCES.md").read_text()
CITING = sorted(
    path
    for path in PLUGIN.rglob("*")
    if path.suffix in {".py", ".md", ".html"} and path.name not in {"SOURCES.md", Path(__file__).name}
)

TAG = re.compile(r"\b(?:G\d(?:-[a-z]+)*|FAQ17|91APP)\b")
SECTION = re.compile(r"SOURCES\.md (?:section )?§?(\d+(?:\.\d+)?)((?:(?:, | to | and )§\d+(?:\.\d+)?)*)")
VECTOR = re.compile(r"\bvectors? (V\d+)|\b(V\d+)\b(?=[^=\w]*(?:official|computed|, G|\)))")

TAGS = set(re.findall(r"^\| ([\w-]+) \|", SOURCES, re.MULTILINE))
SECTIONS = set(re.findall(r"^##+ (\d+(?:\.\d+)?)", SOURCES, re.MULTILINE))
VECTORS = set(re.findall(r"^\*\*(V\d+)\*\*", SOURCES, re.MULTILINE))


def cited(text: str) -> set[str]:
    """The tags, sections and vectors that a text cites and SOURCES.md lacks."""
    sections = {
        number for match in SECTION.finditer(text) for number in re.findall(r"\d+(?:\.\d+)?", match[0])
    }
    vectors = {name for match in VECTOR.finditer(text) for name in match.groups() if name}
    return (set(TAG.findall(text)) - TAGS) | (sections - SECTIONS) | (vectors - VECTORS)


@pytest.mark.parametrize("path", CITING, ids=lambda path: str(path.relative_to(PLUGIN)))
def test_each_citation_exists(path: Path) -> None:
    """Every citation is in SOURCES.md, and every source there is public."""
    text = path.read_text()
    assert cited(text) == set()
    assert not re.search(r"\breference(?:,)? (?:§|section)", text)


@pytest.mark.parametrize("citation", ['Source: G6 "Refunds"', "see SOURCES.md §11.4", "vector V99"])
def test_citation_that_is_not_there_is_found(citation: str) -> None:
    """The check above finds a source, a section or a vector that SOURCES.md lacks."""
    assert cited(citation)


def test_sources_are_read() -> None:
    """The lists of citable sources are not empty."""
    assert {"G1", "G5-live", "FAQ17"} <= TAGS
    assert {"2.1", "3.3", "9"} <= SECTIONS
    assert {"V1", "V12"} <= VECTORS
