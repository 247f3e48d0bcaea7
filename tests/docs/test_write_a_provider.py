"""The tutorial "Write a provider" works as printed: its commands, its files, and what is said to be printed."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs/write-a-provider.md"
TITLED = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent


class Tutorial:
    """A reader who does what the page says, in the folder `paycore-lark`."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "paycore-lark"
        self.blocks = dict(TITLED.findall(PAGE.read_text(encoding="utf-8")))
        made = self.run("paycore", "plugins", "new", "lark", folder=folder)
        assert made.returncode == 0, made.stderr
        self._install()

    def run(self, word: str, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run an installed command."""
        return subprocess.run(
            [BIN / word, *words],
            cwd=folder or self.project,
            env={**os.environ, "PYTHONPATH": str(self.project), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
        )

    def write(self, *names: str) -> None:
        """Write the files of these names as they are printed."""
        for name in names:
            (self.project / name).write_text(self.blocks[name], encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Edit a file."""
        text = (self.project / name).read_text(encoding="utf-8")
        assert old in text
        (self.project / name).write_text(text.replace(old, new), encoding="utf-8")

    def says(self, command: str) -> None:
        """Run a command whose output is printed, and look for each line of that in it."""
        done = self.run(*command.split())
        assert done.returncode != 0, done.stdout
        for line in self.blocks[command].splitlines():
            assert line in done.stdout, done.stdout

    def _install(self) -> None:
        """As `pip install -e` does, without a network: the metadata of the built wheel beside the package."""
        words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
        subprocess.run(words, cwd=self.project, check=True, capture_output=True)
        (wheel,) = (self.project / "dist").iterdir()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.project, [name for name in archive.namelist() if ".dist-info/" in name])


@pytest.mark.slow
def test_tutorial_goes_as_it_is_printed(tmp_path: Path) -> None:
    """From the scaffold to Lark's own provider: each step fails and passes as the page says."""
    tutorial = Tutorial(tmp_path)

    # 3. The company's examples first
    assert "3 skipped" in tutorial.run("pytest", "tests/test_vectors.py").stdout
    tutorial.write("tests/vectors.json", "SOURCES.md")
    tutorial.says("pytest tests/test_vectors.py")
    tutorial.write("paycore_lark/signing.py", "paycore_lark/sandbox/signing.py")
    told = tutorial.run("pytest", "tests/test_vectors.py").stdout
    assert set(re.findall(r"^FAILED \S+::(\w+)", told, re.MULTILINE)) == {
        "test_replies_mean_what_the_manual_says",
        "test_hosts_are_real",
    }

    # 4. The company on your machine
    tutorial.write("paycore_lark/sandbox/gateway.py")
    tutorial.says("paycore plugins check lark --only paid_order_is_paid_once")

    # 5. The provider
    tutorial.write("paycore_lark/messages.py", "paycore_lark/provider.py")
    payment = tutorial.project / "tests/test_payment.py"
    payment.write_text(payment.read_text().partition("\n\n\ndef test_order_is_closed")[0] + "\n")
    told = tutorial.run("pytest", "tests/test_readme.py", "-vv").stdout
    table = re.findall(r"^E\s+(\|.*)$", told.partition("assert '")[0], re.MULTILINE)
    tutorial.change("README.md", readme_table(tutorial), "\n".join(table) + "\n")
    tutorial.change("README.md", "| declared |", "\n| declared |")
    done = tutorial.run("pytest")
    assert done.returncode == 0, done.stdout
    assert "test_vectors" not in done.stdout.partition("short test summary")[2]

    # 6. What the kit finds
    (mistake,) = [code for name, code in tutorial.blocks.items() if name.startswith("a mistake in ")]
    tutorial.change("paycore_lark/messages.py", "        return Money(total, currency), None\n", mistake)
    tutorial.says("paycore plugins check lark --only refund_is_exact_in_every_kind_of_currency")


def readme_table(tutorial: Tutorial) -> str:
    """The table of capabilities in the README as it was generated."""
    readme = (tutorial.project / "README.md").read_text(encoding="utf-8")
    return readme.partition("## What it can do\n\n")[2].partition("\n## ")[0]


@pytest.mark.slow
def test_tutorial_code_is_clean(tmp_path: Path) -> None:
    """What is printed is formatted, without findings of the linter, and typed, as the scaffold's configuration asks."""
    tutorial = Tutorial(tmp_path)
    tutorial.write(*(name for name in tutorial.blocks if "/" in name and " " not in name))
    for words in (["ruff", "check", "--no-cache"], ["ruff", "format", "--check", "--no-cache"]):
        done = tutorial.run(*words)
        assert done.returncode == 0, done.stdout
    done = tutorial.run("mypy", "--no-incremental")
    assert done.returncode == 0, done.stdout
