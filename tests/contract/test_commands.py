"""Every command a document tells a reader to type exists, with its options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore.cli.app import root

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "plugins/*/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # tells what was, also of commands since renamed
)
SHELL_BLOCK = re.compile(
    r'^```(?:sh|shell|bash|console)(?: title="[^"]*")?\n(.*?)^```', re.MULTILINE | re.DOTALL
)


def commands_of(text: str) -> Iterator[list[str]]:
    """Yield the words of each `paycore ...` line in the shell blocks of a document."""
    for block in SHELL_BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|[\s/])paycore (.*)", line.partition(" # ")[0].removeprefix("$ "))
            if found and not line.lstrip().startswith(("#", "pip ", "cd ")):
                yield shlex.split(re.split(r"\s[|>&;]|\)", found.group(1))[0])


def check_command(words: list[str]) -> None:
    """Follow the words down the tree of commands, then look each option up in the command they end at."""
    node: Any = root()
    options = {name for parameter in node.params for name in parameter.opts}
    for word in words:
        if word.startswith("-") and word != "-":  # which is a value: stdin
            assert word.partition("=")[0] in options | {"--help"}, f"`{shlex.join(words)}`: no option {word}"
        elif (below := getattr(node, "commands", {}).get(word)) is not None:
            node = below
            options |= {name for parameter in node.params for name in parameter.opts}
    assert not hasattr(node, "commands") or words[-1].startswith("--"), f"`{shlex.join(words)}` is no command"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(path: Path) -> None:
    """Each `paycore` line of a shell block names a command and options that are there."""
    for words in commands_of(path.read_text()):
        check_command(words)


def test_commands_of_readme_are_read() -> None:
    """The check above finds the README's commands; it would pass on none."""
    words = {command[0] for command in commands_of((ROOT / "README.md").read_text())}
    assert {"create", "await", "refund", "show"} <= words


@pytest.mark.parametrize(
    "line", ["pay --amount 1", "create --amuont 1", "sandbox", "sandbox served qfpay-alipay"]
)
def test_commands_that_do_not_exist_are_noticed(line: str) -> None:
    """A misspelt command or option is found."""
    with pytest.raises(AssertionError):
        check_command(line.split())
