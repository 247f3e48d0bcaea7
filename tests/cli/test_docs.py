"""The command line's documentation matches the command line."""

import os
from pathlib import Path

import pytest

from paycore.cli import endings
from paycore.cli.app import COMMANDS
from tests.cli.conftest import Cli

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
REWRITE = "REWRITE_CLI_DOCS"
"""`REWRITE_CLI_DOCS=1 pytest tests/cli/test_docs.py` writes the generated parts anew."""


def _generated(cli: Cli) -> dict[str, str]:
    codes = [f"| {code.value} | {meaning} |" for code, meaning in endings.MEANINGS.items()]
    parts = {"exit codes": "\n".join(["| Code | Meaning |", "|---|---|", *codes])}
    words = []
    for word, entry in COMMANDS.items():
        words += [f"{word} {sub}" for sub in entry] if isinstance(entry, dict) else [word]
    helps = []
    for word in words:
        text = cli(*word.split(), "--help").out
        own = text.partition("Global options:")[0].rstrip()
        helps.append(f"### paycore {word}\n\n```text\n{own}\n```")
    parts["commands"] = "\n\n".join(helps)
    return parts


def test_docs_are_what_help_says(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of exit codes and the reference of commands are those of this version."""
    monkeypatch.setenv("COLUMNS", "100")
    page = PAGE.read_text(encoding="utf-8")
    expected = page
    for name, text in _generated(cli).items():
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        head, _, rest = expected.partition(begin)
        expected = f"{head}{begin}\n{text}\n\n{end}{rest.partition(end)[2]}"
    if os.environ.get(REWRITE):
        PAGE.write_text(expected, encoding="utf-8")
    assert page == expected, f"run {REWRITE}=1 pytest {Path(__file__).name}"


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_help_is_whole_in_the_window(cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """The help of a group tells all of each command's first sentence and of each exit code, within the window."""
    monkeypatch.setenv("COLUMNS", columns)
    text = cli("--help").out
    assert max(map(len, text.splitlines())) <= int(columns)
    assert "..." not in text.replace("[ARGS]...", "")
    told = " ".join(text.split())
    assert "Print what changed since this consumer last read, one change a line." in told
    assert all(f"{code.value} {meaning}" in told for code, meaning in endings.MEANINGS.items())
